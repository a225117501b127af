// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map set: change what may change while a device is in use.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "mount/door.h"
#include "nl/change.h"
#include "nl/control.h"
#include "nl/device.h"

#define SET_TIMEOUT	10000	/* ms for a helper that is to be told */

struct set_options {
	struct device_change change;	/* what the module does */
	int pull;			/* of words_pull, or -1; and so the helper */
	uint64_t pull_rate;		/* bytes a second, 0: no limit; UINT64_MAX: as it is */
};

static const char *const words_switch[] = { "off", "on", NULL };
static const char *const words_pull[] = { "pause", "run", NULL };

static const struct set_options set_defaults = {
	.change = CHANGE_NOTHING,
	.pull = -1,
	.pull_rate = UINT64_MAX,
};

static const struct opt set_opts[] = {
	{ OPT_SIZE64, "size", 's', OPT(set_options, change.size), .value = "SIZE", .min = 512,
	  .help = "new size of the device" },
	{ OPT_CHOICE, "read-only", 'r', OPT(set_options, change.read_only), .value = "on|off",
	  .words = words_switch, .help = "refuse writes, or allow them" },
	{ OPT_TIME, "timeout", 't', OPT(set_options, change.timeout), .value = "TIME", .min = 10,
	  .max = R3MAP_MAX_TIMEOUT, .help = "a request may take so long, then it fails" },
	{ OPT_TIME, "park", 0, OPT(set_options, change.park), .value = "TIME", .max = R3MAP_MAX_TIMEOUT,
	  .help = "when the helper dies, requests wait so long for another; 0: fail at once" },
	{ OPT_SIZE64, "throttle", 0, OPT(set_options, change.throttle), .value = "SIZE", .max = INT64_MAX,
	  .help = "while a leecher follows: let no more than SIZE bytes a second be written; 0: no limit" },
	{ OPT_CHOICE, "pull", 0, OPT(set_options, pull), .value = "pause|run", .words = words_pull,
	  .help = "let the pull of a managed device rest, or go on" },
	{ OPT_SIZE64, "pull-rate", 0, OPT(set_options, pull_rate), .value = "SIZE", .max = INT64_MAX,
	  .help = "pull no more than SIZE bytes a second; 0: as fast as it goes" },
	{ OPT_END },
};

static int set_tell(const char *disk, enum door_word word, const char *argument,
		    struct error *error)
{
	char *answer;
	int err = door_ask_disk(disk, word, argument, SET_TIMEOUT, &answer, error);

	if (!err)
		free(answer);
	return err;
}

/* What is the helper's to change. */
static int set_pull(const char *disk, const struct set_options *options, struct error *error)
{
	char rate[24];
	int err = 0;

	snprintf(rate, sizeof(rate), "%" PRIu64, options->pull_rate);
	/* The rate first: what goes on then goes on with it. */
	if (options->pull_rate != UINT64_MAX)
		err = set_tell(disk, DOOR_RATE, rate, error);
	if (!err && options->pull >= 0)
		err = set_tell(disk, DOOR_PULL, words_pull[options->pull], error);
	return err;
}

/* Has it a helper that pulls? Otherwise it says why not. */
static int set_pullable(uint32_t index, struct error *error)
{
	struct control *control;
	struct device device;
	int err = control_open(&control, error);

	if (err)
		return err;
	err = device_get(control, index, &device, error);
	if (!err && !(device.present & DEVICE_HAS(CHUNK)))
		err = error_set(error, -EOPNOTSUPP,
				"/dev/r3map%" PRIu32 " is not managed: nothing is pulled", index);
	else if (!err && device.state != R3MAP_STATE_LIVE)
		err = error_set(error, -ENODEV,
				"/dev/r3map%" PRIu32 " has no helper that pulls: see 'r3map show'", index);
	control_close(control);
	return err;
}

static int set_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct set_options *options = settings;
	const struct device_change *change = &options->change;
	bool module = memcmp(change, &set_defaults.change, sizeof(*change));
	bool helper = options->pull >= 0 || options->pull_rate != UINT64_MAX;
	uint32_t index;
	char disk[16];
	int err = 0;

	(void)argc;
	if (!module && !helper) {
		error_set(error, -EINVAL, "there is nothing to set: give --size, --read-only, --timeout, --park, --throttle, --pull or --pull-rate");
		return EXIT_USAGE;
	}
	if (door_names(argv[0], &index)) {
		if (module) {
			error_set(error, -EINVAL, "of /dev/nbd%" PRIu32 " only --pull and --pull-rate can be set",
				  index);
			return EXIT_USAGE;
		}
		snprintf(disk, sizeof(disk), "nbd%" PRIu32, index);
		return set_pull(disk, options, error);
	}
	if (device_index(argv[0], &index, error))
		return EXIT_USAGE;
	snprintf(disk, sizeof(disk), "r3map%" PRIu32, index);
	if (helper)
		err = set_pullable(index, error);
	if (!err && module)
		err = device_change(index, change, error);
	if (!err && helper)
		err = set_pull(disk, options, error);
	return err;
}

const struct command command_set = {
	.name = "set",
	.arguments = "[OPTION]... DEVICE",
	.summary = "Change a device while it is in use",
	.options = set_opts,
	.defaults = &set_defaults,
	.settings_size = sizeof(set_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = set_run,
};
