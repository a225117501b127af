// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Input: see input.h.
 *
 * Bytes are read into the thread's buffer and taken apart there. What has to outlive that has a
 * place of its own: a header cut in two, the payload of a WRITE, and what came before a pause.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_PREFIX "serve: "
#include "lib/log.h"
#include "serve/input.h"
#include "serve/negotiate.h"
#include "serve/request.h"
#include "serve/thread.h"

#define WRITE_LARGE	(32u << 10)	/* bytes of a WRITE's payload that is worth a read of its own */
#define READ_ROUNDS	4	/* reads before other connections get their turn */

bool input_may_read(const struct peer *peer)
{
	return !peer->dead && !peer->closing && !peer->paused && !peer->handover &&
	       peer->phase != PEER_TLS && peer->phase != PEER_LEAVING;
}

/* Is something of a message here, but not all? */
static bool rx_pending(const struct peer *peer)
{
	return peer->header_used || peer->incoming || peer->skip;
}

/* One request always may be taken, however large. */
bool input_must_pause(const struct peer *peer)
{
	const struct serve_limits *limits = &peer->thread->server->limits;

	return peer->requests >= limits->requests ||
	       (peer->requests && peer->memory >= limits->memory);
}

/* After input: how long may the rest take? */
static void rx_deadline_update(struct peer *peer)
{
	if (peer->phase != PEER_REQUESTS || peer->dead)
		return;		/* the handshake's deadline stands */
	if (!rx_pending(peer) || peer->paused) {
		peer->rx_deadline = 0;
	} else if (!peer->rx_deadline) {
		uint64_t rest = peer->skip;

		if (peer->incoming)
			rest = peer->incoming->call.length - peer->incoming_done;
		peer->rx_deadline =
			peer_deadline(peer->thread->server->limits.stall, rest);
	}
	peer_deadlines_watch(peer);
}

/* What follows a payload is seldom in a cache where it goes: that is mended while this one is copied. */
static void next_expect(const struct peer *peer, const char *data, size_t length)
{
	struct nbd_call call;

	if (length >= nbd_request_size(peer->headers) && nbd_request_decode(peer->headers, data, &call))
		request_expect(peer, &call);
}

/* Takes bytes of a payload that does not come into its own buffer. */
static size_t payload_take(struct peer *peer, const char *data, size_t length)
{
	struct request *request = peer->incoming;
	size_t some = request->call.length - peer->incoming_done;

	if (some > length)
		some = length;
	next_expect(peer, data + some, length - some);
	memcpy(request->payload + peer->incoming_done, data, some);
	peer->incoming_done += (uint32_t)some;
	return some;
}

static void payload_check(struct peer *peer)
{
	struct request *request = peer->incoming;

	if (peer->incoming_done < request->call.length)
		return;
	peer->incoming = NULL;
	peer->rx_deadline = 0;
	request_submit(request);
}

/* Takes one header, or a part of it. */
static size_t header_take(struct peer *peer, const char *data, size_t length)
{
	size_t size = nbd_request_size(peer->headers);
	const char *header = data;
	struct nbd_call call;
	size_t used = size;

	if (peer->header_used || length < size) {
		used = size - peer->header_used;
		if (used > length)
			used = length;
		memcpy(peer->header + peer->header_used, data, used);
		peer->header_used += (uint32_t)used;
		if (peer->header_used < size)
			return used;
		header = peer->header;
	}
	peer->header_used = 0;
	peer->rx_deadline = 0;
	if (!nbd_request_decode(peer->headers, header, &call)) {
		peer_die(peer, "what it sent is not an NBD request");
	} else if (call.type == NBD_CMD_DISC) {
		peer_close(peer);
	} else {
		peer->gather.came++;
		peer->large_writes = call.type == NBD_CMD_WRITE && call.length >= WRITE_LARGE;
		request_begin(peer, &call);
	}
	return used;
}

static size_t requests_take(struct peer *peer, const char *data, size_t length)
{
	const char *start = data;

	while (length && !peer->dead && !peer->closing) {
		size_t used;

		if (peer->skip) {
			used = length < peer->skip ? length : (size_t)peer->skip;
			peer->skip -= used;
			if (!peer->skip)
				peer->rx_deadline = 0;
		} else if (peer->incoming) {
			used = payload_take(peer, data, length);
			payload_check(peer);
		} else if (input_must_pause(peer)) {
			peer->paused = true;
			break;
		} else {
			used = header_take(peer, data, length);
		}
		data += used;
		length -= used;
	}
	return (size_t)(data - start);
}

/* Keeps what was read and cannot be taken yet. */
static void stash_keep(struct peer *peer, const char *data, size_t length)
{
	peer->stash = malloc(length);
	if (!peer->stash) {
		peer_die(peer, "out of memory");
		return;
	}
	memcpy(peer->stash, data, length);
	peer->stash_used = length;
	peer->stash_taken = 0;
}

/* Takes what was read. Returns how much of it; the rest is for later, if the peer lives. */
static size_t input_take(struct peer *peer, const char *data, size_t length)
{
	const char *start = data;
	size_t used;

	while (length && !peer->dead && !peer->closing && !peer->paused && !peer->handover) {
		if (peer->phase == PEER_TLS) {
			/* Somebody on the way could have put it there, to be believed later. */
			peer_die(peer, "it sent something in the clear after STARTTLS");
			break;
		}
		if (peer->phase == PEER_LEAVING) {
			peer_die(peer, "it did not wait for the answer to MIGRATE");
			break;
		}
		if (peer->phase == PEER_OPTIONS)
			used = negotiate_take(peer, data, length);
		else
			used = requests_take(peer, data, length);
		data += used;
		length -= used;
	}
	return (size_t)(data - start);
}

static void peer_eof(struct peer *peer, ssize_t got)
{
	if (got < 0 && got != -ECONNRESET && got != -EPIPE) {
		peer_die(peer, "%s", strerror((int)-got));
	} else if (got < 0 || rx_pending(peer)) {
		log_debug("%s: the client is gone", peer->address);
		peer_die(peer, NULL);
	} else {
		/* It may have closed only its half, and wait for answers. */
		peer_close(peer);
	}
}

/* One read. Returns false if there is nothing more to be read now. */
static bool peer_fill(struct peer *peer)
{
	struct server_thread *thread = peer->thread;
	size_t payload = 0, want = sizeof(thread->rx), fresh, taken;
	struct iovec iovecs[2];
	ssize_t got;
	int count = 0;

	if (peer->incoming) {
		payload = peer->incoming->call.length - peer->incoming_done;
		iovecs[count++] = (struct iovec) {
			peer->incoming->payload + peer->incoming_done, payload,
		};
	}
	/* Where another large WRITE is likely, no more than its header: its payload has a place. */
	if (peer->large_writes && !peer->skip)
		want = nbd_request_size(peer->headers) - peer->header_used;
	iovecs[count++] = (struct iovec) { thread->rx, want };
	want += payload;
	got = stream_readv(&peer->stream, iovecs, count);
	if (got == -EAGAIN || got == -EINTR)
		return false;
	if (got <= 0) {
		peer_eof(peer, got);
		return false;
	}
	fresh = (size_t)got;
	if (payload) {
		size_t some = fresh < payload ? fresh : payload;

		peer->incoming_done += (uint32_t)some;
		fresh -= some;
		payload_check(peer);
	}
	taken = input_take(peer, thread->rx, fresh);
	if (taken < fresh && !peer->dead && !peer->closing)
		stash_keep(peer, thread->rx + taken, fresh - taken);
	return (size_t)got == want || stream_pending(&peer->stream);
}

static void kick(struct peer *peer)
{
	if (peer->channel)
		backend_kick(peer->channel);
}

void input_read(struct peer *peer)
{
	int rounds = READ_ROUNDS;
	bool more = true;

	gather_stop(peer);
	while (more && rounds-- && input_may_read(peer))
		more = peer_fill(peer);
	/* epoll does not know of what TLS has decrypted already. */
	if (more && input_may_read(peer) && stream_pending(&peer->stream))
		peer_wake(peer);
	kick(peer);
	rx_deadline_update(peer);
	if (!peer->dead)
		peer_idle_update(peer);
}

void input_resume(struct peer *peer)
{
	peer->paused = false;
	if (peer->stash)
		peer->stash_taken += input_take(peer, peer->stash + peer->stash_taken,
						peer->stash_used - peer->stash_taken);
	if (peer->stash && peer->stash_taken == peer->stash_used) {
		free(peer->stash);
		peer->stash = NULL;
	}
	if (input_may_read(peer) && stream_pending(&peer->stream))
		input_read(peer);
	kick(peer);
	rx_deadline_update(peer);
}
