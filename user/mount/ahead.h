/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Read-ahead: what readers will ask for next, as far as their misses tell.
 *
 * A miss that begins where an earlier one ended is a reader, who is a *stream* from then on. What follows is
 * read for him, a small window at first. When he misses what lies right behind the window, he has come
 * through all of it, and the next one is twice as large. When he misses something a little behind that, he
 * has left something out: the next one is half as large, and comes only if he goes on from there. What nobody
 * follows is no stream: nothing is read for it, so reads without a pattern cost nothing. There are a few
 * streams at a time; the one that was silent for longest makes room for a new one.
 *
 * Hits are the module's, and nobody here sees them: that is why a window is judged by where it ended.
 *
 * Offsets are those of whole chunks. Misses come from any thread; the lock is a leaf.
 */
#ifndef R3MAP_MOUNT_AHEAD_H
#define R3MAP_MOUNT_AHEAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mount/looks.h"

#define AHEAD_STREAMS	8u
#define AHEAD_FIRST	(64u << 10)	/* bytes of a first window; not less than a chunk */
#define AHEAD_MOST	(8u << 20)	/* and of the largest */

struct ahead_stream {
	uint64_t born;			/* number of his first miss; 0: no stream */
	uint64_t heard;			/* and of his last */
	uint64_t next;			/* where he will miss again: the window's end, or his last miss's */
	uint64_t window;		/* bytes of the last one; 0: there was none yet */
	uint64_t from, to;		/* the part of it that nobody has taken yet */
	uint64_t read;			/* bytes of it that were read ahead indeed */
};

struct ahead {
	uint64_t size;			/* constant: bytes of the region */
	uint32_t first;			/* constant: bytes of the first window, whole chunks */

	pthread_mutex_t lock;		/* guards the rest */
	struct ahead_stream stream[AHEAD_STREAMS];
	uint64_t misses;

	/* Changed under @lock, read without: bytes that were read ahead, and those whose reader has come through. */
	_Atomic uint64_t bytes, used;
};

/* A part of a window. */
struct ahead_part {
	struct piece piece;
	uint64_t stream;		/* ahead.c's */
};

/* @chunk: bytes. Undone by ahead_exit(). */
void ahead_init(struct ahead *ahead, uint64_t size, uint32_t chunk);
void ahead_exit(struct ahead *ahead);

/* Somebody has missed this. True: there is more to take. */
bool ahead_missed(struct ahead *ahead, uint64_t offset, uint64_t length);
/* The next @most bytes, whole chunks, that are to be read ahead, as data. False: there are none. */
bool ahead_take(struct ahead *ahead, uint64_t most, struct ahead_part *part);
/* So many bytes of @part were not there, and are on their way. */
void ahead_took(struct ahead *ahead, const struct ahead_part *part, uint64_t bytes);

#endif
