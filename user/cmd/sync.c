// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map sync: brings what was written to a device to its backend, and waits for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/loop.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/sync.h"

struct sync_options {
	uint32_t timeout;	/* ms */
};

static const struct sync_options sync_defaults = { .timeout = 600000 };

static const struct opt sync_opts[] = {
	{ OPT_TIME, "timeout", 't', OPT(sync_options, timeout), .value = "TIME",
	  .help = "wait so long for its end (default: 10m)" },
	{ OPT_END },
};

/* What the page cache above the device holds goes down to it first; the flush comes later. */
static int sync_cache(uint32_t index, struct error *error)
{
	char path[32];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/dev/r3map%" PRIu32, index);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
	if (sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			    SYNC_FILE_RANGE_WAIT_AFTER) < 0)
		err = error_set(error, -errno, "cannot write back what is cached of %s: %s", path,
				strerror(errno));
	close(fd);
	return err;
}

static int sync_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct sync_options *options = settings;
	struct control *control;
	struct device device;
	uint32_t index;
	int err;

	(void)argc;
	if (device_index(argv[0], &index, error))
		return EXIT_USAGE;
	err = control_open(&control, error);
	if (err)
		return err;
	err = device_get(control, index, &device, error);
	/* File systems above it, too: whoever asks means what he sees in them. */
	sync();
	if (!err)
		err = sync_cache(index, error);
	if (!err)
		err = device_sync(control, &device, loop_now() + options->timeout * 1000000ULL, error);
	control_close(control);
	return err;
}

const struct command command_sync = {
	.name = "sync",
	.arguments = "[OPTION]... DEVICE",
	.summary = "Bring what was written to a device to its backend",
	.options = sync_opts,
	.defaults = &sync_defaults,
	.settings_size = sizeof(sync_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = sync_run,
};
