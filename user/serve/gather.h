/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When to leave a client's input alone for a moment, so that more of it is there at once.
 *
 * A client that has many requests under way and sends each by itself makes a fast server wake up,
 * read one, answer one. If its input rests for a moment after the answers have left, a dozen come,
 * and are answered in one system call, which is less work for the client, too. But it must not
 * have to wait. It does not while it has answers to read: if some still lie in the socket when the
 * next ones are about to leave, there is a rest after these. Nor does it while it sends: over TLS it
 * takes all answers that a record holds out of the socket at once, so if more of its requests have
 * come by then, that does as well; unless it is so much that a rest is of no use. If there is
 * neither, and there was a rest before, it may have waited, and there is none for some rounds, each
 * time twice as many, and half as many after each rest that was right.
 *
 * Only unix sockets tell what has been read; to TCP that means what has arrived.
 */
#ifndef R3MAP_SERVE_GATHER_H
#define R3MAP_SERVE_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"

struct peer;

struct gather {
	struct loop_timer timer;	/* armed: input rests */
	uint32_t came;			/* requests, in this round */
	bool due;			/* a rest, when the answers have left */
	bool rested;			/* before this round */
	uint16_t wait;			/* rounds of several requests before another try */
	uint16_t backoff;		/* how many it was the last time */
};

static inline bool gather_rests(const struct gather *gather)
{
	return gather->timer.deadline;
}

/* Input has been read, and answers are about to leave: decides whether a rest is due after that. */
void gather_round(struct peer *peer);
/* Begins the rest that is due, if any, unless answers have still to leave. */
void gather_rest(struct peer *peer);
/* Ends it. */
void gather_stop(struct peer *peer);

#endif
