// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The thread that reconnects: see dialer.h.
 *
 * The lock protects the fields named so below; nothing blocks while it is held. The struct belongs
 * to both sides and goes with the one that leaves last: usually the owner, who waits for the
 * thread, but a thread that is stuck in the resolver, which cannot be interrupted, is detached.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "dialer.h"
#include "wait.h"
#include "../lib/loop.h"

#define STACK_SIZE	(256u << 10)	/* bytes: enough for the resolver and TLS */
#define PAUSE_FIRST	50000000ull	/* ns */
#define PAUSE_LONGEST	2000000000ull	/* ns */
#define LEAVE_TIME	200000000	/* ns for the thread to end */

struct nbd_dialer {
	struct loop_source source;	/* an eventfd: there is a connection */
	struct loop *loop;
	struct nbd_dial dial;
	void (*connected)(void *owner, struct stream stream, const struct nbd_export *export);
	void *owner;
	pthread_t thread;
	_Atomic unsigned int sides;	/* that use this struct */
	int cancel;			/* an eventfd: the thread is to end */

	pthread_mutex_t lock;		/* for what follows */
	pthread_cond_t wake;		/* wanted, cancelled or ended; by CLOCK_MONOTONIC */
	bool wanted;
	bool fresh;
	bool cancelled;
	bool ended;			/* the thread is about to return */
	bool there;			/* stream and export are */
	struct stream stream;
	struct nbd_export export;
	struct error error;		/* of the last try */
};

static void side_leave(struct nbd_dialer *dialer)
{
	if (atomic_fetch_sub(&dialer->sides, 1) > 1)
		return;
	if (dialer->there)
		nbd_disconnect(&dialer->stream);
	if (dialer->dial.release)
		dialer->dial.release(dialer->dial.context);
	pthread_cond_destroy(&dialer->wake);
	pthread_mutex_destroy(&dialer->lock);
	close(dialer->source.fd);
	close(dialer->cancel);
	free(dialer);
}

/* Give or take a quarter, lest many clients of one server come back in step. */
static uint64_t jitter(uint64_t pause)
{
	return pause - pause / 4 + (loop_now() * 2654435761u >> 7) % (pause / 2 + 1);
}

static uint64_t longer(uint64_t pause)
{
	return pause * 2 < PAUSE_LONGEST ? pause * 2 : PAUSE_LONGEST;
}

/* Tries until there is a connection. Returns 0 or -ECANCELED. */
static int try_all(struct nbd_dialer *dialer, uint64_t *pause, struct stream *stream,
		   struct nbd_export *export)
{
	struct error error = { 0 };
	int code;

	for (;;) {
		if (nbd_wait(-1, 0, loop_now() + jitter(*pause)) == -ECANCELED)
			return -ECANCELED;
		code = dialer->dial.connect(dialer->dial.context, stream, export, &error);
		if (!code || code == -ECANCELED)
			return code;
		pthread_mutex_lock(&dialer->lock);
		dialer->error = error;
		pthread_mutex_unlock(&dialer->lock);
		*pause = longer(*pause);
	}
}

static void *dialer_main(void *argument)
{
	struct nbd_dialer *dialer = argument;
	const uint64_t one = 1;
	struct nbd_export export;
	struct stream stream;
	uint64_t pause = PAUSE_FIRST;
	ssize_t wrote;

	nbd_wait_interrupt(dialer->cancel);
	pthread_mutex_lock(&dialer->lock);
	for (;;) {
		while (!dialer->wanted && !dialer->cancelled)
			pthread_cond_wait(&dialer->wake, &dialer->lock);
		if (dialer->cancelled)
			break;
		dialer->wanted = false;
		if (dialer->fresh)
			pause = PAUSE_FIRST;
		pthread_mutex_unlock(&dialer->lock);

		if (try_all(dialer, &pause, &stream, &export)) {
			pthread_mutex_lock(&dialer->lock);
			break;
		}
		/* If it is lost before it was of use, it was as good as none. */
		pause = longer(pause);

		pthread_mutex_lock(&dialer->lock);
		dialer->stream = stream;
		dialer->export = export;
		dialer->there = true;
		wrote = write(dialer->source.fd, &one, sizeof(one));
		(void)wrote;
	}
	dialer->ended = true;
	pthread_cond_signal(&dialer->wake);
	pthread_mutex_unlock(&dialer->lock);
	side_leave(dialer);
	return NULL;
}

static void connection_ready(struct loop_source *source, uint32_t events)
{
	struct nbd_dialer *dialer = (struct nbd_dialer *)source;
	struct nbd_export export;
	struct stream stream;
	uint64_t count;
	bool there;
	ssize_t got;

	(void)events;
	got = read(source->fd, &count, sizeof(count));
	(void)got;
	pthread_mutex_lock(&dialer->lock);
	there = dialer->there;
	stream = dialer->stream;
	export = dialer->export;
	dialer->there = false;
	pthread_mutex_unlock(&dialer->lock);
	if (!there)
		return;
	source->idle = true;
	dialer->connected(dialer->owner, stream, &export);
}

static int thread_start(struct nbd_dialer *dialer)
{
	pthread_attr_t attributes;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	error = pthread_create(&dialer->thread, &attributes, dialer_main, dialer);
	pthread_attr_destroy(&attributes);
	return -error;
}

static void wake_init(pthread_cond_t *wake)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(wake, &attributes);
	pthread_condattr_destroy(&attributes);
}

int nbd_dialer_new(struct loop *loop, const struct nbd_dial *dial,
		   void (*connected)(void *owner, struct stream stream,
				     const struct nbd_export *export),
		   void *owner, struct nbd_dialer **dialer)
{
	struct nbd_dialer *d;
	int error = -ENOMEM;

	d = calloc(1, sizeof(*d));
	if (!d)
		goto release;
	d->loop = loop;
	d->dial = *dial;
	d->connected = connected;
	d->owner = owner;
	atomic_init(&d->sides, 2);
	pthread_mutex_init(&d->lock, NULL);
	wake_init(&d->wake);
	d->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->source = (struct loop_source) {
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = connection_ready, .idle = true,
	};
	if (d->cancel < 0 || d->source.fd < 0) {
		error = -errno;
		goto free_dialer;
	}
	error = loop_add(loop, &d->source, EPOLLIN);
	if (error)
		goto free_dialer;
	error = thread_start(d);
	if (error)
		goto remove_source;
	*dialer = d;
	return 0;

remove_source:
	loop_remove(loop, &d->source);
free_dialer:
	if (d->cancel >= 0)
		close(d->cancel);
	if (d->source.fd >= 0)
		close(d->source.fd);
	pthread_cond_destroy(&d->wake);
	pthread_mutex_destroy(&d->lock);
	free(d);
release:
	if (dial->release)
		dial->release(dial->context);
	return error;
}

void nbd_dialer_start(struct nbd_dialer *dialer, bool fresh)
{
	dialer->source.idle = false;
	pthread_mutex_lock(&dialer->lock);
	dialer->wanted = true;
	dialer->fresh = fresh;
	pthread_cond_signal(&dialer->wake);
	pthread_mutex_unlock(&dialer->lock);
}

void nbd_dialer_reason(struct nbd_dialer *dialer, struct error *error)
{
	pthread_mutex_lock(&dialer->lock);
	*error = dialer->error;
	pthread_mutex_unlock(&dialer->lock);
}

void nbd_dialer_free(struct nbd_dialer *dialer)
{
	const uint64_t one = 1;
	struct timespec until;
	int code = 0;
	bool ended;
	ssize_t wrote;

	loop_remove(dialer->loop, &dialer->source);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LEAVE_TIME;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&dialer->lock);
	dialer->cancelled = true;
	wrote = write(dialer->cancel, &one, sizeof(one));
	(void)wrote;
	pthread_cond_signal(&dialer->wake);
	while (!dialer->ended && !code)
		code = pthread_cond_timedwait(&dialer->wake, &dialer->lock, &until);
	ended = dialer->ended;
	pthread_mutex_unlock(&dialer->lock);
	if (ended)
		pthread_join(dialer->thread, NULL);
	else
		pthread_detach(dialer->thread);
	side_leave(dialer);
}
