/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mount as its parts see it: mount.c makes it and waits for its end, mount_unmount.c has what an
 * end by order takes, mount_door.c what others ask for, mount_migrate.c what a seeder or a leecher
 * has besides. All of it is the main thread's.
 */
#ifndef R3MAP_MOUNT_MOUNT_STATE_H
#define R3MAP_MOUNT_MOUNT_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/backend.h"
#include "lib/error.h"
#include "lib/loop.h"
#include "lib/progress.h"
#include "migrate/cue.h"
#include "migrate/leech.h"
#include "migrate/seed.h"
#include "mount/door.h"
#include "mount/hooks.h"
#include "mount/managed.h"
#include "mount/mapfile.h"
#include "mount/mount.h"
#include "mount/node.h"
#include "mount/report.h"
#include "mount/track.h"
#include "mount/trouble.h"
#include "mount/worker.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/events.h"

struct mount {
	const struct mount_options *options;
	struct backend *backend;
	struct control *control;
	struct events *events;
	struct device device;		/* as the module told it */
	uint64_t before;		/* its generation with the helper before, or 0 */
	char path[NODE_PATH];		/* /dev/r3mapN */
	struct worker *workers;
	uint32_t workers_used;
	struct managed managed;		/* if device.chunk is not 0 */
	struct mapfile mapfile;		/* of a new device with --store */
	struct door *door;		/* of a managed device; NULL: it could not be opened */
	struct trackers trackers;	/* who came to it to be told what is written */
	struct hooks *hooks;
	struct reach reach;
	struct report report;		/* of it, and of pull and push */
	struct seed *seed;
	struct backend *here;		/* what leechers read of a managed device; NULL: what it is made of */
	struct leech *leech;

	struct loop *loop;
	struct loop_source signals, news, child;
	struct cue cue;			/* of a leecher */
	struct loop_timer retry;
	struct loop_timer repair;	/* of what lost events would have told */
	struct loop_timer look;		/* for --progress */
	struct progress progress;
	pid_t child_pid;		/* 0: there is none, or it has ended */
	int status;			/* exit status of the program */

	bool started;			/* DEVICE_START succeeded */
	bool unmounting;		/* a DEL is wanted */
	bool deleting;			/* and was accepted */
	bool forced;			/* by force */
	bool removed;			/* the device is gone */
	bool told_busy;
	bool gone;			/* the region is on another host */
	uint64_t syncing;		/* number of the DEVICE_SYNC that is waited for, or 0 */
	uint64_t unmount_since;		/* ns */
	uint64_t signal_last;		/* ns */
	struct error error;		/* why the helper must end; code 0: nothing wrong */
};

/*
 * Asks the module to delete the device, unless that is asked already or it must be kept; with
 * @force what is under way fails. What stands against it is told, and tried again where nobody else
 * would: an event tells when it has happened.
 */
void mount_delete(struct mount *m, bool force);

/* Begins an unmount: as mount_delete(), not by force, and a service manager is told. */
void mount_unmount(struct mount *m);

/* The timer: tries once more, if it is wanted still. */
void mount_retry(struct loop_timer *timer);

/* Begins what mount_synced() ends: what was written goes to the backend before the device goes. */
void mount_sync(struct mount *m);

/* The sync before an unmount has ended, with @code: 0, an errno or -HOOK_REFUSED. */
void mount_synced(struct mount *m, uint32_t code);

/* Opens the door of a device that has one. It works without as well: a failure is only told. */
void mount_door(struct mount *m);

/*
 * Opens what a seeder or a leecher has besides; of a mount that is neither, nothing. *@uris: of a
 * seeder, to be printed and freed; or NULL. @backend is what the leecher is to reach. 0 or a
 * negative errno with a sentence.
 */
int mount_migrate(struct mount *m, const char *backend, char **uris, struct error *error);

/* The cue: as DOOR_FINALIZE, but that nobody waits for an answer: the log has it. */
void mount_cue(void *data);

#endif
