// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads for calls that block: see threads.h.
 *
 * The lock guards the two lists and stop, nothing else, and is never held during work or done().
 * A thread writes the eventfd only if it finds the finished list empty, so that a burst of
 * completions costs the loop one wake-up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "threads.h"
#include "../lib/loop.h"

#define THREADS_MAX	16
#define THREAD_STACK	(128u << 10)	/* bytes; the default would be 8 MiB of locked memory */

struct io_list {
	struct backend_io *first;
	struct backend_io **tail;
};

struct threads {
	struct loop_source source;	/* an eventfd */
	struct loop *loop;
	unsigned int in_flight;		/* the loop's thread only */
	int (*work)(void *context, struct backend_io *io);
	void *context;

	pthread_mutex_t lock;		/* guards the next four */
	pthread_cond_t wanted;		/* to_do has grown, or stop */
	struct io_list to_do;
	struct io_list finished;
	bool stop;

	unsigned int count;
	pthread_t ids[THREADS_MAX];
};

static void list_clear(struct io_list *list)
{
	list->first = NULL;
	list->tail = &list->first;
}

static void list_append(struct io_list *list, struct backend_io *io)
{
	io->link = NULL;
	*list->tail = io;
	list->tail = &io->link;
}

static struct backend_io *list_pop(struct io_list *list)
{
	struct backend_io *io = list->first;

	if (io) {
		list->first = io->link;
		if (!list->first)
			list->tail = &list->first;
	}
	return io;
}

static void *thread_main(void *argument)
{
	struct threads *t = argument;
	struct backend_io *io;
	const uint64_t one = 1;
	ssize_t wrote;
	bool first;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		io = list_pop(&t->to_do);
		if (!io) {
			pthread_cond_wait(&t->wanted, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		io->backend_data = (uint64_t)(int64_t)t->work(t->context, io);
		pthread_mutex_lock(&t->lock);
		first = !t->finished.first;
		list_append(&t->finished, io);
		if (first) {
			wrote = write(t->source.fd, &one, sizeof(one));
			(void)wrote;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void finished_complete(struct threads *t)
{
	struct backend_io *io, *next;

	pthread_mutex_lock(&t->lock);
	next = t->finished.first;
	list_clear(&t->finished);
	pthread_mutex_unlock(&t->lock);
	while ((io = next)) {
		next = io->link;
		if (--t->in_flight == 0)
			t->source.idle = true;
		io->done(io, (int)(int64_t)io->backend_data);
	}
}

static void threads_ready(struct loop_source *source, uint32_t events)
{
	uint64_t count;
	ssize_t got;

	(void)events;
	got = read(source->fd, &count, sizeof(count));
	(void)got;
	finished_complete((struct threads *)source);
}

static void threads_stop(struct threads *t)
{
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->wanted);
	pthread_mutex_unlock(&t->lock);
	while (t->count)
		pthread_join(t->ids[--t->count], NULL);
}

static void threads_destroy(struct threads *t)
{
	loop_remove(t->loop, &t->source);
	close(t->source.fd);
	pthread_cond_destroy(&t->wanted);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* Signals are the main thread's business. */
static int threads_start(struct threads *t, unsigned int count)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	while (!error && t->count < count) {
		error = pthread_create(&t->ids[t->count], &attributes, thread_main, t);
		if (!error)
			t->count++;
	}
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

int threads_new(struct loop *loop, unsigned int count,
		int (*work)(void *context, struct backend_io *io), void *context,
		struct threads **threads)
{
	struct threads *t;
	int error;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->work = work;
	t->context = context;
	list_clear(&t->to_do);
	list_clear(&t->finished);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wanted, NULL);
	t->source.ready = threads_ready;
	t->source.idle = true;
	t->source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = t->source.fd < 0 ? -errno : loop_add(loop, &t->source, EPOLLIN);
	if (!error)
		error = threads_start(t, count);
	if (error) {
		threads_stop(t);
		threads_destroy(t);
		return error;
	}
	*threads = t;
	return 0;
}

void threads_free(struct threads *threads)
{
	struct backend_io *io;

	if (!threads)
		return;
	threads_stop(threads);
	finished_complete(threads);
	while ((io = list_pop(&threads->to_do)))
		io->done(io, -ECANCELED);
	threads_destroy(threads);
}

void threads_submit(struct threads *threads, struct backend_io *io)
{
	threads->in_flight++;
	threads->source.idle = false;
	pthread_mutex_lock(&threads->lock);
	list_append(&threads->to_do, io);
	pthread_cond_signal(&threads->wanted);
	pthread_mutex_unlock(&threads->lock);
}
