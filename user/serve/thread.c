// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Serving threads: see thread.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOG_PREFIX "serve: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/size.h"
#include "serve/request.h"
#include "serve/thread.h"

#define DRAIN_MS	10000u		/* at most, for requests under way when the server ends */
#define MS		1000000ull	/* ns */

struct backend_channel *thread_channel(struct server_thread *thread, const struct export *export)
{
	struct backend_channel **channel = &thread->channels[export->index];
	struct error error = { 0 };

	if (!*channel && backend_channel_open(export->backend, thread->loop, channel, &error)) {
		log_error("export '%s': %s", export->name, error.text);
		*channel = NULL;
	}
	return *channel;
}

static void signal_thread(struct server_thread *thread)
{
	const uint64_t one = 1;
	ssize_t wrote = write(thread->wake.fd, &one, sizeof(one));

	(void)wrote;	/* only a full counter fails, and that wakes as well */
}

void thread_give(struct server_thread *thread, struct peer *peer)
{
	pthread_mutex_lock(&thread->lock);
	peer->next = thread->inbox;
	thread->inbox = peer;
	pthread_mutex_unlock(&thread->lock);
	signal_thread(thread);
}

void thread_end(struct server_thread *thread)
{
	pthread_mutex_lock(&thread->lock);
	thread->ending = true;
	pthread_mutex_unlock(&thread->lock);
	signal_thread(thread);
}

static void drain_over(struct loop_timer *timer)
{
	struct server_thread *thread =
		(struct server_thread *)((char *)timer - offsetof(struct server_thread, drained));
	struct peer *peer;

	for (peer = thread->peers; peer; peer = peer->next) {
		if (peer->requests)
			thread->error = -ETIMEDOUT;
		peer_die(peer, "it did not end in time");
	}
	loop_stop(thread->loop);
}

static void drain(struct server_thread *thread)
{
	const uint32_t shutdown = thread->server->limits.shutdown;
	const uint32_t ms = shutdown < DRAIN_MS ? shutdown : DRAIN_MS;
	struct peer *peer;

	thread->drains = true;
	for (peer = thread->peers; peer; peer = peer->next)
		peer_close(peer);
	thread->drained.fire = drain_over;
	if (loop_timer_set(thread->loop, &thread->drained, loop_now() + ms * MS))
		drain_over(&thread->drained);
}

static void thread_woken(struct loop_source *source, uint32_t events)
{
	struct server_thread *thread =
		(struct server_thread *)((char *)source - offsetof(struct server_thread, wake));
	struct peer *inbox;
	uint64_t count;
	ssize_t got;
	bool ending;

	(void)events;
	got = read(source->fd, &count, sizeof(count));
	(void)got;
	pthread_mutex_lock(&thread->lock);
	inbox = thread->inbox;
	thread->inbox = NULL;
	ending = thread->ending;
	pthread_mutex_unlock(&thread->lock);
	while (inbox) {
		struct peer *peer = inbox;

		inbox = peer->next;
		peer_start(peer, thread);
	}
	if (ending && !thread->drains)
		drain(thread);
}

struct thread_flush {
	struct backend_io io;
	bool over;
	int error;
};

static void flush_done(struct backend_io *io, int error)
{
	struct thread_flush *flush = (struct thread_flush *)io;

	flush->over = true;
	flush->error = error;
}

static void flush_begin(struct server_thread *thread, unsigned int index)
{
	struct thread_flush *flush = &thread->flushes[index];

	if (!thread->channels[index] || thread->server->exports.list[index].read_only) {
		flush->over = true;
		return;
	}
	flush->io = (struct backend_io) { .op = BACKEND_FLUSH, .done = flush_done };
	backend_submit(thread->channels[index], &flush->io);
	backend_kick(thread->channels[index]);
}

static void flush_end(struct server_thread *thread, const struct export *export)
{
	struct backend_channel *channel = thread->channels[export->index];
	const struct thread_flush *flush = &thread->flushes[export->index];
	bool late = !flush->over;
	char time[SIZE_TEXT];

	if (!flush->io.done)
		return;
	thread->channels[export->index] = NULL;
	backend_channel_close(channel);		/* completes the flush, if that has not happened */
	if (!flush->error)
		return;
	if (late)
		log_error("export '%s' could not be flushed within %s (--shutdown-timeout)",
			  export->name,
			  duration_format(thread->server->limits.shutdown * MS, time));
	else
		log_error("export '%s' could not be flushed: %s", export->name,
			  strerror(-flush->error));
	thread->error = flush->error;
}

/*
 * Makes durable what went through the channels, and closes them. All at once, so that one that hangs
 * takes no time from the others; through each and no other, as where an export bears only one
 * channel a flush of another need not cover it.
 */
static void channels_flush(struct server_thread *thread)
{
	const struct exports *exports = &thread->server->exports;
	const uint64_t deadline = loop_now() + thread->server->limits.shutdown * MS;
	unsigned int i;

	for (i = 0; i < exports->count; i++)
		flush_begin(thread, i);
	for (i = 0; i < exports->count; i++)
		while (!thread->flushes[i].over && loop_now() < deadline)
			if (loop_once(thread->loop, deadline))
				break;
	for (i = 0; i < exports->count; i++)
		flush_end(thread, &exports->list[i]);
}

static void *thread_run(void *context)
{
	struct server_thread *thread = context;
	int error = 0;

	prctl(PR_SET_TIMERSLACK, 1000);		/* ns; what gather.c waits is not much more */
	while (!error && !(thread->drains && (!thread->peers || !thread->drained.deadline)))
		error = loop_once(thread->loop, UINT64_MAX);
	if (error)
		log_error("a thread ends: %s", strerror(-error));
	channels_flush(thread);
	return NULL;
}

int thread_start(struct server_thread *thread, const struct server *server, unsigned int index)
{
	int error;

	thread->server = server;
	thread->index = index;
	pthread_mutex_init(&thread->lock, NULL);
	thread->channels = calloc(server->exports.count, sizeof(*thread->channels));
	thread->flushes = calloc(server->exports.count, sizeof(*thread->flushes));
	error = thread->channels && thread->flushes ? loop_new(&thread->loop) : -ENOMEM;
	if (error)
		goto free_channels;
	thread->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (thread->wake.fd < 0) {
		error = -errno;
		goto free_loop;
	}
	thread->wake.ready = thread_woken;
	error = loop_add(thread->loop, &thread->wake, EPOLLIN);
	if (!error)
		error = -pthread_create(&thread->id, NULL, thread_run, thread);
	if (!error)
		return 0;
	loop_remove(thread->loop, &thread->wake);
	close(thread->wake.fd);
free_loop:
	loop_free(thread->loop);
free_channels:
	free(thread->flushes);
	free(thread->channels);
	return error;
}

void thread_join(struct server_thread *thread)
{
	pthread_join(thread->id, NULL);
}

void thread_free(struct server_thread *thread)
{
	struct peer *peer;
	unsigned int i;

	thread->drains = true;
	if (thread->inbox)
		thread_woken(&thread->wake, EPOLLIN);
	for (peer = thread->peers; peer; peer = peer->next)
		peer_die(peer, NULL);
	/* Those that did not end in time: closing the channels completes what they wait for. */
	for (i = 0; i < thread->server->exports.count; i++)
		backend_channel_close(thread->channels[i]);
	while (thread->peers)
		if (loop_once(thread->loop, 0))
			break;
	while (thread->requests) {
		struct request *request = thread->requests;

		thread->requests = request->next;
		free(request);
	}
	buffer_pool_empty(&thread->buffers);
	loop_remove(thread->loop, &thread->wake);
	loop_timer_cancel(thread->loop, &thread->drained);
	close(thread->wake.fd);
	loop_free(thread->loop);
	free(thread->flushes);
	free(thread->channels);
	pthread_mutex_destroy(&thread->lock);
}
