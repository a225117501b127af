/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client may cost, and the end of the server. Every number that a peer sends is held against one of these before
 * anything is done about it.
 */
#ifndef R3MAP_SERVE_LIMITS_H
#define R3MAP_SERVE_LIMITS_H

#include <stdint.h>

struct serve_limits {
	uint32_t connections;		/* in all */
	uint32_t export_connections;	/* to one export */
	uint32_t options;		/* in one handshake */
	uint32_t name;			/* bytes of an export's, at most NBD_MAX_STRING */
	uint32_t payload;		/* bytes of a READ's or WRITE's payload */
	uint32_t requests;		/* of one connection, under way or not yet answered */
	uint64_t memory;		/* bytes of payloads of one connection, at least payload */
	uint32_t handshake;		/* ms from connecting to the first request */
	uint32_t stall;			/* ms a client may stop within a request, or not take replies */
	uint32_t idle;			/* ms without a request, 0: for ever */
	uint32_t shutdown;		/* ms for making all exports durable at the end */
};

/* Unless told otherwise; NBD_MAX_STRING is nbd/protocol.h's. */
#define SERVE_LIMITS { \
	.connections = 1024, \
	.export_connections = 256, \
	.options = 64, \
	.name = NBD_MAX_STRING, \
	.payload = 32u << 20, \
	.requests = 1024, \
	.memory = 64u << 20, \
	.handshake = 10000, \
	.stall = 60000, \
	.idle = 0, \
	.shutdown = 60000, \
}

#define SERVE_OPTION_MAX	(32u << 10)	/* bytes of an option's data that is looked at */
#define SERVE_OPTION_SKIP	(1u << 20)	/* bytes of one that is skipped and refused; longer ends it */
#define SERVE_SKIP		(64u << 20)	/* bytes of a refused payload that is skipped; longer ends it */

#endif
