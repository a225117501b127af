// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is asked of a mount at its door. See mount_state.h.
 */
#include <errno.h>
#include <string.h>

#define LOG_PREFIX "mount: "
#include "lib/json.h"
#include "lib/log.h"
#include "mount/mount_state.h"
#include "mount/tell.h"

static char *mount_facts(const struct mount *m)
{
	cJSON *object = cJSON_CreateObject(), *latency;
	char *text = NULL;

	bool fine = object && (!m->device.chunk || tell_pull(object, &m->managed)) &&
		    (!m->device.chunk || tell_trouble(object, &m->managed, &m->reach)) &&
		    (!m->leech || leech_tell(object, m->leech)) &&
		    (!m->seed || seed_tell(object, m->seed));

	if (fine && !m->device.chunk) {
		text = cJSON_PrintUnformatted(object);
	} else if (fine) {
		latency = cJSON_AddObjectToObject(object, "latency");
		if (latency && tell_latency(latency, &m->managed))
			text = cJSON_PrintUnformatted(object);
	}
	cJSON_Delete(object);
	return text;
}

/* Somebody wants to be told what is written. */
static void mount_track(struct mount *m)
{
	const char *why = NULL;
	int fd;

	if (m->leech && !leech_has_region(m->leech))
		why = "its region is elsewhere still, and changes there";
	else if (m->options->seed && m->options->seed->throttle)
		why = "its seeder has --throttle, which ends when nobody is told any more what is written";
	if (why) {
		door_answer(m->door, DOOR_TRACK, -EBUSY, why);
		return;
	}
	fd = door_take(m->door, DOOR_TRACK);
	if (fd >= 0)
		tracker_new(&m->trackers, fd);
}

/* The module knows the rest, and does it. */
static void mount_asked(void *data, enum door_word word, const char *argument)
{
	struct mount *m = data;
	struct error error = { 0 };
	int err;

	switch (word) {
	case DOOR_SHOW:
		tell_shown(m->door, mount_facts(m));
		break;
	case DOOR_PULL:
	case DOOR_RATE:
		err = tell_change(&m->managed, word, argument, &error);
		door_answer(m->door, word, err, error.text);
		break;
	case DOOR_FINALIZE:
	case DOOR_PREPARE:
	case DOOR_PROCEED:
		if (!m->leech)
			err = error_set(&error, -EOPNOTSUPP, "only a leecher is finalized: 'r3map leech'");
		else if (word == DOOR_FINALIZE)
			err = leech_finalize(m->leech, &error);
		else if (word == DOOR_PREPARE)
			err = leech_prepare(m->leech, &error);
		else
			err = leech_proceed(m->leech, &error);
		if (err)	/* otherwise mount_finalized() or mount_prepared() answers */
			door_refuse(m->door, err, error.text);
		break;
	case DOOR_LEFT:
		if (m->leech)
			leech_left(m->leech);
		break;
	case DOOR_TRACK:
		mount_track(m);
		break;
	case DOOR_UNDO:
		if (m->leech && !leech_has_region(m->leech)) {
			err = leech_undo(m->leech, &error);
			if (err)	/* likewise */
				door_refuse(m->door, err, error.text);
			break;
		}
		err = m->seed ? seed_undo(m->seed, &error) :
				error_set(&error, -EOPNOTSUPP, "only a seeder can take its region back");
		door_answer(m->door, word, err, error.text);
		break;
	default:
		door_answer(m->door, word, -EOPNOTSUPP, "that is for the module to do");
	}
}

void mount_door(struct mount *m)
{
	struct error error = { 0 };

	m->trackers = (struct trackers) { m->loop, m->control, &m->device, NULL };
	if ((m->device.chunk || m->options->seed) &&
	    door_open(m->loop, strrchr(m->path, '/') + 1, mount_asked, m, &m->door, &error))
		log_warn("%s", error.text);
}
