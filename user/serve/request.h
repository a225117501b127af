/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request of a client: checked once, completely, then given to the backend, then answered.
 *
 * Owned by its peer from request_begin() to request_free(), which follows when the answer has
 * left, or the peer has died and the backend is done with it.
 */
#ifndef R3MAP_SERVE_REQUEST_H
#define R3MAP_SERVE_REQUEST_H

#include <sys/uio.h>

#include "backend/backend.h"
#include "lib/loop.h"
#include "nbd/reply.h"

struct peer;

struct request {
	struct backend_io io;
	struct peer *peer;
	struct request *next;		/* to be sent after this one, or free ones */
	struct nbd_call call;		/* as the client wrote it */
	struct loop_task task;		/* goes on with what is done in several steps */
	uint64_t done;			/* bytes of a zeroing or trim that are done */

	void *buffer;			/* of the thread's, or NULL */
	size_t buffer_size;
	char *payload;			/* WRITE: where it goes, into the buffer or into the region */
	struct pieces *parts;		/* a READ in several chunks, or a status; or NULL */
	size_t parts_size;
	unsigned int pending;		/* parts at the backend */
	int error;			/* the first of them */

	/* The answer. */
	struct iovec *pieces;
	unsigned int piece_count;
	struct iovec own[2];
	char header[NBD_REPLY_MAX + NBD_DATA_OFFSET_SIZE];
};

/*
 * Begins @call of @peer. A WRITE then waits for its payload, which goes to @peer->incoming's
 * payload, or for @peer->skip bytes to be dropped; everything else is submitted. The peer may be
 * dead afterwards.
 */
void request_begin(struct peer *peer, const struct nbd_call *call);
/*
 * @call of @peer is about to begin: where the payload of a WRITE will be received is brought near the
 * processor. Nothing is done about it yet, and nothing need come of it.
 */
void request_expect(const struct peer *peer, const struct nbd_call *call);
/* The payload of a WRITE is complete. */
void request_submit(struct request *request);
/* It will never be complete; there is no answer. */
void request_abandon(struct request *request);
void request_free(struct request *request);

#endif
