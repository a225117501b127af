// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map finalize: the region of a leecher is to be here now; or, at a seeder, is not to go after all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "mount/door.h"
#include "nl/device.h"

struct finalize_options {
	bool undo;
	uint32_t timeout;		/* ms */
};

static const struct finalize_options finalize_defaults = { .timeout = 120000 };

#define F(field) OPT(finalize_options, field)

static const struct opt finalize_opts[] = {
	{ OPT_FLAG, "undo", 0, F(undo),
	  .help = "DEVICE is a seeder's, and the leecher that has its region is lost: use it here again" },
	{ OPT_TIME, "timeout", 't', F(timeout), .value = "TIME", .min = 1, .max = R3MAP_MAX_TIMEOUT,
	  .help = "wait so long for the end of it (default: 2min)" },
	{ OPT_END },
};

static int finalize_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct finalize_options *options = settings;
	char disk[16], *answer;
	uint32_t index;
	int err;

	(void)argc;
	if (device_index(argv[0], &index, error))
		return EXIT_USAGE;
	snprintf(disk, sizeof(disk), "r3map%" PRIu32, index);
	err = door_ask_disk(disk, options->undo ? DOOR_UNDO : DOOR_FINALIZE, NULL, options->timeout,
			    &answer, error);
	if (err)
		return error_prefix(error, options->undo ? "/dev/%s is not taken back" :
							   "/dev/%s is not finalized", disk);
	if (*answer)
		printf("%s\n", answer);
	free(answer);
	return 0;
}

const struct command command_finalize = {
	.name = "finalize",
	.arguments = "[OPTION]... DEVICE",
	.summary = "End a migration: the region of a leecher is in use here from now on",
	.options = finalize_opts,
	.defaults = &finalize_defaults,
	.settings_size = sizeof(finalize_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = finalize_run,
};
