// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map umount: deletes devices and waits until they are gone. Works with and without a helper.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/json.h"
#include "mount/door.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/knbd.h"
#include "nl/remove.h"

#define OWNER_ENDS_MS 2000

struct umount_options {
	bool force, all, json;
	uint32_t timeout;	/* ms */
};

static const struct umount_options umount_defaults = { .timeout = 60000 };

static const struct opt umount_opts[] = {
	{ OPT_FLAG, "force", 'f', OPT(umount_options, force),
	  .help = "even if it is in use: what is under way fails" },
	{ OPT_FLAG, "all", 'a', OPT(umount_options, all), .help = "all devices" },
	{ OPT_TIME, "timeout", 't', OPT(umount_options, timeout), .value = "TIME",
	  .help = "wait so long for its end (default: 60s)" },
	OPT_JSON(umount_options),
	{ OPT_END },
};

/* How the umount of /dev/@driver@index went, for --json; @told: the array, NULL without. */
static int umount_tell(cJSON *told, const char *driver, uint32_t index, const struct error *one)
{
	cJSON *item;
	char path[32];

	if (!told)
		return 0;
	snprintf(path, sizeof(path), "/dev/%s%" PRIu32, driver, index);
	item = cJSON_CreateObject();
	if (item && cJSON_AddStringToObject(item, "device", path) &&
	    cJSON_AddBoolToObject(item, "removed", !one->code) &&
	    (!one->code || cJSON_AddStringToObject(item, "error", one->text)) &&
	    cJSON_AddItemToArray(told, item))
		return 0;
	cJSON_Delete(item);
	return -ENOMEM;
}

static int umount_one(struct control *control, uint32_t index,
		      const struct umount_options *options, struct error *error)
{
	struct device device;
	int err = device_get(control, index, &device, error);

	if (!err)
		err = device_remove(control, &device, options->force, options->timeout, error);
	return err;
}

/* Has process @pid ended, or does it within a moment? One that was killed first lets go of its sockets. */
static bool owner_ended(uint32_t pid)
{
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0), .events = POLLIN };
	bool ended;

	if (end.fd < 0)
		return errno == ESRCH;
	ended = poll(&end, 1, OWNER_ENDS_MS) == 1;
	close(end.fd);
	return ended;
}

/*
 * A device that the module does not know, /dev/nbdN: its helper takes it down. What a helper that
 * was killed has left, nobody else takes away.
 */
static int umount_other(uint32_t index, const struct umount_options *options, struct error *error)
{
	struct control *control;
	char answer[64];
	uint32_t owner;
	int err;

	err = door_ask(index, options->force ? DOOR_FORCE : DOOR_UMOUNT, options->timeout, answer,
		       sizeof(answer), error);
	if (err != -ECONNREFUSED)
		return err;
	owner = knbd_owner(index);
	if (owner && !owner_ended(owner)) {
		door_forget(index);
		return error_set(error, -EBUSY,
				 "/dev/nbd%" PRIu32 " belongs to process %" PRIu32 ", which is not r3map's: disconnect it there",
				 index, owner);
	}
	*error = (struct error){ 0 };
	err = 0;
	if (owner) {
		err = knbd_open(&control, error);
		if (!err) {
			err = knbd_disconnect(control, index, error);
			control_close(control);
		}
	}
	if (!err)
		door_forget(index);
	return err;
}

/*
 * Tries all, and tells of each; the last failure is left for the caller, those before it are
 * printed.
 */
static int umount_many(struct control *control, const uint32_t *indices, unsigned int count,
		       const struct umount_options *options, cJSON *told, struct error *error)
{
	struct error one;
	int err = 0;

	for (unsigned int i = 0; i < count; i++) {
		memset(&one, 0, sizeof(one));
		umount_one(control, indices[i], options, &one);
		if (options->all && one.code == -ENODEV)	/* it went by itself meanwhile */
			one.code = 0;
		if (umount_tell(told, "r3map", indices[i], &one))
			return error_set(error, -ENOMEM, "out of memory");
		if (!one.code)
			continue;
		if (err)
			fprintf(stderr, "r3map: %s\n", error->text);
		*error = one;
		err = one.code;
	}
	return err;
}

static int umount_all(const struct umount_options *options, cJSON *told, struct error *error)
{
	struct control *control;
	struct device *devices;
	unsigned int count;
	uint32_t *indices;
	int err = control_open(&control, error);

	if (err)
		return err;
	err = device_list(control, &devices, &count, error);
	if (err)
		goto close;
	indices = calloc(count + 1, sizeof(*indices));
	if (indices) {
		for (unsigned int i = 0; i < count; i++)
			indices[i] = devices[i].index;
		err = umount_many(control, indices, count, options, told, error);
	} else {
		err = error_set(error, -ENOMEM, "out of memory");
	}
	free(indices);
	free(devices);
close:
	control_close(control);
	return err;
}

/* By name; those that the module does not know need no module. */
static int umount_named(char **names, int count, const struct umount_options *options,
			cJSON *told, struct error *error)
{
	uint32_t *indices = calloc((size_t)count + 1, sizeof(*indices)), index;
	struct control *control = NULL;
	unsigned int used = 0;
	struct error one;
	int err = 0, code;

	if (!indices)
		return error_set(error, -ENOMEM, "out of memory");
	for (int i = 0; i < count; i++) {
		if (door_names(names[i], &index))
			continue;
		if (device_index(names[i], &indices[used++], error)) {
			free(indices);
			return EXIT_USAGE;
		}
	}
	if (used)
		err = control_open(&control, error);
	if (control)
		err = umount_many(control, indices, used, options, told, error);
	for (int i = 0; i < count; i++) {
		if (!door_names(names[i], &index))
			continue;
		memset(&one, 0, sizeof(one));
		code = umount_other(index, options, &one);
		if (umount_tell(told, "nbd", index, &one))
			code = error_set(&one, -ENOMEM, "out of memory");
		if (!code)
			continue;
		if (err)
			fprintf(stderr, "r3map: %s\n", error->text);
		*error = one;
		err = code;
	}
	control_close(control);
	free(indices);
	return err;
}

static int umount_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct umount_options *options = settings;
	cJSON *told = NULL;
	int err, printed;

	if (options->all == (argc > 0)) {
		error_set(error, -EINVAL, "give the devices to unmount, or --all");
		return EXIT_USAGE;
	}
	if (options->json) {
		told = cJSON_CreateArray();
		if (!told)
			return error_set(error, -ENOMEM, "out of memory");
	}
	err = options->all ? umount_all(options, told, error) :
			     umount_named(argv, argc, options, told, error);
	if (err == EXIT_USAGE) {	/* nothing was tried */
		cJSON_Delete(told);
		return err;
	}
	printed = told ? json_print(told, false) : 0;
	return err ? err : printed;
}

const struct command command_umount = {
	.name = "umount",
	.arguments = "[OPTION]... DEVICE...",
	.summary = "Delete devices and wait until they are gone",
	.options = umount_opts,
	.defaults = &umount_defaults,
	.settings_size = sizeof(umount_defaults),
	.args_min = 0,
	.args_max = -1,
	.run = umount_run,
};
