// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An NBD client's life, and its requests' slots: see client.h and connection.h.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "connection.h"
#include "unflushed.h"

_Static_assert((NBD_CLIENT_DEPTH & NBD_DEPTH_MASK) == 0 && NBD_CLIENT_DEPTH <= 65536,
	       "slots are numbered in 16 bits, and the ring is masked");

/* Keeps count of what a server could lose. */
static void unflushed_note(struct nbd_client *client, const struct backend_io *io)
{
	switch (io->op) {
	case BACKEND_WRITE:
	case BACKEND_DISCARD:
	case BACKEND_WRITE_ZEROES:
		if (!(io->flags & BACKEND_FUA) || io->op == BACKEND_DISCARD)
			nbd_unflushed_written(client->unflushed);
		break;
	case BACKEND_FLUSH:
		nbd_unflushed_flushed(client->unflushed, io->backend_data);
		break;
	default:
		break;
	}
}

void nbd_slot_complete(struct nbd_client *client, struct nbd_slot *slot, int error)
{
	struct backend_io *io = slot->io;

	if (io->op == BACKEND_READ && io->length >= NBD_READ_LARGE)
		client->reads_large--;
	if (client->unflushed && !error)
		unflushed_note(client, io);
	slot->io = NULL;
	slot->generation++;
	client->free[client->free_count++] = (uint16_t)(slot - client->slots);
	if (client->free_count == NBD_CLIENT_DEPTH)
		client->source.idle = client->watch.idle = true;
	io->done(io, error);
}

void nbd_requests_fail(struct nbd_client *client, int code)
{
	struct backend_io *io;
	unsigned int i;

	for (i = 0; i < NBD_CLIENT_DEPTH; i++)
		if (client->slots[i].io)
			nbd_slot_complete(client, &client->slots[i], code);
	while ((io = client->waiting)) {
		client->waiting = io->link;
		if (!io->link)
			client->waiting_tail = &client->waiting;
		io->done(io, code);
	}
}

static uint16_t wire_flags(const struct nbd_client *client, const struct backend_io *io)
{
	uint16_t flags = 0;

	switch (io->op) {
	case BACKEND_WRITE_ZEROES:
		if (io->flags & BACKEND_NO_UNMAP)
			flags |= NBD_CMD_FLAG_NO_HOLE;
		if (io->flags & BACKEND_FAST_ZERO)
			flags |= NBD_CMD_FLAG_FAST_ZERO;
		return io->flags & BACKEND_FUA ? flags | NBD_CMD_FLAG_FUA : flags;
	case BACKEND_WRITE:
		if (client->headers == NBD_HEADERS_EXTENDED)
			flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
		return io->flags & BACKEND_FUA ? flags | NBD_CMD_FLAG_FUA : flags;
	case BACKEND_EXTENTS:
		return io->flags & BACKEND_ONE ? NBD_CMD_FLAG_REQ_ONE : 0;
	default:
		return 0;
	}
}

void nbd_slot_queue(struct nbd_client *client, struct nbd_slot *slot)
{
	static const uint16_t commands[BACKEND_OPS] = {
		[BACKEND_READ] = NBD_CMD_READ,
		[BACKEND_WRITE] = NBD_CMD_WRITE,
		[BACKEND_FLUSH] = NBD_CMD_FLUSH,
		[BACKEND_DISCARD] = NBD_CMD_TRIM,
		[BACKEND_WRITE_ZEROES] = NBD_CMD_WRITE_ZEROES,
		[BACKEND_EXTENTS] = NBD_CMD_BLOCK_STATUS,
		[BACKEND_CACHE] = NBD_CMD_CACHE,
	};
	uint16_t index = (uint16_t)(slot - client->slots);
	uint32_t at = client->tx_next++ & NBD_DEPTH_MASK;
	struct backend_io *io = slot->io;
	bool flush = io->op == BACKEND_FLUSH;	/* its offset and length must be 0 */
	struct nbd_call call = {
		.flags = wire_flags(client, io),
		.type = commands[io->op],
		.cookie = htobe64((uint64_t)slot->generation << 32 | index),
		.offset = flush ? 0 : io->offset,
		.length = flush ? 0 : io->length,
	};

	slot->error = 0;
	slot->errors = 0;
	slot->sent = false;
	slot->chunks = false;
	slot->status = false;
	slot->scattered = false;
	if (io->op == BACKEND_READ && client->headers != NBD_HEADERS_SIMPLE) {
		client->covers[index].used = 0;
	} else if (io->op == BACKEND_EXTENTS) {
		io->extents->used = 0;
		io->backend_data = 0;
	} else if (flush && client->unflushed) {
		io->backend_data = nbd_unflushed_mark(client->unflushed);
	}
	client->tx_slot[at] = index;
	nbd_request_encode(client->headers, &call, client->tx + at * client->request_size);
}

/* Gives @io, for which there is room, a slot and its place in the ring. */
static void request_queue(struct nbd_client *client, struct backend_io *io)
{
	struct nbd_slot *slot = &client->slots[client->free[--client->free_count]];

	client->source.idle = client->watch.idle = false;
	if (!client->watching)
		nbd_watch_begin(client);
	slot->io = io;
	if (io->op == BACKEND_READ && io->length >= NBD_READ_LARGE)
		client->reads_large++;
	nbd_slot_queue(client, slot);
}

/* Whether @io is a flush that has to tell that writes were lost, by failing. */
static bool must_tell(const struct nbd_client *client, const struct backend_io *io)
{
	return client->unflushed && io->op == BACKEND_FLUSH &&
	       nbd_unflushed_tell(client->unflushed);
}

/* The ring has a place for every slot, so it is slots that run out. */
void nbd_waiting_queue(struct nbd_client *client)
{
	while (client->waiting && client->free_count) {
		struct backend_io *io = client->waiting;

		client->waiting = io->link;
		if (!client->waiting)
			client->waiting_tail = &client->waiting;
		if (must_tell(client, io))
			io->done(io, -EIO);
		else
			request_queue(client, io);
	}
}

void nbd_client_submit(struct nbd_client *client, struct backend_io *io)
{
	if (client->refuse) {
		io->done(io, client->refuse);
	} else if (must_tell(client, io)) {
		io->done(io, -EIO);
	} else if (client->free_count && !client->waiting) {
		request_queue(client, io);
	} else {
		io->link = NULL;
		*client->waiting_tail = io;
		client->waiting_tail = &io->link;
	}
}

/* The buffers must not need pages when memory is short; what fails here is only later. */
static void client_populate(struct nbd_client *client, enum nbd_headers headers)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)client + page - 1) & ~(page - 1);
	uintptr_t end = headers == NBD_HEADERS_SIMPLE ? (uintptr_t)client->covers :
							(uintptr_t)(client + 1);
	uintptr_t to = (end + page - 1) & ~(page - 1);

	if (to > from)
		madvise((void *)from, to - from, MADV_POPULATE_WRITE);
}

int nbd_client_new(struct stream stream, const struct nbd_export *export,
		   const struct nbd_client_config *config, struct loop *loop,
		   struct nbd_client **client)
{
	struct nbd_client *c;
	unsigned int i;
	int error;

	c = calloc(1, sizeof(*c));
	if (!c) {
		nbd_disconnect(&stream);
		if (config->reconnect_ms && config->dial.release)
			config->dial.release(config->dial.context);
		return -ENOMEM;
	}
	client_populate(c, export->headers);
	c->loop = loop;
	c->export = *export;
	c->name = config->name;
	c->unflushed = config->unflushed;
	c->listener = config->listener;
	c->received = config->received;
	c->waiting_tail = &c->waiting;
	c->free_count = NBD_CLIENT_DEPTH;
	for (i = 0; i < NBD_CLIENT_DEPTH; i++)	/* slot 0 is taken first */
		c->free[i] = (uint16_t)(NBD_CLIENT_DEPTH - 1 - i);
	error = nbd_reconnect_init(c, config);
	if (error) {
		nbd_disconnect(&stream);
		goto free_client;
	}
	error = nbd_connection_begin(c, stream, export);
	if (error)
		goto fini_reconnect;
	*client = c;
	return 0;

fini_reconnect:
	nbd_reconnect_fini(c);
free_client:
	free(c);
	return error;
}

void nbd_client_free(struct nbd_client *client)
{
	nbd_reconnect_fini(client);
	if (client->live) {
		if (client->tx_sent == 0)	/* in the middle of a request there is no place for it */
			nbd_goodbye(&client->stream, client->headers);
		nbd_connection_end(client);
	}
	client->over = true;
	client->refuse = -ECANCELED;
	nbd_requests_fail(client, -ECANCELED);
	free(client);
}
