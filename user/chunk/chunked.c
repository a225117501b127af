// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Chunked: the backend, asked for whole chunks and for nothing else. How much of them the backend
 * takes at once is its own business, and is settled here: stages in front may believe that there is
 * no limit.
 */
#include <errno.h>
#include <stdlib.h>

#include "chunk/split.h"
#include "chunk/stage.h"
#include "lib/error.h"

struct chunked {
	struct split split;
	uint32_t chunk;			/* bytes; 0: anything may come in */
	uint32_t most;			/* bytes of one read or write of the backend */
};

static uint64_t chunked_part(const struct split *split, const struct backend_io *io, uint64_t at,
			     uint64_t end)
{
	const uint32_t most = ((const struct chunked *)split)->most;

	if (io->op > BACKEND_WRITE || !most || end - at <= most)
		return end - at;
	return most;
}

static bool chunked_whole(const struct chunked *chunked, const struct backend_io *io)
{
	const uint64_t mask = chunked->chunk - 1, end = io->offset + io->length;

	return !chunked->chunk || (!(io->offset & mask) && (!(end & mask) ||
				   end == chunked->split.wrap.backend.info.size));
}

static void chunked_submit(struct backend_channel *channel, struct backend_io *io)
{
	const struct chunked *chunked = (struct chunked *)channel->backend;
	if (io->op > BACKEND_WRITE)
		wrap_forward(channel, io);
	else if (chunked_whole(chunked, io))
		split_submit(channel, io);
	else
		io->done(io, -EINVAL);
}

static const struct backend_ops chunked_ops = {
	.scheme = "chunked",
	.close = wrap_close,
	.channel_open = wrap_channel_open,
	.channel_close = wrap_channel_close,
	.submit = chunked_submit,
	.kick = wrap_kick,
};

int chunked_new(struct backend *inner, uint64_t size, uint32_t chunk, struct backend **stage,
		struct error *error)
{
	struct chunked *chunked = calloc(1, sizeof(*chunked));
	uint32_t most = inner->info.max_io;
	int err;

	if (!chunked)
		return error_set(error, -ENOMEM, "out of memory");
	err = wrap_init(&chunked->split.wrap, &chunked_ops, inner, error);
	if (err) {
		free(chunked);
		return err;
	}
	/* Whole chunks where there is room for one: a server may keep each in one piece. */
	if (chunk && most > chunk)
		most &= ~(chunk - 1);
	chunked->split.part = chunked_part;
	chunked->chunk = chunk;
	chunked->most = most & ~(inner->info.block_min - 1);
	chunked->split.wrap.backend.info.max_io = 0;
	chunked->split.wrap.backend.info.size = size;
	chunked->split.wrap.backend.info.waits = inner->info.waits;
	*stage = &chunked->split.wrap.backend;
	return 0;
}
