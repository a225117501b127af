// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The push of a managed mount. See managed.h.
 *
 * A sweep goes through the region once: it takes dirty chunks as workers become free, writes
 * neighbours with one request, and reports them done. What becomes dirty behind it is left to the
 * next sweep. One sweep follows another as long as somebody wants one: the interval, or a FLUSH.
 *
 * A FLUSH that came before a sweep began is answered when that sweep is over, nothing of it is
 * under way, and the backend has been flushed: everything written before the FLUSH was dirty, or
 * on its way, when the sweep passed it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "push: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "mount/managed.h"

#define MS		1000000ULL	/* ns */
#define TAKES_ROUND	4u		/* takes of one round */
#define TAKE_DIRECT	(256u << 10)	/* bytes of one take for a backend that never waits */

/* A row of chunks on its way. */
struct push_worker {
	struct backend_io io;
	struct push *push;
	struct push_worker *next;	/* free ones */
	uint64_t taken;			/* ns */
};

struct push {
	struct managed *managed;
	struct loop_task task;
	struct loop_timer interval;
	struct push_worker *workers;
	struct push_worker *free;
	unsigned int busy;		/* workers that are not free */
	uint8_t *zeroes;		/* managed->max_io of them */

	bool sweeping;
	bool wanted;			/* another sweep */
	uint64_t offset;		/* where the sweep has come to */
	int error;			/* the first of this sweep */
	struct chunk_extents taken;	/* not yet given to a worker */
	unsigned int take;		/* the next of them */
	uint64_t taken_at;		/* ns */
	struct chunk_news done;
	struct chunk_news failed;

	struct backend_io flush;
	bool flushing;			/* @flush is with the backend */
	struct managed_flush *waiting;	/* for the next sweep */
	struct managed_flush *served;	/* by this one */
	bool told_error;
	bool over;			/* the device is gone */
};

static void push_again(struct push *push)
{
	if (!push->over)
		loop_task_queue(push->managed->loop, &push->task);
}

static void push_answer(struct managed_flush **list, int error)
{
	while (*list) {
		struct managed_flush *flush = *list;

		*list = flush->next;
		flush->done(flush, error);
	}
}

static void push_give_up(struct push *push, const struct error *error)
{
	if (!push->over)
		managed_broke(push->managed, error);
	push->over = true;
	push->taken.count = 0;
	push_answer(&push->served, -EIO);
	push_answer(&push->waiting, -EIO);
}

static void push_tell(struct push *push, struct chunk_news *news, int code)
{
	struct error error = { 0 };

	if (!news->count)
		return;
	chunk_news_order(news);
	if (chunks_done(&push->managed->chunks, news->extent, news->count, code, &error))
		push_give_up(push, &error);
	news->count = 0;
}

static void worker_done(struct backend_io *io, int error)
{
	struct push_worker *worker = (struct push_worker *)io;	/* its first member */
	struct push *push = worker->push;

	/* A server that cannot zero is written zeroes. */
	if (error == -EOPNOTSUPP && io->op == BACKEND_WRITE_ZEROES && !push->over) {
		io->op = BACKEND_WRITE;
		io->buf = push->zeroes;
		backend_submit(push->managed->channel, io);
		return;
	}
	worker->next = push->free;
	push->free = worker;
	push->busy--;
	if (push->over)
		return;
	if (!error)
		latency_note(&push->managed->pushes, loop_now() - worker->taken);
	if (error) {
		if (!push->told_error)
			log_warn("cannot write %" PRIu32 " bytes at %" PRIu64 " back: %s; they are kept, and tried again",
				 io->length, io->offset, strerror(-error));
		push->told_error = true;
		trouble_note(&push->managed->push_trouble, error);
		if (!push->error)
			push->error = error;
		if (chunk_news_add(&push->failed, io->offset, io->length))
			push_tell(push, &push->failed, -EIO);
	} else if (chunk_news_add(&push->done, io->offset, io->length)) {
		push_tell(push, &push->done, 0);
	}
	push_again(push);
}

/* Writes what is at @offset, up to @length bytes that are all absent or all not. How many. */
static uint32_t push_write(struct push *push, uint64_t offset, uint32_t length)
{
	struct push_worker *worker = push->free;
	struct managed *m = push->managed;
	/*
	 * What is absent reads as zeroes, and looking at it in the mapping would make it present.
	 * If it is written just now, it is dirty again afterwards.
	 */
	bool absent = store_run(&m->store, offset, &length, m->chunk);

	push->free = worker->next;
	push->busy++;
	worker->taken = push->taken_at;
	worker->io.flags = 0;
	worker->io.offset = offset;
	worker->io.length = length;
	if (absent && m->backend->info.can_zeroes) {
		worker->io.op = BACKEND_WRITE_ZEROES;
		worker->io.buf = NULL;
	} else {
		worker->io.op = BACKEND_WRITE;
		worker->io.buf = absent ? push->zeroes : m->store.bytes + offset;
	}
	backend_submit(m->channel, &worker->io);
	return length;
}

/* Taken chunks go to free workers, neighbours together. True if all of them did. */
static bool push_spread(struct push *push)
{
	struct managed *m = push->managed;
	const uint32_t most = m->max_io / m->chunk * m->chunk;

	while (push->take < push->taken.count) {
		struct r3map_extent *extent = &push->taken.extent[push->take];
		uint32_t length = extent->length < most ? (uint32_t)extent->length : most;

		if (!push->free)
			return false;
		length = push_write(push, extent->offset, length);
		extent->offset += length;
		extent->length -= length;
		if (!extent->length)
			push->take++;
	}
	return true;
}

static void push_take(struct push *push)
{
	struct managed *m = push->managed;
	uint64_t max = (uint64_t)(m->options->push_workers - push->busy) * m->max_io;
	struct error error = { 0 };

	if (!m->backend->info.waits && max > TAKE_DIRECT)
		max = TAKE_DIRECT;
	push->take = 0;
	push->taken_at = loop_now();
	if (chunks_take(&m->chunks, push->offset, m->size - push->offset, max, &push->taken, &error))
		return push_give_up(push, &error);
	push->offset = push->taken.next;
	/* There is nowhere else for it to be. */
	for (; m->owned && push->take < push->taken.count; push->take++)
		if (chunk_news_add(&push->done, push->taken.extent[push->take].offset,
				   push->taken.extent[push->take].length))
			push_tell(push, &push->done, 0);
}

/* --- sweeps ------------------------------------------------------------------------------- */

static void push_begin(struct push *push)
{
	push->sweeping = true;
	push->wanted = false;
	push->offset = 0;
	push->error = 0;
	push->told_error = false;
	push->served = push->waiting;
	push->waiting = NULL;
}

static void push_rest(struct push *push)
{
	const uint32_t interval = push->managed->options->push_interval;

	push->sweeping = false;
	if (push->wanted || push->waiting)
		push_again(push);
	else if (interval)
		loop_timer_set(push->managed->loop, &push->interval, loop_now() + interval * MS);
}

static void flush_done(struct backend_io *io, int error)
{
	struct push *push = (struct push *)((char *)io - offsetof(struct push, flush));

	push->flushing = false;
	if (error)
		trouble_note(&push->managed->push_trouble, error);
	push_answer(&push->served, push->error ? push->error : error);
	push_rest(push);
}

/* Everything that was taken is done. */
static void push_end(struct push *push)
{
	if (!push->error)
		trouble_over(&push->managed->push_trouble);
	if (!push->served)
		return push_rest(push);
	if (push->error) {
		push_answer(&push->served, push->error);
		return push_rest(push);
	}
	if (push->managed->owned) {
		push_answer(&push->served, fdatasync(push->managed->store.fd) < 0 ? -errno : 0);
		return push_rest(push);
	}
	push->flushing = true;
	push->flush.op = BACKEND_FLUSH;
	backend_submit(push->managed->channel, &push->flush);
	backend_kick(push->managed->channel);
}

static void push_round(struct loop_task *task)
{
	struct push *push = (struct push *)((char *)task - offsetof(struct push, task));
	struct managed *m = push->managed;

	if (push->over || push->flushing)
		return;
	if (!push->sweeping) {
		if (!push->wanted && !push->waiting)
			return;
		/* Dirty until then: a device with half of a region is not to be removed by mistake. */
		if (m->owned && !atomic_load(&m->whole)) {
			push_answer(&push->waiting, -EIO);
			push->wanted = false;
			return push_rest(push);
		}
		loop_timer_cancel(m->loop, &push->interval);
		push_begin(push);
	}
	for (unsigned int i = 0; i < TAKES_ROUND && !push->over; i++) {
		if (!push_spread(push) || push->offset >= m->size || !push->free)
			break;
		push_take(push);
	}
	push_tell(push, &push->done, 0);
	push_tell(push, &push->failed, -EIO);
	backend_kick(m->channel);
	if (push->over)
		return;
	if (push->take < push->taken.count || push->offset < m->size) {
		if (push->free)
			push_again(push);
	} else if (!push->busy) {
		push_end(push);
	}
}

static void push_due(struct loop_timer *timer)
{
	struct push *push = (struct push *)((char *)timer - offsetof(struct push, interval));

	push->wanted = true;
	push_again(push);
}

void push_flush(struct push *push, struct managed_flush *flush)
{
	if (push->over) {
		flush->done(flush, -EIO);
		return;
	}
	flush->next = push->waiting;
	push->waiting = flush;
	if (!push->sweeping)
		push_again(push);
}

int push_new(struct managed *managed, struct push **out, struct error *error)
{
	const uint32_t workers = managed->options->push_workers;
	struct push *push = calloc(1, sizeof(*push));

	if (!push)
		return error_set(error, -ENOMEM, "out of memory");
	*out = push;
	push->managed = managed;
	push->task.run = push_round;
	push->interval.fire = push_due;
	push->flush.done = flush_done;
	push->zeroes = calloc(1, managed->max_io);
	push->workers = calloc(workers, sizeof(*push->workers));
	if (!push->zeroes || !push->workers)
		return error_set(error, -ENOMEM, "out of memory for %" PRIu32 " push workers: give fewer",
				 workers);
	for (uint32_t i = workers; i-- > 0;) {
		push->workers[i].io.done = worker_done;
		push->workers[i].push = push;
		push->workers[i].next = push->free;
		push->free = &push->workers[i];
	}
	push_rest(push);
	return 0;
}

void push_halt(struct push *push)
{
	push->over = true;
}

void push_free(struct push *push)
{
	if (!push)
		return;
	loop_task_cancel(push->managed->loop, &push->task);
	loop_timer_cancel(push->managed->loop, &push->interval);
	free(push->workers);
	free(push->zeroes);
	free(push);
}
