/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From an NBD URI to a connection in its transmission phase.
 *
 * Blocks, with a deadline, and belongs to no loop: for when a backend or a channel is opened. The
 * descriptor is non-blocking and close-on-exec.
 */
#ifndef R3MAP_NBD_HANDSHAKE_H
#define R3MAP_NBD_HANDSHAKE_H

#include <stdint.h>

#include "request.h"
#include "uri.h"
#include "../tls/stream.h"

struct tls_credentials;

/* What a server told about the export; checked. */
struct nbd_export {
	uint64_t size;			/* bytes */
	uint16_t flags;			/* NBD_FLAG_*, transmission */
	uint32_t block_min;		/* bytes, a power of two */
	uint32_t block_preferred;	/* bytes, a power of two, >= block_min */
	uint32_t payload_max;		/* bytes, a multiple of block_min */
	enum nbd_headers headers;	/* what was agreed on */
	bool has_allocation;		/* base:allocation was agreed on: BLOCK_STATUS works */
	uint32_t allocation_id;		/* its number in the replies to BLOCK_STATUS */
};

/* The most that is asked for; a server may grant less. */
struct nbd_wish {
	enum nbd_headers headers;
	enum nbd_headers least;		/* if the server has less than these, simple ones do */
	bool allocation;		/* base:allocation; needs more than simple headers */
	struct tls_credentials *credentials;	/* of nbd_credentials(); used if the URI has TLS */
};

/*
 * Reads what @uri says of certificates and keys: 0 and *@credentials, NULL if the URI has no TLS,
 * to be freed after all connections made with them; or a negative errno with one sentence in
 * @error. Blocks on files.
 */
int nbd_credentials(const struct nbd_uri *uri, struct tls_credentials **credentials,
		    struct error *error);

/*
 * Connects to the server of @uri until @deadline_ns (CLOCK_MONOTONIC); a name is looked up by the
 * resolver in its own time. Returns 0 and *@stream, plain, to be ended by nbd_disconnect(), or a
 * negative errno with one sentence in @error.
 */
int nbd_connect(const struct nbd_uri *uri, uint64_t deadline_ns, struct stream *stream,
		struct error *error);
/* Closes @stream, and frees its TLS session. Says nothing to the server. */
void nbd_disconnect(struct stream *stream);

/*
 * Negotiates the export of @uri on @stream: TLS if the URI has it (sets stream->tls), as much of
 * @wish as the server has, GO with block sizes, or EXPORT_NAME where the server has nothing newer.
 * One round trip for each: who knows what a server grants saves some by wishing for no more.
 * Returns 0 and @export, or a negative errno with one sentence in @error; then @stream is good for
 * nothing but nbd_disconnect().
 */
int nbd_handshake(struct stream *stream, const struct nbd_uri *uri, const struct nbd_wish *wish,
		  uint64_t deadline_ns, struct nbd_export *export, struct error *error);

#endif
