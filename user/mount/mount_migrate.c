// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a seeder or a leecher has besides a mount, and what its migration tells. See mount_state.h.
 */
#include <errno.h>

#define LOG_PREFIX "mount: "
#include "lib/log.h"
#include "migrate/source.h"
#include "mount/mount_state.h"

/* A finalize has ended. */
static void mount_finalized(void *data, const struct error *error)
{
	struct mount *m = data;
	char text[200];

	if (error->code) {
		door_answer(m->door, DOOR_FINALIZE, error->code, error->text);
		door_answer(m->door, DOOR_PREPARE, error->code, error->text);
		door_answer(m->door, DOOR_PROCEED, error->code, error->text);
		door_answer(m->door, DOOR_UNDO, 0, "");
		return;
	}
	leech_summary(m->leech, text, sizeof(text));
	door_answer(m->door, DOOR_FINALIZE, 0, text);
	door_answer(m->door, DOOR_PROCEED, 0, text);
}

/* It waits for the others of its group. */
static void mount_prepared(void *data)
{
	struct mount *m = data;

	door_answer(m->door, DOOR_PREPARE, 0, "");
}

/* All of the region is here: it can go on from here. */
static void mount_whole(void *data)
{
	struct mount *m = data;
	struct error error = { 0 };

	if (m->seed && seed_begin(m->seed, &error))
		log_error("%s cannot be moved on: %s", m->path, error.text);
}

/* The region is at a leecher as a whole. */
static void mount_gone(void *data)
{
	struct mount *m = data;

	m->gone = true;
	mount_unmount(m);
}

void mount_cue(void *data)
{
	struct error error = { 0 };
	struct mount *m = data;

	if (!m->leech)
		error_set(&error, -EAGAIN, "it has not begun yet");
	else
		leech_finalize(m->leech, &error);
	if (error.code)
		log_error("cannot finalize %s: %s", m->path, error.text);
}

int mount_migrate(struct mount *m, const char *backend, char **uris, struct error *error)
{
	const struct leech_events events = { mount_finalized, mount_prepared, mount_whole, m };
	const struct mount_options *o = m->options;
	int err = 0;

	if (!o->leech && !o->seed)
		return 0;
	/* A leecher that seeds on has all of it in its store by then. */
	if (o->seed && m->device.chunk)
		err = o->leech ? store_backend(&m->managed.store, m->path, &m->here, error) :
				 source_backend(&m->managed, m->path, &m->here, error);
	if (!err && o->seed)
		err = seed_open(m->loop, o->seed, m->here ? m->here : m->backend, &m->device, m->before,
				m->path, mount_gone, m, &m->seed, error);
	if (!err && o->leech)
		err = leech_open(m->loop, o->leech, backend, &m->managed, m->before, m->path, m->seed,
				 &events, &m->leech, error);
	else if (!err)
		err = seed_begin(m->seed, error);
	if (!err && m->seed) {
		*uris = seed_uris(m->seed);
		if (!*uris)
			err = error_set(error, -ENOMEM, "out of memory");
	}
	return err;
}
