// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map list: one line for each device.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/size.h"
#include "nl/control.h"
#include "nl/device.h"

struct list_options {
	bool json;
};

static const struct list_options list_defaults = { .json = false };

static const struct opt list_opts[] = {
	OPT_JSON(list_options),
	{ OPT_END },
};

static int list_json(const struct device *devices, unsigned int count)
{
	cJSON *array = cJSON_CreateArray();
	cJSON *item;

	for (unsigned int i = 0; array && i < count; i++) {
		item = device_json(&devices[i]);
		if (!item || !cJSON_AddItemToArray(array, item)) {
			cJSON_Delete(item);
			cJSON_Delete(array);
			return -ENOMEM;
		}
	}
	return json_print(array, false);
}

static int list_text(const struct device *devices, unsigned int count)
{
	char path[32], size[SIZE_TEXT];

	if (!count)
		return 0;
	printf("%-13s %8s %-8s %-2s %-6s %6s %7s %8s  %s\n", "DEVICE", "SIZE", "STATE", "RO",
	       "PATH", "QUEUES", "OPENERS", "HELPER", "BACKEND");
	for (unsigned int i = 0; i < count; i++) {
		const struct device *d = &devices[i];

		snprintf(path, sizeof(path), "/dev/r3map%" PRIu32, d->index);
		printf("%-13s %8s %-8s %-2s %-6s %6" PRIu32 " %7" PRIu32 " %8" PRIu32 "  %s\n", path,
		       size_format(d->size, size), device_state_name(d->state),
		       d->flags & R3MAP_DEVICE_READ_ONLY ? "ro" : "rw",
		       device_transport_name(d->transport), d->queues, d->openers, d->helper_pid,
		       d->backend);
	}
	return fflush(stdout) == EOF ? -errno : 0;
}

static int list_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct list_options *options = settings;
	struct control *control;
	struct device *devices;
	unsigned int count;
	int err;

	(void)argc;
	(void)argv;
	err = control_open(&control, error);
	if (err)
		return err;
	err = device_list(control, &devices, &count, error);
	control_close(control);
	if (err)
		return err;
	err = options->json ? list_json(devices, count) : list_text(devices, count);
	free(devices);
	return err;
}

const struct command command_list = {
	.name = "list",
	.arguments = "[OPTION]...",
	.summary = "List all devices",
	.options = list_opts,
	.defaults = &list_defaults,
	.settings_size = sizeof(list_defaults),
	.args_min = 0,
	.args_max = 0,
	.run = list_run,
};
