// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Groups. See group.h.
 */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/loop.h"
#include "migrate/group.h"
#include "nl/control.h"
#include "nl/device.h"
#include "show/helper.h"

#define MS	1000000ULL	/* ns */

/* --- who is of it ------------------------------------------------------------------------- */

int group_check(const char *name, struct error *error)
{
	size_t length = strlen(name);
	bool fine = length && length <= GROUP_NAME_MOST;

	for (size_t i = 0; fine && i < length; i++)
		fine = isalnum((unsigned char)name[i]) || strchr("-_.", name[i]);
	if (fine)
		return 0;
	return error_set(error, -EINVAL, "--group wants a name of up to %d letters, digits, '-', '_' and '.'",
			 GROUP_NAME_MOST);
}

int group_add(struct group *group, uint32_t index, struct error *error)
{
	struct member *m = &group->list[group->count];

	for (int i = 0; i < group->count; i++)
		if (group->list[i].index == index)
			return error_set(error, -EINVAL, "/dev/r3map%" PRIu32 " is named twice", index);
	if (group->count == GROUP_MOST)
		return error_set(error, -E2BIG, "at most %d devices can be finalized as one", GROUP_MOST);
	*m = (struct member) { .index = index, .stays = -1 };
	snprintf(m->disk, sizeof(m->disk), "r3map%" PRIu32, index);
	group->count++;
	return 0;
}

/* Is it of group @name? 1: so it is, and not here yet; 0: not; or a negative errno: nobody tells. */
static int device_belongs(const struct device *device, const char *name, struct error *error)
{
	const cJSON *migration;
	const char *phase;
	char disk[16];
	cJSON *helper;
	int belongs;

	/* Only a leecher has its users wait for all of it. */
	if (device->hold != R3MAP_HOLD_ALL)
		return 0;
	snprintf(disk, sizeof(disk), "r3map%" PRIu32, device->index);
	helper = helper_ask(disk, error);
	if (!helper)
		return error_prefix(error, "/dev/%s may be of group '%s', take it over or remove it", disk, name);
	migration = cJSON_GetObjectItemCaseSensitive(helper, "migration");
	phase = helper_text(migration, "phase");
	belongs = !strcmp(helper_text(migration, "group"), name) && strcmp(phase, "arriving") &&
		  strcmp(phase, "complete");
	cJSON_Delete(helper);
	return belongs;
}

int group_gather(struct group *group, const char *name, struct error *error)
{
	struct control *control;
	struct device *devices;
	unsigned int count;
	int err;

	err = control_open(&control, error);
	if (err)
		return err;
	err = device_list(control, &devices, &count, error);
	control_close(control);
	if (err)
		return err;
	for (unsigned int i = 0; err >= 0 && i < count; i++) {
		err = device_belongs(&devices[i], name, error);
		if (err > 0)
			err = group_add(group, devices[i].index, error);
	}
	free(devices);
	if (!err && !group->count)
		err = error_set(error, -ENOENT, "no leecher of group '%s' is to be finalized: start some with 'r3map leech --group %s'",
				name, name);
	return err;
}

/* --- asking ------------------------------------------------------------------------------- */

static void *member_ask(void *data)
{
	struct member *m = data;
	uint64_t until = loop_now() + m->timeout * MS;

	m->error = (struct error) { 0 };
	/* What is prepared is undone by itself when this process ends. */
	if (m->word == DOOR_PREPARE) {
		m->code = door_ask_staying(m->disk, m->word, m->timeout, &m->stays, &m->answer, &m->error);
		if (m->code)
			m->stays = -1;
	} else {
		m->code = door_ask_disk(m->disk, m->word, NULL, m->timeout, &m->answer, &m->error);
	}
	/* A deadline of the seeder's that was missed is told with the same number. */
	m->late = m->code == -ETIMEDOUT && loop_now() >= until;
	return NULL;
}

/* All but those that are left out, at the same time. The first that has refused, or NULL. */
static struct member *group_ask(struct group *group, enum door_word word, uint32_t timeout)
{
	struct member *refused = NULL;
	bool started[GROUP_MOST];

	for (int i = 0; i < group->count; i++) {
		struct member *m = &group->list[i];

		started[i] = false;
		if (m->left_out)
			continue;
		free(m->answer);
		m->answer = NULL;
		m->word = word;
		m->timeout = timeout;
		started[i] = !pthread_create(&m->thread, NULL, member_ask, m);
		if (!started[i])
			m->code = error_set(&m->error, -EAGAIN, "cannot start a thread");
	}
	for (int i = 0; i < group->count; i++) {
		struct member *m = &group->list[i];

		if (started[i])
			pthread_join(m->thread, NULL);
		if (!m->left_out && m->code && !refused)
			refused = m;
	}
	return refused;
}

/* The same, as the last thing. */
static struct member *group_do(struct group *group, enum door_word word, uint32_t timeout)
{
	struct member *refused = group_ask(group, word, timeout);

	for (int i = 0; i < group->count; i++)
		group->list[i].done = !group->list[i].code;
	return refused;
}

/* One that was ready, and has waited in vain since then: this process stood still. Or NULL. */
static struct member *group_gave_up(struct group *group)
{
	for (int i = 0; i < group->count; i++) {
		struct member *m = &group->list[i];
		struct pollfd told = { .fd = m->stays, .events = POLLIN };

		if (poll(&told, 1, 0) <= 0)
			continue;
		m->code = error_set(&m->error, -ECANCELED, "it was ready, and has given up waiting for the others");
		return m;
	}
	return NULL;
}

/* What was prepared, or still may be, is given up. */
static void group_undo(struct group *group, uint32_t timeout)
{
	for (int i = 0; i < group->count; i++)
		group->list[i].left_out = group->list[i].code && !group->list[i].late;
	group_ask(group, DOOR_UNDO, timeout);
	for (int i = 0; i < group->count; i++) {
		const struct member *m = &group->list[i];

		if (!m->left_out && m->code && m->code != -EALREADY)
			fprintf(stderr, "r3map: /dev/%s is not undone, look at it: %s\n", m->disk,
				m->error.text);
	}
}

int group_finalize(struct group *group, uint32_t deadline, uint32_t timeout, struct error *error)
{
	struct member *refused = NULL;

	if (group->count > 1)
		refused = group_ask(group, DOOR_PREPARE, deadline);
	if (!refused)
		refused = group_gave_up(group);
	if (refused) {
		if (refused->late)
			error_set(&refused->error, -ETIMEDOUT, "it was not ready in time; --deadline gives more");
		*error = refused->error;
		error_prefix(error, "none is finalized, because of /dev/%s", refused->disk);
		group_undo(group, timeout);
		return error->code;
	}
	refused = group_do(group, group->count > 1 ? DOOR_PROCEED : DOOR_FINALIZE, timeout);
	if (!refused)
		return 0;
	*error = refused->error;
	return error_prefix(error, "/dev/%s is not finalized", refused->disk);
}

int group_take_back(struct group *group, uint32_t timeout, struct error *error)
{
	const struct member *refused = group_do(group, DOOR_UNDO, timeout);

	if (!refused)
		return 0;
	*error = refused->error;
	return error_prefix(error, "/dev/%s is not taken back", refused->disk);
}

void group_free(struct group *group)
{
	for (int i = 0; i < group->count; i++) {
		free(group->list[i].answer);
		if (group->list[i].stays >= 0)
			close(group->list[i].stays);
	}
	group->count = 0;
}
