// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pull and push of a managed mount, put together. See managed.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOG_PREFIX "mount: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/log.h"
#include "mount/hooks.h"
#include "mount/managed.h"

#define PUSH_IO	(1u << 20)	/* bytes of one write to the backend */

/* In the first queue's thread. */
static void managed_changed(struct post_job *job)
{
	struct managed *managed =
		(struct managed *)((char *)job - offsetof(struct managed, changed));

	/* First: what changes from now on sends it again. */
	atomic_store(&managed->changing, false);
	if (managed->pull)
		pull_changed(managed->pull);
}

static void managed_tell(struct managed *managed)
{
	if (!atomic_exchange(&managed->changing, true))
		post_send(&managed->post, &managed->changed);
}

void managed_pause(struct managed *managed, bool pause)
{
	uint64_t since = atomic_load(&managed->pull_paused);

	/* Paused a second time, it is paused since the first. */
	if (pause == !!since)
		return;
	atomic_store(&managed->pull_paused, pause ? loop_now() : 0);
	managed_tell(managed);
}

void managed_rate(struct managed *managed, uint64_t rate)
{
	atomic_store(&managed->pull_rate, rate);
	managed_tell(managed);
}

bool managed_rest(struct managed *managed, uint32_t timeout_ms)
{
	struct timespec until;

	/* What came too late the last time is none for this. */
	while (!sem_trywait(&managed->rested))
		;
	atomic_store(&managed->resting, true);
	atomic_store(&managed->rest_wanted, true);
	managed_tell(managed);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000 + 1;
	while (sem_clockwait(&managed->rested, CLOCK_MONOTONIC, &until) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

void managed_again(struct managed *managed, struct ranges *only)
{
	/* In this order: who sees that it rests no more sees that it begins anew, and with what. */
	free(atomic_exchange(&managed->only, only));
	atomic_store(&managed->again, true);
	atomic_store(&managed->resting, false);
	managed_tell(managed);
}

void managed_whole(struct managed *managed)
{
	atomic_store(&managed->whole, true);
	log_info("everything is local");
	hooks_all_local(managed->hooks);
}

int managed_init(struct managed *managed, const struct managed_options *options,
		 struct backend *backend, uint64_t size, uint32_t chunk, struct error *error)
{
	const uint32_t max_io = backend->info.max_io;
	int err;

	managed->options = options;
	managed->backend = backend;
	managed->size = size;
	managed->chunk = chunk;
	managed->max_io = max_io && max_io < PUSH_IO ? max_io : PUSH_IO;
	if (managed->max_io < chunk)
		managed->max_io = chunk;
	managed->record = -1;
	managed->all_local = -1;
	atomic_init(&managed->missed, UINT64_MAX);
	atomic_init(&managed->pull_rate, options->pull_rate);
	ahead_init(&managed->ahead, size, chunk);
	managed->changed.run = managed_changed;
	sem_init(&managed->first, 0, 0);
	sem_init(&managed->rested, 0, 0);
	err = post_open(&managed->post);
	managed->all_local = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!err && managed->all_local < 0)
		err = -errno;
	if (err)
		return error_set(error, err, "cannot make an eventfd: %s", strerror(-err));
	if (!options->record)
		return 0;
	managed->record = open(options->record, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
			       0644);
	if (managed->record < 0)
		return error_set(error, -errno, "cannot open %s: %s", options->record,
				 strerror(errno));
	return 0;
}

int managed_start(struct managed *managed, struct loop *loop, struct backend_channel *channel,
		  struct error *error)
{
	int err;

	managed->loop = loop;
	managed->channel = channel;
	err = post_attach(&managed->post, loop);
	if (err)
		return error_set(error, err, "cannot wait for work: %s", strerror(-err));
	err = push_new(managed, &managed->push, error);
	if (!err && managed->options->pull_workers)
		err = pull_new(managed, &managed->pull, error);
	return err;
}

void managed_halt(struct managed *managed)
{
	if (managed->pull)
		pull_halt(managed->pull);
	if (managed->push)
		push_halt(managed->push);
}

void managed_stop(struct managed *managed)
{
	post_detach(&managed->post);
	pull_free(managed->pull);
	push_free(managed->push);
	managed->pull = NULL;
	managed->push = NULL;
}

void managed_exit(struct managed *managed)
{
	if (managed->record >= 0)
		close(managed->record);
	if (managed->all_local >= 0)
		close(managed->all_local);
	post_close(&managed->post);
	if (managed->options) {
		ahead_exit(&managed->ahead);
		sem_destroy(&managed->first);
		sem_destroy(&managed->rested);
	}
	free(atomic_exchange(&managed->only, NULL));
}

void managed_broke(struct managed *managed, const struct error *error)
{
	if (error->code != -ENODEV && error->code != -ESTALE && error->code != -EPERM &&
	    !managed->error.code)
		managed->error = *error;
}

void managed_ready(struct managed *managed)
{
	atomic_store(&managed->ready, loop_now());
	managed_tell(managed);
}

void managed_missed(struct managed *managed, uint64_t offset, uint32_t length, bool beside)
{
	bool ready = atomic_load(&managed->ready), more;
	char line[64];
	int used;

	atomic_store(&managed->missed, offset + length);
	/* Before, the kernel looked for partitions. */
	more = ready && managed->options->pull_workers && ahead_missed(&managed->ahead, offset, length);
	if (more || (ready && !atomic_exchange(&managed->used, true)))
		managed_tell(managed);
	if (beside && managed->pull)
		pull_missed(managed->pull, length);
	if (managed->record < 0)
		return;
	used = snprintf(line, sizeof(line), "%" PRIu64 " %" PRIu32 "\n", offset, length);
	/* One call for a line: those of other threads come before or after it. */
	if (write(managed->record, line, (size_t)used) != used && !managed->record_failed) {
		managed->record_failed = true;
		log_warn("cannot record the order of the misses: %s", strerror(errno));
	}
}

void managed_fetched(struct managed *managed, uint32_t length)
{
	if (managed->pull)
		pull_fetched(managed->pull, length);
}

void managed_flush(struct managed *managed, struct managed_flush *flush)
{
	push_flush(managed->push, flush);
}

bool chunk_news_add(struct chunk_news *news, uint64_t offset, uint64_t length)
{
	news->extent[news->count++] =
		(struct r3map_extent) { .offset = offset, .length = length };
	return news->count == R3MAP_MAX_EXTENTS;
}

static int extent_compare(const void *a, const void *b)
{
	const struct r3map_extent *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

void chunk_news_order(struct chunk_news *news)
{
	unsigned int used = 0;

	qsort(news->extent, news->count, sizeof(news->extent[0]), extent_compare);
	for (unsigned int i = 1; i < news->count; i++) {
		struct r3map_extent *last = &news->extent[used];

		if (last->offset + last->length == news->extent[i].offset)
			last->length += news->extent[i].length;
		else
			news->extent[++used] = news->extent[i];
	}
	if (news->count)
		news->count = used + 1;
}
