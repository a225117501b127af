// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stages of one managed region. See pipeline.h.
 */
#include <errno.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/backend.h"
#include "chunk/background.h"
#include "chunk/lockable.h"
#include "chunk/pipeline.h"
#include "chunk/stage.h"
#include "chunk/synced.h"
#include "chunk/tracking.h"
#include "lib/error.h"
#include "mount/managed.h"

struct pipeline {
	struct managed managed;
	struct backend *top;		/* owns all stages */
	struct backend *synced, *tracking, *lockable;

	/* Of whoever waits for a sync, one at a time. */
	struct managed_flush flush;
	struct pipeline_wait *wait;
	bool settling;
};

/* --- the chunk map, as pull.c and push.c see it --------------------------------------------- */

static int map_claim(void *map, uint64_t offset, uint64_t length, uint64_t max,
		     struct chunk_extents *extents, struct error *error)
{
	return synced_claim(((struct pipeline *)map)->synced, offset, length, max, extents, error);
}

static int map_fill(void *map, const struct r3map_extent *extents, unsigned int count, int code,
		    struct error *error)
{
	return synced_fill(((struct pipeline *)map)->synced, extents, count, code, error);
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
	return tracking_done(((struct pipeline *)map)->tracking, extents, count, code, error);
}

static int map_local(void *map, uint64_t *bytes, struct error *error)
{
	(void)error;
	*bytes = synced_bytes(((struct pipeline *)map)->synced);
	return 0;
}

static const struct chunks_ops map_ops = {
	.claim = map_claim,
	.fill = map_fill,
	.take = map_take,
	.done = map_done,
	.local = map_local,
};

/* --- its life ----------------------------------------------------------------------------- */

static void pipeline_missed(void *data, uint64_t offset, uint32_t length)
{
	managed_missed(data, offset, length);
}

static int pipeline_synced(struct pipeline *p, const struct pipeline_options *options,
			   struct error *error)
{
	const struct synced_options synced = {
		.store = &p->managed.store,
		.chunk = options->chunk,
		.fetch_max = p->managed.max_io,
		.missed = pipeline_missed,
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
	p->managed.store.fd = -1;
	err = managed_init(&p->managed, options->managed, backend, options->size, options->chunk,
			   error);
	if (!err) {
		p->managed.chunks = (struct chunks) { .ops = &map_ops, .map = p };
		err = store_new(&p->managed.store, options->size, error);
	}
	if (!err)
		err = pipeline_stages(p, options, error);
	if (err) {
		pipeline_free(p);
		return err;
	}
	*out = p;
	return 0;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	backend_close(p->top);
	store_close(&p->managed.store);
	if (p->managed.record >= 0)
		close(p->managed.record);
	sem_destroy(&p->managed.first);
	free(p);
}

struct backend *pipeline_region(struct pipeline *p)
{
	return p->top;
}

const struct store *pipeline_store(const struct pipeline *p)
{
	return &p->managed.store;
}

void pipeline_facts(const struct pipeline *p, struct pipeline_facts *facts)
{
	const struct synced_counts *counts = synced_counts(p->synced);

	*facts = (struct pipeline_facts) {
		.local = synced_bytes(p->synced),
		.dirty = tracking_bytes(p->tracking),
		.hits = atomic_load(&counts->hits),
		.misses = atomic_load(&counts->misses),
		.fetches = atomic_load(&counts->fetches),
		.fill_bytes = atomic_load(&counts->fill_bytes),
	};
}

bool pipeline_first(struct pipeline *p)
{
	return !p->managed.options->pull_first || !sem_trywait(&p->managed.first);
}

/* --- sync --------------------------------------------------------------------------------- */

static void pipeline_synced_all(struct managed_flush *flush, int error)
{
	struct pipeline *p = (struct pipeline *)((char *)flush - offsetof(struct pipeline, flush));

	if (error && p->settling)
		lockable_unlock(p->lockable);
	p->wait->done(p->wait, error);
}

static void pipeline_locked(void *data)
{
	struct pipeline *p = data;

	p->flush.done = pipeline_synced_all;
	managed_flush(&p->managed, &p->flush);
}

void pipeline_sync(struct pipeline *p, struct pipeline_wait *wait)
{
	p->wait = wait;
	p->settling = false;
	pipeline_locked(p);
}

void pipeline_settle(struct pipeline *p, struct pipeline_wait *wait)
{
	p->wait = wait;
	p->settling = true;
	lockable_lock(p->lockable, pipeline_locked, p);
}

void pipeline_unlock(struct pipeline *p)
{
	lockable_unlock(p->lockable);
}
