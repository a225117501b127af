// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A handler's life. See serve.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_PREFIX "uffd: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/signals.h"
#include "lib/unix.h"
#include "uffd/improve.h"
#include "uffd/kernel.h"
#include "uffd/peer.h"
#include "uffd/serve.h"

#define BACKLOG		64
#define PEERS_MAX	256u
#define SOCKET_BYTES	(1 << 20)	/* of what a client is told and has not read */
#define REAP_NS		1000000000ull	/* between looks for clients that have ended */
#define PAGE		4096u

struct serve {
	struct peer_context context;
	struct loop *loop;
	struct loop_source signals;
	struct loop_source listener;
	struct loop_timer reap;
	struct uffd_peer *peers[PEERS_MAX];
	unsigned int used;
	unsigned int number;		/* of the next client */
	bool full;
	char *path;			/* absolute: --daemon changes the folder */
	bool ended;
};

static void peers_reap(struct serve *serve)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < serve->used; i++) {
		if (uffd_peer_ended(serve->peers[i]))
			uffd_peer_stop(serve->peers[i]);
		else
			serve->peers[kept++] = serve->peers[i];
	}
	serve->used = kept;
}

static void reap_fire(struct loop_timer *timer)
{
	struct serve *serve = (struct serve *)((char *)timer - offsetof(struct serve, reap));

	peers_reap(serve);
	if (!serve->listener.added && loop_add(serve->loop, &serve->listener, EPOLLIN))
		log_error("cannot accept clients: out of memory");
	if (serve->used || !serve->listener.added)
		loop_timer_set(serve->loop, &serve->reap, loop_now() + REAP_NS);
}

static void client_take(struct serve *serve, int fd)
{
	const int bytes = SOCKET_BYTES;
	struct error error = { 0 };

	peers_reap(serve);
	if (serve->used == PEERS_MAX) {
		if (!serve->full)
			log_warn("a client is turned away: there are %u already", PEERS_MAX);
		serve->full = true;
		close(fd);
		return;
	}
	serve->full = false;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	if (uffd_peer_start(&serve->context, fd, serve->number++, &serve->peers[serve->used],
			    &error)) {
		log_error("%s", error.text);
		return;
	}
	serve->used++;
	loop_timer_set(serve->loop, &serve->reap, loop_now() + REAP_NS);
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct serve *serve = (struct serve *)((char *)source - offsetof(struct serve, listener));
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		client_take(serve, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		/* He stays in the queue until others are gone. */
		log_warn("cannot accept a client: %s", strerror(errno));
		loop_remove(serve->loop, &serve->listener);
		loop_timer_set(serve->loop, &serve->reap, loop_now() + REAP_NS);
	}
}

static void serve_signal(struct loop_source *source, uint32_t events)
{
	struct serve *serve = (struct serve *)((char *)source - offsetof(struct serve, signals));
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	serve->ended = true;
}

/* What options and backend come to. */
static int serve_context(struct serve *serve, const struct uffd_serve_options *options,
			 struct error *error)
{
	struct backend *backend = serve->context.backend;
	struct fill_settings *settings = &serve->context.settings;
	struct uffd_hello *hello = &serve->context.hello;
	uint64_t free;
	int code = improve_parse(options->improve, &settings->improve, error);

	if (code)
		return code;
	if (settings->improve & IMPROVE_DIRTY && backend->info.read_only) {
		log_info("%s is read-only: what is written is not watched", backend->name);
		settings->improve &= ~IMPROVE_DIRTY;
	}
	settings->page = settings->improve & IMPROVE_HUGE ? (uint32_t)uffd_huge(&free) : PAGE;
	settings->chunk = settings->page;
	if (settings->improve & IMPROVE_AROUND && options->around > settings->chunk)
		settings->chunk = options->around;
	if (!backend->info.size)
		return error_set(error, -EINVAL, "%s is empty: there is nothing to map",
				 backend->name);
	if (settings->chunk & (settings->chunk - 1))
		return error_set(error, -EINVAL, "--around has to be a power of two");
	if (backend->info.block_min > settings->page || backend->info.size > UFFD_ADDRESS_MAX)
		return error_set(error, -EINVAL, "%s cannot be had in pages of %u bytes", backend->name,
				 settings->page);
	if (backend->info.max_io && backend->info.max_io < settings->chunk)
		return error_set(error, -EINVAL, "%s gives at most %u bytes at a time: lower --around",
				 backend->name, backend->info.max_io);
	settings->in_flight = options->in_flight;
	settings->order = options->order;
	settings->timeout = options->timeout * 1000000ull;
	*hello = (struct uffd_hello) {
		.size = backend->info.size, .page = settings->page, .chunk = settings->chunk,
		.flags = (settings->improve & IMPROVE_MINOR ? UFFD_SHARED : 0) |
			 (settings->improve & IMPROVE_HUGE ? UFFD_HUGE : 0) |
			 (settings->improve & IMPROVE_POISON ? UFFD_POISONS : 0) |
			 (settings->improve & IMPROVE_DIRTY ? UFFD_DIRTY : 0),
	};
	return 0;
}

static int serve_up(struct serve *serve, const struct uffd_serve_options *options,
		    const char *backend, struct error *error)
{
	int code = loop_new(&serve->loop);

	if (code)
		return error_set(error, code, "cannot wait for anything: %s", strerror(-code));
	serve->signals.ready = serve_signal;
	serve->listener.ready = listener_ready;
	serve->reap.fire = reap_fire;
	code = signals_watch(serve->loop, &serve->signals, error);
	if (!code)
		code = backend_open(backend, &serve->context.backend, error);
	if (!code)
		code = serve_context(serve, options, error);
	if (code)
		return code;
	serve->listener.fd = unix_listen(options->socket, SOCK_SEQPACKET, BACKLOG, error);
	if (serve->listener.fd < 0)
		return serve->listener.fd;
	serve->path = realpath(options->socket, NULL);
	code = loop_add(serve->loop, &serve->listener, EPOLLIN);
	return code ? error_set(error, code, "cannot accept clients: %s", strerror(-code)) : 0;
}

static void serve_down(struct serve *serve)
{
	if (serve->listener.fd >= 0) {
		if (serve->listener.added)
			loop_remove(serve->loop, &serve->listener);
		close(serve->listener.fd);
		if (serve->path)
			unlink(serve->path);
		free(serve->path);
	}
	/* A backend may hang. */
	if (serve->loop)
		signals_unwatch(serve->loop, &serve->signals);
	while (serve->used)
		uffd_peer_stop(serve->peers[--serve->used]);
	if (serve->context.backend)
		backend_close(serve->context.backend);
	if (!serve->loop)
		return;
	loop_timer_cancel(serve->loop, &serve->reap);
	loop_free(serve->loop);
}

static int serve_ready(struct serve *serve, int pipe, int log)
{
	notify_systemd("READY=1");
	log_info("%s is served on %s", serve->context.backend->name, serve->path);
	return pipe < 0 ? 0 : notify_ready(pipe, serve->path, log);
}

int uffd_serve(const struct uffd_serve_options *options, const char *backend, struct error *error)
{
	struct serve *serve = calloc(1, sizeof(*serve));
	int pipe = -1, log = -1, code = 0;

	if (!serve)
		return error_set(error, -ENOMEM, "out of memory");
	serve->signals.fd = serve->listener.fd = -1;
	if (options->log) {
		log = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (log < 0)
			code = error_set(error, -errno, "cannot open the log %s: %s", options->log,
					 strerror(errno));
	}
	if (!code && options->daemon)
		code = notify_fork(&pipe, error);
	if (!code)
		code = serve_up(serve, options, backend, error);
	if (!code)
		code = serve_ready(serve, pipe, log);
	while (!code && !serve->ended)
		code = loop_once(serve->loop, UINT64_MAX);
	notify_systemd("STOPPING=1");
	serve_down(serve);
	free(serve);
	return code;
}
