// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One queue of a device, served by one thread: takes requests from the queue's socket, submits
 * them to the backend, gathers what completes into one answer. See worker.h for the threads.
 *
 * A backend that never waits is served with two system calls per message, recv() and send(). One
 * that waits shares the thread's loop with the socket; there, a message that cannot be answered at
 * once is acknowledged by its bare number, so that the next one can come (see credit.h).
 *
 * Nothing is allocated once the queue is bound: the caller may be memory reclaim.
 */
#include <errno.h>
#include <linux/r3map.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "backend/backend.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "mount/area.h"
#include "mount/gather.h"
#include "mount/hooks.h"
#include "mount/managed.h"
#include "mount/worker.h"

#define STACK_SIZE	(512U << 10)	/* bytes: locked in memory, so not the usual 8 MiB */
#define STACK_USED	(32U << 10)	/* bytes of it that are made present at once */
#define STOP_SECONDS	10		/* how long a hanging backend may delay the end */
#define LEND_LEAST	(16U << 10)	/* bytes: the address of fewer costs more than their copy */
#define PAGE_LEAST	4096U		/* bytes: pages are no smaller anywhere */

_Static_assert((int)R3MAP_DESC_FUA == (int)BACKEND_FUA &&
	       (int)R3MAP_DESC_NO_UNMAP == (int)BACKEND_NO_UNMAP, "flags are passed on as they are");

/* A request that is with the backend. */
struct slot {
	struct backend_io io;
	struct managed_flush flush;	/* in place of io: for the pusher */
	struct hook_sync sync;		/* a sync that hooks are told of */
	struct post_job go;		/* they have answered */
	int go_code;
	bool inside;			/* and hear of its end */
	uint64_t tag;
	bool fetch;			/* into the store of a managed device */
	struct slot *next;
};

static void worker_send(struct worker *worker)
{
	unsigned int completions = worker->queue.count;
	int err = queue_send(&worker->queue);

	credit_sent(&worker->credit, completions);
	if (err && !worker->send_error)
		worker->send_error = err;
	while (worker->answered_used) {
		struct slot *slot = worker->answered[--worker->answered_used];

		slot->next = worker->free;
		worker->free = slot;
	}
}

static void slot_answer(struct slot *slot, int error)
{
	struct worker *worker = slot->io.owner;

	if (queue_full(&worker->queue, 0))
		worker_send(worker);
	queue_answer(&worker->queue, slot->tag, error, 0, NULL);
	slot->next = worker->free;
	worker->free = slot;
}

static void slot_fetched(struct slot *slot, int error)
{
	struct worker *worker = slot->io.owner;

	if (!error)
		store_trim(&worker->managed->store, slot->io.offset, slot->io.length);
	if (!worker->config.number)
		managed_fetched(worker->managed, slot->io.length);
	slot_answer(slot, error);
}

/* It is over, if it is a sync that hooks wait for the end of. */
static void slot_leave(struct slot *slot, int error)
{
	struct worker *worker = slot->io.owner;

	if (slot->inside)
		hooks_sync_leave(worker->hooks, error);
	slot->inside = false;
}

static void slot_flushed(struct managed_flush *flush, int error)
{
	struct slot *slot = (struct slot *)((char *)flush - offsetof(struct slot, flush));
	struct worker *worker = slot->io.owner;

	slot_leave(slot, error);
	slot_answer(slot, error);
	/* At once: the module takes whatever is told to be pushed before this for flushed, too. */
	worker_send(worker);
}

static void slot_done(struct backend_io *io, int error)
{
	struct slot *slot = (struct slot *)io;	/* its first member */
	struct worker *worker = io->owner;
	uint32_t bytes = !error && io->op <= BACKEND_WRITE ? io->length : 0;
	const void *data = worker->payload && io->op == BACKEND_READ && bytes ? io->buf : NULL;

	if (slot->fetch)
		return slot_fetched(slot, error);
	slot_leave(slot, error);
	if (queue_full(&worker->queue, data ? bytes : 0))
		worker_send(worker);
	queue_answer(&worker->queue, slot->tag, error, bytes, data);
	if (data) {
		worker->answered[worker->answered_used++] = slot;
		return;
	}
	slot->next = worker->free;
	worker->free = slot;
}

/* A request the kernel should never send: answered, so that its bio does not wait for a timeout. */
static void worker_refuse(struct worker *worker, struct queue_message *message,
			  const struct r3map_desc *desc, const char *why)
{
	/* The payload behind it is the next request's. */
	if (worker->payload && desc->op == R3MAP_OP_WRITE)
		queue_payload(message, NULL, desc->length);
	log_error("queue %u: a request makes no sense (please report this): %s, op %u, offset %llu, length %u",
		  worker->config.number, why, desc->op, (unsigned long long)desc->offset,
		  desc->length);
	if (queue_full(&worker->queue, 0))
		worker_send(worker);
	queue_answer(&worker->queue, desc->tag, -EIO, 0, NULL);
}

/* Where the payload of a READ or WRITE is, or NULL if the descriptor is wrong. */
static void *worker_buffer(struct worker *worker, const struct r3map_desc *desc,
			   const struct slot *slot)
{
	if (desc->length > worker->config.max_io)
		return NULL;
	if (worker->payload)
		return worker->payload + (size_t)(slot - worker->slots) * worker->config.max_io;
	if (desc->area > worker->area_size || desc->length > worker->area_size - desc->area)
		return NULL;
	return (uint8_t *)worker->area + desc->area;
}

/*
 * Where a READ's bytes are in the memory of this process, if they need not be copied to the area;
 * else NULL. The module reads what is present, so it is made that.
 */
static const void *worker_lend(const struct worker *worker, const struct r3map_desc *desc)
{
	const volatile uint8_t *bytes;

	if (desc->op != R3MAP_OP_READ || !(desc->flags & R3MAP_DESC_LEND) ||
	    desc->length < LEND_LEAST)
		return NULL;
	bytes = backend_map(worker->backend, desc->offset, desc->length);
	if (!bytes)
		return NULL;
	for (uint32_t at = 0; at < desc->length; at += PAGE_LEAST)
		(void)bytes[at];
	(void)bytes[desc->length - 1];
	return (const void *)bytes;
}

/* A sync may begin, in this queue's thread. */
static void slot_go(struct post_job *job)
{
	struct slot *slot = (struct slot *)((char *)job - offsetof(struct slot, go));
	struct worker *worker = slot->io.owner;

	if (slot->go_code)
		return slot_answer(slot, slot->go_code);
	slot->inside = true;
	if (worker->managed)
		return managed_flush(worker->managed, &slot->flush);
	slot->io.op = BACKEND_FLUSH;
	slot->io.flags = 0;
	slot->io.offset = 0;
	slot->io.length = 0;
	slot->io.buf = NULL;
	backend_submit(worker->channel, &slot->io);
	backend_kick(worker->channel);
}

/* The same, in the thread of the hooks. */
static void slot_may_go(struct hook_sync *sync, int error)
{
	struct slot *slot = (struct slot *)((char *)sync - offsetof(struct slot, sync));
	struct worker *worker = slot->io.owner;

	slot->go_code = error;
	post_send(&worker->post, &slot->go);
}

/* A request about a managed device: FETCH or FLUSH. */
static void worker_submit_managed(struct worker *worker, const struct r3map_desc *desc,
				  struct slot *slot)
{
	struct managed *managed = worker->managed;
	int err;

	slot->tag = desc->tag;
	if (desc->op == R3MAP_OP_FLUSH)
		return managed_flush(managed, &slot->flush);
	err = store_prepare(&managed->store, desc->offset, desc->length);
	managed_missed(managed, desc->offset, desc->length, !err && !worker->config.number);
	if (err)
		return slot_answer(slot, err);
	slot->fetch = true;
	slot->io.op = BACKEND_READ;
	slot->io.flags = 0;
	slot->io.offset = desc->offset;
	slot->io.length = desc->length;
	slot->io.buf = managed->store.bytes + desc->offset;
	backend_submit(worker->channel, &slot->io);
}

static void worker_submit(struct worker *worker, struct queue_message *message, unsigned int i)
{
	struct r3map_desc desc = queue_desc(message, i);
	struct slot *slot = worker->free;
	struct backend_io *io;
	const void *lent;

	if (!slot)
		return worker_refuse(worker, message, &desc, "more requests than the depth");
	if (worker->hooks && desc.op == R3MAP_OP_FLUSH && (desc.flags & R3MAP_DESC_SYNC)) {
		worker->free = slot->next;
		slot->tag = desc.tag;
		return hooks_sync_enter(worker->hooks, &slot->sync);
	}
	if (worker->managed) {
		if (desc.op != R3MAP_OP_FETCH &&
		    !(desc.op == R3MAP_OP_FLUSH && !worker->config.number))
			return worker_refuse(worker, message, &desc, "not for a managed device");
		worker->free = slot->next;
		return worker_submit_managed(worker, &desc, slot);
	}
	lent = worker_lend(worker, &desc);
	if (lent) {
		if (queue_full(&worker->queue, 0))
			worker_send(worker);
		return queue_answer(&worker->queue, desc.tag, 0, desc.length, lent);
	}
	io = &slot->io;
	io->op = desc.op;
	io->flags = desc.flags & (BACKEND_FUA | BACKEND_NO_UNMAP);
	io->offset = desc.offset;
	io->length = desc.length;
	io->buf = NULL;
	if (desc.op <= R3MAP_OP_WRITE) {
		io->buf = worker_buffer(worker, &desc, slot);
		if (!io->buf)
			return worker_refuse(worker, message, &desc, "payload outside of the area");
		if (worker->payload && desc.op == R3MAP_OP_WRITE &&
		    !queue_payload(message, io->buf, desc.length))
			return worker_refuse(worker, message, &desc, "too little payload");
	} else if (desc.op > R3MAP_OP_WRITE_ZEROES) {
		return worker_refuse(worker, message, &desc, "unknown operation");
	}
	worker->free = slot->next;
	slot->tag = desc.tag;
	backend_submit(worker->channel, io);
}

/* Takes one message and gives it to the backend. 0 or a negative errno: the socket is of no use. */
static int worker_receive(struct worker *worker, bool wait)
{
	struct queue_message message;
	int got = queue_receive(&worker->queue, wait, &message);

	if (got <= 0)
		return got;
	credit_message(&worker->credit, message.count);
	for (unsigned int i = 0; i < message.count; i++)
		worker_submit(worker, &message, i);
	backend_kick(worker->channel);
	if (message.count)
		gather_note(&worker->gather, message.count, queue_desc(&message, 0).sent);
	return 0;
}

/* For backends that complete in backend_submit(). */
static int worker_serve_direct(struct worker *worker)
{
	int err;

	while (!atomic_load_explicit(&worker->stop, memory_order_relaxed)) {
		err = worker_receive(worker, true);
		if (!err && queue_pending(&worker->queue))
			worker_send(worker);
		if (err || worker->send_error)
			return err ? err : worker->send_error;
	}
	return 0;
}

struct socket_source {
	struct loop_source source;
	struct worker *worker;
	int err;
};

static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct socket_source *socket = (struct socket_source *)source;	/* its first member */

	/*
	 * One message only: until it is answered there is no other. What else there may be (an
	 * error reply) makes the socket ready again.
	 */
	(void)events;
	socket->err = worker_receive(socket->worker, false);
}

/* For backends whose requests complete later. */
static int worker_serve_loop(struct worker *worker)
{
	struct socket_source socket = {
		.source = { .fd = worker->queue.fd, .ready = socket_ready },
		.worker = worker,
	};
	int err = loop_add(worker->loop, &socket.source, EPOLLIN);

	while (!err && !atomic_load_explicit(&worker->stop, memory_order_relaxed)) {
		if (loop_busy(worker->loop, &socket.source))
			err = loop_once(worker->loop, worker->credit.deadline ?
						      worker->credit.deadline : UINT64_MAX);
		else	/* nothing is under way: only the socket can have news */
			err = worker_receive(worker, true);
		/* What is not put off, and what nothing else will send. */
		if (worker->queue.count ||
		    (worker->queue.unanswered && (!loop_busy(worker->loop, &socket.source) ||
						  credit_due(&worker->credit))))
			worker_send(worker);
		if (!err)
			err = socket.err ? socket.err : worker->send_error;
		if (!err && worker->managed && worker->managed->error.code) {
			worker->error = worker->managed->error;
			err = worker->error.code;
		}
	}
	loop_remove(worker->loop, &socket.source);
	return err;
}

static int worker_slots(struct worker *worker, struct error *error)
{
	const uint32_t depth = worker->config.depth;

	worker->slots = calloc(depth, sizeof(*worker->slots));
	worker->answered = calloc(depth, sizeof(*worker->answered));
	if (!worker->slots || !worker->answered)
		goto fail;
	for (uint32_t i = depth; i-- > 0;) {
		worker->slots[i].io.done = slot_done;
		worker->slots[i].io.owner = worker;
		worker->slots[i].flush.done = slot_flushed;
		worker->slots[i].sync.go = slot_may_go;
		worker->slots[i].go.run = slot_go;
		worker->slots[i].next = worker->free;
		worker->free = &worker->slots[i];
	}
	if (worker->config.inlined) {
		worker->payload = area_alloc((size_t)depth * worker->config.max_io, false);
		if (!worker->payload)
			goto fail;
	}
	return 0;

fail:
	return error_set(error, -ENOMEM,
			 "out of memory for a queue of %u requests: give a smaller --depth or --max-io",
			 depth);
}

static int worker_open(struct worker *worker, struct error *error)
{
	int err;

	err = loop_new(&worker->loop);
	if (err)
		return error_set(error, err, "cannot make an event loop: %s", strerror(-err));
	err = worker->hooks ? post_attach(&worker->post, worker->loop) : 0;
	if (err)
		return error_set(error, err, "cannot wait for hooks: %s", strerror(-err));
	err = backend_channel_open(worker->backend, worker->loop, &worker->channel, error);
	if (err)
		return err;
	err = worker_slots(worker, error);
	if (err)
		return err;
	if (worker->area_size) {
		worker->area = area_alloc(worker->area_size, true);
		if (!worker->area)
			return error_set(error, -ENOMEM,
					 "out of memory for the payload area of %zu bytes: give a smaller --area",
					 worker->area_size);
	}
	err = queue_open(&worker->queue, &worker->config, error);
	if (err)
		return err;
	if (worker->managed && !worker->config.number) {
		err = managed_start(worker->managed, worker->loop, worker->channel, error);
		if (err)
			return err;
	}
	return queue_bind(&worker->queue, worker->area, worker->area_size, error);
}

static void worker_close(struct worker *worker)
{
	/* First the channel: what it still has in flight ends as answers in the queue's buffers. */
	if (worker->managed && !worker->config.number)
		managed_halt(worker->managed);
	if (worker->channel)
		backend_channel_close(worker->channel);
	if (worker->managed && !worker->config.number)
		managed_stop(worker->managed);
	queue_close(&worker->queue);
	post_detach(&worker->post);
	loop_free(worker->loop);
	area_free(worker->area, worker->area_size);
	area_free(worker->payload, (size_t)worker->config.depth * worker->config.max_io);
	free(worker->slots);
	free(worker->answered);
}

/* The stack must not grow when memory is short. */
static void __attribute__((noinline)) stack_touch(void)
{
	volatile char stack[STACK_USED];

	for (size_t at = 0; at < sizeof(stack); at += 1024)
		stack[at] = 0;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	int err;

	stack_touch();
	err = worker_open(worker, &worker->error);
	sem_post(&worker->bound);
	if (err)
		goto out;
	gather_init(&worker->gather);
	/* Pull, push and what hooks answer live in the loop of the first queue. */
	if (worker->backend->info.waits || worker->hooks ||
	    (worker->managed && !worker->config.number))
		err = worker_serve_loop(worker);
	else
		err = worker_serve_direct(worker);
	if (err) {
		if (!worker->error.code)
			error_set(&worker->error, err, "%s", strerror(-err));
		error_prefix(&worker->error, "queue %u broke down", worker->config.number);
		atomic_store(&worker->failed, true);
		loop_stop(worker->owner);
	}
out:
	/*
	 * A queue that failed keeps its socket until the process ends, so that the kernel
	 * sees one death, not a half-dead helper; and worker_stop() finds it open.
	 */
	while (err && !atomic_load(&worker->stop))
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	worker_close(worker);
	return NULL;
}

int worker_start(struct worker *worker, struct error *error)
{
	pthread_attr_t attr;
	int err;

	sem_init(&worker->bound, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&worker->thread, &attr, worker_main, worker);
	pthread_attr_destroy(&attr);
	if (err)
		return error_set(error, -err, "cannot start a thread for queue %u: %s",
				 worker->config.number, strerror(err));
	worker->started = true;
	return 0;
}

int worker_wait(struct worker *worker, struct error *error)
{
	while (sem_wait(&worker->bound) < 0 && errno == EINTR)
		;
	if (worker->error.code)
		*error = worker->error;
	return worker->error.code;
}

bool worker_stop(struct worker *worker)
{
	struct timespec until;

	if (!worker->started)
		return true;
	atomic_store(&worker->stop, true);
	if (worker->queue.fd >= 0)
		queue_wake(&worker->queue);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOP_SECONDS;
	if (pthread_clockjoin_np(worker->thread, NULL, CLOCK_MONOTONIC, &until))
		return false;
	worker->started = false;
	sem_destroy(&worker->bound);
	return true;
}
