// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Answers: see answer.h.
 */
#include <endian.h>
#include <string.h>

#include "serve/answer.h"
#include "serve/export.h"
#include "serve/peer.h"

_Static_assert(offsetof(struct pieces, extent) ==
	       offsetof(struct pieces, extents) + offsetof(struct backend_extents, extent),
	       "the array is that of the extents");

#define ERROR_FIXED	6u	/* u32 error, u16 length */
#define ERROR_TEXT	64u

static void piece_add(struct request *request, const void *data, size_t length)
{
	request->pieces[request->piece_count++] = (struct iovec) { (void *)data, length };
}

/* A chunk's header and @fixed, the first bytes of its payload. Returns the bytes written to @to. */
static size_t chunk_put(const struct request *request, uint16_t type, bool last,
			uint64_t length, char *to)
{
	struct nbd_reply reply = {
		.flags = last ? NBD_REPLY_FLAG_DONE : 0,
		.type = type,
		.cookie = request->call.cookie,
		.offset = request->call.offset,
		.length = length,
	};

	return nbd_chunk_encode(request->peer->headers, &reply, to);
}

void answer_status(struct request *request, uint32_t error, const char *text)
{
	bool structured = request->peer->headers != NBD_HEADERS_SIMPLE;
	uint16_t text_length = text ? (uint16_t)strnlen(text, ERROR_TEXT) : 0;
	uint32_t wire_error = htobe32(error);
	uint16_t wire_length = htobe16(text_length);
	char *to = request->header;
	size_t used;

	request->pieces = request->own;
	request->piece_count = 0;
	if (!structured || (request->peer->headers == NBD_HEADERS_STRUCTURED && !error &&
			    request->call.type != NBD_CMD_READ &&
			    request->call.type != NBD_CMD_BLOCK_STATUS)) {
		nbd_simple_reply_encode(request->call.cookie, error, to);
		piece_add(request, to, sizeof(struct nbd_simple_reply));
		return;
	}
	if (!error) {
		piece_add(request, to, chunk_put(request, NBD_REPLY_TYPE_NONE, true, 0, to));
		return;
	}
	used = chunk_put(request, NBD_REPLY_TYPE_ERROR, true, ERROR_FIXED + text_length, to);
	memcpy(to + used, &wire_error, sizeof(wire_error));
	memcpy(to + used + sizeof(wire_error), &wire_length, sizeof(wire_length));
	piece_add(request, to, used + ERROR_FIXED);
	if (text_length)
		piece_add(request, text, text_length);
}

/* One OFFSET_DATA chunk's header. Returns its bytes. */
static size_t data_put(const struct request *request, uint64_t offset, uint64_t length, bool last,
		       char *to)
{
	size_t used = chunk_put(request, NBD_REPLY_TYPE_OFFSET_DATA, last,
				NBD_DATA_OFFSET_SIZE + length, to);

	offset = htobe64(offset);
	memcpy(to + used, &offset, sizeof(offset));
	return used + sizeof(offset);
}

void answer_data(struct request *request, const void *data)
{
	size_t used = sizeof(struct nbd_simple_reply);

	if (request->peer->headers == NBD_HEADERS_SIMPLE)
		nbd_simple_reply_encode(request->call.cookie, NBD_SUCCESS, request->header);
	else
		used = data_put(request, request->call.offset, request->call.length, true,
				request->header);
	request->pieces = request->own;
	request->piece_count = 0;
	piece_add(request, request->header, used);
	piece_add(request, data, request->call.length);
}

void answer_extents(struct request *request, char *data)
{
	struct pieces *parts = request->parts;
	uint64_t offset = request->call.offset;
	unsigned int i;

	request->pieces = parts->pieces;
	request->piece_count = 0;
	for (i = 0; i < parts->extents.used; i++) {
		const struct backend_extent *extent = &parts->extents.extent[i];
		bool last = i + 1 == parts->extents.used;
		char *header = parts->headers[i];
		size_t used;

		if (extent->flags & BACKEND_EXTENT_ZERO) {
			used = chunk_put(request, NBD_REPLY_TYPE_OFFSET_HOLE, last, NBD_HOLE_SIZE,
					 header);
			nbd_hole_encode(offset, (uint32_t)extent->length, header + used);
			piece_add(request, header, used + NBD_HOLE_SIZE);
		} else {
			const char *from = data ? data + (offset - request->call.offset) :
				backend_map(request->peer->export->backend, offset,
					    (uint32_t)extent->length);

			used = data_put(request, offset, extent->length, last, header);
			piece_add(request, header, used);
			piece_add(request, from, extent->length);
		}
		offset += extent->length;
	}
}

void answer_block_status(struct request *request, uint32_t id, const struct backend_extents *extents,
			 uint32_t (*flags)(uint32_t extent), size_t *used, bool last)
{
	bool extended = request->peer->headers == NBD_HEADERS_EXTENDED;
	size_t fixed = extended ? NBD_STATUS_EXT_SIZE : NBD_STATUS_SIZE;
	size_t each = extended ? NBD_EXTENT_EXT_SIZE : NBD_EXTENT_SIZE;
	uint32_t context = htobe32(id), count = htobe32(extents->used), i;
	char *to = (char *)request->buffer + *used;

	to += chunk_put(request, extended ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT : NBD_REPLY_TYPE_BLOCK_STATUS,
			last, fixed + extents->used * each, to);
	memcpy(to, &context, sizeof(context));
	if (extended)
		memcpy(to + sizeof(context), &count, sizeof(count));
	to += fixed;
	for (i = 0; i < extents->used; i++, to += each)
		nbd_extent_encode(extended, extents->extent[i].length, flags(extents->extent[i].flags), to);
	*used = (size_t)(to - (char *)request->buffer);
	if (!last)
		return;
	request->pieces = request->own;
	request->piece_count = 0;
	piece_add(request, request->buffer, *used);
}
