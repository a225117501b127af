// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's transmission phase, with headers of all three kinds: every request is answered once,
 * in a way that the client's own codec understands and that fits the request; what is plainly right
 * succeeds, what is plainly wrong fails, a READ finds what was written, and in the end nothing is
 * under way and no memory is counted.
 *
 * Input: a byte for the headers, the export and the sockets, then a script.
 */
#define _GNU_SOURCE
#include "fuzz.h"
#include "server.h"

#include "nbd/cover.h"
#include "nbd/option.h"
#include "nbd/reply.h"

#define ASKED_MAX	1024u

struct asked {
	struct nbd_call call;
	size_t payload;			/* where it is in what was sent */
	size_t end;			/* where the next request begins */
	bool answered;
	bool status;
	uint32_t error;
	struct nbd_cover cover;		/* READ: what has come */
};

static enum nbd_headers headers;
static const struct export *export;
static bool allocation;
static bool errors;			/* the backend failed something */
static struct asked asked[ASKED_MAX];
static unsigned int asked_count;
static unsigned int last_change;	/* 1 + the last request that changes bytes, 0: none */
static size_t read_to;			/* how much of what was sent was taken apart */
static bool may_end;			/* what was sent is a reason to end the connection */
static bool goodbye;			/* and that reason was DISC */
static bool half_closed;
static bool overflown;			/* more requests than are remembered */
static char shadow[REGION];
static uint64_t cookie;

static bool is_change(const struct nbd_call *call)
{
	return call->type == NBD_CMD_WRITE || call->type == NBD_CMD_WRITE_ZEROES ||
	       call->type == NBD_CMD_TRIM;
}

/* Takes apart what was sent, as a server has to. */
static void sent_read(void)
{
	const size_t size = nbd_request_size(headers);

	while (!may_end && read_to <= sent_used && sent_used - read_to >= size) {
		struct asked *a = &asked[asked_count];
		struct nbd_call call;
		uint64_t payload = 0;

		if (!nbd_request_decode(headers, sent + read_to, &call)) {
			may_end = true;
			return;
		}
		if (call.type == NBD_CMD_DISC) {
			may_end = goodbye = true;
			return;
		}
		if (call.type == NBD_CMD_WRITE ||
		    (headers == NBD_HEADERS_EXTENDED && (call.flags & NBD_CMD_FLAG_PAYLOAD_LEN)))
			payload = call.length;
		if (payload > SERVE_SKIP) {
			may_end = true;
			return;
		}
		if (asked_count == ASKED_MAX) {
			overflown = may_end = true;
			return;
		}
		*a = (struct asked) { .call = call, .payload = read_to + size };
		a->end = a->payload + payload;
		read_to = a->end;
		asked_count++;
		if (is_change(&call))
			last_change = asked_count;
	}
}

/* 1: must succeed, -1: must fail, 0: this target does not know. */
static int verdict(const struct nbd_call *call)
{
	const struct backend_info *info = &export->backend->info;

	if (call->type > NBD_CMD_BLOCK_STATUS || (call->flags & ~0x3f))
		return -1;
	if (call->type == NBD_CMD_FLUSH)
		return call->offset || call->length ? -1 : errors || call->flags ? 0 : 1;
	if (!call->length || call->offset > info->size ||
	    call->length > info->size - call->offset ||
	    ((call->offset | call->length) & (info->block_min - 1)))
		return -1;
	if (is_change(call) && export->read_only)
		return -1;
	if (call->type == NBD_CMD_BLOCK_STATUS && !allocation)
		return -1;
	if ((call->type == NBD_CMD_READ || call->type == NBD_CMD_WRITE) && call->length > PAYLOAD)
		return -1;
	if (call->type == NBD_CMD_CACHE && !info->can_cache)
		return -1;
	return call->flags || errors ? 0 : 1;
}

static UNTRACED struct asked *asked_find(uint64_t of)
{
	unsigned int i;

	for (i = 0; i < asked_count; i++)
		if (!asked[i].answered && asked[i].call.cookie == of)
			return &asked[i];
	return NULL;
}

static void answered(struct asked *a)
{
	const struct nbd_call *call = &a->call;
	int must = verdict(call);

	a->answered = true;
	CLAIM(must >= 0 || a->error);
	CLAIM(must <= 0 || !a->error);
	if (a->error)
		return;
	if (call->type == NBD_CMD_READ)
		CLAIM(nbd_cover_whole(&a->cover, (uint32_t)call->length));
	if (call->type == NBD_CMD_BLOCK_STATUS)
		CLAIM(a->status);
	if (call->type == NBD_CMD_WRITE)
		memcpy(shadow + call->offset, sent + a->payload, call->length);
	else if (is_change(call))
		memset(shadow + call->offset, 0, call->length);
}

/* Data at @data, or a hole. */
static void content_look(struct asked *a, uint64_t offset, uint64_t length, const char *data)
{
	const struct nbd_call *call = &a->call;
	uint32_t from = (uint32_t)(offset - call->offset);
	static const char zeroes[REGION];

	CLAIM(call->type == NBD_CMD_READ && length);
	CLAIM(offset >= call->offset && offset - call->offset <= call->length);
	CLAIM(length <= call->length - (offset - call->offset) && length <= REGION);
	CLAIM(!nbd_cover_add(&a->cover, from, from + (uint32_t)length));
	/* The slow backend has an order of its own; a change after the READ may be seen by it. */
	if (export->backend == &slow || last_change > (unsigned int)(a - asked))
		return;
	CLAIM(!memcmp(data ? data : zeroes, shadow + offset, length));
}

static void status_look(struct asked *a, const char *payload, uint64_t length, bool wide)
{
	const uint64_t fixed = wide ? NBD_STATUS_EXT_SIZE : NBD_STATUS_SIZE;
	const uint64_t each = wide ? NBD_EXTENT_EXT_SIZE : NBD_EXTENT_SIZE;
	struct nbd_reader from = { .at = payload, .left = length };
	uint64_t extent, flags, sum = 0, count = (length - fixed) / each, i;

	CLAIM(a->call.type == NBD_CMD_BLOCK_STATUS && !a->status);
	CLAIM(wide == (headers == NBD_HEADERS_EXTENDED));
	CLAIM(length > fixed && !((length - fixed) % each));
	CLAIM(nbd_get32(&from) == PEER_CONTEXT_ALLOCATION);
	if (wide)
		CLAIM(nbd_get32(&from) == count);
	CLAIM(!(a->call.flags & NBD_CMD_FLAG_REQ_ONE) || count == 1);
	for (i = 0; i < count; i++) {
		nbd_extent_decode(wide, nbd_get(&from, each), &extent, &flags);
		CLAIM(extent && !(extent & (export->backend->info.block_min - 1)));
		CLAIM(!(flags & ~3ull));
		sum += extent;
	}
	CLAIM(sum <= a->call.length);
	a->status = true;
}

static void chunk_look(struct asked *a, const struct nbd_reply *reply, const char *payload)
{
	char text[NBD_ERROR_TEXT];
	uint64_t offset = 0;
	uint32_t hole;

	CLAIM(headers != NBD_HEADERS_EXTENDED || reply->offset == a->call.offset);
	CLAIM(!(reply->flags & ~NBD_REPLY_FLAG_DONE));
	switch (reply->type) {
	case NBD_REPLY_TYPE_NONE:
		CLAIM(!reply->length && (reply->flags & NBD_REPLY_FLAG_DONE));
		break;
	case NBD_REPLY_TYPE_OFFSET_DATA:
		CLAIM(reply->length > NBD_DATA_OFFSET_SIZE);
		memcpy(&offset, payload, sizeof(offset));
		content_look(a, be64toh(offset), reply->length - NBD_DATA_OFFSET_SIZE,
			     payload + NBD_DATA_OFFSET_SIZE);
		CLAIM(!(a->call.flags & NBD_CMD_FLAG_DF) || (reply->flags & NBD_REPLY_FLAG_DONE));
		break;
	case NBD_REPLY_TYPE_OFFSET_HOLE:
		CLAIM(reply->length == NBD_HOLE_SIZE && !(a->call.flags & NBD_CMD_FLAG_DF));
		nbd_hole_decode(payload, &offset, &hole);
		content_look(a, offset, hole, NULL);
		break;
	case NBD_REPLY_TYPE_BLOCK_STATUS:
	case NBD_REPLY_TYPE_BLOCK_STATUS_EXT:
		status_look(a, payload, reply->length, reply->type != NBD_REPLY_TYPE_BLOCK_STATUS);
		break;
	default:
		CLAIM(reply->type == NBD_REPLY_TYPE_ERROR);
		CLAIM(nbd_error_decode(reply->type, payload, reply->length, &a->error, text,
				       &offset));
		CLAIM(a->error && is_clean(text) && !strchr(text, '?'));
	}
	if (reply->flags & NBD_REPLY_FLAG_DONE)
		answered(a);
}

static size_t answers_look(const char *from, size_t length)
{
	size_t at = 0;

	sent_read();
	for (;;) {
		struct nbd_reply reply;
		struct asked *a;
		uint64_t payload;
		int header;

		header = nbd_reply_decode(headers, from + at, length - at, &reply);
		CLAIM(header >= 0);
		if (!header)
			return at;
		if (overflown)
			return length;
		a = asked_find(reply.cookie);
		CLAIM(a);
		payload = reply.length;
		if (reply.simple) {
			a->error = reply.error;
			payload = a->call.type == NBD_CMD_READ && !reply.error ? a->call.length : 0;
			CLAIM(headers == NBD_HEADERS_SIMPLE || a->call.type != NBD_CMD_READ);
		}
		CLAIM(payload <= REGION + 64);
		if (length - at - (size_t)header < payload)
			return at;
		at += (size_t)header;
		if (!reply.simple) {
			chunk_look(a, &reply, from + at);
		} else {
			if (payload)
				content_look(a, a->call.offset, payload, from + at);
			answered(a);
		}
		at += payload;
	}
}

static void call_say(const struct nbd_call *call)
{
	char wire[NBD_REQUEST_MAX];

	nbd_request_encode(headers, call, wire);
	client_say(wire, nbd_request_size(headers));
}

/* Bytes that tell where they belong. */
static UNTRACED void payload_say(uint64_t length)
{
	static char bytes[PAYLOAD + 4096];
	uint64_t i;

	if (length > sizeof(bytes))
		length = sizeof(bytes);
	for (i = 0; i < length; i++)
		bytes[i] = (char)((cookie * 31 + i / 512) | 1);
	client_say(bytes, length);
}

/* A request that is nearly right. */
static void request_say(struct input *in)
{
	static const uint32_t units[] = { 512, 1, 4096, 32768 };
	uint8_t what = input8(in), flags = input8(in), where = input8(in), much = input8(in);
	struct nbd_call call = {
		.type = what & 7,
		.flags = flags & 0x3f,
		.cookie = ++cookie,
		.offset = (uint64_t)where * units[what >> 3 & 3],
		.length = (uint64_t)(much + 1) * units[what >> 5 & 3],
	};

	if (call.type == NBD_CMD_DISC)	/* there is another way to say this */
		call.type = NBD_CMD_READ;
	if (call.type == NBD_CMD_FLUSH)
		call.offset = call.length = 0;
	if (call.type == NBD_CMD_WRITE && headers == NBD_HEADERS_EXTENDED)
		call.flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
	call_say(&call);
	if (call.type == NBD_CMD_WRITE || (headers == NBD_HEADERS_EXTENDED &&
					   (call.flags & NBD_CMD_FLAG_PAYLOAD_LEN)))
		payload_say(call.length);
}

static void script_run(struct input *in)
{
	struct nbd_call call;
	const uint8_t *bytes;
	size_t got;

	while (in->left && client_fd >= 0) {
		switch (input8(in) % 12) {
		case 0:
		case 1:
			request_say(in);
			break;
		case 2:
			call = (struct nbd_call) {
				.type = input16(in), .flags = input16(in), .cookie = ++cookie,
				.offset = input64(in), .length = input64(in),
			};
			call_say(&call);
			break;
		case 3:
			payload_say(input16(in));
			break;
		case 4:
			bytes = input_bytes(in, input8(in), &got);
			client_say(bytes, got);
			break;
		case 5:
			piece = input8(in);
			break;
		case 6:
			server_turn();
			break;
		case 7:
			client_hear_all();
			break;
		case 8:
			if (held_count) {
				held_complete(input8(in) % held_count, 0);
				break;
			}
			server_turn();
			break;
		case 9:
			if (held_count) {
				errors = true;
				held_complete(0, -(int)(input8(in) % 130) - 1);
			}
			break;
		case 10:
			half_closed = true;
			shutdown(client_fd, SHUT_WR);
			server_turn();
			in->left = 0;
			break;
		default:
			/* Seldom, because it ends what else could be found. */
			if (input8(in) == 0xc1) {
				client_close();
				return;
			}
		}
	}
}

/* Everything is sent, and the backend has done all: is everything answered? */
static void end_look(void)
{
	struct peer *peer;
	unsigned int i, open = 0;
	bool whole;

	do {
		client_hear_all();
		while (held_count)
			held_complete(0, 0);
		client_hear_all();
	} while (held_count);
	sent_read();
	if (overflown)
		return;
	whole = read_to == sent_used;
	for (i = 0; i < asked_count; i++)
		open += !asked[i].answered && asked[i].end <= sent_used;
	peer = peer_of_client();
	CLAIM(ended || peer);
	CLAIM(!may_end || ended);
	CLAIM(!ended || may_end || half_closed);
	if (!ended || goodbye || whole)
		CLAIM(!open);
	if (!ended) {
		/* A WRITE whose payload is not there yet, or one that was refused. */
		CLAIM(peer->requests <= (whole ? 0 : 1));
		CLAIM(whole ? !peer->memory && !peer->skip && !peer->incoming :
			      peer->memory <= PAYLOAD);
		CLAIM(!heard_used);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = input8(&in);
	struct export *e;
	struct peer *peer;

	if (!server.threads)
		server_make();
	e = &server.exports.list[how >> 2 & 3];
	peer = client_connect(how & 0x20 ? 4096 : 0);
	export = e;
	headers = how % 4 % 3;
	allocation = (how & 0x10) && headers;
	errors = may_end = goodbye = half_closed = overflown = false;
	asked_count = last_change = 0;
	read_to = 0;
	cookie = 0;
	memset(shadow, 0, sizeof(shadow));
	peer->phase = PEER_REQUESTS;
	peer->headers = headers;
	peer->contexts = allocation ? PEER_ALLOCATION : 0;
	peer->export = e;
	atomic_fetch_add(&e->connections, 1);
	peer_start(peer, &threads[e->home == 1]);
	script_run(&in);
	if (client_fd >= 0)
		end_look();
	client_gone();
	return 0;
}
