// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests: see request.h.
 *
 * request_check() is the one place where a client's numbers are judged; what passes it is within
 * the export, aligned, allowed, of a size that is served, and may be believed from there on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "serve/answer.h"
#include "serve/peer.h"
#include "serve/request.h"
#include "serve/thread.h"

#define STEP_MAX	(1u << 30)	/* bytes of one zeroing, trim or look; longer ones take steps */
#define STEP_FILL	(16u << 20)	/* of a zeroing that may have to write them all */
#define LOOK_MIN	(32u << 10)	/* bytes of a READ for which holes are looked for */
#define STATUS_EXTENTS	1024u		/* of one BLOCK_STATUS answer */

struct refusal {
	uint32_t error;			/* enum nbd_error; 0: none */
	const char *text;
};

static struct refusal refuse(uint32_t error, const char *text)
{
	return (struct refusal) { error, text };
}

/* The flags that @call may have. */
static uint16_t flags_allowed(const struct nbd_call *call, enum nbd_headers headers, uint16_t told)
{
	uint16_t allowed = 0;

	/* Where it means nothing, FUA is to be ignored. */
	if (told & NBD_FLAG_SEND_FUA)
		allowed |= NBD_CMD_FLAG_FUA;
	if (call->type == NBD_CMD_READ && (told & NBD_FLAG_SEND_DF))
		allowed |= NBD_CMD_FLAG_DF;
	if (call->type == NBD_CMD_WRITE && headers == NBD_HEADERS_EXTENDED)
		allowed |= NBD_CMD_FLAG_PAYLOAD_LEN;
	if (call->type == NBD_CMD_WRITE_ZEROES)
		allowed |= NBD_CMD_FLAG_NO_HOLE;
	if (call->type == NBD_CMD_WRITE_ZEROES && (told & NBD_FLAG_SEND_FAST_ZERO))
		allowed |= NBD_CMD_FLAG_FAST_ZERO;
	if (call->type == NBD_CMD_BLOCK_STATUS)
		allowed |= NBD_CMD_FLAG_REQ_ONE;
	return allowed;
}

/* Is the command one that this export was said to have? */
static struct refusal type_check(const struct peer *peer, const struct nbd_call *call,
				 uint16_t told)
{
	bool writes = true;
	bool offered;

	switch (call->type) {
	case NBD_CMD_READ:
		return refuse(0, NULL);
	case NBD_CMD_FLUSH:
		writes = false;
		offered = told & NBD_FLAG_SEND_FLUSH;
		break;
	case NBD_CMD_CACHE:
		writes = false;
		offered = told & NBD_FLAG_SEND_CACHE;
		break;
	case NBD_CMD_BLOCK_STATUS:
		if (!peer->contexts)
			return refuse(NBD_EINVAL, "no metadata context was set");
		return refuse(0, NULL);
	case NBD_CMD_WRITE:
		offered = true;
		break;
	case NBD_CMD_TRIM:
		offered = told & NBD_FLAG_SEND_TRIM;
		break;
	case NBD_CMD_WRITE_ZEROES:
		offered = told & NBD_FLAG_SEND_WRITE_ZEROES;
		break;
	default:
		return refuse(NBD_EINVAL, "unknown command");
	}
	if (writes && peer->export->read_only)
		return refuse(NBD_EPERM, "the export is read-only");
	if (!offered)
		return refuse(NBD_EINVAL, "the export does not offer this command");
	return refuse(0, NULL);
}

static struct refusal range_check(const struct peer *peer, const struct nbd_call *call)
{
	const struct backend_info *info = &peer->export->backend->info;

	if (!call->length)
		return refuse(NBD_EINVAL, "the length is zero");
	if (call->offset > info->size || call->length > info->size - call->offset)
		return refuse(call->type == NBD_CMD_WRITE || call->type == NBD_CMD_WRITE_ZEROES ?
			      NBD_ENOSPC : NBD_EINVAL, "beyond the end of the export");
	if ((call->offset | call->length) & (info->block_min - 1))
		return refuse(NBD_EINVAL, "not a multiple of the minimum block size");
	if ((call->type == NBD_CMD_READ || call->type == NBD_CMD_WRITE) &&
	    call->length > peer->export->payload_max)
		return refuse(NBD_EOVERFLOW, "longer than the maximum payload");
	return refuse(0, NULL);
}

/* Everything that can be said against a request before anything is done about it. */
static struct refusal request_check(const struct peer *peer, const struct nbd_call *call)
{
	uint16_t told = export_flags(peer->export, peer->headers);
	struct refusal no = type_check(peer, call, told);

	if (no.error)
		return no;
	if (call->flags & ~flags_allowed(call, peer->headers, told))
		return refuse(NBD_EINVAL, "a flag that this command does not have");
	if (call->type == NBD_CMD_FLUSH)
		return call->offset || call->length ?
			refuse(NBD_EINVAL, "a flush has neither offset nor length") : no;
	return range_check(peer, call);
}

static struct server_thread *thread_of(const struct request *request)
{
	return request->peer->thread;
}

static bool buffer_ensure(struct request *request, size_t size)
{
	request->buffer = buffer_take(&thread_of(request)->buffers, size);
	if (!request->buffer)
		return false;
	request->buffer_size = size;
	request->peer->memory += size;
	return true;
}

static bool parts_ensure(struct request *request)
{
	request->parts = buffer_take(&thread_of(request)->buffers, sizeof(*request->parts));
	if (!request->parts)
		return false;
	request->parts_size = sizeof(*request->parts);
	request->peer->memory += request->parts_size;
	return true;
}

void request_free(struct request *request)
{
	struct peer *peer = request->peer;
	struct server_thread *thread = peer->thread;

	loop_task_cancel(thread->loop, &request->task);
	buffer_give(&thread->buffers, request->buffer, request->buffer_size);
	buffer_give(&thread->buffers, request->parts, request->parts_size);
	peer->memory -= request->buffer_size + request->parts_size;
	peer->requests--;
	request->next = thread->requests;
	thread->requests = request;
}

static void finish(struct request *request, int code)
{
	answer_status(request, nbd_error_of(code), code ? strerrordesc_np(-code) : NULL);
	peer_answer(request->peer, request);
}

static void io_submit(struct request *request, enum backend_op op, uint64_t offset,
		      uint32_t length, void *buf, void (*done)(struct backend_io *io, int error))
{
	struct backend_io *io = &request->io;

	io->op = op;
	io->offset = offset;
	io->length = length;
	io->buf = buf;
	io->done = done;
	io->owner = request;
	backend_submit(request->peer->channel, io);
}

static void read_done(struct backend_io *io, int error)
{
	struct request *request = io->owner;

	if (error) {
		finish(request, error);
		return;
	}
	answer_data(request, request->buffer);
	peer_answer(request->peer, request);
}

static void read_whole(struct request *request)
{
	uint64_t offset = request->call.offset;
	uint32_t length = (uint32_t)request->call.length;
	void *mapped = backend_map(request->peer->export->backend, offset, length);

	if (mapped) {
		answer_data(request, mapped);
		peer_answer(request->peer, request);
	} else if (!buffer_ensure(request, length)) {
		finish(request, -ENOMEM);
	} else {
		io_submit(request, BACKEND_READ, offset, length, request->buffer, read_done);
	}
}

static void part_done(struct backend_io *io, int error)
{
	struct request *request = io->owner;

	if (error && !request->error)
		request->error = error;
	if (--request->pending)
		return;
	if (request->error) {
		finish(request, request->error);
		return;
	}
	answer_extents(request, request->buffer);
	peer_answer(request->peer, request);
}

/* Reads the extents that hold data, all at once, each to its place in the buffer. */
static void read_parts(struct request *request)
{
	struct pieces *parts = request->parts;
	uint64_t offset = request->call.offset;
	struct backend_io *held = NULL;
	unsigned int i;

	request->pending = 1;	/* ours, so that the last part is not the last before it is made */
	request->error = 0;
	for (i = 0; i < parts->extents.used; i++) {
		uint64_t length = parts->extents.extent[i].length;

		held = &parts->reads[i];
		if (!(parts->extents.extent[i].flags & BACKEND_EXTENT_ZERO)) {
			*held = (struct backend_io) {
				.op = BACKEND_READ,
				.offset = offset,
				.length = (uint32_t)length,
				.buf = (char *)request->buffer + (offset - request->call.offset),
				.done = part_done,
				.owner = request,
			};
			request->pending++;
			backend_submit(request->peer->channel, held);
		}
		offset += length;
	}
	held->owner = request;
	part_done(held, 0);
}

/* The extents are known: makes them cover the READ, and reads what is not a hole. */
static void read_looked(struct backend_io *io, int error)
{
	struct request *request = io->owner;
	struct backend_extents *extents = &request->parts->extents;
	uint64_t left = request->call.length;
	bool holes = false;
	uint32_t i;

	if (request->peer->dead) {	/* perhaps because the channel closes */
		finish(request, -ECANCELED);
		return;
	}
	for (i = 0; !error && i < extents->used; i++) {
		left -= extents->extent[i].length;
		holes |= extents->extent[i].flags & BACKEND_EXTENT_ZERO;
	}
	if (error || !holes) {
		read_whole(request);
		return;
	}
	if (left)	/* not looked at: data, in the place that was kept free */
		extents->extent[extents->used++] = (struct backend_extent) { .length = left };
	if (backend_map(request->peer->export->backend, request->call.offset,
			(uint32_t)request->call.length)) {
		answer_extents(request, NULL);
		peer_answer(request->peer, request);
	} else if (!buffer_ensure(request, request->call.length)) {
		finish(request, -ENOMEM);
	} else {
		read_parts(request);
	}
	/* The submitter kicks, or the backend after its callbacks. */
}

static void read_begin(struct request *request)
{
	struct peer *peer = request->peer;

	/* One more extent may be added for what was not looked at. */
	if (peer->headers == NBD_HEADERS_SIMPLE || (request->call.flags & NBD_CMD_FLAG_DF) ||
	    !peer->export->backend->info.can_extents || request->call.length < LOOK_MIN ||
	    !parts_ensure(request)) {
		read_whole(request);
		return;
	}
	request->parts->extents.room = ANSWER_EXTENTS - 1;
	request->parts->extents.used = 0;
	request->io.extents = &request->parts->extents;
	io_submit(request, BACKEND_EXTENTS, request->call.offset, (uint32_t)request->call.length,
		  NULL, read_looked);
}

static uint32_t flags_allocation(uint32_t flags)
{
	return (flags & BACKEND_EXTENT_HOLE ? NBD_STATE_HOLE : 0) |
	       (flags & BACKEND_EXTENT_ZERO ? NBD_STATE_ZERO : 0);
}

static uint32_t flags_same(uint32_t flags)
{
	return flags;
}

/* What the backend says, if that was wanted, and then what the export's other contexts say. */
static void status_done(struct backend_io *io, int error)
{
	struct request *request = io->owner;
	const struct peer *peer = request->peer;
	const struct export *export = peer->export;
	struct backend_extents *extents = io->extents;
	uint32_t left = peer->contexts;
	size_t used = 0;

	for (unsigned int i = 0; left && !error; i++) {
		const struct export_context *context = i ? &export->contexts[i - 1] : NULL;

		if (!(left & 1u << i))
			continue;
		left &= ~(1u << i);
		if (context) {
			extents->used = 0;
			error = context->look(context->data, io->offset, io->length, extents);
		}
		if (!error)
			answer_block_status(request, PEER_CONTEXT_ALLOCATION + i, extents,
					    context ? flags_same : flags_allocation, &used, !left);
	}
	if (error)
		finish(request, error);
	else
		peer_answer(request->peer, request);
}

static void status_begin(struct request *request)
{
	bool one = request->call.flags & NBD_CMD_FLAG_REQ_ONE;
	uint32_t room = one ? 1 : STATUS_EXTENTS;
	const struct export *export = request->peer->export;
	size_t answer = ((1 + export->context_count) * ANSWER_STATUS(room) + 7) & ~(size_t)7;
	uint64_t length = request->call.length;
	struct backend_extents *extents;

	if (length > STEP_MAX)
		length = STEP_MAX;
	if (!buffer_ensure(request, answer + sizeof(*extents) + room * sizeof(extents->extent[0]))) {
		finish(request, -ENOMEM);
		return;
	}
	extents = (struct backend_extents *)((char *)request->buffer + answer);
	extents->room = room;
	extents->used = 0;
	request->io.extents = extents;
	if (one)
		request->io.flags |= BACKEND_ONE;
	if (!(request->peer->contexts & PEER_ALLOCATION)) {
		request->io.offset = request->call.offset;
		request->io.length = (uint32_t)length;
		request->io.owner = request;
		return status_done(&request->io, 0);
	}
	io_submit(request, BACKEND_EXTENTS, request->call.offset, (uint32_t)length, NULL,
		  status_done);
}

static void done(struct backend_io *io, int error)
{
	finish(io->owner, error);
}

/* Zeroing, trimming and caching take any length, in steps that others get between. */
static void step_done(struct backend_io *io, int error)
{
	struct request *request = io->owner;

	request->done += io->length;
	if (!error && !request->peer->dead && request->done < request->call.length)
		loop_task_queue(thread_of(request)->loop, &request->task);
	else if (!error && !request->peer->dead && request->call.type == NBD_CMD_TRIM &&
		 (request->call.flags & NBD_CMD_FLAG_FUA))
		/* Backends know no FUA of a trim. */
		io_submit(request, BACKEND_FLUSH, 0, 0, NULL, done);
	else
		finish(request, error);
}

static void step(struct request *request)
{
	static const enum backend_op ops[] = {
		[NBD_CMD_TRIM] = BACKEND_DISCARD,
		[NBD_CMD_CACHE] = BACKEND_CACHE,
		[NBD_CMD_WRITE_ZEROES] = BACKEND_WRITE_ZEROES,
	};
	uint64_t left = request->call.length - request->done;
	uint32_t most = request->call.flags & NBD_CMD_FLAG_NO_HOLE ? STEP_FILL : STEP_MAX;

	io_submit(request, ops[request->call.type], request->call.offset + request->done,
		  left < most ? (uint32_t)left : most, NULL, step_done);
}

static void step_task(struct loop_task *task)
{
	struct request *request =
		(struct request *)((char *)task - offsetof(struct request, task));
	struct backend_channel *channel = request->peer->channel;

	if (request->peer->dead) {	/* the channel may have gone, too */
		finish(request, -ECANCELED);
		return;
	}
	step(request);	/* which may free it */
	backend_kick(channel);
}

void request_submit(struct request *request)
{
	const struct nbd_call *call = &request->call;

	request->io.flags = 0;
	if (call->flags & NBD_CMD_FLAG_FUA)
		request->io.flags |= BACKEND_FUA;
	if (call->flags & NBD_CMD_FLAG_NO_HOLE)
		request->io.flags |= BACKEND_NO_UNMAP;
	if (call->flags & NBD_CMD_FLAG_FAST_ZERO)
		request->io.flags |= BACKEND_FAST_ZERO;
	switch (call->type) {
	case NBD_CMD_READ:
		read_begin(request);
		break;
	case NBD_CMD_WRITE:
		io_submit(request, BACKEND_WRITE, call->offset, (uint32_t)call->length,
			  request->payload, done);
		break;
	case NBD_CMD_FLUSH:
		io_submit(request, BACKEND_FLUSH, 0, 0, NULL, done);
		break;
	case NBD_CMD_BLOCK_STATUS:
		status_begin(request);
		break;
	default:
		step(request);
	}
}

static struct request *request_new(struct peer *peer, const struct nbd_call *call)
{
	struct server_thread *thread = peer->thread;
	struct request *request = thread->requests;

	if (request)
		thread->requests = request->next;
	else
		request = malloc(sizeof(*request));
	if (!request)
		return NULL;
	memset(request, 0, offsetof(struct request, own));
	request->peer = peer;
	/*
	 * By members, as they were just written: a wider load would not be forwarded these stores, but
	 * wait until they, and a payload that was copied before, are out of the store buffer.
	 */
	request->call.flags = call->flags;
	request->call.type = call->type;
	request->call.cookie = call->cookie;
	request->call.offset = call->offset;
	request->call.length = call->length;
	request->task.run = step_task;
	peer->requests++;
	return request;
}

static void abandoned(struct backend_io *io, int error)
{
	struct request *request = io->owner;
	struct peer *peer = request->peer;

	(void)error;
	request_free(request);
	peer_wake(peer);
}

void request_abandon(struct request *request)
{
	const struct nbd_call *call = &request->call;

	if (request->buffer) {
		request_free(request);
		return;
	}
	/* Some of it is in the region, which has to know. */
	request->io.flags = 0;
	io_submit(request, BACKEND_WRITE, call->offset, (uint32_t)call->length, request->payload,
		  abandoned);
}

/* Finds a place for the payload of a WRITE: its own in the region, if that has one. */
static bool payload_place(struct request *request)
{
	struct backend *backend = request->peer->export->backend;
	const struct nbd_call *call = &request->call;

	if (backend->info.can_map_writes)
		request->payload = backend_map(backend, call->offset, (uint32_t)call->length);
	if (!request->payload && buffer_ensure(request, call->length))
		request->payload = request->buffer;
	return request->payload;
}

/* Bytes that follow the header, whatever is wrong with it. */
static uint64_t payload_of(const struct nbd_call *call, enum nbd_headers headers)
{
	bool payload = call->type == NBD_CMD_WRITE ||
		       (headers == NBD_HEADERS_EXTENDED &&
			(call->flags & NBD_CMD_FLAG_PAYLOAD_LEN));

	return payload ? call->length : 0;
}

void request_expect(const struct peer *peer, const struct nbd_call *call)
{
	struct backend *backend = peer->export->backend;

	if (call->type == NBD_CMD_WRITE && backend->info.can_map_writes)
		__builtin_prefetch(backend_map(backend, call->offset, (uint32_t)call->length), 1);
}

void request_begin(struct peer *peer, const struct nbd_call *call)
{
	uint64_t payload = payload_of(call, peer->headers);
	struct request *request;
	struct refusal no;

	no = request_check(peer, call);
	if (no.error && payload > SERVE_SKIP) {
		peer_die(peer, "it announced a payload of %llu bytes",
			 (unsigned long long)payload);
		return;
	}
	request = request_new(peer, call);
	if (!request) {
		peer_die(peer, "out of memory");
		return;
	}
	if (!no.error && payload && !payload_place(request))
		no = refuse(NBD_ENOMEM, "out of memory");
	if (no.error) {
		peer->skip = payload;
		answer_status(request, no.error, no.text);
		peer_answer(peer, request);
	} else if (payload) {
		peer->incoming = request;
		peer->incoming_done = 0;
	} else {
		request_submit(request);
	}
}
