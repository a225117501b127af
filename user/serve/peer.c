// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections: see peer.h.
 *
 * What comes is input.c's, what leaves is output.c's; here are its phases, its deadlines, and the
 * task that brings all of it forward at the end of a round.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_PREFIX "serve: "
#include "lib/error.h"
#include "lib/log.h"
#include "serve/input.h"
#include "serve/negotiate.h"
#include "serve/output.h"
#include "serve/request.h"
#include "serve/thread.h"
#include "tls/session.h"

static const struct serve_limits *limits_of(const struct peer *peer)
{
	return &peer->thread->server->limits;
}

void peer_wake(struct peer *peer)
{
	loop_task_queue(peer->thread->loop, &peer->task);
}

void peer_close(struct peer *peer)
{
	peer->closing = true;
	if (peer->incoming) {	/* never asked for completely, so never to be answered */
		request_abandon(peer->incoming);
		peer->incoming = NULL;
	}
	peer_wake(peer);
}

void peer_die(struct peer *peer, const char *format, ...)
{
	char reason[200];
	va_list args;

	if (peer->dead)
		return;
	if (format) {
		va_start(args, format);
		vsnprintf(reason, sizeof(reason), format, args);
		va_end(args);
		log_warn("%s: %s; the connection ends", peer->address, reason);
	}
	peer->dead = true;
	loop_remove(peer->thread->loop, &peer->source);
	loop_timer_cancel(peer->thread->loop, &peer->timer);
	gather_stop(peer);
	shutdown(peer->stream.fd, SHUT_RDWR);
	output_drop(peer);
	if (peer->incoming) {
		request_abandon(peer->incoming);
		peer->incoming = NULL;
	}
	peer_wake(peer);
}

static void peer_free(struct peer *peer)
{
	struct server_thread *thread = peer->thread;

	loop_task_cancel(thread->loop, &peer->task);
	*peer->link = peer->next;
	if (peer->next)
		peer->next->link = peer->link;
	if (peer->export)
		atomic_fetch_sub(&peer->export->connections, 1);
	atomic_fetch_sub(&((struct server *)thread->server)->connections, 1);
	negotiate_free(peer);
	free(peer->out.buf);
	free(peer->stash);
	tls_session_free(peer->stream.tls);
	if (peer->stream.fd >= 0)
		close(peer->stream.fd);
	free(peer);
}

uint64_t peer_deadline(uint32_t ms, uint64_t bytes)
{
	return loop_now() + ms * 1000000ull + bytes * PEER_NS_PER_BYTE;
}

void peer_deadlines_watch(struct peer *peer)
{
	uint64_t next = UINT64_MAX;

	if (peer->rx_deadline && peer->rx_deadline < next)
		next = peer->rx_deadline;
	if (peer->tx_deadline && peer->tx_deadline < next)
		next = peer->tx_deadline;
	if (peer->idle_deadline && peer->idle_deadline < next)
		next = peer->idle_deadline;
	/* One that fires too early looks again; that is cheaper than moving it each time. */
	if (next != UINT64_MAX && (!peer->timer.deadline || next < peer->timer.deadline) &&
	    loop_timer_set(peer->thread->loop, &peer->timer, next))
		peer_die(peer, "out of memory");
}

void peer_idle_update(struct peer *peer)
{
	if (!limits_of(peer)->idle || peer->phase != PEER_REQUESTS)
		return;
	if (peer->requests)
		peer->idle_deadline = 0;
	else if (!peer->idle_deadline)
		peer->idle_deadline = peer_deadline(limits_of(peer)->idle, 0);
	peer_deadlines_watch(peer);
}

static void peer_late(struct loop_timer *timer)
{
	struct peer *peer = (struct peer *)((char *)timer - offsetof(struct peer, timer));
	uint64_t now = loop_now();

	if (peer->rx_deadline && now >= peer->rx_deadline)
		peer_die(peer, peer->phase == PEER_REQUESTS ?
			 "it stopped within a request" : "the handshake took too long");
	else if (peer->tx_deadline && now >= peer->tx_deadline)
		peer_die(peer, "it does not take its answers");
	else if (peer->idle_deadline && now >= peer->idle_deadline)
		peer_close(peer);
	else
		peer_deadlines_watch(peer);
}

/* What the loop is to wait for. */
static void events_update(struct peer *peer)
{
	uint32_t events = 0;
	int error;

	if (peer->dead)
		return;
	if (peer->phase == PEER_TLS && peer->stream.tls)
		events = tls_wants_write(peer->stream.tls) ? EPOLLOUT : EPOLLIN;
	else if (input_may_read(peer) && !gather_rests(&peer->gather))
		events = EPOLLIN;
	if (peer->tx_full)
		events |= EPOLLOUT;
	error = loop_add(peer->thread->loop, &peer->source, events);
	if (error)
		peer_die(peer, "cannot wait for the socket: %s", strerror(-error));
}

void peer_answer(struct peer *peer, struct request *request)
{
	if (peer->dead) {
		request_free(request);
		peer_wake(peer);
		return;
	}
	request->next = NULL;
	*peer->tx_tail = request;
	peer->tx_tail = &request->next;
	peer_wake(peer);
}

/* STARTTLS has been answered, and the answer has left. */
static void tls_begin(struct peer *peer)
{
	struct error error = { 0 };

	if (tls_session_new(peer->thread->server->credentials, peer->stream.fd, NULL,
			    &peer->stream.tls, &error)) {
		peer->stream.tls = NULL;
		peer_die(peer, "%s", error.text);
	}
}

static void tls_go_on(struct peer *peer)
{
	struct error error = { 0 };
	int code;

	code = tls_handshake(peer->stream.tls, &error);
	if (code == -EAGAIN)
		return;
	if (code) {
		peer_die(peer, "TLS: %s", error.text);
		return;
	}
	negotiate_secured(peer);
	if (stream_pending(&peer->stream))
		input_read(peer);
}

void peer_begin_requests(struct peer *peer)
{
	peer->phase = PEER_REQUESTS;
	peer->rx_deadline = 0;
	negotiate_free(peer);
	if (peer->export->home != SERVE_HOME_ANY && peer->export->home != peer->thread->index) {
		peer->handover = true;
		peer_wake(peer);
		return;
	}
	peer->channel = thread_channel(peer->thread, peer->export);
	if (!peer->channel)
		peer_die(peer, "export '%s' cannot be reached", peer->export->name);
}

/* To the thread that has the channel. What was to be sent goes along. */
static void hand_over(struct peer *peer)
{
	struct server_thread *thread = peer->thread;

	peer->handover = false;
	loop_remove(thread->loop, &peer->source);
	loop_timer_cancel(thread->loop, &peer->timer);
	*peer->link = peer->next;
	if (peer->next)
		peer->next->link = peer->link;
	thread_give(&thread->server->threads[peer->export->home], peer);
}

/* The connection is somebody else's from now on. */
static void leave(struct peer *peer)
{
	struct server_guest *guest = peer->thread->server->guest;

	loop_remove(peer->thread->loop, &peer->source);
	loop_timer_cancel(peer->thread->loop, &peer->timer);
	guest->take(guest, &peer->stream, peer->address);
	peer->stream = (struct stream) { .fd = -1 };
	peer_free(peer);
}

static void peer_task(struct loop_task *task)
{
	struct peer *peer = (struct peer *)((char *)task - offsetof(struct peer, task));

	gather_round(peer);
	output_send(peer);
	if (!peer->dead && peer->phase == PEER_TLS && !peer->stream.tls && !output_pending(peer))
		tls_begin(peer);
	if (peer->handover && peer->thread->drains)
		peer_die(peer, NULL);
	if (!peer->dead && peer->handover) {
		hand_over(peer);
		return;
	}
	if (!peer->dead && peer->phase == PEER_LEAVING && !output_pending(peer)) {
		leave(peer);
		return;
	}
	if (!peer->dead && peer->paused && !input_must_pause(peer))
		input_resume(peer);
	else if (input_may_read(peer) && stream_pending(&peer->stream))
		input_read(peer);
	if (!peer->dead)
		peer_idle_update(peer);
	gather_rest(peer);
	if (!peer->dead && peer->closing && !peer->requests && !output_pending(peer)) {
		stream_bye(&peer->stream);
		peer_die(peer, NULL);
	}
	if (peer->dead && !peer->requests) {
		peer_free(peer);
		return;
	}
	events_update(peer);
}

static void peer_ready(struct loop_source *source, uint32_t events)
{
	struct peer *peer = (struct peer *)source;

	if (events & EPOLLOUT)
		peer->tx_full = false;
	if (peer->phase == PEER_TLS && peer->stream.tls)
		tls_go_on(peer);
	else if (input_may_read(peer) && (events & ~(uint32_t)EPOLLOUT))
		input_read(peer);
	else if (events & (EPOLLERR | EPOLLHUP))
		peer_die(peer, NULL);	/* nobody is there to be answered */
	peer_wake(peer);
}

struct peer *peer_new(int fd, const char *address)
{
	struct peer *peer;

	peer = calloc(1, sizeof(*peer));
	if (!peer) {
		close(fd);
		return NULL;
	}
	peer->source = (struct loop_source) { .fd = fd, .ready = peer_ready };
	peer->timer.fire = peer_late;
	peer->task.run = peer_task;
	peer->stream.fd = fd;
	peer->tx_tail = &peer->tx_first;
	snprintf(peer->address, sizeof(peer->address), "%s", address);
	return peer;
}

void peer_introduce(struct peer *peer, struct export *export)
{
	peer->phase = PEER_REQUESTS;
	peer->headers = NBD_HEADERS_SIMPLE;
	peer->export = export;
	atomic_fetch_add(&export->connections, 1);
}

void peer_start(struct peer *peer, struct server_thread *thread)
{
	peer->thread = thread;
	peer->next = thread->peers;
	if (peer->next)
		peer->next->link = &peer->next;
	peer->link = &thread->peers;
	thread->peers = peer;
	if (peer->phase == PEER_REQUESTS) {
		peer_begin_requests(peer);
		if (!peer->dead)
			input_resume(peer);
	} else {
		peer->rx_deadline = peer_deadline(limits_of(peer)->handshake, 0);
		peer_deadlines_watch(peer);
		if (negotiate_begin(peer))
			peer_die(peer, "out of memory");
	}
	peer_wake(peer);
	if (thread->drains)
		peer_close(peer);
}
