/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount/ is the helper of one device: mount (its life), worker (a queue), area (payload memory),
 * managed, pull, push and store (managed mounts), reclaim (what makes it safe to be in the path
 * of memory reclaim), holders (who keeps a device busy), notify (readiness towards systemd and a
 * waiting parent), run (--run CMD).
 *
 * Threads. The main thread owns the control socket, events, signals and the child. Each queue has a
 * worker: a thread with its own queue socket, payload area, loop and backend channel, which no
 * other thread touches. They meet in four places only: worker_start() and worker_wait() hand the
 * settings over and the outcome back, worker_stop() and the failure of a worker wake the other
 * side. There is no lock.
 */
#ifndef R3MAP_MOUNT_WORKER_H
#define R3MAP_MOUNT_WORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "lib/error.h"
#include "lib/post.h"
#include "mount/credit.h"
#include "mount/gather.h"
#include "nl/queue.h"

struct backend;
struct backend_channel;
struct loop;
struct hooks;
struct managed;
struct slot;

struct worker {
	/* Set by the main thread before worker_start(), constant afterwards. */
	struct queue_config config;
	struct backend *backend;
	size_t area_size;		/* bytes, whole pages; 0 with the inline transport */
	struct managed *managed;	/* or NULL */
	struct hooks *hooks;		/* those that run around a sync; the first queue's, or NULL */
	struct loop *owner;		/* loop_stop() is called on it when the worker fails */

	pthread_t thread;
	bool started;
	sem_t bound;			/* posted once: bound, or error is set */
	struct error error;		/* the worker's until `bound` or `failed` tells */
	atomic_bool stop;
	atomic_bool failed;

	/* The worker's own. */
	struct queue queue;
	void *area;
	struct loop *loop;
	struct post post;		/* with hooks: their answers come by this */
	struct backend_channel *channel;
	struct slot *slots;		/* config.depth of them */
	struct slot *free;		/* a list; the last one used is taken first */
	uint8_t *payload;		/* inline: config.depth * config.max_io */
	struct slot **answered;		/* inline: whose payload leaves with the next message */
	unsigned int answered_used;
	struct gather gather;
	struct credit credit;
	int send_error;			/* first failure of queue_send() */
};

/* Starts the thread: it opens its channel, binds its queue, and serves. 0 or a negative errno. */
int worker_start(struct worker *worker, struct error *error);
/* Waits until the queue is bound. 0, or a negative errno with a sentence. */
int worker_wait(struct worker *worker, struct error *error);
/*
 * Ends the thread; the device is gone or given up. Waits for a backend that hangs for a bounded
 * time. Returns false if it still runs: then its memory must be left alone.
 */
bool worker_stop(struct worker *worker);

#endif
