/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One stream of a receiving connection. For receiving.c.
 */
#ifndef R3MAP_SYNC_RECEIVING_STREAM_H
#define R3MAP_SYNC_RECEIVING_STREAM_H

#include "sync/pool.h"
#include "sync/receiving.h"
#include "sync/region.h"
#include "sync/scan.h"

/* Something that a stream was told, and that has not been done. */
struct receiving_op {
	struct receiving_op *next;
	enum sync_type type;		/* DATA, ZERO, RESIZE, COMMIT, CLOSE */
	uint64_t offset, length;
	uint32_t cost;			/* of credit */
	char *payload;			/* DATA's, to be freed */
	const char *bytes;
	unsigned char root[SYNC_ROOT];	/* COMMIT's */
	unsigned char fast[SYNC_HASH_MAX], strong[SYNC_ROOT];	/* DATA's, once it is written */
};

struct receiving_stream {
	struct pool_job job;
	struct receiving_stream *next;
	struct receiving *receiving;
	struct holding *holding;
	struct region *region;
	uint32_t number;
	bool busy;			/* with the pool */
	bool failed, closed;
	bool committing;		/* a COMMIT has no answer yet: nothing may come before that */
	bool removed;			/* the sender has said so; it is done when nothing writes to it any more */
	struct sync_message *reopen;	/* an OPEN of the same name, which waits for the end of this one */
	bool named;			/* with --fsync: its name is on the disk; the job's */
	uint64_t size;			/* when all that was told is done */
	uint32_t window;		/* of credit, when nothing is in flight */
	uint32_t credit;		/* that the sender has left */
	struct scan scan;
	struct receiving_op *first, **last;	/* to be done */
	struct receiving_op *doing;		/* with the pool: the first part of these */
	int code;			/* of that */
};

/*
 * OPEN, now or when a stream of the same name, which was closed, has come to its end. If it fails the sender is
 * told, and there is no stream. Returns 0, or -ENOMEM with a sentence: the connection is to end.
 */
int receiving_stream_open(struct receiving *receiving, const struct sync_message *m,
			  struct error *error);
/* CLOSE of a stream that is not there: it may be one that waits. */
void receiving_stream_forget(struct receiving *receiving, uint32_t number);
/* Returns 0, or a negative errno with a sentence: the connection is to end. */
int receiving_stream_message(struct receiving_stream *stream, const struct sync_message *m,
			     struct error *error);
/* A name is gone at the sender: now, or when the stream that it was sent on has come to its end. */
void receiving_remove(struct receiving *receiving, const char *name);
/* The connection has ended: nothing more is done for it. */
void receiving_stream_end(struct receiving_stream *stream);

#endif
