// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map mount: makes a device of a backend and stays as its helper.
 */
#include <errno.h>
#include <string.h>

#include "backend/backend.h"
#include "cmd/cmd.h"
#include "lib/error.h"
#include "mount/hooks.h"
#include "mount/managed_options.h"
#include "mount/mount.h"
#include "nl/device.h"

static const char *const words_transport[] = {
	[MOUNT_SHARED] = "shared", [MOUNT_INLINE] = "inline", NULL,
};
static const char *const words_on_death[] = {
	[MOUNT_PARK] = "park", [MOUNT_FAIL] = "fail", NULL,
};

static const char *const words_via[] = {
	[MOUNT_VIA_R3MAP] = "r3map", [MOUNT_VIA_NBD] = "nbd", NULL,
};

static const struct mount_options mount_defaults = MOUNT_DEFAULTS;

#define M(field) OPT(mount_options, field)

static const struct opt mount_opts[] = {
	{ OPT_STRING, "run", 0, M(run), .value = "CMD",
	  .help = "run CMD by sh with R3MAP_DEVICE set, unmount, end with its status" },
	{ OPT_FLAG, "daemon", 0, M(daemon),
	  .help = "go into the background; returns once the device is ready" },
	{ OPT_STRING, "log", 0, M(log), .value = "FILE",
	  .help = "with --daemon: append messages to FILE" },
	{ OPT_LIST, "hook", 0, M(hooks), .value = "EVENT=PROGRAM",
	  .help = "run PROGRAM by sh at ready, all-local, before-sync, after-sync, lost or recovered; may be repeated" },
	{ OPT_TIME, "hook-timeout", 0, M(hook_timeout), .value = "TIME", .min = 1,
	  .max = R3MAP_MAX_TIMEOUT,
	  .help = "kill a program of --hook that takes longer (default: 20s)" },
	{ OPT_FLAG, "read-only", 'r', M(read_only), .help = "refuse writes" },
	{ OPT_CHOICE, "via", 0, M(via), .value = "r3map|nbd", .words = words_via,
	  .help = "the driver: r3map's, or the kernel's NBD client, to compare with (default: r3map)" },
	MANAGED_OPTS(M),
	{ OPT_U32, "index", 'i', M(index), .value = "N", .max = INT32_MAX,
	  .help = "make /dev/r3mapN (default: the lowest free number)" },
	{ OPT_STRING, "recover", 0, M(recover), .value = "DEVICE",
	  .help = "take over DEVICE, whose helper is gone" },
	{ OPT_FLAG, "force", 'f', M(force),
	  .help = "with --recover: even if it was mounted from another BACKEND" },
	{ OPT_TIME, "park", 0, M(park), .value = "TIME", .max = R3MAP_MAX_TIMEOUT,
	  .help = "when the helper dies, requests wait so long for another (default: 60s)" },
	{ OPT_CHOICE, "on-death", 0, M(on_death), .value = "park|fail", .words = words_on_death,
	  .help = "when the helper dies: wait, or fail at once (default: park)" },
	{ OPT_TIME, "timeout", 't', M(timeout), .value = "TIME", .min = 10, .max = R3MAP_MAX_TIMEOUT,
	  .help = "a request may take so long, then it fails (default: 30s)" },
	{ OPT_U32, "queues", 'q', M(queues), .value = "N", .min = 1, .max = R3MAP_MAX_QUEUES,
	  .help = "queues, each with a thread (default: one per CPU, up to 8; with --managed over a network one)" },
	{ OPT_U32, "depth", 'd', M(depth), .value = "N", .min = 1, .max = R3MAP_MAX_DEPTH,
	  .help = "requests in flight per queue (default: 128)" },
	{ OPT_SIZE64, "area", 0, M(area), .value = "SIZE", .min = 4096, .max = R3MAP_MAX_AREA,
	  .help = "payload memory per queue (default: 4 times --max-io, 2 times for those without disk or network)" },
	{ OPT_SIZE32, "max-io", 0, M(max_io), .value = "SIZE", .min = 4096, .max = R3MAP_MAX_IO,
	  .help = "largest read or write (default: 1M, inline 128K, or the backend's)" },
	{ OPT_CHOICE, "transport", 0, M(transport), .value = "shared|inline",
	  .words = words_transport,
	  .help = "payload in shared memory or in the messages (default: shared)" },
	{ OPT_SIZE32, "block-size", 'b', M(logical_block), .value = "SIZE", .min = 512, .max = 4096,
	  .help = "logical block size (default: the backend's, at least 512)" },
	{ OPT_SIZE32, "physical-block-size", 0, M(physical_block), .value = "SIZE", .min = 512,
	  .help = "physical block size (default: 4096)" },
	{ OPT_SIZE32, "io-min", 0, M(io_min), .value = "SIZE", .min = 512,
	  .help = "smallest good size (default: the physical block size)" },
	{ OPT_SIZE32, "io-opt", 0, M(io_opt), .value = "SIZE",
	  .help = "best size, 0 for none (default: the backend's, if over 4096; 128K if it may wait)" },
	{ OPT_SIZE32, "max-discard", 0, M(max_discard), .value = "SIZE", .min = 4096,
	  .help = "largest discard or zeroing (default: 1G)" },
	{ OPT_FLAG, "no-part-scan", 0, .clear = true, M(part_scan),
	  .help = "look for no partition table" },
	{ OPT_FLAG, "no-mlock", 0, .clear = true, M(lock),
	  .help = "do not lock the helper's memory; then do not swap to the device" },
	OPT_JSON(mount_options),
	{ OPT_END },
};

/* An option that was given and that the kernel's NBD client cannot keep; NULL: there is none. */
static const char *mount_not_via(const struct mount_options *options)
{
#define GIVEN(field, name) { options->field != mount_defaults.field, name }
	const struct {
		bool given;
		const char *name;
	} list[] = {
		GIVEN(recover, "--recover"),
		GIVEN(park, "--park"),
		GIVEN(on_death, "--on-death"),
		GIVEN(timeout, "--timeout"),
		GIVEN(depth, "--depth"),
		GIVEN(area, "--area"),
		GIVEN(max_io, "--max-io"),
		GIVEN(transport, "--transport"),
		GIVEN(physical_block, "--physical-block-size"),
		GIVEN(io_min, "--io-min"),
		GIVEN(io_opt, "--io-opt"),
		GIVEN(max_discard, "--max-discard"),
		GIVEN(store, "--store"),
		GIVEN(progress, "--progress"),
		GIVEN(part_scan, "--no-part-scan"),
		{ options->managed && options->queues != mount_defaults.queues,
		  "--queues with --managed" },
	};
#undef GIVEN

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i].given)
			return list[i].name;
	return NULL;
}

static int mount_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct mount_options *options = settings;

	(void)argc;
	if (options->via == MOUNT_VIA_NBD && mount_not_via(options)) {
		error_set(error, -EINVAL, "%s is for r3map's own driver: leave it out, or --via nbd",
			  mount_not_via(options));
		return EXIT_USAGE;
	}
	if (hooks_check(&options->hooks, error))
		return EXIT_USAGE;
	if (hooks_listed(&options->hooks, HOOK_BEFORE_SYNC) &&
	    options->via == MOUNT_VIA_R3MAP && options->hook_timeout >= options->timeout) {
		error_set(error, -EINVAL, "--hook-timeout must be less than --timeout, which a sync must not take longer than: before-sync is a part of it");
		return EXIT_USAGE;
	}
	if (hooks_listed(&options->hooks, HOOK_ALL_LOCAL) &&
	    ((!options->managed && !options->recover) || !options->pull_push.pull_workers)) {
		error_set(error, -EINVAL, "--hook all-local is for --managed with --pull-workers: else nothing brings all of the region here");
		return EXIT_USAGE;
	}
	if (mount_options_check(options, error))
		return EXIT_USAGE;
	if (options->force && !options->recover) {
		error_set(error, -EINVAL, "--force is for --recover");
		return EXIT_USAGE;
	}
	if (managed_options_check(options, error))
		return EXIT_USAGE;
	if (options->managed && options->transport == MOUNT_INLINE) {
		error_set(error, -EINVAL, "--managed has no payload to transport: leave --transport out");
		return EXIT_USAGE;
	}
	return mount_serve(options, argv[0], error);
}

const struct command command_mount = {
	.name = "mount",
	.arguments = "[OPTION]... BACKEND",
	.summary = "Make a device of BACKEND, print its path, and stay as its helper",
	.details = backend_help,
	.options = mount_opts,
	.defaults = &mount_defaults,
	.settings_size = sizeof(mount_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = mount_run,
};
