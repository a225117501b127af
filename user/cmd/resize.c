// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map resize: r3map set --size, in the words that people look for.
 */
#include <errno.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/size.h"
#include "nl/change.h"
#include "nl/device.h"

static const struct device_change resize_defaults = CHANGE_NOTHING;

static const struct opt resize_opts[] = {
	{ OPT_END },
};

static int resize_run(const void *settings, int argc, char **argv, struct error *error)
{
	struct device_change change = *(const struct device_change *)settings;
	uint32_t index;

	(void)argc;
	if (size_parse(argv[1], &change.size, error) || !change.size) {
		error_set(error, -EINVAL, "'%s' is no size: give one such as 4096, 64K or 1G",
			  argv[1]);
		return EXIT_USAGE;
	}
	if (device_index(argv[0], &index, error))
		return EXIT_USAGE;
	return device_change(index, &change, error);
}

const struct command command_resize = {
	.name = "resize",
	.arguments = "DEVICE SIZE",
	.summary = "Change the size of a device",
	.options = resize_opts,
	.defaults = &resize_defaults,
	.settings_size = sizeof(resize_defaults),
	.args_min = 2,
	.args_max = 2,
	.run = resize_run,
};
