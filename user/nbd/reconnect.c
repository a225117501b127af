// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A connection is lost, and found again: see connection.h.
 *
 * The watch is a timerfd, and serves whoever needs a time: while there is a connection, it looks
 * NBD_LOOKS times per timeout whether anything moves, so that a request costs no system call and no
 * clock, and a server that sends a byte now and then is found out as one that sends none; while
 * there is no connection, it is the end of the requests' patience.
 *
 * A connection over which no request was answered is no better than none: the time that it was
 * lost at stays that of the one before. So a request that ends the server each time that it is
 * sent has an end, too, and the log is not filled.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOG_PREFIX "nbd: "
#include "connection.h"
#include "same.h"
#include "unflushed.h"
#include "../lib/error.h"
#include "../lib/log.h"

#define NBD_LOOKS	8		/* the watch looks that often in timeout_ms */
#define MS		1000000ull	/* ns */

/* @at_ns: CLOCK_MONOTONIC; 0: not any more. */
static void watch_set(struct nbd_client *client, uint64_t at_ns)
{
	const struct itimerspec when = {
		.it_value = {
			.tv_sec = (time_t)(at_ns / 1000000000),
			.tv_nsec = (long)(at_ns % 1000000000),
		},
	};

	timerfd_settime(client->watch.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void watch_next(struct nbd_client *client)
{
	watch_set(client, loop_now() + client->timeout_ms * MS / NBD_LOOKS + 1);
}

void nbd_watch_begin(struct nbd_client *client)
{
	client->watching = true;
	if (!client->timeout_ms || !client->live)
		return;
	client->heard = NBD_DRIP;
	watch_next(client);
}

static void watch_end(struct nbd_client *client)
{
	watch_set(client, 0);
	client->watching = !client->timeout_ms;
}

/* Waits no longer, but goes on looking. */
static void give_up(struct nbd_client *client)
{
	struct error error;

	nbd_dialer_reason(client->dialer, &error);
	log_error("%s: no connection for %.1f s (%s); %u requests fail, and further ones until there is one",
		  client->name, (double)(loop_now() - client->lost_at) / 1e9,
		  error.text[0] ? error.text : "the server does not answer",
		  nbd_client_in_flight(client));
	client->refuse = -ENOTCONN;
	nbd_requests_fail(client, -ENOTCONN);
}

static void watch_ready(struct loop_source *source, uint32_t events)
{
	struct nbd_client *client =
		(struct nbd_client *)((char *)source - offsetof(struct nbd_client, watch));
	uint64_t count;
	bool moves = client->heard >= NBD_DRIP;

	(void)events;
	if (read(source->fd, &count, sizeof(count)) < 0)
		return;		/* set anew since it was ready */
	if (!client->live) {
		if (!client->refuse)
			give_up(client);
		return;
	}
	if (!nbd_client_in_flight(client)) {
		watch_end(client);
		return;
	}
	client->heard = 0;
	client->quiet = moves ? 0 : client->quiet + 1;
	if (client->quiet >= NBD_LOOKS)
		nbd_client_lost(client, "next to nothing was heard from the server for %.1f s",
				client->timeout_ms / 1e3);
	else
		watch_next(client);
}

void nbd_client_tell(struct nbd_client *client, bool lost)
{
	if (client->lost_told != lost && client->listener)
		client->listener->told(client->listener, lost);
	client->lost_told = lost;
}

void nbd_client_lost(struct nbd_client *client, const char *format, ...)
{
	const bool fresh = client->proven;
	char reason[400];
	va_list args;

	if (!client->live)
		return;
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (!client->dialer) {
		nbd_client_fail(client, -ENOTCONN, "%s", reason);
		return;
	}
	nbd_connection_end(client);
	if (client->unflushed)
		nbd_unflushed_connection_lost(client->unflushed);
	if (!client->lost_told) {
		nbd_client_tell(client, true);
		client->lost_at = loop_now();
		log_warn("%s: %s; %u requests wait for a new connection", client->name, reason,
			 nbd_client_in_flight(client));
	}
	client->watching = true;
	client->watch.idle = false;
	watch_set(client, client->lost_at + client->reconnect_ms * MS);
	nbd_dialer_start(client->dialer, fresh);
}

void nbd_client_back(struct nbd_client *client)
{
	client->proven = true;
	nbd_client_tell(client, false);
	log_info("%s: connected again after %.1f s", client->name,
		 (double)(loop_now() - client->lost_at) / 1e9);
}

/* One that waits must tell of what is lost: see unflushed.h. */
static void flush_fail(struct nbd_client *client)
{
	unsigned int i;

	for (i = 0; client->unflushed && i < NBD_CLIENT_DEPTH; i++) {
		struct nbd_slot *slot = &client->slots[i];

		if (slot->io && slot->io->op == BACKEND_FLUSH) {
			if (nbd_unflushed_tell(client->unflushed))
				nbd_slot_complete(client, slot, -EIO);
			return;
		}
	}
}

/* The dialer has a connection: what was not answered is sent again. */
static void connected(void *owner, struct stream stream, const struct nbd_export *export)
{
	struct nbd_client *client = owner;
	struct error error;
	unsigned int i;

	if (nbd_export_same(&client->export, export, &error)) {
		nbd_goodbye(&stream, export->headers);
		nbd_disconnect(&stream);
		nbd_client_fail(client, -ESTALE, "%s", error.text);
		return;
	}
	flush_fail(client);
	if (nbd_connection_begin(client, stream, export)) {
		nbd_dialer_start(client->dialer, false);
		return;
	}
	client->refuse = 0;
	client->proven = false;
	for (i = 0; i < NBD_CLIENT_DEPTH; i++) {
		if (!client->slots[i].io)
			continue;
		client->slots[i].generation++;		/* a late answer to the old one is none */
		nbd_slot_queue(client, &client->slots[i]);
	}
	if (nbd_client_in_flight(client)) {
		client->quiet = 0;
		nbd_watch_begin(client);
	} else {
		client->watch.idle = true;
		watch_end(client);
		nbd_client_back(client);
	}
	nbd_waiting_queue(client);
	nbd_client_kick(client);
}

int nbd_reconnect_init(struct nbd_client *client, const struct nbd_client_config *config)
{
	int error;

	client->timeout_ms = config->timeout_ms;
	client->reconnect_ms = config->reconnect_ms;
	client->proven = true;
	client->watching = !config->timeout_ms;
	client->watch = (struct loop_source) {
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.ready = watch_ready, .idle = true,
	};
	error = client->watch.fd < 0 ? -errno : loop_add(client->loop, &client->watch, EPOLLIN);
	if (error) {
		if (config->reconnect_ms && config->dial.release)
			config->dial.release(config->dial.context);
		goto close_watch;
	}
	if (config->reconnect_ms) {
		error = nbd_dialer_new(client->loop, &config->dial, connected, client,
				       &client->dialer);
		if (error)
			goto remove_watch;
	}
	return 0;

remove_watch:
	loop_remove(client->loop, &client->watch);
close_watch:
	if (client->watch.fd >= 0)
		close(client->watch.fd);
	return error;
}

void nbd_reconnect_fini(struct nbd_client *client)
{
	if (client->dialer)
		nbd_dialer_free(client->dialer);
	client->dialer = NULL;
	loop_remove(client->loop, &client->watch);
	close(client->watch.fd);
}
