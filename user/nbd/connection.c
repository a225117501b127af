// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The beginning and the end of one connection of an NBD client: see connection.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LOG_PREFIX "nbd: "
#include "connection.h"
#include "../lib/log.h"

static void connection_ready(struct loop_source *source, uint32_t events)
{
	struct nbd_client *client = (struct nbd_client *)source;

	if (events & EPOLLOUT) {
		client->tx_full = false;
		client->heard = NBD_DRIP;	/* that the server takes a long request is life, too */
		loop_add(client->loop, source, EPOLLIN);
		nbd_client_kick(client);
	}
	if (client->live && (events & ~(uint32_t)EPOLLOUT))
		nbd_client_read(client);
}

static void read_again(struct loop_task *task)
{
	struct nbd_client *client =
		(struct nbd_client *)((char *)task - offsetof(struct nbd_client, again));

	nbd_client_read(client);
}

int nbd_connection_begin(struct nbd_client *client, struct stream stream,
			 const struct nbd_export *export)
{
	int error;

	client->source.fd = stream.fd;
	client->source.ready = connection_ready;
	client->source.idle = nbd_client_in_flight(client) == 0;
	client->again.run = read_again;
	error = loop_add(client->loop, &client->source, EPOLLIN);
	if (error) {
		nbd_disconnect(&stream);
		return error;
	}
	client->stream = stream;
	client->live = true;
	client->headers = export->headers;
	client->request_size = (uint32_t)nbd_request_size(export->headers);
	client->status_context = export->allocation_id;
	client->send_error = 0;
	client->tx_first = client->tx_next = 0;
	client->tx_sent = 0;
	client->tx_full = false;
	client->early = NULL;
	client->rx.state = NBD_RX_HEADER;
	client->rx.slot = NULL;
	client->rx.used = 0;
	client->rx.need = sizeof(struct nbd_simple_reply);
	return 0;
}

void nbd_connection_end(struct nbd_client *client)
{
	client->live = false;
	loop_remove(client->loop, &client->source);
	loop_task_cancel(client->loop, &client->again);
	nbd_disconnect(&client->stream);
	client->tx_first = client->tx_next = 0;
	client->tx_sent = 0;
}

void nbd_client_fail(struct nbd_client *client, int code, const char *format, ...)
{
	char reason[400];
	va_list args;

	if (client->over)
		return;
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	log_error("%s: %s; %u requests were in flight, they and all further ones fail",
		  client->name, reason, nbd_client_in_flight(client));
	if (client->live)
		nbd_connection_end(client);
	nbd_client_tell(client, true);
	client->over = true;
	client->refuse = code;
	nbd_requests_fail(client, code);
}

void nbd_goodbye(struct stream *stream, enum nbd_headers headers)
{
	const struct nbd_call call = { .type = NBD_CMD_DISC };
	char goodbye[NBD_REQUEST_MAX];
	const struct iovec iovec = { goodbye, nbd_request_size(headers) };

	nbd_request_encode(headers, &call, goodbye);
	if (stream_writev(stream, &iovec, 1) < 0)
		log_debug("there is no room for a goodbye");
	stream_bye(stream);
}
