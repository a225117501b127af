// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stages of one managed region. See pipeline.h.
 */
#include <errno.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "pipeline: "
#include "backend/backend.h"
#include "chunk/background.h"
#include "chunk/lockable.h"
#include "chunk/pipeline.h"
#include "chunk/stage.h"
#include "chunk/synced.h"
#include "chunk/tracking.h"
#include "lib/error.h"
#include "lib/log.h"
#include "mount/managed.h"

struct pipeline {
	struct backend backend;		/* the same as the first stage, from outside */
	struct managed managed;
	struct backend *top;		/* the first stage, which owns all others */
	struct backend *synced, *tracking, *lockable;
	_Atomic uint64_t push_bytes;

	struct post post;		/* to the channel's thread */
	struct post_job unlock;
	sem_t opened;			/* posted once: the channel is open, or error is set */
	struct error error;
};

struct pipeline_channel {
	struct backend_channel channel;
	struct backend_channel *top;
};

/* --- the chunk map, as pull.c and push.c see it --------------------------------------------- */

/* Only a defect makes what pull.c and push.c tell wrong; they end then, and flushes fail. */
static int map_told(int err, const struct error *error)
{
	if (err)
		log_error("%s (please report this)", error->text);
	return err;
}

static int map_claim(void *map, uint64_t offset, uint64_t length, uint64_t max, bool loose,
		     struct chunk_extents *extents, struct error *error)
{
	return synced_claim(((struct pipeline *)map)->synced, offset, length, max, loose, extents,
			    error);
}

static int map_firm(void *map, uint64_t offset, uint64_t length, struct chunk_extents *extents,
		    struct error *error)
{
	return synced_firm(((struct pipeline *)map)->synced, offset, length, extents, error);
}

static int map_fill(void *map, const struct r3map_extent *extents, unsigned int count, int code,
		    struct error *error)
{
	return map_told(synced_fill(((struct pipeline *)map)->synced, extents, count, code, error),
			error);
}

static int map_take(void *map, uint64_t offset, uint64_t length, uint64_t max,
		    struct chunk_extents *extents, struct error *error)
{
	return tracking_take(((struct pipeline *)map)->tracking, offset, length, max, extents,
			     error);
}

static int map_done(void *map, const struct r3map_extent *extents, unsigned int count, int code,
		    struct error *error)
{
	struct pipeline *p = map;
	int err = map_told(tracking_done(p->tracking, extents, count, code, error), error);

	for (unsigned int i = 0; !err && !code && i < count; i++)
		atomic_fetch_add(&p->push_bytes, extents[i].length);
	return err;
}

static int map_local(void *map, uint64_t *bytes, struct error *error)
{
	(void)error;
	*bytes = synced_bytes(((struct pipeline *)map)->synced);
	return 0;
}

static const struct chunks_ops map_ops = {
	.claim = map_claim,
	.firm = map_firm,
	.fill = map_fill,
	.take = map_take,
	.done = map_done,
	.local = map_local,
};

/* --- its life ----------------------------------------------------------------------------- */

static void pipeline_missed(void *data, uint64_t offset, uint32_t length)
{
	managed_missed(data, offset, length, true);
}

static void pipeline_fetched(void *data, uint32_t length)
{
	managed_fetched(data, length);
}

static int pipeline_synced(struct pipeline *p, const struct pipeline_options *options,
			   struct error *error)
{
	const struct synced_options synced = {
		.store = &p->managed.store,
		.chunk = options->chunk,
		.fetch_max = p->managed.max_io,
		.missed = pipeline_missed,
		.fetched = pipeline_fetched,
		.data = &p->managed,
	};
	struct backend *local, *tracking;
	int err = local_new(&p->managed.store, &local, error);

	if (err)
		return err;
	err = tracking_new(local, options->chunk, &tracking, error);
	if (err) {
		backend_close(local);
		return err;
	}
	err = synced_new(p->top, tracking, &synced, &p->synced, error);
	if (err) {
		backend_close(tracking);
		return err;
	}
	p->tracking = tracking;
	p->synced->info.read_only |= options->read_only;
	p->synced->info.can_flush = options->flush != PIPELINE_FLUSH_NONE;
	p->top = p->synced;
	return 0;
}

/* @p->top is what is behind the next stage; after a failure, what is to be closed. */
static int pipeline_stages(struct pipeline *p, const struct pipeline_options *options,
			   struct error *error)
{
	int err = chunked_new(p->top, options->size, options->chunk, &p->managed.backend, error);

	if (err)
		return err;
	p->top = p->managed.backend;
	err = pipeline_synced(p, options, error);
	if (!err)
		err = background_new(p->top, &p->managed, options->flush == PIPELINE_FLUSH_REMOTE,
				     &p->top, error);
	if (!err)
		err = lockable_new(p->top, &p->lockable, error);
	if (err)
		return err;
	p->top = p->lockable;
	return arbitrary_new(p->top, options->chunk, &p->top, error);
}

static void pipeline_close(struct backend *backend)
{
	struct pipeline *p = (struct pipeline *)backend;

	backend_close(p->top);
	store_close(&p->managed.store);
	managed_exit(&p->managed);
	sem_destroy(&p->opened);
	post_close(&p->post);
	free(backend->name);
	free(p);
}

static int channel_open(struct pipeline *p, struct loop *loop, struct backend_channel **channel,
			struct error *error)
{
	struct pipeline_channel *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return error_set(error, -ENOMEM, "out of memory");
	err = post_attach(&p->post, loop);
	if (err) {
		free(c);
		return error_set(error, err, "cannot wait for work: %s", strerror(-err));
	}
	err = backend_channel_open(p->top, loop, &c->top, error);
	if (err) {
		post_detach(&p->post);
		free(c);
		return err;
	}
	*channel = &c->channel;
	return 0;
}

static int pipeline_channel_open(struct backend *backend, struct loop *loop,
				 struct backend_channel **channel, struct error *error)
{
	struct pipeline *p = (struct pipeline *)backend;
	int err = channel_open(p, loop, channel, error);

	if (err)
		p->error = *error;
	sem_post(&p->opened);
	return err;
}

static void pipeline_channel_close(struct backend_channel *channel)
{
	struct pipeline *p = (struct pipeline *)channel->backend;

	post_detach(&p->post);
	backend_channel_close(((struct pipeline_channel *)channel)->top);
	free(channel);
}

static void pipeline_submit(struct backend_channel *channel, struct backend_io *io)
{
	backend_submit(((struct pipeline_channel *)channel)->top, io);
}

static void pipeline_kick(struct backend_channel *channel)
{
	backend_kick(((struct pipeline_channel *)channel)->top);
}

static const struct backend_ops pipeline_ops = {
	.scheme = "pipeline",
	.close = pipeline_close,
	.channel_open = pipeline_channel_open,
	.channel_close = pipeline_channel_close,
	.submit = pipeline_submit,
	.kick = pipeline_kick,
};

static void pipeline_unlock_job(struct post_job *job)
{
	lockable_unlock(((struct pipeline *)((char *)job - offsetof(struct pipeline, unlock)))
			->lockable);
}

int pipeline_new(struct backend *backend, const struct pipeline_options *options,
		 struct pipeline **out, struct error *error)
{
	struct pipeline *p = calloc(1, sizeof(*p));
	int err;

	if (!p) {
		backend_close(backend);
		return error_set(error, -ENOMEM, "out of memory");
	}
	p->top = backend;
	p->managed = (struct managed) MANAGED_NOTHING;
	p->unlock.run = pipeline_unlock_job;
	sem_init(&p->opened, 0, 0);
	err = post_open(&p->post);
	if (err)
		error_set(error, err, "cannot make an eventfd: %s", strerror(-err));
	else
		err = managed_init(&p->managed, options->managed, backend, options->size,
				   options->chunk, error);
	if (!err) {
		p->managed.chunks = (struct chunks) { .ops = &map_ops, .map = p };
		p->managed.hooks = options->hooks;
		err = store_new(&p->managed.store, options->size, error);
	}
	if (!err)
		err = pipeline_stages(p, options, error);
	if (!err) {
		p->backend.name = strdup(p->top->name);
		if (!p->backend.name)
			err = error_set(error, -ENOMEM, "out of memory");
	}
	if (err) {
		pipeline_close(&p->backend);
		return err;
	}
	p->backend.ops = &pipeline_ops;
	p->backend.info = p->top->info;
	*out = p;
	return 0;
}

struct backend *pipeline_region(struct pipeline *p)
{
	return &p->backend;
}

int pipeline_opened(struct pipeline *p, struct error *error)
{
	while (sem_wait(&p->opened) < 0)
		;
	*error = p->error;
	return error->code;
}

const struct store *pipeline_store(const struct pipeline *p)
{
	return &p->managed.store;
}

void pipeline_facts(const struct pipeline *p, struct pipeline_facts *facts)
{
	*facts = (struct pipeline_facts) {
		.local = synced_bytes(p->synced),
		.dirty = tracking_bytes(p->tracking),
		.push_bytes = atomic_load(&p->push_bytes),
		.counts = synced_counts(p->synced),
	};
}

struct managed *pipeline_managed(struct pipeline *p)
{
	return &p->managed;
}

bool pipeline_first(struct pipeline *p)
{
	return !p->managed.options->pull_first || !sem_trywait(&p->managed.first);
}

/* --- sync --------------------------------------------------------------------------------- */

static void wait_over(struct managed_flush *flush, int error)
{
	struct pipeline_wait *wait =
		(struct pipeline_wait *)((char *)flush - offsetof(struct pipeline_wait, flush));

	if (error && wait->settle)
		lockable_unlock(wait->pipeline->lockable);
	wait->done(wait, error);
}

/* Nothing more is written, or nobody minds if it is. */
static void wait_push(void *data)
{
	struct pipeline_wait *wait = data;

	wait->flush.done = wait_over;
	managed_flush(&wait->pipeline->managed, &wait->flush);
}

static void wait_begin(struct post_job *job)
{
	struct pipeline_wait *wait =
		(struct pipeline_wait *)((char *)job - offsetof(struct pipeline_wait, job));

	if (wait->settle)
		lockable_lock(wait->pipeline->lockable, wait_push, wait);
	else
		wait_push(wait);
}

static void wait_send(struct pipeline *p, struct pipeline_wait *wait, bool settle)
{
	wait->pipeline = p;
	wait->settle = settle;
	wait->job.run = wait_begin;
	post_send(&p->post, &wait->job);
}

void pipeline_sync(struct pipeline *p, struct pipeline_wait *wait)
{
	wait_send(p, wait, false);
}

void pipeline_settle(struct pipeline *p, struct pipeline_wait *wait)
{
	wait_send(p, wait, true);
}

void pipeline_unlock(struct pipeline *p)
{
	post_send(&p->post, &p->unlock);
}
