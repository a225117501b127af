// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DEVICE_SET: it names the generation that was there a moment ago, so that it cannot hit a device
 * that has taken the number since. See change.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "lib/error.h"
#include "nl/change.h"
#include "nl/control.h"
#include "nl/device.h"

/* Fills in @device, which is what the device is now, with what is to be sent. */
static int change_fill(const struct device_change *change, struct device *device,
		       struct error *error)
{
	device->present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION);
	if (change->size != UINT64_MAX) {
		if (change->size % device->logical_block)
			return error_set(error, -EINVAL,
					 "a size of %" PRIu64 " bytes is no multiple of r3map%" PRIu32 "'s blocks of %" PRIu32,
					 change->size, device->index, device->logical_block);
		device->size = change->size;
		device->present |= DEVICE_HAS(SIZE);
	}
	if (change->read_only >= 0) {
		device->flags &= ~R3MAP_DEVICE_READ_ONLY;
		device->flags |= change->read_only ? R3MAP_DEVICE_READ_ONLY : 0;
		device->present |= DEVICE_HAS(FLAGS);
	}
	if (change->timeout != CHANGE_NOT) {
		device->timeout = change->timeout;
		device->present |= DEVICE_HAS(TIMEOUT);
	}
	if (change->park != CHANGE_NOT) {
		device->park = change->park;
		device->present |= DEVICE_HAS(PARK);
	}
	if (change->throttle != UINT64_MAX) {
		device->throttle = change->throttle;
		device->present |= DEVICE_HAS(THROTTLE);
	}
	return 0;
}

int device_change(uint32_t index, const struct device_change *change, struct error *error)
{
	struct device device;
	struct control *control;
	int err;

	err = control_open(&control, error);
	if (err)
		return err;
	err = device_get(control, index, &device, error);
	if (err)
		goto out;
	err = change_fill(change, &device, error);
	if (err)
		goto out;
	err = device_request(control, R3MAP_CMD_DEVICE_SET, &device, NULL, error);
	if (err)
		error_prefix(error, "cannot change r3map%" PRIu32, index);
out:
	control_close(control);
	return err;
}
