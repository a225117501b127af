// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options that do not go together, of all commands that mount.
 */
#include <errno.h>

#include "lib/error.h"
#include "mount/mount.h"
#include "nl/device.h"

int mount_options_check(const struct mount_options *o, struct error *error)
{
	uint32_t index;

	if (o->run && o->daemon)
		return error_set(error, -EINVAL, "--run and --daemon exclude each other: the helper of --run ends with its command");
	if (o->run && o->json)
		return error_set(error, -EINVAL, "--run and --json exclude each other: what is printed is the command's; it has R3MAP_DEVICE, for r3map show --json");
	if (o->log && !o->daemon)
		return error_set(error, -EINVAL, "--log is for --daemon; redirect stderr instead");
	if (o->daemon && o->progress)
		return error_set(error, -EINVAL, "--progress has nobody to show it to with --daemon: see r3map show --watch");
	if (o->recover && o->index != MOUNT_AUTO)
		return error_set(error, -EINVAL, "--index and --recover exclude each other: a device keeps its number");
	if (o->recover && o->store)
		return error_set(error, -EINVAL, "--store and --recover exclude each other: a device keeps its store");
	return o->recover ? device_index(o->recover, &index, error) : 0;
}
