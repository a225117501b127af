// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map set: change what may change while a device is in use.
 */
#include <errno.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "nl/change.h"
#include "nl/device.h"

static const char *const words_switch[] = { "off", "on", NULL };

static const struct device_change set_defaults = CHANGE_NOTHING;

static const struct opt set_opts[] = {
	{ OPT_SIZE64, "size", 's', OPT(device_change, size), .value = "SIZE", .min = 512,
	  .help = "new size of the device" },
	{ OPT_CHOICE, "read-only", 'r', OPT(device_change, read_only), .value = "on|off",
	  .words = words_switch, .help = "refuse writes, or allow them" },
	{ OPT_TIME, "timeout", 't', OPT(device_change, timeout), .value = "TIME", .min = 10,
	  .max = R3MAP_MAX_TIMEOUT, .help = "a request may take so long, then it fails" },
	{ OPT_TIME, "park", 0, OPT(device_change, park), .value = "TIME", .max = R3MAP_MAX_TIMEOUT,
	  .help = "when the helper dies, requests wait so long for another; 0: fail at once" },
	{ OPT_END },
};

static int set_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct device_change *change = settings;
	uint32_t index;

	(void)argc;
	if (!memcmp(change, &set_defaults, sizeof(set_defaults))) {
		error_set(error, -EINVAL, "there is nothing to set: give --size, --read-only, --timeout or --park");
		return EXIT_USAGE;
	}
	if (device_index(argv[0], &index, error))
		return EXIT_USAGE;
	return device_change(index, change, error);
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
