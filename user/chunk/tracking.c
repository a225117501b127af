// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dirty chunks. See tracking.h.
 *
 * A chunk becomes dirty after its bytes have changed. Whoever takes it clears that before he reads
 * them. All of it is one thread's, so either the change is read, or the chunk is dirty again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "backend/wrap.h"
#include "chunk/bits.h"
#include "chunk/find.h"
#include "chunk/tracking.h"
#include "lib/error.h"

struct tracking {
	struct wrap wrap;
	struct bits dirty;
	struct bits taken;
	struct bits either;		/* for the sum, in which a chunk is not to count twice */
};

static void tracking_done_io(struct backend_io *inner, int error)
{
	struct wrap_io *record = inner->owner;
	struct tracking *tracking = (struct tracking *)record->channel->channel.backend;
	const uint64_t from = inner->offset, to = from + inner->length;

	if (!error) {
		bits_set(&tracking->dirty, from, to);
		bits_set(&tracking->either, from, to);
	}
	wrap_finish(record, error);
}

static void tracking_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct wrap_io *record = wrap_take((struct wrap_channel *)channel, io);

	if (!record)
		return;
	if (io->op == BACKEND_WRITE || io->op == BACKEND_WRITE_ZEROES || io->op == BACKEND_DISCARD)
		wrap_pass_to(record, tracking_done_io);
	else
		wrap_pass(record);
}

static void tracking_free(struct tracking *tracking)
{
	bits_free(&tracking->dirty);
	bits_free(&tracking->taken);
	bits_free(&tracking->either);
}

static void tracking_close(struct backend *backend)
{
	tracking_free((struct tracking *)backend);
	wrap_close(backend);
}

static const struct backend_ops tracking_ops = {
	.scheme = "tracking",
	.close = tracking_close,
	.channel_open = wrap_channel_open,
	.channel_close = wrap_channel_close,
	.submit = tracking_submit,
	.kick = wrap_kick,
};

int tracking_new(struct backend *inner, uint32_t chunk, struct backend **stage,
		 struct error *error)
{
	struct tracking *tracking = calloc(1, sizeof(*tracking));
	const uint64_t size = inner->info.size;
	int err;

	if (!tracking)
		return error_set(error, -ENOMEM, "out of memory");
	err = bits_new(&tracking->dirty, size, chunk, error);
	if (!err)
		err = bits_new(&tracking->taken, size, chunk, error);
	if (!err)
		err = bits_new(&tracking->either, size, chunk, error);
	if (!err)
		err = wrap_init(&tracking->wrap, &tracking_ops, inner, error);
	if (err) {
		tracking_free(tracking);
		free(tracking);
		return err;
	}
	tracking->wrap.backend.info.waits = inner->info.waits;
	*stage = &tracking->wrap.backend;
	return 0;
}

uint64_t tracking_bytes(const struct backend *stage)
{
	return bits_bytes(&((const struct tracking *)stage)->either);
}

int tracking_take(struct backend *stage, uint64_t offset, uint64_t length, uint64_t max,
		  struct chunk_extents *extents, struct error *error)
{
	struct tracking *tracking = (struct tracking *)stage;
	struct find find = {
		.bits = { &tracking->dirty, &tracking->taken }, .want = { true, false },
	};

	(void)error;
	find_chunks(&find, offset, length, max, extents);
	for (unsigned int i = 0; i < extents->count; i++) {
		const struct r3map_extent *extent = &extents->extent[i];

		bits_clear(&tracking->dirty, extent->offset, extent->offset + extent->length);
		bits_set(&tracking->taken, extent->offset, extent->offset + extent->length);
	}
	return 0;
}

/* Those of the range that are clean now. */
static void tracking_forget(struct tracking *tracking, uint64_t from, uint64_t to)
{
	uint64_t run;
	bool dirty;

	for (; from < to; from += run) {
		run = bits_run(&tracking->dirty, from, to, &dirty);
		if (!dirty)
			bits_clear(&tracking->either, from, from + run);
	}
}

int tracking_done(struct backend *stage, const struct r3map_extent *extents, unsigned int count,
		  int code, struct error *error)
{
	struct tracking *tracking = (struct tracking *)stage;

	if (!find_all(&tracking->taken, extents, count))
		return error_set(error, -EINVAL, "a chunk that was not taken is said to be pushed");
	for (unsigned int i = 0; i < count; i++) {
		const uint64_t from = extents[i].offset, to = from + extents[i].length;

		bits_clear(&tracking->taken, from, to);
		if (code)
			bits_set(&tracking->dirty, from, to);
		tracking_forget(tracking, from, to);
	}
	return 0;
}
