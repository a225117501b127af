// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Deleting a device, see remove.h. The listener is there before the command goes out, so the event
 * cannot be missed; if events were lost, the module is asked.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "mount/holders.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/events.h"
#include "nl/remove.h"
#include "nl/sync.h"

#define MS		1000000ULL	/* ns */
#define BUSY_QUIET	(2000 * MS)	/* ns: udev's probers have let go by then */
#define HELPER_FORCED	(5000 * MS)	/* ns: a helper that hangs may be why force was needed */

struct removal {
	const struct device *device;
	bool removed;
};

static void removal_event(const struct device *event, void *data)
{
	struct removal *removal = data;

	if (event->index == removal->device->index &&
	    event->generation == removal->device->generation &&
	    event->event == R3MAP_EVENT_REMOVED)
		removal->removed = true;
}

/* Milliseconds until @deadline, for poll(). */
static int removal_left(uint64_t deadline)
{
	uint64_t now = loop_now();

	return now >= deadline ? 0 : (int)((deadline - now + MS - 1) / MS);
}

static int removal_wait(struct control *control, struct events *events, struct removal *removal,
			uint64_t deadline, struct error *error)
{
	struct pollfd pollfd = { .fd = events_fd(events), .events = POLLIN };
	struct device now;
	int err;

	while (!removal->removed) {
		err = poll(&pollfd, 1, removal_left(deadline));
		if (err < 0 && errno != EINTR)
			return error_set(error, -errno, "cannot wait: %s", strerror(errno));
		if (!err)
			return error_set(error, -ETIMEDOUT,
					 "r3map%" PRIu32 " is being deleted, but is not gone yet: somebody still has it open",
					 removal->device->index);
		err = events_read(events, removal_event, removal);
		if (err && err != -ENOBUFS)
			return error_set(error, err, "cannot receive events: %s", strerror(-err));
		if (err == -ENOBUFS) {
			err = device_get(control, removal->device->index, &now, NULL);
			if (err || now.generation != removal->device->generation)
				removal->removed = true;
		}
	}
	return 0;
}

/* True if process @pid started us, directly or not: it may be waiting for us. */
static bool removal_ancestor(uint32_t pid)
{
	unsigned int at = (unsigned int)getpid();
	unsigned int parent;
	char path[64], line[512], *end;
	FILE *file;

	while (at > 1 && at != pid) {
		snprintf(path, sizeof(path), "/proc/%u/stat", at);
		file = fopen(path, "re");
		if (!file)
			return false;
		end = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
		fclose(file);
		if (!end || sscanf(end + 1, " %*c %u", &parent) != 1)
			return false;
		at = parent;
	}
	return at == pid;
}

static int removal_delete(struct control *control, const struct device *device, bool force,
			  uint64_t deadline, struct error *error)
{
	struct device in = {
		.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION) |
			   (force ? DEVICE_HAS(FORCE) : 0),
		.index = device->index,
		.generation = device->generation,
		.force = force,
	};
	const uint64_t quiet = loop_now() + BUSY_QUIET;
	char holders[400];
	int err;

	for (;;) {
		err = device_request(control, R3MAP_CMD_DEVICE_DEL, &in, NULL, error);
		if (err == -EAGAIN) {	/* dirty: the helper brings it to the backend first */
			*error = (struct error){ 0 };
			err = device_sync(control, device, deadline, error);
			if (!err && loop_now() >= deadline)
				err = error_set(error, -ETIMEDOUT, "somebody keeps writing");
			if (err)
				return error_prefix(error, "cannot unmount without losing what was written (--force does)");
			continue;
		}
		if (err != -EBUSY || loop_now() >= quiet || loop_now() >= deadline)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 20 * (long)MS }, NULL);
	}
	if (err == -EALREADY) {		/* somebody else deletes it: its end is what we want, too */
		*error = (struct error){ 0 };
		return 0;
	}
	if (err != -EBUSY)
		return err;
	holders_describe(device->index, holders, sizeof(holders));
	return error_set(error, err,
			 "cannot unmount r3map%" PRIu32 ", it is in use: %s; release it, or give --force",
			 device->index, holders);
}

int device_remove(struct control *control, const struct device *device, bool force,
		  uint32_t timeout_ms, struct error *error)
{
	uint64_t deadline = loop_now() + timeout_ms * MS;
	struct removal removal = { .device = device };
	struct events *events;
	struct pollfd helper = { .fd = -1, .events = POLLIN };
	int err;

	err = events_open(control, &events, error);
	if (err)
		return err;
	if (device->helper_pid && !removal_ancestor(device->helper_pid))
		helper.fd = (int)syscall(SYS_pidfd_open, (pid_t)device->helper_pid, 0);
	err = removal_delete(control, device, force, deadline, error);
	if (err == -ENODEV || err == -ESTALE) {	/* it was there a moment ago */
		*error = (struct error){ 0 };
		removal.removed = true;
		err = 0;
	}
	if (!err)
		err = removal_wait(control, events, &removal, deadline, error);
	/*
	 * The device is gone in any case; a helper that stays is stopped or hangs in its backend.
	 */
	if (force && deadline > loop_now() + HELPER_FORCED)
		deadline = loop_now() + HELPER_FORCED;
	if (!err && helper.fd >= 0)
		poll(&helper, 1, removal_left(deadline));
	if (helper.fd >= 0)
		close(helper.fd);
	events_close(events);
	return err;
}
