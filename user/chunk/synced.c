// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A local copy of a remote region. See synced.h.
 *
 * A request goes from its first byte to its last, as far as the chunks allow, and is held where one
 * is busy. When any chunk has changed its state, all that are held look again, in a task: there are
 * no more of them than the device has requests. Nobody holds a chunk while he waits for another.
 *
 * Fetches come from a pool. When it is empty, requests wait as if the chunk were busy: the end of a
 * fetch makes them look again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "backend/wrap.h"
#include "chunk/bits.h"
#include "chunk/find.h"
#include "chunk/synced.h"
#include "lib/error.h"
#include "mount/store.h"

#define FETCHES		128u	/* under way at a time; a kernel NBD client has as many requests */
#define UNDER_WAY	1	/* not a result of a request */

struct synced;

struct fetch {
	struct backend_io io;
	struct synced *synced;
	struct fetch *next;		/* free ones */
	int *result;			/* of whoever is just submitting it, or NULL */
};

struct synced {
	struct wrap wrap;		/* the remote is what is behind */
	struct synced_options options;
	struct backend *local;
	struct bits present;
	struct bits busy;
	struct bits claimed;		/* those that are not busy, too, are so loosely */
	struct synced_counts counts;

	/* Of the channel. */
	struct loop_task look;		/* at what is held */
	struct wrap_channel *channel;	/* the one there is, or NULL */
	struct backend_channel *local_channel;
	struct fetch *fetches;
	struct fetch *free;
};

static struct synced *synced_from(const struct backend *stage)
{
	return (struct synced *)stage;
}

/* Chunks have changed. */
static void synced_changed(struct synced *s)
{
	if (s->channel)
		loop_task_queue(s->channel->loop, &s->look);
}

static uint64_t chunk_start(const struct synced *s, uint64_t at)
{
	return at & ~(uint64_t)(s->options.chunk - 1);
}

static uint64_t chunk_end(const struct synced *s, uint64_t at)
{
	uint64_t end = chunk_start(s, at) + s->options.chunk;

	return end < s->wrap.backend.info.size ? end : s->wrap.backend.info.size;
}

/* How many bytes from @from on, up to @to, somebody fetches or fills, or nobody does. */
static uint64_t pending_run(const struct synced *s, uint64_t from, uint64_t to, bool *pending)
{
	bool busy, claimed;
	uint64_t run = bits_run(&s->busy, from, to, &busy);

	run = bits_run(&s->claimed, from, from + run, &claimed);
	*pending = busy || claimed;
	return run;
}

/* --- fetches ------------------------------------------------------------------------------ */

/* Those who wait for one of its chunks get its error, and nobody else. */
static void fetch_failed(struct synced *s, uint64_t from, uint64_t to, int error)
{
	for (struct wrap_io *r = s->channel->held; r; r = r->next)
		if (r->at >= from && r->at < to)
			r->error = error;
}

static void fetch_done(struct backend_io *io, int error)
{
	struct fetch *fetch = (struct fetch *)io;	/* its first member */
	struct synced *s = fetch->synced;
	const uint64_t from = io->offset, to = from + io->length;

	bits_clear(&s->busy, from, to);
	if (!error) {
		atomic_fetch_add(&s->counts.fetches, 1);
		atomic_fetch_add(&s->counts.fetch_bytes, to - from);
		store_trim(s->options.store, from, to - from);
		bits_set(&s->present, from, to);
	} else if (s->channel) {
		fetch_failed(s, from, to, error);
	}
	if (fetch->result)
		*fetch->result = error;
	fetch->next = s->free;
	s->free = fetch;
	if (s->options.fetched)
		s->options.fetched(s->options.data, (uint32_t)(to - from));
	synced_changed(s);
}

/*
 * Fetches absent chunks from the one at @at on, up to the one that has the last byte before @end.
 * Returns UNDER_WAY, 0: they are there, or a negative errno; -EAGAIN: not now.
 */
static int fetch_begin(struct synced *s, uint64_t at, uint64_t end)
{
	const uint64_t from = chunk_start(s, at);
	struct fetch *fetch = s->free;
	int result = UNDER_WAY, err;
	uint64_t run;
	bool set;

	if (!fetch)
		return -EAGAIN;
	run = bits_run(&s->present, from, chunk_end(s, end - 1), &set);
	run = pending_run(s, from, from + run, &set);
	if (run > s->options.fetch_max)
		run = s->options.fetch_max;
	err = store_prepare(s->options.store, from, run);
	if (err)
		return err;
	s->free = fetch->next;
	fetch->result = &result;
	fetch->io.op = BACKEND_READ;
	fetch->io.flags = 0;
	fetch->io.offset = from;
	fetch->io.length = (uint32_t)run;
	fetch->io.buf = s->options.store->bytes + from;
	bits_set(&s->busy, from, from + run);
	if (s->options.missed)
		s->options.missed(s->options.data, from, (uint32_t)run);
	backend_submit(s->channel->inner, &fetch->io);
	if (result == UNDER_WAY)	/* else it is somebody else's by now */
		fetch->result = NULL;
	return result;
}

/* Asks for everything else that a read will need, before it waits for the first of it. */
static void fetch_rest(struct synced *s, struct wrap_io *r, uint64_t at, uint64_t end)
{
	uint64_t run;
	bool set;
	int got;

	for (; at < end; at += run) {
		run = bits_run(&s->present, at, end, &set);
		if (set)
			continue;
		run = pending_run(s, at, at + run, &set);
		if (set)
			continue;
		got = fetch_begin(s, at, at + run);
		if (got < 0)	/* whoever gets there will be told */
			return;
		r->asked = true;
		if (run > s->options.fetch_max)
			run = chunk_start(s, at) + s->options.fetch_max - at;
	}
}

/* --- requests ----------------------------------------------------------------------------- */

static void local_done(struct backend_io *io, int error)
{
	*(int *)io->owner = error;
}

/* The next @length bytes of the request, in the store. */
static int synced_local(struct synced *s, struct wrap_io *r, uint64_t length)
{
	int result = -EIO;	/* the store never waits */

	r->inner = (struct backend_io) {
		.op = r->outer->op,
		.flags = r->outer->flags,
		.offset = r->at,
		.length = (uint32_t)length,
		.buf = r->outer->buf ? (char *)r->outer->buf + (r->at - r->outer->offset) : NULL,
		.done = local_done,
		.owner = &result,
	};
	backend_submit(s->local_channel, &r->inner);
	if (!result)
		r->at += length;
	return result;
}

static int synced_wait(struct wrap_io *r, uint64_t end)
{
	struct synced *s = synced_from(r->channel->channel.backend);

	/* Once: what fails of it is asked for again when the request gets there. */
	if (r->outer->op == BACKEND_READ && !r->busy)
		fetch_rest(s, r, r->at, end);
	r->busy = true;
	r->parts = 1;
	return UNDER_WAY;
}

/*
 * One step: from r->at, where the chunk is not present. Returns 0: look again; UNDER_WAY: it has to
 * wait; or a negative errno.
 */
static int synced_absent(struct synced *s, struct wrap_io *r, uint64_t run, uint64_t end)
{
	const enum backend_op op = r->outer->op;
	const uint64_t size = s->wrap.backend.info.size;
	uint64_t to = r->at + run;
	bool busy;
	int got;

	/* From here on whole chunks, or a part of one. */
	if (op != BACKEND_READ && to != size && chunk_start(s, to) > r->at)
		to = chunk_start(s, to);
	if (r->at != chunk_start(s, r->at) || (to != size && to != chunk_start(s, to))) {
		if (op == BACKEND_DISCARD) {
			r->at = to < chunk_end(s, r->at) ? to : chunk_end(s, r->at);
			return 0;
		}
	} else if (op != BACKEND_READ) {
		r->parts = 1;
		run = bits_run(&s->busy, r->at, to, &busy);
		if (busy)
			return synced_wait(r, end);
		to = r->at;
		got = synced_local(s, r, run);
		if (!got) {
			bits_clear(&s->claimed, to, to + run);
			bits_set(&s->present, to, to + run);
			synced_changed(s);
		}
		return got;
	}
	if (bits_has(&s->busy, r->at) || bits_has(&s->claimed, r->at))
		return synced_wait(r, end);
	r->parts = 1;
	got = fetch_begin(s, r->at, to);
	r->asked |= got != -EAGAIN;
	return got == -EAGAIN ? synced_wait(r, end) : got == UNDER_WAY ? 0 : got;
}

/* A request is over, which is no flush. */
static void synced_count(struct synced *s, const struct wrap_io *r, int error)
{
	const enum backend_op op = r->outer->op;
	struct synced_counts *counts = &s->counts;
	const uint64_t took = loop_now() - r->begun;

	if (error) {
		atomic_fetch_add(&counts->errors, 1);
		return;
	}
	atomic_fetch_add(&counts->op[op], 1);
	if (op <= BACKEND_WRITE)
		atomic_fetch_add(&counts->bytes[op], r->outer->length);
	/* A write of chunks that were not there, as a whole, is none of these. */
	if (r->asked)
		latency_note(&counts->demanded, took);
	else if (r->busy)
		latency_note(&counts->coalesced, took);
	else if (!r->parts)
		latency_note(&counts->hit, took);
}

/*
 * Goes on with a request, which is not held: as far as it goes. r->parts: something was not there;
 * r->busy: it has waited; r->asked: it has begun a fetch.
 */
static void synced_go(struct synced *s, struct wrap_io *r)
{
	const uint64_t end = r->outer->offset + r->outer->length;
	uint64_t run;
	bool present;
	int got = r->error;

	while (!got && r->at < end) {
		run = bits_run(&s->present, r->at, end, &present);
		got = present ? synced_local(s, r, run) : synced_absent(s, r, run, end);
	}
	if (got == UNDER_WAY) {
		wrap_hold(r);
		return;
	}
	atomic_fetch_add(r->parts ? &s->counts.misses : &s->counts.hits, 1);
	synced_count(s, r, got);
	wrap_finish(r, got);
}

static void synced_look(struct loop_task *task)
{
	struct synced *s = (struct synced *)((char *)task - offsetof(struct synced, look));
	struct wrap_io *r, *list = NULL;

	/* The first that came goes on first. What is held meanwhile is not for this look. */
	while ((r = s->channel->held)) {
		wrap_unhold(r);
		r->next = list;
		list = r;
	}
	while ((r = list)) {
		list = r->next;
		synced_go(s, r);
	}
	backend_kick(s->channel->inner);
}

static void synced_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct synced *s = synced_from(channel->backend);
	struct wrap_io *r = wrap_take((struct wrap_channel *)channel, io);

	if (!r)
		return;
	if (io->op == BACKEND_FLUSH) {
		wrap_finish(r, synced_local(s, r, 0));
		return;
	}
	r->begun = loop_now();
	r->at = io->offset;
	synced_go(s, r);
}

/* --- claims ------------------------------------------------------------------------------- */

int synced_claim(struct backend *stage, uint64_t offset, uint64_t length, uint64_t max, bool loose,
		 struct chunk_extents *extents, struct error *error)
{
	struct synced *s = synced_from(stage);
	struct find find = { .bits = { &s->present, &s->busy, &s->claimed } };

	(void)error;
	find_chunks(&find, offset, length, max, extents);
	for (unsigned int i = 0; i < extents->count; i++) {
		const struct r3map_extent *extent = &extents->extent[i];

		if (!loose)
			bits_set(&s->busy, extent->offset, extent->offset + extent->length);
		bits_set(&s->claimed, extent->offset, extent->offset + extent->length);
	}
	return 0;
}

int synced_firm(struct backend *stage, uint64_t offset, uint64_t length,
		struct chunk_extents *extents, struct error *error)
{
	struct synced *s = synced_from(stage);
	struct find find = { .bits = { &s->claimed, &s->busy }, .want = { true, false } };

	(void)error;
	find_chunks(&find, offset, length, UINT64_MAX, extents);
	for (unsigned int i = 0; i < extents->count; i++)
		bits_set(&s->busy, extents->extent[i].offset,
			 extents->extent[i].offset + extents->extent[i].length);
	return 0;
}

int synced_fill(struct backend *stage, const struct r3map_extent *extents, unsigned int count,
		int code, struct error *error)
{
	struct synced *s = synced_from(stage);

	if (!find_all(&s->claimed, extents, count) ||
	    (!code && !find_all(&s->busy, extents, count)))
		return error_set(error, -EINVAL, "a chunk that was not claimed is said to be filled");
	for (unsigned int i = 0; i < count; i++) {
		const uint64_t from = extents[i].offset, to = from + extents[i].length;

		bits_clear(&s->claimed, from, to);
		bits_clear(&s->busy, from, to);
		if (!code) {
			bits_set(&s->present, from, to);
			atomic_fetch_add(&s->counts.fill_bytes, to - from);
		}
	}
	synced_changed(s);
	return 0;
}

/* --- its life ----------------------------------------------------------------------------- */

static int synced_channel_open(struct backend *backend, struct loop *loop,
			       struct backend_channel **channel, struct error *error)
{
	struct synced *s = synced_from(backend);
	int err = wrap_channel_open(backend, loop, channel, error);

	if (err)
		return err;
	err = backend_channel_open(s->local, loop, &s->local_channel, error);
	if (err) {
		wrap_channel_close(*channel);
		return err;
	}
	s->channel = (struct wrap_channel *)*channel;
	return 0;
}

static void synced_channel_close(struct backend_channel *channel)
{
	struct synced *s = synced_from(channel->backend);

	loop_task_cancel(s->channel->loop, &s->look);
	s->channel = NULL;
	wrap_channel_close(channel);
	backend_channel_close(s->local_channel);
	s->local_channel = NULL;
}

static void synced_free(struct synced *s)
{
	bits_free(&s->present);
	bits_free(&s->busy);
	bits_free(&s->claimed);
	free(s->fetches);
}

static void synced_close(struct backend *backend)
{
	struct synced *s = synced_from(backend);

	synced_free(s);
	backend_close(s->local);
	wrap_close(backend);
}

static const struct backend_ops synced_ops = {
	.scheme = "synced",
	.close = synced_close,
	.channel_open = synced_channel_open,
	.channel_close = synced_channel_close,
	.submit = synced_submit,
	.kick = wrap_kick,
};

/* What the store can do, whatever the remote can. */
static void synced_info(struct synced *s)
{
	struct backend_info *info = &s->wrap.backend.info;

	info->block_min = 1;
	info->max_io = 0;
	info->channels_max = 1;
	info->can_flush = true;
	info->can_fua = false;
	info->can_discard = true;
	info->can_zeroes = true;
	info->can_fast_zero = false;
	info->can_extents = false;
	info->can_cache = false;
	info->rotational = false;
}

static int synced_tables(struct synced *s, uint64_t size, struct error *error)
{
	const uint32_t chunk = s->options.chunk;
	int err = bits_new(&s->present, size, chunk, error);

	if (!err)
		err = bits_new(&s->busy, size, chunk, error);
	if (!err)
		err = bits_new(&s->claimed, size, chunk, error);
	if (err)
		return err;
	s->fetches = calloc(FETCHES, sizeof(*s->fetches));
	if (!s->fetches)
		return error_set(error, -ENOMEM, "out of memory");
	for (unsigned int i = FETCHES; i-- > 0;) {
		s->fetches[i].io.done = fetch_done;
		s->fetches[i].synced = s;
		s->fetches[i].next = s->free;
		s->free = &s->fetches[i];
	}
	return 0;
}

int synced_new(struct backend *remote, struct backend *local, const struct synced_options *options,
	       struct backend **stage, struct error *error)
{
	struct synced *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return error_set(error, -ENOMEM, "out of memory");
	s->options = *options;
	s->options.fetch_max &= ~(options->chunk - 1);
	s->look.run = synced_look;
	err = synced_tables(s, remote->info.size, error);
	if (!err)
		err = wrap_init(&s->wrap, &synced_ops, remote, error);
	if (err) {
		synced_free(s);
		free(s);
		return err;
	}
	s->local = local;
	synced_info(s);
	*stage = &s->wrap.backend;
	return 0;
}

struct backend_channel *synced_remote(struct backend *stage)
{
	struct synced *s = synced_from(stage);

	return s->channel ? s->channel->inner : NULL;
}

const struct synced_counts *synced_counts(const struct backend *stage)
{
	return &synced_from(stage)->counts;
}

uint64_t synced_bytes(const struct backend *stage)
{
	return bits_bytes(&synced_from(stage)->present);
}
