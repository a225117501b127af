// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asking for a sync and waiting for it. See sync.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "mount/hooks.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/events.h"
#include "nl/sync.h"

#define MS	1000000ULL	/* ns */
#define LOOK	1000ULL		/* ms: so often the device is looked at, whatever the events say */

struct sync_wait {
	const struct device *device;
	uint64_t number;
	bool over;
	uint32_t code;		/* errno */
};

int device_sync_begin(struct control *control, const struct device *device, uint64_t *number,
		      struct error *error)
{
	struct device in = {
		.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION),
		.index = device->index,
		.generation = device->generation,
	}, out = { 0 };
	int err = device_request(control, R3MAP_CMD_DEVICE_SYNC, &in, &out, error);

	*number = out.sync;
	return err;
}

static void sync_event(const struct device *event, void *data)
{
	struct sync_wait *wait = data;

	if (event->index != wait->device->index || event->event != R3MAP_EVENT_SYNCED ||
	    event->sync != wait->number)
		return;
	wait->over = true;
	wait->code = event->sync_errno;
}

/* One look at what there is. */
static int sync_look(struct control *control, struct events *events, struct sync_wait *wait,
		     uint64_t deadline, struct error *error)
{
	struct pollfd pollfd = { .fd = events_fd(events), .events = POLLIN };
	const uint64_t now = loop_now(), left = now < deadline ? (deadline - now + MS - 1) / MS : 0;
	struct device present;
	int err;

	err = poll(&pollfd, 1, (int)(left < LOOK ? left : LOOK));
	if (err < 0 && errno != EINTR)
		return error_set(error, -errno, "cannot wait: %s", strerror(errno));
	err = events_read(events, sync_event, wait);
	if (err && err != -ENOBUFS)
		return error_set(error, err, "cannot receive events: %s", strerror(-err));
	if (wait->over)
		return 0;
	if (err == -ENOBUFS)	/* its end may have been among them: ask once more */
		return device_sync_begin(control, wait->device, &wait->number, error);
	err = device_get(control, wait->device->index, &present, error);
	if (!err && present.generation != wait->device->generation)
		return error_set(error, -ESTALE, "r3map%" PRIu32 " was removed, or taken over, meanwhile",
				 present.index);
	if (!err && !left)
		return error_set(error, -ETIMEDOUT,
				 "r3map%" PRIu32 " is not synced yet: 'r3map show' tells what is left, %" PRIu64 " bytes are dirty",
				 present.index, present.dirty);
	return err;
}

int device_sync(struct control *control, const struct device *device, uint64_t deadline,
		struct error *error)
{
	struct sync_wait wait = { .device = device };
	struct events *events;
	int err;

	err = events_open(control, &events, error);
	if (err)
		return err;
	err = device_sync_begin(control, device, &wait.number, error);
	while (!err && !wait.over)
		err = sync_look(control, events, &wait, deadline, error);
	events_close(events);
	if (!err && wait.code == -HOOK_REFUSED)
		return error_set(error, HOOK_REFUSED, "a hook of r3map%" PRIu32 ", before-sync, refuses it: the helper's log says more; what was written is kept",
				 device->index);
	if (!err && wait.code)
		return error_set(error, -(int)wait.code,
				 "cannot bring r3map%" PRIu32 " to its backend: %s; what was written is kept, try again",
				 device->index, strerror((int)wait.code));
	return err;
}
