// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Receiving of NBD replies: see connection.h.
 *
 * Many small replies cost one read and a copy each; the data of a large one is read straight into
 * its request's buffer, together with what follows it.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "connection.h"
#include "../tls/session.h"

#define RX_ROUNDS	16	/* reads before other sources of the loop get their turn */

/* Bytes from a header to the data of a READ, as a server sends it that reads all at once. */
static uint32_t data_header(const struct nbd_client *client)
{
	switch (client->headers) {
	case NBD_HEADERS_SIMPLE:
		return sizeof(struct nbd_simple_reply);
	case NBD_HEADERS_STRUCTURED:
		return sizeof(struct nbd_structured_reply) + NBD_DATA_OFFSET_SIZE;
	default:
		return sizeof(struct nbd_extended_reply) + NBD_DATA_OFFSET_SIZE;
	}
}

/* One header and what belongs to it, of @left bytes. Returns bytes taken, 0: too few, -1: ended. */
static int header_parse(struct nbd_client *client, const char *from, uint32_t left)
{
	struct nbd_reply reply;
	int header, payload;

	client->rx.need = data_header(client);
	header = nbd_reply_decode(client->headers, from, left, &reply);
	if (!header)
		return 0;
	if (header < 0) {
		uint32_t magic;

		memcpy(&magic, from, sizeof(magic));
		nbd_client_fail(client, -EIO,
			"the server broke the protocol: a reply with the magic 0x%08x",
			be32toh(magic));
		return -1;
	}
	payload = nbd_reply_take(client, &reply, from + header, left - (uint32_t)header);
	if (payload == -EAGAIN) {
		client->rx.need += (uint32_t)header;
		return 0;
	}
	return payload < 0 ? -1 : header + payload;
}

/* Takes some of the @left bytes. Returns how many, 0: too few to make sense of, -1: ended. */
static int rx_step(struct nbd_client *client, const char *from, uint32_t left)
{
	struct nbd_rx *rx = &client->rx;
	uint32_t length;

	switch (rx->state) {
	case NBD_RX_DATA:
		length = rx->left < left ? rx->left : left;
		if (!length)
			return 0;
		memcpy(rx->to, from, length);
		return nbd_data_received(client, length) ? (int)length : -1;
	case NBD_RX_EXTENTS:
		length = rx->wide ? NBD_EXTENT_EXT_SIZE : NBD_EXTENT_SIZE;
		if (left < length)
			return 0;
		return nbd_extent_take(client, from) ? (int)length : -1;
	default:
		return header_parse(client, from, left);
	}
}

/* Takes what is in the buffer, as far as it makes sense. */
static void rx_parse(struct nbd_client *client)
{
	struct nbd_rx *rx = &client->rx;
	uint32_t at = 0;
	int took;

	do {
		took = rx_step(client, rx->buf + at, rx->used - at);
		if (took < 0)
			return;
		at += (uint32_t)took;
	} while (took);
	rx->used -= at;
	memmove(rx->buf, rx->buf + at, rx->used);
}

/* Nothing was read, but the end of the connection or @code. Returns false. */
static bool read_failed(struct nbd_client *client, int code)
{
	struct error error;

	if (code == -EAGAIN)
		return false;
	if (client->stream.tls && code && code != -ECONNRESET)
		nbd_client_lost(client, "the connection broke: %s",
				(tls_explain(client->stream.tls, code, &error), error.text));
	else if (code && code != -ECONNRESET)
		nbd_client_lost(client, "the connection broke: %s", strerror(-code));
	else		/* a unix socket says "reset" if the server had not read all */
		nbd_client_lost(client, "the server closed the connection%s",
				client->rx.state != NBD_RX_HEADER || client->rx.used ?
				" within a reply" : "");
	return false;
}

/* One read. Returns true if there may be more at once. */
static bool rx_fill(struct nbd_client *client)
{
	struct nbd_rx *rx = &client->rx;
	struct iovec iovecs[2];
	size_t data = 0;
	size_t want = NBD_RX_BYTES;
	ssize_t got;
	int used = 0;

	if (rx->state == NBD_RX_DATA) {
		data = rx->left;
		iovecs[used++] = (struct iovec) { rx->to, data };
	}
	/* With nothing but large reads ahead, stop at the next data: it has a place. */
	if (client->reads_large == nbd_client_in_flight(client) && rx->state != NBD_RX_EXTENTS)
		want = rx->state == NBD_RX_DATA ? data_header(client) : rx->need;
	want -= rx->used;
	iovecs[used++] = (struct iovec) { rx->buf + rx->used, want };
	want += data;

	got = stream_readv(&client->stream, iovecs, used);
	if (got <= 0)
		return read_failed(client, (int)got);
	client->heard += (uint64_t)got;
	if (client->received)
		atomic_fetch_add_explicit(client->received, (uint64_t)got, memory_order_relaxed);
	if (data) {
		uint32_t length = (size_t)got < data ? (uint32_t)got : (uint32_t)data;

		rx->used += (uint32_t)got - length;
		if (!nbd_data_received(client, length))
			return false;
	} else {
		rx->used += (uint32_t)got;
	}
	rx_parse(client);
	return client->live && ((size_t)got == want || stream_pending(&client->stream));
}

void nbd_client_read(struct nbd_client *client)
{
	int rounds = client->send_error ? -1 : RX_ROUNDS;

	client->reading = true;
	while (rounds-- && rx_fill(client))
		;
	client->reading = false;
	if (!client->live)
		return;
	if (client->send_error) {
		nbd_client_lost(client, "the connection broke: %s", strerror(-client->send_error));
		return;
	}
	if (stream_pending(&client->stream))
		loop_task_queue(client->loop, &client->again);
	nbd_waiting_queue(client);
	nbd_client_kick(client);
}
