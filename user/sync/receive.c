// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map receive. See receive.h.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "receive: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/signals.h"
#include "sync/pool.h"
#include "sync/receive.h"
#include "sync/receiving.h"
#include "sync/tell.h"

#define MS		1000000ull	/* ns */
#define AGAIN_FIRST	(100 * MS)	/* until a hub is looked for anew, twice as long each time ... */
#define AGAIN_MOST	(2000 * MS)

struct receive {
	const struct receive_options *options;
	struct loop *loop;
	struct pool *pool;
	struct loop_source signals;
	struct loop_timer again;
	struct listeners listeners;
	struct tls_credentials *credentials;
	struct folder folder;
	struct connection *connections;
	unsigned int count;
	uint64_t pause;			/* ns: before the next try */
	uint64_t signalled;
	bool finished;
	struct error why;
};

/* One that is open. */
struct connection {
	struct connection *next;
	struct receive *receive;
	struct receiving *receiving;
	bool complete;			/* a hub has said that all is there */
};

static void receive_committed(struct receiving *receiving, struct holding *holding,
			      const unsigned char root[SYNC_ROOT])
{
	struct connection *connection = receiving->data;

	tell_committed(holding->region, root, receiving->wire.peer,
		       connection->receive->options->json);
}

static void receive_removed(struct receiving *receiving, const char *name, struct region *was,
			    const struct error *error)
{
	(void)was;
	tell_removed(receiving->wire.address, name, error);
}

static void receive_told(struct receiving *receiving, enum sync_type type)
{
	struct connection *connection = receiving->data;
	const struct receive_options *options = connection->receive->options;
	static const struct error in_order;

	if (type != SYNC_ROUND || !options->once || !options->from)
		return;
	connection->complete = true;
	wire_end(&receiving->wire, &in_order);
}

static void receive_finish(struct receive *receive, const struct error *why)
{
	receive->finished = true;
	if (why)
		receive->why = *why;
}

static void receive_lost(struct receive *receive, const struct error *error)
{
	if (!receive->pause)
		log_warn("%s; it is tried again", error->code ? error->text : "the hub has ended");
	receive->pause = receive->pause ? receive->pause * 2 : AGAIN_FIRST;
	if (receive->pause > AGAIN_MOST)
		receive->pause = AGAIN_MOST;
	loop_timer_set(receive->loop, &receive->again, loop_now() + receive->pause);
}

static void receive_ended(struct receiving *receiving, const struct error *error)
{
	struct connection *connection = receiving->data, **link;
	struct receive *receive = connection->receive;
	const struct receive_options *options = receive->options;
	/* Who never said a word does not count: a look at the port is no transfer. */
	bool counts = receiving->used && (receiving->wire.greeted || options->from);

	for (link = &receive->connections; *link != connection; link = &(*link)->next)
		;
	*link = connection->next;
	receive->count--;
	if (receiving->wire.greeted)
		receive->pause = 0;
	if (options->once && counts)
		receive_finish(receive, error->code ? error : &receiving->trouble);
	else if (options->from && options->once)
		receive_finish(receive, error);
	else if (options->from)
		receive_lost(receive, error);
	else if (error->code)
		log_warn("%s: %s", receiving->wire.address, error->text);
	receiving_free(receiving);
	free(connection);
}

static const struct receiving_ops receive_ops = {
	.committed = receive_committed,
	.removed = receive_removed,
	.told = receive_told,
	.ended = receive_ended,
};

static int connection_new(struct receive *receive, int fd, const char *hostname,
			  const char *address, struct error *error)
{
	const struct receive_options *options = receive->options;
	struct connection *connection = calloc(1, sizeof(*connection));
	struct receiving_setup setup = {
		.loop = receive->loop, .pool = receive->pool, .folder = &receive->folder,
		.ops = &receive_ops, .data = connection, .durable = options->durable,
		.budget = options->window, .credentials = receive->credentials,
		.hostname = hostname, .address = address, .limits = options->limits,
	};
	int code;

	if (!connection) {
		close(fd);
		return error_set(error, -ENOMEM, "out of memory");
	}
	connection->receive = receive;
	code = receiving_new(&setup, fd, &connection->receiving, error);
	if (code) {
		free(connection);
		return code;
	}
	connection->next = receive->connections;
	receive->connections = connection;
	receive->count++;
	return 0;
}

static void receive_take(struct listeners *listeners, int fd, const char *name)
{
	struct receive *receive =
		(struct receive *)((char *)listeners - offsetof(struct receive, listeners));
	struct error error = { 0 };

	if (receive->count < receive->options->connections) {
		if (connection_new(receive, fd, NULL, name, &error))
			log_warn("%s: %s", name, error.text);
		return;
	}
	log_warn("%s is turned away: there are %u connections already (--max-connections)", name,
		 receive->count);
	close(fd);
}

static int receive_connect(struct receive *receive, struct error *error)
{
	char host[256];
	int fd, code;

	code = address_connect(receive->options->from, HUB_PORT, &fd, host, error);
	return code ? code : connection_new(receive, fd, *host ? host : NULL, receive->options->from,
					    error);
}

static void receive_again(struct loop_timer *timer)
{
	struct receive *receive = (struct receive *)((char *)timer - offsetof(struct receive, again));
	struct error error = { 0 };

	if (receive_connect(receive, &error))
		receive_lost(receive, &error);
}

static void receive_signal(struct loop_source *source, uint32_t events)
{
	struct receive *receive = (struct receive *)((char *)source - offsetof(struct receive, signals));
	struct signalfd_siginfo info;
	bool again;

	(void)events;
	if (!signals_take(source, &info, &receive->signalled, &again))
		return;
	if (again)
		_exit(1);
	receive_finish(receive, NULL);
}

static int sockets_open(struct receive *receive, struct error *error)
{
	const struct opt_list *listen = &receive->options->listen;
	int code = 0;

	receive->listeners.loop = receive->loop;
	receive->listeners.take = receive_take;
	receive->listeners.port = SYNC_PORT;
	if (!listen->count)
		code = address_listen(&receive->listeners, "localhost", error);
	for (unsigned int i = 0; i < listen->count && !code; i++)
		code = address_listen(&receive->listeners, listen->items[i], error);
	return code ? code : address_start(&receive->listeners, "listens on", error);
}

static int receive_start(struct receive *receive, const char *folder, struct error *error)
{
	const struct receive_options *options = receive->options;
	int code;

	code = loop_new(&receive->loop);
	if (code)
		return error_set(error, code, "cannot make an event loop: %s", strerror(-code));
	receive->signals.ready = receive_signal;
	receive->again.fire = receive_again;
	code = signals_watch(receive->loop, &receive->signals, error);
	if (!code)
		code = options->from ?
		       security_client(&options->security, &receive->credentials, error) :
		       security_server(&options->security, &receive->credentials, error);
	if (!code)
		code = folder_open(&receive->folder, folder, &options->devices, error);
	receive->folder.keep = options->keep;
	receive->folder.memory_max = options->memory;
	if (!code)
		code = pool_new(receive->loop, options->threads, &receive->pool, error);
	if (!code)
		code = options->from ? receive_connect(receive, error) : sockets_open(receive, error);
	if (!code)
		notify_systemd("READY=1");
	return code;
}

int receive_run(const struct receive_options *options, const char *folder, struct error *error)
{
	struct receive receive = { .options = options, .signals.fd = -1, .folder.fd = -1 };
	int code = receive_start(&receive, folder, error);

	while (!code && !receive.finished)
		code = loop_once(receive.loop, UINT64_MAX);
	if (receive.loop)
		listen_stop(&receive.listeners);
	pool_free(receive.pool);
	while (receive.connections) {
		struct connection *connection = receive.connections;

		receive.connections = connection->next;
		receiving_free(connection->receiving);
		free(connection);
	}
	if (receive.folder.fd >= 0)
		folder_close(&receive.folder);
	if (receive.loop)
		loop_timer_cancel(receive.loop, &receive.again);
	if (receive.signals.fd >= 0) {
		loop_remove(receive.loop, &receive.signals);
		close(receive.signals.fd);
	}
	tls_credentials_free(receive.credentials);
	loop_free(receive.loop);
	if (!code && receive.why.code)
		code = error_set(error, receive.why.code, "%s", receive.why.text);
	return code;
}
