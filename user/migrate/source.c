// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A managed device's region, to be read. See source.h.
 *
 * A request whose chunks are all local, or all not, goes to the store or to the backend as it is. One that has both is read
 * from the backend as a whole, and then what is local is read over that from the store: by then it may be more, which does
 * no harm, and never less.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOG_PREFIX "seed: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/log.h"
#include "migrate/source.h"
#include "mount/managed.h"
#include "nl/chunks.h"
#include "nl/control.h"

struct source {
	struct backend backend;
	const struct managed *managed;
	struct backend *store;
};

struct source_channel {
	struct backend_channel channel;
	struct backend_channel *far, *store;
	struct chunks chunks;			/* with a control socket of its own */
	struct chunk_extents told;		/* by the module, just now */
};

/* A request that the store and the backend have together. */
struct mixed {
	struct backend_io io;			/* with one of them */
	struct backend_io *outer;
	struct source_channel *channel;
	uint64_t at;				/* up to where the store's part is read, or begun */
	int error;
	bool busy;				/* mixed_go() is at it */
	bool waits;				/* @io is under way */
};

/*
 * *@length of the bytes from @offset to @end, > 0, are all local, or all not: *@local. 0 or a negative errno.
 */
static int source_look(struct source_channel *c, uint64_t offset, uint64_t end, uint64_t *length,
		       bool *local)
{
	const uint64_t first = offset & ~((uint64_t)c->chunks.chunk - 1);
	struct chunk_extents *told = &c->told;
	struct error error = { 0 };
	uint64_t at = first;
	int err = chunks_get(&c->chunks, first, told, &error);

	if (!err && (!told->count || told->extent[0].offset != first))
		err = error_set(&error, -EBADMSG, "the module tells nothing of byte %" PRIu64, offset);
	if (err) {
		log_warn("cannot tell what is local: %s", error.text);
		return err;
	}
	*local = told->extent[0].flags & R3MAP_EXTENT_LOCAL;
	for (unsigned int i = 0; i < told->count && at < end; i++) {
		if (told->extent[i].offset != at || *local != !!(told->extent[i].flags & R3MAP_EXTENT_LOCAL))
			break;
		at += told->extent[i].length;
	}
	*length = (at < end ? at : end) - offset;
	return 0;
}

static void mixed_over(struct mixed *mixed, int error)
{
	struct backend_io *outer = mixed->outer;

	free(mixed);
	outer->done(outer, error);
}

static void mixed_go(struct mixed *mixed);

static void mixed_done(struct backend_io *io, int error)
{
	struct mixed *mixed = (struct mixed *)io;	/* its first member */

	mixed->waits = false;
	mixed->error = error;
	mixed_go(mixed);
}

/* The first @length bytes of what is left, from @channel. */
static void mixed_submit(struct mixed *mixed, struct backend_channel *channel, uint64_t length)
{
	const struct backend_io *outer = mixed->outer;

	mixed->io = (struct backend_io) {
		.op = BACKEND_READ,
		.offset = mixed->at,
		.length = (uint32_t)length,
		.buf = (char *)outer->buf + (mixed->at - outer->offset),
		.done = mixed_done,
	};
	mixed->waits = true;
	backend_submit(channel, &mixed->io);
}

/* Goes on once the backend's bytes are there. A read that is done at once comes back here, and the loop goes on by itself. */
static void mixed_go(struct mixed *mixed)
{
	const uint64_t end = mixed->outer->offset + mixed->outer->length;
	struct source_channel *c = mixed->channel;
	uint64_t length;
	bool local;

	if (mixed->busy)
		return;
	mixed->busy = true;
	while (!mixed->waits && !mixed->error && mixed->at < end) {
		mixed->error = source_look(c, mixed->at, end, &length, &local);
		if (mixed->error)
			break;
		if (local)
			mixed_submit(mixed, c->store, length);
		mixed->at += length;
	}
	mixed->busy = false;
	if (mixed->waits)
		backend_kick(c->store);
	else
		mixed_over(mixed, mixed->error);
}

static void mixed_read(struct source_channel *c, struct backend_io *io)
{
	struct mixed *mixed = calloc(1, sizeof(*mixed));

	if (!mixed) {
		io->done(io, -ENOMEM);
		return;
	}
	mixed->outer = io;
	mixed->channel = c;
	mixed->at = io->offset;
	mixed_submit(mixed, c->far, io->length);
}

/* EXTENTS may stop short. */
static void part_done(struct backend_io *io, int error)
{
	struct backend_io *outer = io->owner;

	free(io);
	outer->done(outer, error);
}

static void part_extents(struct backend_channel *channel, struct backend_io *io, uint64_t length)
{
	struct backend_io *part = malloc(sizeof(*part));

	if (!part) {
		io->done(io, -ENOMEM);
		return;
	}
	*part = (struct backend_io) {
		.op = BACKEND_EXTENTS,
		.flags = io->flags,
		.offset = io->offset,
		.length = (uint32_t)length,
		.extents = io->extents,
		.done = part_done,
		.owner = io,
	};
	backend_submit(channel, part);
}

static void source_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct source_channel *c = (struct source_channel *)channel;
	struct backend_channel *whose;
	uint64_t length;
	bool local;
	int err;

	if (io->op != BACKEND_READ && io->op != BACKEND_EXTENTS) {
		io->done(io, -EOPNOTSUPP);
		return;
	}
	err = source_look(c, io->offset, io->offset + io->length, &length, &local);
	if (err) {
		io->done(io, err);
		return;
	}
	whose = local ? c->store : c->far;
	if (length == io->length)
		backend_submit(whose, io);
	else if (io->op == BACKEND_READ)
		mixed_read(c, io);
	else
		part_extents(whose, io, length);
}

static void source_kick(struct backend_channel *channel)
{
	struct source_channel *c = (struct source_channel *)channel;

	backend_kick(c->far);
	backend_kick(c->store);
}

static void source_channel_close(struct backend_channel *channel)
{
	struct source_channel *c = (struct source_channel *)channel;

	/* In this order: what the backend still had does not go on to the store, for it was cancelled. */
	if (c->far)
		backend_channel_close(c->far);
	if (c->store)
		backend_channel_close(c->store);
	if (c->chunks.control)
		control_close(c->chunks.control);
	free(c);
}

static int source_channel_open(struct backend *backend, struct loop *loop,
			       struct backend_channel **channel, struct error *error)
{
	struct source *source = (struct source *)backend;
	struct source_channel *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return error_set(error, -ENOMEM, "out of memory");
	c->channel.backend = backend;
	c->chunks = source->managed->chunks;
	c->chunks.control = NULL;
	err = control_open(&c->chunks.control, error);
	if (!err)
		err = backend_channel_open(source->store, loop, &c->store, error);
	if (!err)
		err = backend_channel_open(source->managed->backend, loop, &c->far, error);
	if (err)
		source_channel_close(&c->channel);
	else
		*channel = &c->channel;
	return err;
}

static void source_close(struct backend *backend)
{
	backend_close(((struct source *)backend)->store);
	free(backend->name);
	free(backend);
}

static const struct backend_ops source_ops = {
	.scheme = "source",
	.close = source_close,
	.channel_open = source_channel_open,
	.channel_close = source_channel_close,
	.submit = source_submit,
	.kick = source_kick,
};

int source_backend(const struct managed *managed, const char *device, struct backend **backend,
		   struct error *error)
{
	const struct backend_info *far = &managed->backend->info;
	struct source *source = calloc(1, sizeof(*source));
	int err;

	if (!source)
		return error_set(error, -ENOMEM, "out of memory");
	source->backend = (struct backend) {
		.ops = &source_ops,
		.info = {
			.size = managed->size,
			.block_min = far->block_min,
			.block_preferred = far->block_preferred,
			.max_io = far->max_io,
			.channels_max = far->channels_max,
			.read_only = true,
			.can_extents = true,
			.rotational = far->rotational,
			.waits = true,
			.near = far->near,
		},
		.name = strdup(managed->backend->name),
	};
	source->managed = managed;
	err = source->backend.name ? store_backend(&managed->store, device, &source->store, error) :
				     error_set(error, -ENOMEM, "out of memory");
	if (err) {
		free(source->backend.name);
		free(source);
		return err;
	}
	*backend = &source->backend;
	return 0;
}
