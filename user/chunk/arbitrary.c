// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Arbitrary: requests of any place and length become a part of one chunk, whole chunks, and a part
 * of one chunk. What a part of a chunk needs that is not there, the stages behind know.
 */
#include <errno.h>
#include <stdlib.h>

#include "chunk/split.h"
#include "chunk/stage.h"
#include "lib/error.h"

struct arbitrary {
	struct split split;
	uint64_t mask;			/* of a chunk */
};

static uint64_t arbitrary_part(const struct split *split, const struct backend_io *io,
			       uint64_t at, uint64_t end)
{
	const uint64_t mask = ((const struct arbitrary *)split)->mask;
	uint64_t whole = end == split->wrap.backend.info.size ? end : end & ~mask;

	(void)io;
	if (at & mask || whole <= at) {		/* up to the next chunk */
		uint64_t next = (at | mask) + 1;

		return (next < end ? next : end) - at;
	}
	return whole - at;
}

static void arbitrary_submit(struct backend_channel *channel, struct backend_io *io)
{
	if (io->op == BACKEND_FLUSH)
		wrap_forward(channel, io);
	else
		split_submit(channel, io);
}

static const struct backend_ops arbitrary_ops = {
	.scheme = "arbitrary",
	.close = wrap_close,
	.channel_open = wrap_channel_open,
	.channel_close = wrap_channel_close,
	.submit = arbitrary_submit,
	.kick = wrap_kick,
};

int arbitrary_new(struct backend *inner, uint32_t chunk, struct backend **stage,
		  struct error *error)
{
	struct arbitrary *arbitrary = calloc(1, sizeof(*arbitrary));
	int err;

	if (!arbitrary)
		return error_set(error, -ENOMEM, "out of memory");
	err = wrap_init(&arbitrary->split.wrap, &arbitrary_ops, inner, error);
	if (err) {
		free(arbitrary);
		return err;
	}
	arbitrary->split.part = arbitrary_part;
	arbitrary->mask = chunk - 1;
	*stage = &arbitrary->split.wrap.backend;
	return 0;
}
