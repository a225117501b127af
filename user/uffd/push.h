/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client has written goes to the backend: from the memory that it shares with its handler.
 *
 * Belongs to the thread of the client's peer. What could not be written is kept, and tried again
 * with the next sync.
 */
#ifndef R3MAP_UFFD_PUSH_H
#define R3MAP_UFFD_PUSH_H

#include "chunk/bits.h"
#include "backend/backend.h"
#include "lib/loop.h"

struct push_io;

struct pusher {
	/* Set before pusher_open(), constant afterwards. */
	struct backend *backend;
	struct backend_channel *channel;
	struct loop *loop;
	uint64_t timeout;		/* ns that the backend may take until something is done */
	uint32_t page;			/* bytes */
	uint8_t *shared;		/* the memory, from the backend's start */
	int memfd;			/* the same */
	const struct bits *filled;	/* what of it had the backend's bytes */
	/* The outcome of a push_sync(): 0 or a negative errno. */
	void (*synced)(struct pusher *pusher, int code);

	/* The pusher's. */
	struct bits dirty;
	struct bits unflushed;		/* written, and dirty again should the flush fail */
	struct push_io *ios, *free;
	uint32_t most;			/* bytes of one write */
	unsigned int under_way;
	uint64_t pushed;		/* bytes, since the beginning */
	uint64_t next;			/* bytes: where to look on */
	bool syncing;
	bool told;			/* it took too long, and its end is told to nobody */
	int code;			/* of this sync */
	struct loop_timer late;
	struct backend_io flush;
};

/* 0 or a negative errno with a sentence; pusher_close() either way. */
int pusher_open(struct pusher *pusher, struct error *error);
/* The channel is closed already; the loop is still there. */
void pusher_close(struct pusher *pusher);

/*
 * These bytes were written. What was never filled is passed over, and what has been given back:
 * there the kernel says "written" of nothing. -EINVAL: they are none of the backend's.
 */
int push_mark(struct pusher *pusher, uint64_t offset, uint64_t length);
/*
 * Writes and flushes all that was marked, and tells the outcome, once. -EBUSY: that of an earlier
 * one is not known; -ETIMEDOUT: the backend has not answered, and may still write what it was
 * given.
 */
void push_sync(struct pusher *pusher);

#endif
