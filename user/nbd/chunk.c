// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the server's replies mean to the requests they answer: see connection.h.
 *
 * The server is not trusted. A reply, or a chunk of one, is held against the request that its cookie
 * names, and what the protocol forbids ends the connection: after it, there is no telling
 * what else is wrong. Source: proto.md, "Structured reply types", "Extended reply chunk message",
 * "NBD_CMD_BLOCK_STATUS".
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <string.h>

#define LOG_PREFIX "nbd: "
#include "connection.h"
#include "../backend/extents.h"
#include "../lib/log.h"

#define ERROR_MAX	(6u + 65535u + 8u)	/* bytes of the payload of the longest error */

#define broken(client, format, ...) \
	(nbd_client_fail(client, -EIO, "the server broke the protocol: " format, ##__VA_ARGS__), \
	 -ECONNABORTED)

/* Only the WRITE whose payload is just leaving may be answered before it is sent. */
static bool slot_is_leaving(const struct nbd_client *client, const struct nbd_slot *slot)
{
	return client->tx_first != client->tx_next && client->tx_sent >= client->request_size &&
	       !client->early &&
	       slot == &client->slots[client->tx_slot[client->tx_first & NBD_DEPTH_MASK]];
}

/* As the server was told: a flush has no place. */
static uint64_t told_offset(const struct backend_io *io)
{
	return io->op == BACKEND_FLUSH ? 0 : io->offset;
}

/* The slot of the request that was given @cookie, or NULL: there is none that can be answered. */
static struct nbd_slot *slot_find(struct nbd_client *client, uint64_t cookie)
{
	uint32_t index = (uint32_t)cookie;
	struct nbd_slot *slot = &client->slots[index & NBD_DEPTH_MASK];

	if (index >= NBD_CLIENT_DEPTH || !slot->io ||
	    slot->generation != (uint32_t)(cookie >> 32) ||
	    (!slot->sent && !slot_is_leaving(client, slot)))
		return NULL;
	return slot;
}

/* The reply is over. Returns 0 or -ECONNABORTED. */
static int reply_end(struct nbd_client *client, struct nbd_slot *slot)
{
	const struct backend_io *io = slot->io;
	int error = slot->error;

	client->heard += NBD_DRIP;
	/* It leaves, as the protocol has servers say it; another one may answer. */
	if (error == -ESHUTDOWN && client->dialer) {
		nbd_client_lost(client, "the server shuts down");
		return -ECONNABORTED;
	}
	if (!client->proven)
		nbd_client_back(client);
	if (!error && io->op == BACKEND_READ) {
		if (slot->scattered)
			error = -EIO;
		else if (slot->chunks &&
			 !nbd_cover_whole(nbd_slot_cover(client, slot), io->length))
			return broken(client, "a read was answered in part");
	}
	if (!error && io->op == BACKEND_EXTENTS && !slot->status)
		return broken(client, "a block status without a status");
	if (!slot->sent) {
		client->early = slot;
		client->early_error = error;
	} else {
		nbd_slot_complete(client, slot, error);
	}
	return client->live ? 0 : -ECONNABORTED;
}

/* The same, or more chunks come. */
static int chunk_end(struct nbd_client *client, struct nbd_slot *slot, bool done)
{
	client->rx.state = NBD_RX_HEADER;
	client->rx.slot = NULL;
	return done ? reply_end(client, slot) : 0;
}

/* @length bytes of data follow, for @offset from the request's beginning. */
static void data_begin(struct nbd_client *client, struct nbd_slot *slot, uint32_t offset,
		       uint32_t length, bool done)
{
	client->rx.state = NBD_RX_DATA;
	client->rx.slot = slot;
	client->rx.to = (char *)slot->io->buf + offset;
	client->rx.left = length;
	client->rx.done = done;
}

bool nbd_data_received(struct nbd_client *client, uint32_t length)
{
	client->rx.to += length;
	client->rx.left -= length;
	return client->rx.left || !chunk_end(client, client->rx.slot, client->rx.done);
}

static int simple_take(struct nbd_client *client, struct nbd_slot *slot,
		       const struct nbd_reply *reply)
{
	const struct backend_io *io = slot->io;

	if (slot->chunks)
		return broken(client, "a simple reply after chunks of a structured one");
	if (io->op == BACKEND_READ && client->headers != NBD_HEADERS_SIMPLE)
		return broken(client, "a simple reply to a read");
	slot->error = nbd_errno(reply->error);
	if (io->op != BACKEND_READ || slot->error)
		return reply_end(client, slot);
	data_begin(client, slot, 0, io->length, true);
	return 0;
}

/* Data or a hole of @length bytes for @offset, within the export. Returns 0 or -ECONNABORTED. */
static int content_note(struct nbd_client *client, struct nbd_slot *slot, uint64_t offset,
			uint64_t length)
{
	const struct backend_io *io = slot->io;
	uint32_t from;
	int code;

	if (io->op != BACKEND_READ)
		return broken(client, "data for a request that is not a read");
	if (!length || offset < io->offset || offset - io->offset > io->length ||
	    length > io->length - (offset - io->offset))
		return broken(client, "data outside of the range that was asked for");
	if (slot->scattered)
		return 0;
	from = (uint32_t)(offset - io->offset);
	code = nbd_cover_add(nbd_slot_cover(client, slot), from, from + (uint32_t)length);
	if (code == -EEXIST)
		return broken(client, "the same bytes of a read twice");
	if (code) {
		slot->scattered = true;
		if (!client->scattered_told)
			log_warn("%s: the server sends reads in more than %u pieces out of order; they fail",
				 client->name, NBD_COVER_PIECES);
		client->scattered_told = true;
	}
	return 0;
}

static int data_take(struct nbd_client *client, struct nbd_slot *slot,
		     const struct nbd_reply *reply, const char *payload)
{
	uint64_t offset, length;

	memcpy(&offset, payload, sizeof(offset));
	offset = be64toh(offset);
	length = reply->length - NBD_DATA_OFFSET_SIZE;
	if (content_note(client, slot, offset, length))
		return -ECONNABORTED;
	data_begin(client, slot, (uint32_t)(offset - slot->io->offset), (uint32_t)length,
		   reply->flags & NBD_REPLY_FLAG_DONE);
	return 0;
}

static int hole_take(struct nbd_client *client, struct nbd_slot *slot,
		     const struct nbd_reply *reply, const char *payload)
{
	uint64_t offset;
	uint32_t length;

	nbd_hole_decode(payload, &offset, &length);
	if (content_note(client, slot, offset, length))
		return -ECONNABORTED;
	memset((char *)slot->io->buf + (offset - slot->io->offset), 0, length);
	return chunk_end(client, slot, reply->flags & NBD_REPLY_FLAG_DONE);
}

static int error_take(struct nbd_client *client, struct nbd_slot *slot,
		      const struct nbd_reply *reply, const char *payload)
{
	char text[NBD_ERROR_TEXT];
	const struct backend_io *io = slot->io;
	uint64_t offset = told_offset(io);
	uint32_t error;

	if (!nbd_error_decode(reply->type, payload, reply->length, &error, text, &offset))
		return broken(client, "an error that is cut off");
	if (!error)
		return broken(client, "an error that is none");
	if (offset < told_offset(io) || offset - told_offset(io) > io->length)
		return broken(client, "an error outside of the range that was asked for");
	if (++slot->errors > NBD_ERRORS_MAX)
		return broken(client, "more than %d errors in one reply", NBD_ERRORS_MAX);
	if (!slot->error)
		slot->error = nbd_errno(error);
	if (text[0])
		log_debug("%s: %s at %llu failed: %s", client->name,
			  backend_op_name(io->op), (unsigned long long)offset, text);
	return chunk_end(client, slot, reply->flags & NBD_REPLY_FLAG_DONE);
}

static int status_take(struct nbd_client *client, struct nbd_slot *slot,
		       const struct nbd_reply *reply, const char *payload)
{
	const bool wide = reply->type == NBD_REPLY_TYPE_BLOCK_STATUS_EXT;
	const uint32_t fixed = wide ? NBD_STATUS_EXT_SIZE : NBD_STATUS_SIZE;
	const uint32_t each = wide ? NBD_EXTENT_EXT_SIZE : NBD_EXTENT_SIZE;
	const uint64_t length = reply->length - fixed;
	uint32_t context, count;

	if (slot->io->op != BACKEND_EXTENTS || (wide && client->headers != NBD_HEADERS_EXTENDED))
		return broken(client, "a block status that was not asked for");
	if (length % each || length > UINT32_MAX)
		return broken(client, "a block status of %llu bytes",
			      (unsigned long long)reply->length);
	memcpy(&context, payload, sizeof(context));
	if (be32toh(context) != client->status_context)
		return broken(client, "a block status of a context that was not negotiated");
	if (slot->status)
		return broken(client, "two block statuses in one reply");
	if (wide) {
		memcpy(&count, payload + 4, sizeof(count));
		if (count && be32toh(count) != length / each)
			return broken(client, "a block status whose count is not its length");
	}
	if ((slot->io->flags & BACKEND_ONE) && length != each)
		return broken(client, "more than the one extent that was asked for");
	slot->status = true;
	client->rx.state = NBD_RX_EXTENTS;
	client->rx.slot = slot;
	client->rx.left = (uint32_t)length;
	client->rx.wide = wide;
	client->rx.done = reply->flags & NBD_REPLY_FLAG_DONE;
	client->rx.full = false;
	return 0;
}

/*
 * io->backend_data is where the next extent begins, from the request's beginning. What there is
 * no room for is checked all the same.
 */
bool nbd_extent_take(struct nbd_client *client, const char *from)
{
	struct nbd_rx *rx = &client->rx;
	struct backend_io *io = rx->slot->io;
	uint64_t left = io->length - io->backend_data;
	uint64_t at = io->offset + io->backend_data;
	uint64_t length, states;
	uint32_t flags = 0;

	nbd_extent_decode(rx->wide, from, &length, &states);
	rx->left -= rx->wide ? NBD_EXTENT_EXT_SIZE : NBD_EXTENT_SIZE;
	if (!length || !left)
		return !broken(client, "an extent of no length");
	/* Only the last one may go on behind the range, and not if only one was asked for. */
	if (length > left && (rx->left || (io->flags & BACKEND_ONE)))
		return !broken(client, "an extent that is longer than the range");
	if (length < left && (length & (client->export.block_min - 1)))
		return !broken(client, "an extent of a part of a block");
	if (states & NBD_STATE_HOLE)
		flags |= BACKEND_EXTENT_HOLE;
	if (states & NBD_STATE_ZERO)
		flags |= BACKEND_EXTENT_ZERO;
	if (length > left)
		length = left;
	if (!rx->full)
		rx->full = !extents_add(io, &at, length, flags);
	io->backend_data += length;
	return rx->left || !chunk_end(client, rx->slot, rx->done);
}

/*
 * Sets @needed: bytes of the payload of @reply that must be in the buffer before it can be looked
 * at. False: no such chunk is as long as this one.
 */
static bool payload_fits(const struct nbd_reply *reply, uint32_t *needed)
{
	switch (reply->type) {
	case NBD_REPLY_TYPE_NONE:
		*needed = 0;
		return !reply->length;
	case NBD_REPLY_TYPE_OFFSET_HOLE:
		*needed = NBD_HOLE_SIZE;
		return reply->length == NBD_HOLE_SIZE;
	case NBD_REPLY_TYPE_OFFSET_DATA:
		*needed = NBD_DATA_OFFSET_SIZE;
		return reply->length > *needed;
	case NBD_REPLY_TYPE_BLOCK_STATUS:
		*needed = NBD_STATUS_SIZE;
		return reply->length > *needed;
	case NBD_REPLY_TYPE_BLOCK_STATUS_EXT:
		*needed = NBD_STATUS_EXT_SIZE;
		return reply->length > *needed;
	default:	/* errors, also of a kind that is not known: they begin in the same way */
		*needed = (uint32_t)reply->length;
		return reply->length <= ERROR_MAX;
	}
}

static bool is_known(uint16_t type)
{
	return (type & NBD_REPLY_TYPE_ERROR_BIT) || type <= NBD_REPLY_TYPE_OFFSET_HOLE ||
	       type == NBD_REPLY_TYPE_BLOCK_STATUS || type == NBD_REPLY_TYPE_BLOCK_STATUS_EXT;
}

static int chunk_take(struct nbd_client *client, struct nbd_slot *slot,
		      const struct nbd_reply *reply, const char *payload)
{
	slot->chunks = true;
	switch (reply->type) {
	case NBD_REPLY_TYPE_NONE:
		if (!(reply->flags & NBD_REPLY_FLAG_DONE))
			return broken(client, "an empty chunk that is not the last one");
		return chunk_end(client, slot, true);
	case NBD_REPLY_TYPE_OFFSET_DATA:
		return data_take(client, slot, reply, payload);
	case NBD_REPLY_TYPE_OFFSET_HOLE:
		return hole_take(client, slot, reply, payload);
	case NBD_REPLY_TYPE_BLOCK_STATUS:
	case NBD_REPLY_TYPE_BLOCK_STATUS_EXT:
		return status_take(client, slot, reply, payload);
	default:
		return error_take(client, slot, reply, payload);
	}
}

int nbd_reply_take(struct nbd_client *client, const struct nbd_reply *reply, const char *payload,
		   uint32_t have)
{
	struct nbd_slot *slot = slot_find(client, be64toh(reply->cookie));
	uint32_t needed;

	if (!slot)
		return broken(client, "a reply to a request that was not made");
	if (reply->simple)
		return simple_take(client, slot, reply);
	if (client->headers == NBD_HEADERS_EXTENDED &&
	    reply->offset != told_offset(slot->io))
		return broken(client, "a reply with the offset of another request");
	if (!is_known(reply->type))
		return broken(client, "a chunk of the unknown type %u", reply->type);
	if (!payload_fits(reply, &needed))
		return broken(client, "a chunk of type %u and %llu bytes", reply->type,
			      (unsigned long long)reply->length);
	if (have < needed) {
		client->rx.need = needed;
		return -EAGAIN;
	}
	return chunk_take(client, slot, reply, payload) ? -ECONNABORTED : (int)needed;
}
