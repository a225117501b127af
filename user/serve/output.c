// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Output: see output.h. Answers gather during a round of the loop and leave in one sendmsg().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOG_PREFIX "serve: "
#include "lib/log.h"
#include "serve/output.h"
#include "serve/request.h"
#include "serve/thread.h"

#define SEND_IOVECS	256
#define SEND_BYTES	(4u << 20)	/* offered to the socket at once */
#define SEND_ROUNDS	4		/* before other connections get their turn */

bool output_pending(const struct peer *peer)
{
	return peer->out.sent < peer->out.used || peer->tx_first;
}

void output_drop(struct peer *peer)
{
	while (peer->tx_first) {
		struct request *request = peer->tx_first;

		peer->tx_first = request->next;
		request_free(request);
	}
	peer->tx_tail = &peer->tx_first;
}

/* What is to be sent next, cut after SEND_BYTES. Returns the number of @iovecs. */
static unsigned int tx_gather(const struct peer *peer, struct iovec *iovecs, size_t *want)
{
	const struct request *request;
	unsigned int piece = peer->tx_piece;
	size_t skip = peer->tx_sent;
	unsigned int used = 0;

	*want = 0;
	if (peer->out.sent < peer->out.used) {
		iovecs[used++] = (struct iovec) {
			peer->out.buf + peer->out.sent, peer->out.used - peer->out.sent,
		};
		*want += iovecs[0].iov_len;
	}
	for (request = peer->tx_first; request; request = request->next, piece = 0) {
		for (; piece < request->piece_count; piece++) {
			if (used == SEND_IOVECS || *want >= SEND_BYTES)
				return used;
			iovecs[used] = (struct iovec) {
				(char *)request->pieces[piece].iov_base + skip,
				request->pieces[piece].iov_len - skip,
			};
			if (iovecs[used].iov_len > SEND_BYTES - *want)
				iovecs[used].iov_len = SEND_BYTES - *want;
			*want += iovecs[used++].iov_len;
			skip = 0;
		}
	}
	return used;
}

static void tx_advance(struct peer *peer, size_t sent)
{
	struct peer_out *out = &peer->out;
	size_t some = out->used - out->sent;

	if (some > sent)
		some = sent;
	out->sent += some;
	sent -= some;
	if (out->used && out->sent == out->used) {
		free(out->buf);
		*out = (struct peer_out) { 0 };
	}
	while (peer->tx_first) {
		struct request *request = peer->tx_first;
		size_t left = request->pieces[peer->tx_piece].iov_len - peer->tx_sent;

		if (sent < left) {
			peer->tx_sent += sent;
			return;
		}
		sent -= left;
		peer->tx_sent = 0;
		if (++peer->tx_piece < request->piece_count)
			continue;
		peer->tx_piece = 0;
		peer->tx_first = request->next;
		if (!peer->tx_first)
			peer->tx_tail = &peer->tx_first;
		request_free(request);
	}
}

/* @sent bytes more have left: a client that takes them earns time, never more than the limit. */
static void tx_deadline_update(struct peer *peer, size_t sent)
{
	uint64_t most;

	if (!peer->tx_full) {
		peer->tx_deadline = 0;
		return;
	}
	most = peer_deadline(peer->thread->server->limits.stall, 0);
	if (peer->tx_deadline)
		peer->tx_deadline += sent * PEER_NS_PER_BYTE;
	if (!peer->tx_deadline || peer->tx_deadline > most)
		peer->tx_deadline = most;
	peer_deadlines_watch(peer);
}

void output_send(struct peer *peer)
{
	int rounds = SEND_ROUNDS;

	while (!peer->dead && !peer->tx_full && output_pending(peer)) {
		struct iovec iovecs[SEND_IOVECS];
		unsigned int count;
		size_t want;
		ssize_t sent;

		if (!rounds--) {
			peer_wake(peer);
			return;
		}
		count = tx_gather(peer, iovecs, &want);
		sent = stream_writev(&peer->stream, iovecs, (int)count);
		if (sent == -EINTR)
			continue;
		if (sent < 0 && sent != -EAGAIN && sent != -ENOBUFS && sent != -ENOMEM) {
			/* It has gone without waiting for its answers: common, and its right. */
			log_debug("%s: %s", peer->address, strerror((int)-sent));
			peer_die(peer, NULL);
			return;
		}
		if (sent < 0)
			sent = 0;
		if (peer->export)
			atomic_fetch_add_explicit(&peer->export->sent, (uint64_t)sent,
						  memory_order_relaxed);
		if ((size_t)sent < want)
			peer->tx_full = true;
		tx_advance(peer, (size_t)sent);
		tx_deadline_update(peer, (size_t)sent);
	}
}
