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
#include "mount/door.h"
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
static int sync_cache(const char *path, struct error *error)
{
	int fd, err = 0;

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

/*
 * A device that the module does not know, /dev/nbdN. Its fsync() is what a flush means there; what
 * is beyond that its helper does.
 */
static int sync_other(uint32_t index, const struct sync_options *options, struct error *error)
{
	char path[32], answer[64];
	int fd, err;

	snprintf(path, sizeof(path), "/dev/nbd%" PRIu32, index);
	/* Before anything is done: is it one of r3map's? */
	err = door_ask(index, DOOR_SHOW, options->timeout, answer, sizeof(answer), error);
	if (err)
		return err;
	sync();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
	if (fsync(fd) < 0)
		err = error_set(error, -errno,
				"cannot bring %s to its backend: %s; what was written is kept, try again",
				path, strerror(errno));
	close(fd);
	if (err)
		return err;
	return door_ask(index, DOOR_SYNC, options->timeout, answer, sizeof(answer), error);
}

static int sync_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct sync_options *options = settings;
	struct control *control;
	struct device device;
	char path[32];
	uint32_t index;
	int err;

	(void)argc;
	if (door_names(argv[0], &index))
		return sync_other(index, options, error);
	if (device_index(argv[0], &index, error))
		return EXIT_USAGE;
	snprintf(path, sizeof(path), "/dev/r3map%" PRIu32, index);
	err = control_open(&control, error);
	if (err)
		return err;
	err = device_get(control, index, &device, error);
	/* File systems above it, too: whoever asks means what he sees in them. */
	sync();
	if (!err)
		err = sync_cache(path, error);
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
