/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An NBD client in the transmission phase, on one loop: requests out, replies in, any order, many at
 * once; and a new connection when the old one is lost.
 *
 * Never blocks, and allocates nothing after nbd_client_new(), but for what TLS does; connections
 * are made by a thread of their own (dialer.h). Requests are struct backend_io; what backend.h says of
 * channels holds for a client.
 */
#ifndef R3MAP_NBD_CLIENT_H
#define R3MAP_NBD_CLIENT_H

#include "dialer.h"
#include "handshake.h"
#include "../backend/backend.h"
#include "../tls/stream.h"

struct nbd_client;
struct nbd_unflushed;

#define NBD_CLIENT_DEPTH	1024	/* requests at the server; further ones wait here */

struct nbd_client_config {
	const char *name;		/* for the log; borrowed, outlives the client */
	/*
	 * If requests are in flight and nothing has been received for this long (up to an eighth
	 * longer), the connection counts as lost. ms, 0: never.
	 */
	uint32_t timeout_ms;
	/*
	 * How long requests wait for a new connection, from when the old one was lost. After that
	 * they fail, but the search goes on, and requests work again once it succeeds. ms, 0: the
	 * first connection is the only one.
	 */
	uint32_t reconnect_ms;
	struct nbd_dial dial;		/* how to connect again; not used if reconnect_ms is 0 */
	struct nbd_unflushed *unflushed;	/* flushes tell of lost writes; NULL: they do not */
	struct backend_listener *listener;	/* told of lost connections, or NULL */
	_Atomic uint64_t *received;	/* bytes of replies are added there, or NULL */
};

/*
 * @stream: negotiated to @export; the client's from here on, also if this fails. Takes over
 * config->dial in the same way. Returns 0 or a negative errno.
 */
int nbd_client_new(struct stream stream, const struct nbd_export *export,
		   const struct nbd_client_config *config, struct loop *loop,
		   struct nbd_client **client);
/*
 * Completes what is in flight with -ECANCELED, says goodbye, frees. Prompt, even if a new
 * connection is being made. Not from within a done().
 */
void nbd_client_free(struct nbd_client *client);

/*
 * Queues @io, checked by backend_submit(). When the connection is lost, requests that were not
 * answered are sent again over the next one, and new ones wait for it; so one may be carried out
 * twice. Requests fail at once with
 *	-ENOTCONN while there has been no connection for reconnect_ms, or for good without one,
 *	-EIO if the server broke the protocol, for good,
 *	-ESTALE if it came back with another export, for good.
 */
void nbd_client_submit(struct nbd_client *client, struct backend_io *io);
/* Sends what is queued, as far as the socket takes it; the loop sends the rest. */
void nbd_client_kick(struct nbd_client *client);

/*
 * Tells the server that @stream, negotiated and with no request in flight, will be closed, so that
 * it does not log a broken connection. Not waited for; closing is the caller's.
 */
void nbd_goodbye(struct stream *stream, enum nbd_headers headers);

#endif
