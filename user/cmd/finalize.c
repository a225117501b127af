// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map finalize: the regions of leechers are to be here now, all of them or none; or, at a seeder, are not to go after
 * all.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/loop.h"
#include "mount/door.h"
#include "nl/device.h"

#define GROUP_MOST	64
#define MS		1000000ULL	/* ns */

struct finalize_options {
	bool undo;
	uint32_t deadline;		/* ms, of a group */
	uint32_t timeout;		/* ms */
};

static const struct finalize_options finalize_defaults = { .deadline = 20000, .timeout = 120000 };

#define F(field) OPT(finalize_options, field)

static const struct opt finalize_opts[] = {
	{ OPT_FLAG, "undo", 0, F(undo),
	  .help = "DEVICE is a seeder's, and the leecher that has its region is lost: use it here again" },
	{ OPT_TIME, "deadline", 0, F(deadline), .value = "TIME", .min = 10, .max = 30000,
	  .help = "of several devices: all are ready in this time, or none is finalized (default: 20s)" },
	{ OPT_TIME, "timeout", 't', F(timeout), .value = "TIME", .min = 1, .max = R3MAP_MAX_TIMEOUT,
	  .help = "wait so long for the end of it (default: 2min)" },
	{ OPT_END },
};

/* One of those that are named. */
struct member {
	uint32_t index;
	char disk[16];
	bool left_out;			/* of what is asked next */
	enum door_word word;		/* asked for now */
	uint32_t timeout;		/* ms */
	bool late;			/* it has not answered in that time */
	int code;			/* what came of it */
	struct error error;
	char *answer;			/* if @code is 0; owned */
	pthread_t thread;
};

static void *member_ask(void *data)
{
	struct member *m = data;
	uint64_t until = loop_now() + m->timeout * MS;

	m->error = (struct error) { 0 };
	m->code = door_ask_disk(m->disk, m->word, NULL, m->timeout, &m->answer, &m->error);
	/* A deadline of the seeder's that was missed is told with the same number. */
	m->late = m->code == -ETIMEDOUT && loop_now() >= until;
	return NULL;
}

/* All but those that are left out, at the same time. The first that has refused, or NULL. */
static struct member *members_ask(struct member *members, int count, enum door_word word,
				  uint32_t timeout)
{
	struct member *refused = NULL;
	bool started[GROUP_MOST];

	for (int i = 0; i < count; i++) {
		struct member *m = &members[i];

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
	for (int i = 0; i < count; i++) {
		if (started[i])
			pthread_join(members[i].thread, NULL);
		if (!members[i].left_out && members[i].code && !refused)
			refused = &members[i];
	}
	return refused;
}

/* What was prepared, or still may be, is given up. */
static void group_undo(struct member *members, int count, uint32_t timeout)
{
	for (int i = 0; i < count; i++)
		members[i].left_out = members[i].code && !members[i].late;
	members_ask(members, count, DOOR_UNDO, timeout);
	for (int i = 0; i < count; i++)
		if (!members[i].left_out && members[i].code && members[i].code != -EALREADY)
			fprintf(stderr, "r3map: /dev/%s is not undone, look at it: %s\n", members[i].disk,
				members[i].error.text);
}

static int group_finalize(struct member *members, int count, const struct finalize_options *options,
			  struct error *error)
{
	struct member *refused;

	if (count > 1) {
		refused = members_ask(members, count, DOOR_PREPARE, options->deadline);
		if (refused && refused->late)
			error_set(&refused->error, -ETIMEDOUT, "it was not ready in time; --deadline gives more");
		if (refused) {
			*error = refused->error;
			error_prefix(error, "none is finalized, because of /dev/%s", refused->disk);
			group_undo(members, count, options->timeout);
			return error->code;
		}
	}
	refused = members_ask(members, count, DOOR_FINALIZE, options->timeout);
	for (int i = 0; i < count; i++) {
		if (members[i].code || !*members[i].answer)
			continue;
		if (count > 1)
			printf("/dev/%s: ", members[i].disk);
		printf("%s\n", members[i].answer);
	}
	if (!refused)
		return 0;
	*error = refused->error;
	return error_prefix(error, "/dev/%s is not finalized", refused->disk);
}

/* Each by itself; what fails first is left for the caller. */
static int seeders_undo(struct member *members, int count, const struct finalize_options *options,
			struct error *error)
{
	const struct member *refused = members_ask(members, count, DOOR_UNDO, options->timeout);

	if (!refused)
		return 0;
	*error = refused->error;
	return error_prefix(error, "/dev/%s is not taken back", refused->disk);
}

static int finalize_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct finalize_options *options = settings;
	struct member members[GROUP_MOST] = { 0 };
	int err;

	if (argc > GROUP_MOST) {
		error_set(error, -E2BIG, "at most %d devices can be finalized as one", GROUP_MOST);
		return EXIT_USAGE;
	}
	for (int i = 0; i < argc; i++) {
		struct member *m = &members[i];

		if (device_index(argv[i], &m->index, error))
			return EXIT_USAGE;
		snprintf(m->disk, sizeof(m->disk), "r3map%" PRIu32, m->index);
		for (int k = 0; k < i; k++) {
			if (members[k].index != m->index)
				continue;
			error_set(error, -EINVAL, "/dev/%s is named twice", m->disk);
			return EXIT_USAGE;
		}
	}
	err = options->undo ? seeders_undo(members, argc, options, error) :
			      group_finalize(members, argc, options, error);
	for (int i = 0; i < argc; i++)
		free(members[i].answer);
	return err;
}

const struct command command_finalize = {
	.name = "finalize",
	.arguments = "[OPTION]... DEVICE...",
	.summary = "End a migration: the regions of leechers are in use here from now on, all or none",
	.options = finalize_opts,
	.defaults = &finalize_defaults,
	.settings_size = sizeof(finalize_defaults),
	.args_min = 1,
	.args_max = -1,
	.run = finalize_run,
};
