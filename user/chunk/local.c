// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Local: the store of a managed mount as a backend, by system calls, so that reading what is absent
 * leaves it absent. It completes everything within submit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "chunk/stage.h"
#include "lib/error.h"
#include "mount/store.h"

struct local {
	struct backend backend;
	const struct store *store;
};

static void local_close(struct backend *backend)
{
	free(backend->name);
	free(backend);
}

static int local_channel_open(struct backend *backend, struct loop *loop,
			      struct backend_channel **channel, struct error *error)
{
	(void)backend;
	(void)loop;
	*channel = calloc(1, sizeof(**channel));
	return *channel ? 0 : error_set(error, -ENOMEM, "out of memory");
}

static void local_channel_close(struct backend_channel *channel)
{
	free(channel);
}

static int local_do(const struct store *store, const struct backend_io *io)
{
	switch (io->op) {
	case BACKEND_READ:
		return store_read(store, io->offset, io->buf, io->length);
	case BACKEND_WRITE:
		return store_write(store, io->offset, io->buf, io->length);
	case BACKEND_DISCARD:
	case BACKEND_WRITE_ZEROES:
		return store_punch(store, io->offset, io->length);
	case BACKEND_FLUSH:
		return fsync(store->fd) < 0 ? -errno : 0;
	default:
		return -EOPNOTSUPP;
	}
}

static void local_submit(struct backend_channel *channel, struct backend_io *io)
{
	io->done(io, local_do(((struct local *)channel->backend)->store, io));
}

static const struct backend_ops local_ops = {
	.scheme = "local",
	.close = local_close,
	.channel_open = local_channel_open,
	.channel_close = local_channel_close,
	.submit = local_submit,
};

int local_new(const struct store *store, struct backend **stage, struct error *error)
{
	struct local *local = calloc(1, sizeof(*local));

	if (local)
		local->backend.name = strdup("store");
	if (!local || !local->backend.name) {
		free(local);
		return error_set(error, -ENOMEM, "out of memory");
	}
	local->store = store;
	local->backend.ops = &local_ops;
	local->backend.info = (struct backend_info) {
		.size = store->size,
		.block_min = 1,
		.block_preferred = 4096,
		.channels_max = 1,
		.can_flush = true,
		.can_discard = true,
		.can_zeroes = true,
	};
	*stage = &local->backend;
	return 0;
}
