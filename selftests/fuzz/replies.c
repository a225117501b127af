// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client's transmission phase against a server that says anything: every request completes
 * once; its buffer is touched until then and not outside of it; a READ that succeeds has all of
 * its bytes from the server; extents fit the range; after a breach of the protocol everything
 * fails, at once.
 *
 * Input: a byte for the headers and the sockets, then a script of requests and of what the server
 * answers: right answers, nearly right ones, and bytes.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "nbd/connection.h"

#define CONTEXT		7u
#define BASE		(1ull << 33)	/* offsets do not fit into 32 bits */
#define REQUESTS_MAX	1500u		/* more than NBD_CLIENT_DEPTH: some wait */
#define EXTENTS_MAX	8u
#define SAID_MAX	(1u << 20)
#define PIECES_MAX	200u
#define UNTOUCHED	0xee		/* even; what a server sends is odd, or zero */

struct request {
	struct backend_io io;
	struct {
		struct backend_extents list;
		struct backend_extent room[EXTENTS_MAX];
	} extents;
	unsigned int completed;
	bool heard;			/* by the server */
	uint64_t cookie;
};

static struct nbd_client *client;
static struct loop *loop;
static enum nbd_headers headers;
static int server_fd;
static bool tainted;			/* bytes were said that may be taken for anything */
static bool submits_again;
static size_t piece;
static unsigned int pieces;
static size_t said_used;
static struct request requests[REQUESTS_MAX];
static unsigned int request_count, completed_count, next_heard;
static char header[NBD_REQUEST_MAX];	/* of a request, the part that was heard */
static size_t header_used;
static uint64_t payload_left;		/* of the one that is being heard */

static UNTRACED char pattern(uint64_t offset)
{
	return (char)((offset * 6 + offset / 512 * 2) | 1);
}

static void submit(enum backend_op op, uint64_t offset, uint32_t length, uint32_t flags);

static UNTRACED void read_look(const struct backend_io *io)
{
	const unsigned char *bytes = io->buf;
	uint32_t i;

	for (i = 0; i < io->length; i++)
		CLAIM(!bytes[i] || bytes[i] == (unsigned char)pattern(io->offset + i));
}

static UNTRACED void untouched_look(const struct backend_io *io)
{
	const unsigned char *bytes = io->buf;
	uint32_t i;

	for (i = 0; i < io->length; i++)
		CLAIM(bytes[i] == UNTOUCHED);
}

static void extents_look(const struct request *request)
{
	const struct backend_extents *list = &request->extents.list;
	uint64_t sum = 0;
	uint32_t i;

	CLAIM(list->used >= 1 && list->used <= list->room);
	CLAIM(!(request->io.flags & BACKEND_ONE) || list->used == 1);
	for (i = 0; i < list->used; i++) {
		CLAIM(list->extent[i].length);
		CLAIM(!(list->extent[i].flags & ~(BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO)));
		CLAIM(!i || list->extent[i].flags != list->extent[i - 1].flags);
		sum += list->extent[i].length;
	}
	CLAIM(sum <= request->io.length);
}

static void done(struct backend_io *io, int error)
{
	struct request *request = (struct request *)io;

	CLAIM(!request->completed++ && error <= 0);
	completed_count++;
	CLAIM(request->extents.list.room == EXTENTS_MAX);
	if (!error && io->op == BACKEND_READ && !tainted)
		read_look(io);
	if (!error && io->op == BACKEND_EXTENTS)
		extents_look(request);
	if (io->op == BACKEND_WRITE)
		untouched_look(io);
	free(io->buf);	/* whoever touches it later is found out */
	io->buf = NULL;
	if (submits_again && request_count < 40)
		submit(BACKEND_READ, BASE, 512, 0);
}

static void submit(enum backend_op op, uint64_t offset, uint32_t length, uint32_t flags)
{
	struct request *request = &requests[request_count];

	if (request_count == REQUESTS_MAX)
		return;
	request_count++;
	memset(request, 0, sizeof(*request));
	request->io = (struct backend_io) {
		.op = op, .offset = offset, .length = length, .flags = flags, .done = done,
		.extents = &request->extents.list,
	};
	request->extents.list.room = EXTENTS_MAX;
	if (op == BACKEND_FLUSH)
		request->io.length = 0;
	if (op == BACKEND_READ || op == BACKEND_WRITE) {
		request->io.buf = malloc(length);
		CLAIM(request->io.buf);
		memset(request->io.buf, UNTOUCHED, length);
	}
	nbd_client_submit(client, &request->io);
}

static void submit_script(struct input *in)
{
	static const enum backend_op ops[] = {
		BACKEND_READ, BACKEND_WRITE, BACKEND_FLUSH, BACKEND_DISCARD, BACKEND_WRITE_ZEROES,
		BACKEND_EXTENTS, BACKEND_CACHE, BACKEND_READ,
	};
	uint8_t what = input8(in), where = input8(in), much = input8(in);
	enum backend_op op = ops[what & 7];

	if (op == BACKEND_EXTENTS && headers == NBD_HEADERS_SIMPLE)
		op = BACKEND_READ;
	submit(op, BASE + where * 512u, (much + 1u) * 512u, what >> 3 & 15);
}

/* One request of the server's input is complete up to its payload. */
static void request_hear(void)
{
	struct nbd_call call;
	struct request *request;

	CLAIM(nbd_request_decode(headers, header, &call));
	if (call.type == NBD_CMD_DISC)
		return;
	/* They come in the order in which they were submitted. */
	CLAIM(next_heard < request_count);
	request = &requests[next_heard++];
	request->heard = true;
	request->cookie = call.cookie;
	CLAIM(call.length == request->io.length);
	CLAIM(call.type == NBD_CMD_FLUSH ? !call.offset : call.offset == request->io.offset);
	payload_left = call.type == NBD_CMD_WRITE ? call.length : 0;
}

/* Up to @most bytes of what the client sends. */
static void hear(size_t most)
{
	const size_t size = nbd_request_size(headers);
	char bytes[4096];
	size_t want;
	ssize_t got;

	while (most) {
		want = payload_left ? sizeof(bytes) : size - header_used;
		if (payload_left && want > payload_left)
			want = payload_left;
		if (want > most)
			want = most;
		got = recv(server_fd, payload_left ? bytes : header + header_used, want,
			   MSG_DONTWAIT);
		if (got <= 0)
			return;
		most -= (size_t)got;
		if (payload_left) {
			payload_left -= (uint64_t)got;
			continue;
		}
		header_used += (size_t)got;
		if (header_used < size)
			continue;
		header_used = 0;
		request_hear();
	}
}

static void turn(void)
{
	CLAIM(!loop_once(loop, 0));
}

static void say(const void *data, size_t length)
{
	const char *at = data;
	unsigned int stuck = 0;

	if (length > SAID_MAX - said_used)
		length = SAID_MAX - said_used;
	said_used += length;
	while (length) {
		size_t some = piece && piece < length && pieces < PIECES_MAX ? piece : length;
		ssize_t took = send(server_fd, at, some, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (took < 0 && errno != EAGAIN)
			return;		/* the client has gone */
		if (took < 0) {
			turn();
			CLAIM(++stuck < 1000);
			continue;
		}
		stuck = 0;
		at += took;
		length -= (size_t)took;
		if (piece) {
			pieces++;
			turn();
		}
	}
}

/* The request that @pick means: one that is open, or any that was heard. NULL: there is none. */
static UNTRACED struct request *request_pick(uint8_t pick)
{
	unsigned int i, open = 0;

	if (!next_heard)
		return NULL;
	if (pick & 0x80)
		return &requests[(pick & 0x7f) % next_heard];
	for (i = 0; i < next_heard; i++)
		open += requests[i].heard && !requests[i].completed;
	if (!open)
		return NULL;
	pick %= open;
	for (i = 0; i < next_heard; i++)
		if (requests[i].heard && !requests[i].completed && !pick--)
			break;
	return &requests[i];
}

static void chunk_say(const struct request *request, uint16_t type, uint16_t flags,
		      uint64_t length)
{
	struct nbd_reply reply = {
		.flags = flags, .type = type, .cookie = request->cookie, .length = length,
		.offset = request->io.op == BACKEND_FLUSH ? 0 : request->io.offset,
	};
	char wire[NBD_REPLY_MAX];

	say(wire, nbd_chunk_encode(headers == NBD_HEADERS_SIMPLE ? NBD_HEADERS_STRUCTURED : headers,
				   &reply, wire));
}

static UNTRACED void bytes_say(uint64_t offset, uint32_t length)
{
	static char bytes[130 * 1024 + 1024];
	uint32_t i;

	if (length > sizeof(bytes))
		length = sizeof(bytes);
	for (i = 0; i < length; i++)
		bytes[i] = pattern(offset + i);
	say(bytes, length);
}

static void data_say(const struct request *request, uint64_t offset, uint32_t length,
		     uint16_t flags)
{
	const uint64_t wire = htobe64(offset);

	chunk_say(request, NBD_REPLY_TYPE_OFFSET_DATA, flags, sizeof(wire) + length);
	say(&wire, sizeof(wire));
	bytes_say(offset, length);
}

static void hole_say(const struct request *request, uint64_t offset, uint32_t length,
		     uint16_t flags)
{
	char wire[NBD_HOLE_SIZE];

	chunk_say(request, NBD_REPLY_TYPE_OFFSET_HOLE, flags, sizeof(wire));
	nbd_hole_encode(offset, length, wire);
	say(wire, sizeof(wire));
}

static void simple_say(const struct request *request, uint32_t error)
{
	char wire[sizeof(struct nbd_simple_reply)];

	nbd_simple_reply_encode(request->cookie, error, wire);
	say(wire, sizeof(wire));
	if (!error && request->io.op == BACKEND_READ && headers == NBD_HEADERS_SIMPLE)
		bytes_say(request->io.offset, request->io.length);
}

static void error_say(struct input *in, const struct request *request, uint16_t flags)
{
	uint8_t error = input8(in), text = input8(in), where = input8(in);
	const bool offset = text & 1;
	char wire[6 + 256 + 8];
	const uint32_t wire_error = htobe32(error);
	const uint16_t wire_length = htobe16(text);
	const uint64_t wire_offset = htobe64(request->io.offset + where);

	memcpy(wire, &wire_error, 4);
	memcpy(wire + 4, &wire_length, 2);
	memset(wire + 6, error, text);
	memcpy(wire + 6 + text, &wire_offset, 8);
	chunk_say(request, offset ? NBD_REPLY_TYPE_ERROR_OFFSET : NBD_REPLY_TYPE_ERROR, flags,
		  6u + text + (offset ? 8 : 0));
	say(wire, 6u + text + (offset ? 8 : 0));
}

static void status_say(struct input *in, const struct request *request, uint16_t flags)
{
	const bool wide = headers == NBD_HEADERS_EXTENDED;
	const uint32_t each = wide ? NBD_EXTENT_EXT_SIZE : NBD_EXTENT_SIZE;
	uint8_t count = input8(in), extent, i;
	uint32_t fixed[2] = { htobe32(CONTEXT), htobe32(count) };
	char wire[NBD_EXTENT_EXT_SIZE];

	chunk_say(request, wide ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT : NBD_REPLY_TYPE_BLOCK_STATUS,
		  flags, (wide ? NBD_STATUS_EXT_SIZE : NBD_STATUS_SIZE) + count * each);
	say(fixed, wide ? NBD_STATUS_EXT_SIZE : NBD_STATUS_SIZE);
	for (i = 0; i < count; i++) {
		extent = input8(in);
		nbd_extent_encode(wide, ((extent >> 2) + 1) * 512u - (extent == 0xff), extent & 3,
				  wire);
		say(wire, each);
	}
}

/* As a good server does it. */
static void answer_say(const struct request *request)
{
	const uint32_t half = request->io.length / 1024 * 512;
	char extent[NBD_EXTENT_EXT_SIZE];
	const bool wide = headers == NBD_HEADERS_EXTENDED;
	const uint32_t fixed[2] = { htobe32(CONTEXT), htobe32(1) };

	if (headers == NBD_HEADERS_SIMPLE) {
		simple_say(request, 0);
	} else if (request->io.op == BACKEND_READ) {
		if (half)
			hole_say(request, request->io.offset, half, 0);
		data_say(request, request->io.offset + half, request->io.length - half,
			 NBD_REPLY_FLAG_DONE);
	} else if (request->io.op == BACKEND_EXTENTS) {
		chunk_say(request, wide ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT :
			  NBD_REPLY_TYPE_BLOCK_STATUS, NBD_REPLY_FLAG_DONE, wide ? 24 : 12);
		say(fixed, wide ? 8 : 4);
		nbd_extent_encode(wide, request->io.length, 3, extent);
		say(extent, wide ? 16 : 8);
	} else {
		chunk_say(request, NBD_REPLY_TYPE_NONE, NBD_REPLY_FLAG_DONE, 0);
	}
}

/* One answer, or a part of one, of a kind that @code tells. */
static void reply_script(struct input *in, uint8_t code)
{
	const uint16_t flags = code & 0x80 ? NBD_REPLY_FLAG_DONE : 0;
	struct request *request = request_pick(input8(in));
	uint8_t from, length;
	uint16_t type;

	if (!request)
		return;
	switch (code & 7) {
	case 0:
		from = input8(in);
		length = input8(in);
		data_say(request, request->io.offset + from * 512u, (length + 1u) * 512u, flags);
		break;
	case 1:
		from = input8(in);
		length = input8(in);
		hole_say(request, request->io.offset + from * 512u, (length + 1u) * 512u, flags);
		break;
	case 2:
		chunk_say(request, NBD_REPLY_TYPE_NONE, flags, 0);
		break;
	case 3:
		error_say(in, request, flags);
		break;
	case 4:
		status_say(in, request, flags);
		break;
	case 5:
		simple_say(request, input8(in));
		break;
	case 6:
		type = input16(in);
		tainted = true;
		chunk_say(request, type, flags, input32(in));
		break;
	default:
		answer_say(request);
	}
}

static void script_run(struct input *in)
{
	const uint8_t *bytes;
	unsigned int n;
	size_t got;

	while (in->left) {
		uint8_t code = input8(in);

		if (code & 0x40) {
			reply_script(in, code);
			continue;
		}
		switch (code & 7) {
		case 0:
			submit_script(in);
			break;
		case 1:
			nbd_client_kick(client);
			break;
		case 2:
			hear((size_t)input8(in) * 512);
			break;
		case 3:
			turn();
			break;
		case 4:
			piece = input8(in);
			break;
		case 5:
			bytes = input_bytes(in, input8(in), &got);
			tainted |= got > 0;
			say(bytes, got);
			break;
		case 6:		/* all that can be done */
			nbd_client_kick(client);
			hear(SIZE_MAX);
			turn();
			hear(SIZE_MAX);
			break;
		default:
			if (code == 0x0f) {
				shutdown(server_fd, SHUT_WR);
				turn();
			} else if (code == 0x17 && input8(in) == 0x99) {
				for (n = 0; n < 1100 && request_count + 20 < REQUESTS_MAX; n++)
					submit(BACKEND_FLUSH, 0, 0, 0);
			} else {
				turn();
			}
		}
	}
}

/* What was there before the end, and what comes after it. */
static void end_look(void)
{
	unsigned int i, before;

	submits_again = false;
	for (i = 0; i < 20; i++)
		turn();
	before = completed_count;
	if (client->refuse) {
		CLAIM(client->over && !client->live);
		CLAIM(client->refuse == -EIO || client->refuse == -ENOTCONN);
		CLAIM(before == request_count && !nbd_client_in_flight(client));
		submit(BACKEND_FLUSH, 0, 0, 0);
		CLAIM(completed_count == request_count);
	}
	CLAIM(client->rx.used <= NBD_RX_BYTES);
	nbd_client_free(client);
	CLAIM(completed_count == request_count);
	for (i = 0; i < request_count; i++)
		CLAIM(requests[i].completed == 1);
	CLAIM(!loop_busy(loop, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = input8(&in);
	struct nbd_export export = {
		.headers = (enum nbd_headers)(how % 4 % 3), .block_min = 512,
		.has_allocation = true, .allocation_id = CONTEXT,
	};
	const struct nbd_client_config config = { .name = "server" };
	const int small = 4096;
	int fds[2];

	if (!loop) {
		log_watch();
		CLAIM(!loop_new(&loop));
	}
	headers = export.headers;
	submits_again = how & 0x10;
	tainted = false;
	piece = pieces = 0;
	said_used = header_used = payload_left = 0;
	request_count = completed_count = next_heard = 0;
	CLAIM(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	if (how & 0x20)
		setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	server_fd = fds[1];
	CLAIM(!nbd_client_new((struct stream) { .fd = fds[0] }, &export, &config, loop, &client));
	script_run(&in);
	end_look();
	close(server_fd);
	return 0;
}
