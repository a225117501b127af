// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Request headers: see request.h.
 */
#include <endian.h>
#include <string.h>

#include "request.h"

_Static_assert(sizeof(struct nbd_request) == 28, "the wire's size");
_Static_assert(sizeof(struct nbd_extended_request) == NBD_REQUEST_MAX, "the wire's size");

const char *nbd_headers_name(enum nbd_headers headers)
{
	static const char *const names[] = { "simple", "structured", "extended" };

	return names[headers];
}

void nbd_request_encode(enum nbd_headers headers, const struct nbd_call *call, void *to)
{
	struct nbd_extended_request extended;
	struct nbd_request compact;

	if (headers == NBD_HEADERS_EXTENDED) {
		extended = (struct nbd_extended_request) {
			.magic = htobe32(NBD_EXTENDED_REQUEST_MAGIC),
			.flags = htobe16(call->flags),
			.type = htobe16(call->type),
			.cookie = call->cookie,
			.offset = htobe64(call->offset),
			.length = htobe64(call->length),
		};
		memcpy(to, &extended, sizeof(extended));
		return;
	}
	compact = (struct nbd_request) {
		.magic = htobe32(NBD_REQUEST_MAGIC),
		.flags = htobe16(call->flags),
		.type = htobe16(call->type),
		.cookie = call->cookie,
		.offset = htobe64(call->offset),
		.length = htobe32((uint32_t)call->length),
	};
	memcpy(to, &compact, sizeof(compact));
}

bool nbd_request_decode(enum nbd_headers headers, const void *from, struct nbd_call *call)
{
	struct nbd_extended_request extended;
	struct nbd_request compact;

	if (headers == NBD_HEADERS_EXTENDED) {
		memcpy(&extended, from, sizeof(extended));
		*call = (struct nbd_call) {
			.flags = be16toh(extended.flags),
			.type = be16toh(extended.type),
			.cookie = extended.cookie,
			.offset = be64toh(extended.offset),
			.length = be64toh(extended.length),
		};
		return be32toh(extended.magic) == NBD_EXTENDED_REQUEST_MAGIC;
	}
	memcpy(&compact, from, sizeof(compact));
	*call = (struct nbd_call) {
		.flags = be16toh(compact.flags),
		.type = be16toh(compact.type),
		.cookie = compact.cookie,
		.offset = be64toh(compact.offset),
		.length = be32toh(compact.length),
	};
	return be32toh(compact.magic) == NBD_REQUEST_MAGIC;
}
