// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map finalize: the regions of leechers are to be here now, all of them or none; or, at a seeder, are not to go after
 * all.
 */
#include <errno.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/json.h"
#include "migrate/group.h"
#include "nl/device.h"
#include "show/helper.h"

struct finalize_options {
	bool json;
	bool undo;
	const char *group;
	uint32_t deadline;		/* ms, of a group */
	uint32_t timeout;		/* ms */
};

static const struct finalize_options finalize_defaults = { .deadline = 20000, .timeout = 120000 };

#define F(field) OPT(finalize_options, field)

static const struct opt finalize_opts[] = {
	OPT_JSON(finalize_options),
	{ OPT_STRING, "group", 0, F(group), .value = "NAME",
	  .help = "instead of DEVICEs: all leechers of this host that were started with this --group" },
	{ OPT_FLAG, "undo", 0, F(undo),
	  .help = "DEVICE is a seeder's, and the leecher that has its region is lost: use it here again" },
	{ OPT_TIME, "deadline", 0, F(deadline), .value = "TIME", .min = 10, .max = 30000,
	  .help = "of several devices: all are ready in this time, or none is finalized (default: 20s)" },
	{ OPT_TIME, "timeout", 't', F(timeout), .value = "TIME", .min = 1, .max = R3MAP_MAX_TIMEOUT,
	  .help = "wait so long for the end of it (default: 2min)" },
	{ OPT_END },
};

/* What came of one, with all that its helper tells of the migration. False: no memory. */
static bool member_json(cJSON *array, const struct member *m)
{
	cJSON *one = cJSON_CreateObject(), *helper = NULL, *migration = NULL;
	char path[32];
	bool fine;

	if (m->done)
		helper = helper_ask(m->disk, &(struct error){ 0 });
	if (helper)
		migration = cJSON_DetachItemFromObjectCaseSensitive(helper, "migration");
	cJSON_Delete(helper);
	snprintf(path, sizeof(path), "/dev/%s", m->disk);
	fine = cJSON_AddItemToArray(array, one) && cJSON_AddStringToObject(one, "device", path) &&
	       cJSON_AddBoolToObject(one, "done", m->done) &&
	       (!m->code || cJSON_AddStringToObject(one, "error", m->error.text));
	if (fine && migration)
		cJSON_AddItemToObject(one, "migration", migration);
	else
		cJSON_Delete(migration);
	return fine;
}

static int finalize_json(const struct group *group)
{
	cJSON *array = cJSON_CreateArray();

	for (int i = 0; array && i < group->count; i++) {
		if (member_json(array, &group->list[i]))
			continue;
		cJSON_Delete(array);
		array = NULL;
	}
	return json_print(array, false);
}

static void finalize_text(const struct group *group)
{
	for (int i = 0; i < group->count; i++) {
		const struct member *m = &group->list[i];

		if (!m->done || !*m->answer)
			continue;
		if (group->count > 1)
			printf("/dev/%s: ", m->disk);
		printf("%s\n", m->answer);
	}
}

/* Those that are named, or of the group. EXIT_USAGE, or 0 or a negative errno with a sentence. */
static int finalize_who(struct group *group, const struct finalize_options *options, int argc,
			char **argv, struct error *error)
{
	uint32_t index;

	if (!options->group == !argc || (options->group && options->undo)) {
		error_set(error, -EINVAL, "give devices, or --group NAME without them and without --undo");
		return EXIT_USAGE;
	}
	for (int i = 0; i < argc; i++)
		if (device_index(argv[i], &index, error) || group_add(group, index, error))
			return EXIT_USAGE;
	if (!options->group)
		return 0;
	if (group_check(options->group, error))
		return EXIT_USAGE;
	return group_gather(group, options->group, error);
}

static int finalize_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct finalize_options *options = settings;
	struct group group = { 0 };
	int status, told = 0;

	status = finalize_who(&group, options, argc, argv, error);
	if (status)
		return status;
	status = options->undo ? group_take_back(&group, options->timeout, error) :
				 group_finalize(&group, options->deadline, options->timeout, error);
	if (options->json)
		told = finalize_json(&group);
	else
		finalize_text(&group);
	group_free(&group);
	return status ? status : told;
}

const struct command command_finalize = {
	.name = "finalize",
	.arguments = "[OPTION]... [DEVICE...]",
	.summary = "End a migration: the regions of leechers are in use here from now on, all or none",
	.options = finalize_opts,
	.defaults = &finalize_defaults,
	.settings_size = sizeof(finalize_defaults),
	.args_min = 0,
	.args_max = -1,
	.run = finalize_run,
};
