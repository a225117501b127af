/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of one mount: from a backend's name to /dev/r3mapN, serving, and away again.
 */
#ifndef R3MAP_MOUNT_MOUNT_H
#define R3MAP_MOUNT_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/opt.h"
#include "mount/managed.h"

struct error;
struct leech_options;
struct seed_options;

enum mount_on_death { MOUNT_PARK, MOUNT_FAIL };
enum mount_flush { MOUNT_FLUSH_LOCAL, MOUNT_FLUSH_DURABLE, MOUNT_FLUSH_REMOTE };
enum mount_via { MOUNT_VIA_R3MAP, MOUNT_VIA_NBD };
enum mount_transport { MOUNT_SHARED, MOUNT_INLINE };

#define MOUNT_AUTO	UINT32_MAX	/* the backend or the machine decides */

struct mount_options {
	int via;		/* enum mount_via */
	uint32_t index;		/* or MOUNT_AUTO: the lowest free one */
	uint32_t queues;	/* or MOUNT_AUTO */
	uint32_t depth;
	uint64_t area;		/* bytes of each queue, or MOUNT_AUTO */
	uint32_t max_io;	/* bytes, this and the next five: or MOUNT_AUTO */
	uint32_t logical_block, physical_block, io_min, io_opt;
	uint32_t max_discard;
	int transport;		/* enum mount_transport */
	uint32_t timeout;	/* ms */
	uint32_t park;		/* ms */
	int on_death;		/* enum mount_on_death */
	bool read_only;
	bool part_scan;
	bool lock;		/* memory */
	bool force;		/* recover with another backend */
	bool daemon;
	bool json;		/* the device's path is told as JSON */
	const char *recover;	/* the device, or NULL */
	const char *run;	/* the command, or NULL */
	const char *log;	/* file for messages of a daemon, or NULL */
	struct opt_list hooks;	/* EVENT=PROGRAM */
	uint32_t hook_timeout;	/* ms */

	bool managed;
	uint32_t chunk;		/* bytes, or MOUNT_AUTO */
	int flush;		/* enum mount_flush */
	bool progress;		/* of the pull, on stderr */
	const char *store;	/* file that outlives the mount, or NULL: memory */
	struct managed_options pull_push;

	/* Commands of their own, see migrate/; borrowed, NULL: it is none of these. */
	const struct seed_options *seed;
	const struct leech_options *leech;	/* managed */
};

/* What a mount is unless its options say otherwise. */
#define MOUNT_DEFAULTS { \
	.index = MOUNT_AUTO, \
	.queues = MOUNT_AUTO, \
	.depth = 128, \
	.area = MOUNT_AUTO, \
	.max_io = MOUNT_AUTO, \
	.logical_block = MOUNT_AUTO, \
	.physical_block = MOUNT_AUTO, \
	.io_min = MOUNT_AUTO, \
	.io_opt = MOUNT_AUTO, \
	.max_discard = MOUNT_AUTO, \
	.transport = MOUNT_SHARED, \
	.timeout = 30000, \
	.park = 60000, \
	.on_death = MOUNT_PARK, \
	.part_scan = true, \
	.lock = true, \
	.chunk = MOUNT_AUTO, \
	.flush = MOUNT_FLUSH_REMOTE, \
	.hook_timeout = 20000, \
	.pull_push = { .pull_workers = 256, .push_workers = 32, .push_interval = 5000 }, \
}

/* Options that do not go together, of all commands that mount. 0 or -EINVAL with a sentence. */
int mount_options_check(const struct mount_options *options, struct error *error);

/*
 * Mounts @backend and serves it until the device is gone. Returns the exit status of the program,
 * or a negative errno with a sentence in @error. To be called once per process; with --daemon the
 * calling process is the parent and ends here.
 */
int mount_serve(const struct mount_options *options, const char *backend, struct error *error);

#endif
