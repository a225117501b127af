/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mount by way of the kernel's NBD client, as its parts see it: via.c makes it and ends it,
 * via_unmount.c has its syncs and the order in which it ends, via_show.c what there is to tell.
 *
 * Everything is the main thread's, but @result while there is no answer of the pipeline yet.
 */
#ifndef R3MAP_MOUNT_VIA_STATE_H
#define R3MAP_MOUNT_VIA_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "backend/backend.h"
#include "chunk/pipeline.h"
#include "lib/error.h"
#include "lib/loop.h"
#include "lib/post.h"
#include "mount/door.h"
#include "mount/hooks.h"
#include "mount/mount.h"
#include "mount/node.h"
#include "mount/trouble.h"
#include "nl/control.h"
#include "nl/device.h"
#include "serve/serve.h"

#define VIA_CONNECTIONS		8u	/* as many as the module's devices have queues by default */

enum via_phase {
	VIA_SERVING,
	VIA_BUSY,		/* is to be unmounted, and somebody has it open */
	VIA_SYNCING,		/* is to be unmounted */
	VIA_SETTLING,		/* is to be unmounted, and nothing else holds it up */
	VIA_OVER,		/* the device is gone */
};

struct via_watch {
	struct loop_source source;	/* the kernel's end of a connection */
	struct via *via;
};

struct via {
	const struct mount_options *options;
	struct control *control;
	struct device device;		/* what it shall be like */
	struct backend *region;		/* what is served; the server's once it is its export */
	struct pipeline *pipeline;	/* which the region is then, or NULL */
	struct server server;
	struct via_watch watches[VIA_CONNECTIONS];
	uint32_t index;
	char path[NODE_PATH];		/* /dev/nbdN */
	bool connected;
	struct door *door;

	struct loop *loop;
	struct loop_source signals, child;
	struct loop_timer retry;
	pid_t child_pid;		/* 0: there is none, or it has ended */
	int status;			/* exit status of the program */

	enum via_phase phase;
	bool signalled;			/* a signal or the command's end wants it unmounted */
	bool forced;
	bool told_busy;
	uint64_t unmount_since;		/* ns */
	uint64_t signal_last;		/* ns */

	/* What the pipeline is asked for, one at a time. */
	struct post post;		/* its answers come back by this */
	struct post_job answer;
	struct pipeline_wait wait;
	bool waiting;
	int result;
	bool sync_wanted, sync_served;	/* of r3map sync: the next, or this one */
	struct hooks *hooks;
	struct reach reach;
	struct hook_sync entering;	/* what is waited for is a sync, and this what they answer */
	bool inside;			/* and hear of its end */
	struct error error;		/* why it must end; code 0: nothing wrong */
};

/* The name of the disk: nbdN. */
static inline const char *via_disk(const struct via *v)
{
	return strrchr(v->path, '/') + 1;
}

/* The kernel lets go of the device, which is gone then; what fails at it is logged. */
void via_disconnect(struct via *v);

/* Begins an unmount, which goes on by itself. It may be refused, and all is as it was. */
void via_unmount_begin(struct via *v);

/* Ends it at once: what is under way fails, what is not at the backend is lost, and told. */
void via_force(struct via *v);

/*
 * Begins the sync that @sync_wanted asks for, of whose end the door is told, unless an unmount is
 * under way, which does more.
 */
void via_sync(struct via *v);

/* Sets where the answers of the pipeline, of the hooks and of the timer go, before all of these. */
void via_unmount_prepare(struct via *v);

/* All that is to be told of it, as JSON; NULL: out of memory. cJSON_free() it. */
char *via_show(const struct via *v);

#endif
