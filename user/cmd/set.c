// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map set and r3map resize: change what may change while a device is in use.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/size.h"
#include "nl/control.h"
#include "nl/device.h"

#define UNSET	UINT32_MAX

struct set_options {
	uint64_t size;		/* bytes, or UINT64_MAX */
	int read_only;		/* 0 off, 1 on, -1 as it is */
	uint32_t timeout, park;	/* ms, or UNSET */
};

static const char *const words_switch[] = { "off", "on", NULL };

static const struct set_options set_defaults = {
	.size = UINT64_MAX, .read_only = -1, .timeout = UNSET, .park = UNSET,
};

static const struct opt set_opts[] = {
	{ OPT_SIZE64, "size", 's', OPT(set_options, size), .value = "SIZE", .min = 512,
	  .help = "new size of the device" },
	{ OPT_CHOICE, "read-only", 'r', OPT(set_options, read_only), .value = "on|off",
	  .words = words_switch, .help = "refuse writes, or allow them" },
	{ OPT_TIME, "timeout", 't', OPT(set_options, timeout), .value = "TIME", .min = 10,
	  .max = R3MAP_MAX_TIMEOUT, .help = "a request may take so long, then it fails" },
	{ OPT_TIME, "park", 0, OPT(set_options, park), .value = "TIME", .max = R3MAP_MAX_TIMEOUT,
	  .help = "when the helper dies, requests wait so long for another; 0: fail at once" },
	{ OPT_END },
};

static const struct opt resize_opts[] = {
	{ OPT_END },
};

static int set_device(const char *name, const struct set_options *options, struct error *error)
{
	struct device device;
	struct control *control;
	uint32_t index;
	int err;

	if (device_index(name, &index, error))
		return EXIT_USAGE;
	err = control_open(&control, error);
	if (err)
		return err;
	err = device_get(control, index, &device, error);
	if (err)
		goto out;
	device.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION);
	if (options->size != UINT64_MAX) {
		if (options->size % device.logical_block) {
			err = error_set(error, -EINVAL,
					"a size of %" PRIu64 " bytes is no multiple of r3map%u's blocks of %u",
					options->size, index, device.logical_block);
			goto out;
		}
		device.size = options->size;
		device.present |= DEVICE_HAS(SIZE);
	}
	if (options->read_only >= 0) {
		device.flags &= ~R3MAP_DEVICE_READ_ONLY;
		device.flags |= options->read_only ? R3MAP_DEVICE_READ_ONLY : 0;
		device.present |= DEVICE_HAS(FLAGS);
	}
	if (options->timeout != UNSET) {
		device.timeout = options->timeout;
		device.present |= DEVICE_HAS(TIMEOUT);
	}
	if (options->park != UNSET) {
		device.park = options->park;
		device.present |= DEVICE_HAS(PARK);
	}
	err = device_request(control, R3MAP_CMD_DEVICE_SET, &device, NULL, error);
	if (err)
		error_prefix(error, "cannot change r3map%u", index);
out:
	control_close(control);
	return err;
}

static int set_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct set_options *options = settings;

	(void)argc;
	if (!memcmp(options, &set_defaults, sizeof(set_defaults))) {
		error_set(error, -EINVAL, "there is nothing to set: give --size, --read-only, --timeout or --park");
		return EXIT_USAGE;
	}
	return set_device(argv[0], options, error);
}

static int resize_run(const void *settings, int argc, char **argv, struct error *error)
{
	struct set_options options = *(const struct set_options *)settings;

	(void)argc;
	if (size_parse(argv[1], &options.size, error) || !options.size) {
		error_set(error, -EINVAL, "'%s' is no size: give one such as 4096, 64K or 1G",
			  argv[1]);
		return EXIT_USAGE;
	}
	return set_device(argv[0], &options, error);
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

const struct command command_resize = {
	.name = "resize",
	.arguments = "DEVICE SIZE",
	.summary = "Change the size of a device",
	.options = resize_opts,
	.defaults = &set_defaults,
	.settings_size = sizeof(set_defaults),
	.args_min = 2,
	.args_max = 2,
	.run = resize_run,
};
