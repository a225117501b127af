/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header of a request on the wire, to and from a struct of native numbers. Both ends use it.
 *
 * Pure functions of bytes: no state, no system call. Source: proto.md, "Request message".
 */
#ifndef R3MAP_NBD_REQUEST_H
#define R3MAP_NBD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol.h"

/* What the handshake agreed on; each includes what those before it can do. */
enum nbd_headers {
	NBD_HEADERS_SIMPLE,
	NBD_HEADERS_STRUCTURED,		/* replies in chunks */
	NBD_HEADERS_EXTENDED,		/* and 64-bit lengths, requests included */
};

#define NBD_REQUEST_MAX	32	/* bytes of the largest request header */

struct nbd_call {
	uint16_t flags;			/* NBD_CMD_FLAG_* */
	uint16_t type;			/* enum nbd_command, or something unknown */
	uint64_t cookie;		/* as it was on the wire, in whatever order of bytes */
	uint64_t offset;		/* bytes */
	uint64_t length;		/* bytes; without extended headers below 4G */
};

/* "simple", "structured", "extended". */
const char *nbd_headers_name(enum nbd_headers headers);

/* Bytes of a request's header. */
static inline size_t nbd_request_size(enum nbd_headers headers)
{
	return headers == NBD_HEADERS_EXTENDED ? sizeof(struct nbd_extended_request) :
						 sizeof(struct nbd_request);
}

/* Writes nbd_request_size() bytes to @to. */
void nbd_request_encode(enum nbd_headers headers, const struct nbd_call *call, void *to);
/* Reads nbd_request_size() bytes. False if the magic is wrong: then nothing further makes sense. */
bool nbd_request_decode(enum nbd_headers headers, const void *from, struct nbd_call *call);

#endif
