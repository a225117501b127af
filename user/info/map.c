// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asks a backend for extents until its end: see map.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/loop.h"

#define STEP_TIME	30000000000ull	/* ns for one answer */
#define STEP_BYTES	(1u << 31)	/* asked about at once; a multiple of every block */
#define STEP_EXTENTS	1024

struct map {
	struct backend *backend;
	struct loop *loop;
	struct backend_channel *channel;
	struct backend_extents *extents;
	struct backend_io io;
	int (*each)(uint64_t offset, uint64_t length, uint32_t flags, void *owner);
	void *owner;
	struct error *error;

	uint64_t offset, length;	/* of the extent that may go on */
	uint32_t flags;
	bool answered;
	int answer;
};

const char *map_type(uint32_t flags)
{
	static const char *const types[] = { "data", "hole", "zero", "hole,zero" };

	return types[flags & (BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO)];
}

static void step_done(struct backend_io *io, int error)
{
	struct map *map = io->owner;

	map->answered = true;
	map->answer = error;
}

static int extent_take(struct map *map, const struct backend_extent *extent)
{
	int code = 0;

	if (map->length && map->flags == extent->flags) {
		map->length += extent->length;
		return 0;
	}
	if (map->length)
		code = map->each(map->offset, map->length, map->flags, map->owner);
	map->offset += map->length;
	map->length = extent->length;
	map->flags = extent->flags;
	return code;
}

/* One question. *@at moves behind what was answered. */
static int step(struct map *map, uint64_t *at)
{
	uint64_t left = map->backend->info.size - *at;
	uint64_t deadline = loop_now() + STEP_TIME;
	uint32_t i;
	int code;

	map->io = (struct backend_io) {
		.op = BACKEND_EXTENTS,
		.offset = *at,
		.length = left < STEP_BYTES ? (uint32_t)left : STEP_BYTES,
		.extents = map->extents,
		.done = step_done,
		.owner = map,
	};
	map->extents->room = STEP_EXTENTS;
	map->extents->used = 0;
	map->answered = false;
	backend_submit(map->channel, &map->io);
	backend_kick(map->channel);
	while (!map->answered && loop_now() < deadline) {
		code = loop_once(map->loop, deadline);
		if (code)
			return error_set(map->error, code, "%s", strerror(-code));
	}
	if (!map->answered)	/* closing the channel completes it */
		return error_set(map->error, -ETIMEDOUT, "no answer about what is data");
	if (map->answer)
		return error_set(map->error, map->answer, "cannot learn what is data at %llu: %s",
				 (unsigned long long)*at, strerror(-map->answer));
	for (i = 0; i < map->extents->used; i++) {
		code = extent_take(map, &map->extents->extent[i]);
		if (code)
			return code;
		*at += map->extents->extent[i].length;
	}
	return 0;
}

int map_walk(struct backend *backend,
	     int (*each)(uint64_t offset, uint64_t length, uint32_t flags, void *owner),
	     void *owner, struct error *error)
{
	struct map map = { .backend = backend, .each = each, .owner = owner, .error = error };
	uint64_t at = 0;
	int code;

	map.extents = malloc(sizeof(*map.extents) + STEP_EXTENTS * sizeof(map.extents->extent[0]));
	if (!map.extents)
		return error_set(error, -ENOMEM, "out of memory");
	code = loop_new(&map.loop);
	if (code) {
		error_set(error, code, "%s", strerror(-code));
		goto free_extents;
	}
	code = backend_channel_open(backend, map.loop, &map.channel, error);
	if (code)
		goto free_loop;
	while (!code && at < backend->info.size)
		code = step(&map, &at);
	if (!code && map.length)
		code = each(map.offset, map.length, map.flags, owner);
	backend_channel_close(map.channel);
free_loop:
	loop_free(map.loop);
free_extents:
	free(map.extents);
	return code;
}
