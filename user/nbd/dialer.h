/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes new connections for one client, without holding up its loop: connecting and negotiating
 * block, so a thread does it, tries until it succeeds, and reports to the loop.
 *
 * The thread is started with the dialer and sleeps until it is needed, so that a lost connection
 * does not need a new thread when memory may be short. What it does then may allocate (the
 * resolver, TLS): the loop does not.
 */
#ifndef R3MAP_NBD_DIALER_H
#define R3MAP_NBD_DIALER_H

#include "handshake.h"
#include "../lib/error.h"

struct loop;
struct nbd_dialer;

/* How to reach the server. */
struct nbd_dial {
	/*
	 * One try, in the dialer's thread. Bounded; all its waiting is nbd_wait()'s, which ends
	 * with -ECANCELED when the dialer is freed. Returns 0, @stream and @export, or a negative
	 * errno and @error.
	 */
	int (*connect)(void *context, struct stream *stream, struct nbd_export *export,
		       struct error *error);
	/*
	 * @context is not needed any more. In any thread, possibly long after nbd_dialer_free(): a
	 * resolver that hangs is left to itself.
	 */
	void (*release)(void *context);
	void *context;
};

/*
 * @connected: called on @loop, once for each nbd_dialer_start(), when there is a connection; the
 * stream is the callee's. Takes over @dial, also if it fails: then it has been released. Returns
 * 0 or a negative errno.
 */
int nbd_dialer_new(struct loop *loop, const struct nbd_dial *dial,
		   void (*connected)(void *owner, struct stream stream,
				     const struct nbd_export *export),
		   void *owner, struct nbd_dialer **dialer);
/*
 * Begins to try. @fresh: after 50 ms, and then twice as long each time up to 2 s, give or take a
 * quarter; if not, it goes on with the time it had come to. Not while it is trying.
 */
void nbd_dialer_start(struct nbd_dialer *dialer, bool fresh);
/* Why the last try failed, to @text; "" if none has. */
void nbd_dialer_reason(struct nbd_dialer *dialer, struct error *error);
/* Gives up. Not from within connected(). Waits for the thread, 200 ms at most. */
void nbd_dialer_free(struct nbd_dialer *dialer);

#endif
