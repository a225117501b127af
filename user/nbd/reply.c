// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reply headers and chunk payloads: see reply.h.
 */
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "reply.h"

_Static_assert(sizeof(struct nbd_simple_reply) == 16, "the wire's size");
_Static_assert(sizeof(struct nbd_structured_reply) == 20, "the wire's size");
_Static_assert(sizeof(struct nbd_extended_reply) == NBD_REPLY_MAX, "the wire's size");

static void u32_put(void *to, uint32_t value)
{
	value = htobe32(value);
	memcpy(to, &value, sizeof(value));
}

static void u64_put(void *to, uint64_t value)
{
	value = htobe64(value);
	memcpy(to, &value, sizeof(value));
}

static uint16_t u16_get(const void *from)
{
	uint16_t value;

	memcpy(&value, from, sizeof(value));
	return be16toh(value);
}

static uint32_t u32_get(const void *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return be32toh(value);
}

static uint64_t u64_get(const void *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return be64toh(value);
}

static int simple_decode(const void *from, size_t have, struct nbd_reply *reply)
{
	struct nbd_simple_reply wire;

	if (have < sizeof(wire))
		return 0;
	memcpy(&wire, from, sizeof(wire));
	*reply = (struct nbd_reply) {
		.simple = true,
		.error = be32toh(wire.error),
		.flags = NBD_REPLY_FLAG_DONE,
		.cookie = wire.cookie,
	};
	return sizeof(wire);
}

static int structured_decode(const void *from, size_t have, struct nbd_reply *reply)
{
	struct nbd_structured_reply wire;

	if (have < sizeof(wire))
		return 0;
	memcpy(&wire, from, sizeof(wire));
	*reply = (struct nbd_reply) {
		.flags = be16toh(wire.flags),
		.type = be16toh(wire.type),
		.cookie = wire.cookie,
		.length = be32toh(wire.length),
	};
	return sizeof(wire);
}

static int extended_decode(const void *from, size_t have, struct nbd_reply *reply)
{
	struct nbd_extended_reply wire;

	if (have < sizeof(wire))
		return 0;
	memcpy(&wire, from, sizeof(wire));
	*reply = (struct nbd_reply) {
		.flags = be16toh(wire.flags),
		.type = be16toh(wire.type),
		.cookie = wire.cookie,
		.offset = be64toh(wire.offset),
		.length = be64toh(wire.length),
	};
	return sizeof(wire);
}

int nbd_reply_decode(enum nbd_headers headers, const void *from, size_t have,
		     struct nbd_reply *reply)
{
	uint32_t magic;

	if (have < sizeof(magic))
		return 0;
	magic = u32_get(from);
	if (headers == NBD_HEADERS_EXTENDED)
		return magic == NBD_EXTENDED_REPLY_MAGIC ? extended_decode(from, have, reply) :
							   -EPROTO;
	if (magic == NBD_SIMPLE_REPLY_MAGIC)
		return simple_decode(from, have, reply);
	if (magic == NBD_STRUCTURED_REPLY_MAGIC && headers == NBD_HEADERS_STRUCTURED)
		return structured_decode(from, have, reply);
	return -EPROTO;
}

void nbd_simple_reply_encode(uint64_t cookie, uint32_t error, void *to)
{
	struct nbd_simple_reply wire = {
		.magic = htobe32(NBD_SIMPLE_REPLY_MAGIC),
		.error = htobe32(error),
		.cookie = cookie,
	};

	memcpy(to, &wire, sizeof(wire));
}

size_t nbd_chunk_encode(enum nbd_headers headers, const struct nbd_reply *reply, void *to)
{
	struct nbd_structured_reply structured;
	struct nbd_extended_reply extended;

	if (headers == NBD_HEADERS_EXTENDED) {
		extended = (struct nbd_extended_reply) {
			.magic = htobe32(NBD_EXTENDED_REPLY_MAGIC),
			.flags = htobe16(reply->flags),
			.type = htobe16(reply->type),
			.cookie = reply->cookie,
			.offset = htobe64(reply->offset),
			.length = htobe64(reply->length),
		};
		memcpy(to, &extended, sizeof(extended));
		return sizeof(extended);
	}
	structured = (struct nbd_structured_reply) {
		.magic = htobe32(NBD_STRUCTURED_REPLY_MAGIC),
		.flags = htobe16(reply->flags),
		.type = htobe16(reply->type),
		.cookie = reply->cookie,
		.length = htobe32((uint32_t)reply->length),
	};
	memcpy(to, &structured, sizeof(structured));
	return sizeof(structured);
}

void nbd_hole_encode(uint64_t offset, uint32_t length, void *to)
{
	u64_put(to, offset);
	u32_put((char *)to + 8, length);
}

void nbd_hole_decode(const void *from, uint64_t *offset, uint32_t *length)
{
	*offset = u64_get(from);
	*length = u32_get((const char *)from + 8);
}

void nbd_extent_encode(bool extended, uint64_t length, uint64_t flags, void *to)
{
	if (extended) {
		u64_put(to, length);
		u64_put((char *)to + 8, flags);
	} else {
		u32_put(to, (uint32_t)length);
		u32_put((char *)to + 4, (uint32_t)flags);
	}
}

void nbd_extent_decode(bool extended, const void *from, uint64_t *length, uint64_t *flags)
{
	if (extended) {
		*length = u64_get(from);
		*flags = u64_get((const char *)from + 8);
	} else {
		*length = u32_get(from);
		*flags = u32_get((const char *)from + 4);
	}
}

bool nbd_error_decode(uint16_t type, const void *from, size_t length, uint32_t *error,
		      char text[NBD_ERROR_TEXT], uint64_t *offset)
{
	const char *at = from;
	size_t text_length, i;

	if (length < 6)
		return false;
	*error = u32_get(at);
	text_length = u16_get(at + 4);
	at += 6;
	length -= 6;
	if (text_length > length)
		return false;
	if (text) {
		for (i = 0; i < text_length && i < NBD_ERROR_TEXT - 1; i++)
			text[i] = isprint((unsigned char)at[i]) ? at[i] : '?';
		text[i] = '\0';
	}
	if (type != NBD_REPLY_TYPE_ERROR_OFFSET)
		return true;
	if (length - text_length < 8)
		return false;
	*offset = u64_get(at + text_length);
	return true;
}

int nbd_errno(uint32_t error)
{
	switch (error) {
	case NBD_SUCCESS:	return 0;
	case NBD_EPERM:		return -EPERM;
	case NBD_EIO:		return -EIO;
	case NBD_ENOMEM:	return -ENOMEM;
	case NBD_ENOSPC:	return -ENOSPC;
	case NBD_EOVERFLOW:	return -EOVERFLOW;
	case NBD_ENOTSUP:	return -EOPNOTSUPP;
	case NBD_ESHUTDOWN:	return -ESHUTDOWN;
	default:		return -EINVAL;
	}
}

uint32_t nbd_error_of(int code)
{
	switch (code) {
	case 0:			return NBD_SUCCESS;
	case -EPERM:
	case -EACCES:
	case -EROFS:		return NBD_EPERM;
	case -ENOMEM:		return NBD_ENOMEM;
	case -EINVAL:		return NBD_EINVAL;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:		return NBD_ENOSPC;
	case -EOVERFLOW:	return NBD_EOVERFLOW;
	case -EOPNOTSUPP:	return NBD_ENOTSUP;
	case -ESHUTDOWN:	return NBD_ESHUTDOWN;
	default:		return NBD_EIO;
	}
}
