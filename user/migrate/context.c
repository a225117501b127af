// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Metadata contexts of a seeder. See context.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/r3map.h>
#include <stdlib.h>

#define LOG_PREFIX "seed: "
#include "lib/error.h"
#include "lib/log.h"
#include "migrate/context.h"
#include "migrate/session.h"
#include "nl/chunks.h"
#include "nl/control.h"
#include "serve/export.h"

#define STATE_DIRTY	1u
#define STATE_LOCAL	1u

/* Adds what the module tells of chunks, from *@offset to @end; *@offset is then where to go on. */
static void local_tell(const struct chunk_extents *chunks, uint64_t *offset, uint64_t end,
		       struct backend_extents *extents)
{
	for (unsigned int i = 0; i < chunks->count && *offset < end && extents->used < extents->room; i++) {
		const struct r3map_extent *e = &chunks->extent[i];
		const uint64_t to = e->offset + e->length < end ? e->offset + e->length : end;

		if (to <= *offset)
			continue;
		extents->extent[extents->used++] = (struct backend_extent) {
			.length = to - *offset, .flags = e->flags & R3MAP_EXTENT_LOCAL ? STATE_LOCAL : 0,
		};
		*offset = to;
	}
}

/* A direct device has all of its region, of a managed one the module knows. */
static int local_look(void *data, uint64_t offset, uint32_t length, struct backend_extents *extents)
{
	struct contexts *contexts = data;
	const uint64_t end = offset + length, mask = ~((uint64_t)contexts->chunk - 1);
	const struct chunks chunks = {
		.control = contexts->control,
		.index = contexts->sessions->index,
		.chunk = contexts->chunk,
	};
	struct chunk_extents *told;
	struct error error = { 0 };
	uint64_t at = offset, before;
	int err = 0;

	if (!contexts->chunk) {
		extents->extent[extents->used++] =
			(struct backend_extent) { .length = length, .flags = STATE_LOCAL };
		return 0;
	}
	told = malloc(sizeof(*told));
	if (!told)
		return -ENOMEM;
	while (!err && at < end && extents->used < extents->room) {
		pthread_mutex_lock(&contexts->sessions->lock);
		err = chunks_get(&chunks, at & mask, told, &error);
		pthread_mutex_unlock(&contexts->sessions->lock);
		before = at;
		if (!err)
			local_tell(told, &at, end, extents);
		if (!err && at == before)
			err = error_set(&error, -EBADMSG, "the module tells nothing of byte %" PRIu64, at);
	}
	free(told);
	if (err)
		log_warn("cannot tell what is local: %s", error.text);
	return err;
}

/*
 * What is dirty of any session, in those words that @length bytes at @offset are in. The lock is held, so a session's
 * room for its next list is free.
 */
static int dirty_see(struct contexts *contexts, uint64_t offset, uint32_t length, struct error *error)
{
	struct sessions *sessions = contexts->sessions;
	struct dirty *seen = &contexts->seen;
	bool none = true;
	int err = 0;

	for (unsigned int i = 0; !err && i < SESSIONS; i++) {
		struct session *s = &sessions->list[i];
		struct epoch epoch = s->epoch;
		size_t first, count;

		if (!s->number)
			continue;
		/* One grain for all of a device's. */
		if (!seen->word && dirty_init(seen, sessions->size, epoch.grain))
			return error_set(error, -ENOMEM, "out of memory");
		first = (size_t)(offset / epoch.grain / 64);
		count = (size_t)((offset + length - 1) / epoch.grain / 64) + 1 - first;
		if (none)
			dirty_clear(seen);
		none = false;
		epoch.control = contexts->control;
		err = epoch_peek(&epoch, first, s->fresh.word + first, count, error);
		if (!err)
			dirty_merge_words(seen, &s->fresh, first, count);
	}
	/* Nobody watches. */
	if (none && seen->word)
		dirty_clear(seen);
	return err;
}

/* The extents of @length bytes at @offset by what was seen. */
static void dirty_tell(const struct dirty *seen, uint64_t offset, uint32_t length,
		       struct backend_extents *extents)
{
	const uint64_t end = offset + length;

	while (offset < end && extents->used < extents->room) {
		uint64_t to = seen->word ? dirty_turn(seen, offset, end) : end;
		bool dirty = seen->word && dirty_any(seen, offset, 1);

		extents->extent[extents->used++] = (struct backend_extent) {
			.length = to - offset, .flags = dirty ? STATE_DIRTY : 0,
		};
		offset = to;
	}
}

static int dirty_look(void *data, uint64_t offset, uint32_t length, struct backend_extents *extents)
{
	struct contexts *contexts = data;
	struct error error = { 0 };
	int err;

	pthread_mutex_lock(&contexts->sessions->lock);
	err = dirty_see(contexts, offset, length, &error);
	if (!err)
		dirty_tell(&contexts->seen, offset, length, extents);
	pthread_mutex_unlock(&contexts->sessions->lock);
	if (err)
		log_warn("cannot tell what was written: %s", error.text);
	return err;
}

int contexts_open(struct contexts *contexts, struct sessions *sessions, uint32_t chunk,
		  struct exports *exports, struct error *error)
{
	int err = control_open(&contexts->control, error);

	if (err)
		return err;
	contexts->sessions = sessions;
	contexts->chunk = chunk;
	exports_add_context(exports, &(struct export_context) { "r3map:dirty", dirty_look, contexts });
	exports_add_context(exports, &(struct export_context) { "r3map:local", local_look, contexts });
	return 0;
}

void contexts_close(struct contexts *contexts)
{
	if (contexts->control)
		control_close(contexts->control);
	dirty_free(&contexts->seen);
}
