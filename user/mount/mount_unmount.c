// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The end of a mount by order: what stands against it, what is done first, what is tried again. See
 * mount_state.h.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LOG_PREFIX "mount: "
#include "lib/log.h"
#include "lib/notify.h"
#include "mount/holders.h"
#include "mount/mount_state.h"
#include "nl/sync.h"

#define MS			1000000ULL	/* ns */
#define RETRY_FIRST		(20 * MS)	/* ns: a prober of udev is gone by then */
#define RETRY_QUIET		(2000 * MS)	/* ns for which "busy" is not worth telling */
#define RETRY_SLOW		(1000 * MS)

static void retry_in(struct mount *m, uint64_t ns)
{
	if (loop_timer_set(m->loop, &m->retry, loop_now() + ns))
		log_warn("out of memory for a timer: send the signal again to unmount");
}

void mount_sync(struct mount *m)
{
	struct error error = { 0 };

	if (!device_sync_begin(m->control, &m->device, &m->syncing, &error))
		return;
	m->syncing = 0;
	log_error("cannot unmount %s: %s", m->path, error.text);
	retry_in(m, RETRY_SLOW);
}

void mount_delete(struct mount *m, bool force)
{
	struct device in = {
		.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION) |
			   (force ? DEVICE_HAS(FORCE) : 0),
		.index = m->device.index,
		.generation = m->device.generation,
		.force = force,
	};
	struct error error = { 0 };
	char holders[400];
	int err;

	if (m->removed || m->forced || (m->deleting && !force) || (m->syncing && !force))
		return;
	if (m->leech && !force && leech_is_between(m->leech)) {
		log_error("cannot unmount %s: not all of its region is here, and its seeder has given it up; it is kept, signal again when all is local, or twice to give it up",
			  m->path);
		m->unmounting = false;
		return;
	}
	if (m->seed && !force && seed_is_needed(m->seed)) {
		log_error("cannot unmount %s: its leecher does not have all of the region yet; it is kept, signal again later, or twice to give it up",
			  m->path);
		m->unmounting = false;
		return;
	}
	err = device_request(m->control, R3MAP_CMD_DEVICE_DEL, &in, NULL, &error);
	if (!err || err == -EALREADY) {	/* or somebody else's unmount is under way */
		m->deleting = true;
		m->forced = force;
		return;
	}
	if (err == -ENODEV || err == -ENOENT || err == -ESTALE) {	/* somebody was faster */
		m->removed = true;
		return;
	}
	if (err == -EAGAIN)
		return mount_sync(m);
	if (err != -EBUSY) {
		log_error("cannot unmount %s: %s", m->path, error.text);
		/* Short of memory; or nobody is left who would ask again. */
		if (err == -ENOMEM || (m->options->run && !m->child_pid))
			return retry_in(m, RETRY_SLOW);
		m->unmounting = false;
		return;
	}
	if (loop_now() - m->unmount_since < RETRY_QUIET)
		return retry_in(m, RETRY_FIRST);
	if (!m->told_busy) {
		holders_describe(m->device.index, holders, sizeof(holders));
		log_warn("cannot unmount %s, it is in use (%s): it is still served; release it%s, or signal twice to remove it by force",
			 m->path, holders, m->options->run ? "" : " and signal again");
		m->told_busy = true;
	}
	/* The command of --run has ended, or the region has gone: nobody is left who would ask again. */
	if (m->gone || (m->options->run && !m->child_pid))
		return retry_in(m, RETRY_SLOW);
	m->unmounting = false;
}

void mount_unmount(struct mount *m)
{
	m->unmounting = true;
	m->told_busy = false;
	m->unmount_since = loop_now();
	notify_systemd("STOPPING=1");
	mount_delete(m, false);
}

void mount_retry(struct loop_timer *timer)
{
	struct mount *m = (struct mount *)((char *)timer - offsetof(struct mount, retry));

	if (m->unmounting)
		mount_delete(m, false);
}

void mount_synced(struct mount *m, uint32_t code)
{
	m->syncing = 0;
	if (!code)
		return mount_delete(m, false);
	if (code == -HOOK_REFUSED)
		log_error("cannot unmount %s: a hook, before-sync, refuses it; it is tried again, signal twice to give up what was not written back",
			  m->path);
	else
		log_error("cannot unmount %s: writing back to %s fails: %s; it is kept and tried again, signal twice to give it up",
			  m->path, m->backend->name, strerror((int)code));
	retry_in(m, RETRY_SLOW);
}
