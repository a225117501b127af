// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Metadata contexts of a seeder. See context.h.
 */
#include <errno.h>

#define LOG_PREFIX "seed: "
#include "lib/error.h"
#include "lib/log.h"
#include "migrate/context.h"
#include "migrate/session.h"
#include "nl/control.h"
#include "serve/export.h"

#define STATE_DIRTY	1u
#define STATE_LOCAL	1u

/* A direct device has all of its region. */
static int local_look(void *data, uint64_t offset, uint32_t length, struct backend_extents *extents)
{
	(void)data;
	(void)offset;
	extents->extent[extents->used++] =
		(struct backend_extent) { .length = length, .flags = STATE_LOCAL };
	return 0;
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
			dirty_set_words(seen, first, s->fresh.word + first, count);
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

int contexts_open(struct contexts *contexts, struct sessions *sessions, struct exports *exports,
		  struct error *error)
{
	int err = control_open(&contexts->control, error);

	if (err)
		return err;
	contexts->sessions = sessions;
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
