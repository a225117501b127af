// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests in parts. See split.h.
 */
#include <errno.h>

#include "chunk/split.h"

static void split_go(struct wrap_io *whole);

static const struct split *split_of(const struct wrap_channel *channel)
{
	return (const struct split *)channel->channel.backend;
}

static void part_done(struct backend_io *io, int error)
{
	struct wrap_io *record = io->owner, *whole = record->parent;

	wrap_release(record);
	if (error && !whole->error)
		whole->error = error;
	whole->parts--;
	split_go(whole);
}

static void part_submit(struct wrap_io *whole, uint64_t length)
{
	struct wrap_io *record = wrap_part(whole);
	const struct backend_io *outer = whole->outer;

	if (!record) {
		whole->error = -ENOMEM;
		return;
	}
	record->inner = (struct backend_io) {
		.op = outer->op,
		.flags = outer->flags,
		.offset = whole->at,
		.length = (uint32_t)length,
		.buf = outer->buf ? (char *)outer->buf + (whole->at - outer->offset) : NULL,
		.done = part_done,
		.owner = record,
	};
	whole->at += length;
	whole->parts++;
	backend_submit(whole->channel->inner, &record->inner);
}

/* Parts that complete at once come back here while the loop runs, which then goes on by itself. */
static void split_go(struct wrap_io *whole)
{
	const struct split *split = split_of(whole->channel);
	const uint64_t end = whole->outer->offset + whole->outer->length;

	if (whole->busy)
		return;
	whole->busy = true;
	while (!whole->error && whole->at < end && whole->parts < SPLIT_PARTS)
		part_submit(whole, split->part(split, whole->outer, whole->at, end));
	whole->busy = false;
	if (!whole->parts && (whole->error || whole->at >= end))
		wrap_finish(whole, whole->error);
}

void split_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct wrap_io *record = wrap_take((struct wrap_channel *)channel, io);
	const struct split *split = (const struct split *)channel->backend;

	if (!record)
		return;
	if (split->part(split, io, io->offset, io->offset + io->length) == io->length) {
		wrap_pass(record);
		return;
	}
	record->at = io->offset;
	split_go(record);
}
