// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending of NBD requests: see connection.h.
 *
 * A batch leaves in one sendmsg(), headers and payloads gathered where they lie; headers of
 * requests without payload lie side by side in the ring and are one piece. What the socket does
 * not take leaves when the loop says that there is room.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "connection.h"

/* Bytes of the request that is number @at in the ring. */
static size_t tx_length(const struct nbd_client *client, uint32_t at)
{
	const struct backend_io *io = client->slots[client->tx_slot[at]].io;

	return client->request_size + (io->op == BACKEND_WRITE ? io->length : 0);
}

/* Collects what is to be sent. Headers that lie side by side are one piece. */
static unsigned int tx_gather(struct nbd_client *client)
{
	struct iovec *iovecs = client->iovecs;
	size_t skip = client->tx_sent;
	unsigned int used = 0;
	uint32_t n;

	for (n = client->tx_first; n != client->tx_next && used + 2 <= NBD_TX_IOVECS; n++) {
		uint32_t at = n & NBD_DEPTH_MASK;
		const struct backend_io *io = client->slots[client->tx_slot[at]].io;
		char *header = client->tx + at * client->request_size;
		size_t length = client->request_size;

		if (skip < length) {
			header += skip;
			length -= skip;
			skip = 0;
			if (used && (char *)iovecs[used - 1].iov_base +
				    iovecs[used - 1].iov_len == header)
				iovecs[used - 1].iov_len += length;
			else
				iovecs[used++] = (struct iovec) { header, length };
		} else {
			skip -= length;
		}
		if (io->op == BACKEND_WRITE) {
			iovecs[used++] = (struct iovec) {
				(char *)io->buf + skip, io->length - skip,
			};
			skip = 0;
		}
	}
	return used;
}

/* @sent bytes more have left. May complete a request, as the last thing. */
static void tx_advance(struct nbd_client *client, size_t sent)
{
	struct nbd_slot *early = client->early;

	sent += client->tx_sent;
	while (client->tx_first != client->tx_next) {
		uint32_t at = client->tx_first & NBD_DEPTH_MASK;
		size_t length = tx_length(client, at);

		if (sent < length)
			break;
		sent -= length;
		client->tx_first++;
		client->slots[client->tx_slot[at]].sent = true;
	}
	client->tx_sent = sent;
	if (early && early->sent) {
		client->early = NULL;
		nbd_slot_complete(client, early, client->early_error);
	}
}

/* The server may have answered before it left: its replies are read before the rest fails. */
static void send_failed(struct nbd_client *client, int code)
{
	client->send_error = code;
	if (!client->reading)
		nbd_client_read(client);
}

void nbd_client_kick(struct nbd_client *client)
{
	while (client->live && !client->tx_full && !client->send_error && client->tx_first != client->tx_next) {
		unsigned int count = tx_gather(client);
		size_t want = 0;
		ssize_t sent;
		unsigned int i;

		for (i = 0; i < count; i++)
			want += client->iovecs[i].iov_len;
		sent = stream_writev(&client->stream, client->iovecs, (int)count);
		if (sent < 0 && sent != -EAGAIN && sent != -ENOBUFS && sent != -ENOMEM) {
			send_failed(client, (int)sent);
			return;
		}
		if (sent < 0)
			sent = 0;
		if ((size_t)sent < want) {
			int error = loop_add(client->loop, &client->source, EPOLLIN | EPOLLOUT);

			if (error) {
				nbd_client_lost(client, "cannot wait for the socket: %s",
						strerror(-error));
				return;
			}
			client->tx_full = true;
		}
		tx_advance(client, (size_t)sent);
	}
}
