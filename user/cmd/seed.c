// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map seed: a mount whose region can be moved to another host while it is in use.
 */
#include <errno.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "migrate/seed.h"
#include "mount/managed_options.h"
#include "nbd/protocol.h"

struct seed_settings {
	struct mount_options mount;
	struct seed_options seed;
};

static const struct seed_settings seed_defaults = {
	.mount = MOUNT_DEFAULTS,
	.seed = SEED_DEFAULTS,
};

#define S(field) OPT(seed_settings, field)
#define M(field) S(mount.field)

static const struct opt seed_opts[] = {
	{ OPT_LIST, "listen", 'l', S(seed.serve.listen), .value = "ADDRESS",
	  .help = "listen on HOST, HOST:PORT, [IPv6]:PORT, or :PORT for all (default: localhost:10809)" },
	{ OPT_STRING, "unix", 'U', S(seed.serve.unix_socket), .value = "PATH",
	  .help = "listen on a unix socket" },
	{ OPT_LIST, "dial", 0, S(seed.dial), .value = "ADDRESS",
	  .help = "connect to a leecher that listens there, r3map leech --listen: HOST or HOST:PORT" },
	{ OPT_FLAG, "daemon", 0, S(mount.daemon),
	  .help = "go into the background; returns once the device is ready" },
	{ OPT_STRING, "log", 0, S(mount.log), .value = "FILE",
	  .help = "with --daemon: append messages to FILE" },
	{ OPT_STRING, "run", 0, S(mount.run), .value = "CMD",
	  .help = "run CMD by sh with R3MAP_DEVICE set, unmount, end with its status" },
	{ OPT_STRING, "suspend", 0, S(seed.stop.suspend), .value = "CMD",
	  .help = "run CMD by sh to stop the application before the region goes" },
	{ OPT_STRING, "resume", 0, S(seed.stop.resume), .value = "CMD",
	  .help = "run CMD by sh to let it go on if the region does not go after all" },
	{ OPT_U32, "stop-group", 0, S(seed.stop.group), .value = "PGID", .min = 1, .max = INT32_MAX,
	  .help = "stop this process group, by SIGSTOP" },
	{ OPT_STRING, "stop-cgroup", 0, S(seed.stop.cgroup), .value = "DIR",
	  .help = "freeze this cgroup" },
	{ OPT_TIME, "hold-time", 0, S(seed.hold_time), .value = "TIME", .max = R3MAP_MAX_TIMEOUT,
	  .help = "when the region was given away, writes wait so long for the leecher's word, then fail (default: 60s)" },
	{ OPT_SIZE64, "throttle", 0, S(seed.throttle), .value = "SIZE", .min = 4096, .max = INT64_MAX,
	  .help = "if a leecher cannot follow, slow writers down, to SIZE bytes a second at least (default: not)" },
	MANAGED_OPTS(M),
	{ OPT_U32, "index", 'i', S(mount.index), .value = "N", .max = INT32_MAX,
	  .help = "make /dev/r3mapN (default: the lowest free number)" },
	{ OPT_STRING, "recover", 0, S(mount.recover), .value = "DEVICE",
	  .help = "take over DEVICE, whose helper is gone" },
	{ OPT_TIME, "park", 0, S(mount.park), .value = "TIME", .max = R3MAP_MAX_TIMEOUT,
	  .help = "when the helper dies, requests wait so long for another (default: 60s)" },
	{ OPT_TIME, "timeout", 't', S(mount.timeout), .value = "TIME", .min = 10,
	  .max = R3MAP_MAX_TIMEOUT, .help = "a request may take so long, then it fails (default: 30s)" },
	{ OPT_U32, "queues", 'q', S(mount.queues), .value = "N", .min = 1, .max = R3MAP_MAX_QUEUES,
	  .help = "queues, each with a thread (default: one per CPU, up to 8; with --managed over a network one)" },
	{ OPT_U32, "threads", 0, S(seed.serve.threads), .value = "N", .min = 1, .max = 256,
	  .help = "threads that serve leechers (default: one per CPU, up to 8)" },
	{ OPT_CHOICE, "tls", 0, S(seed.serve.tls), .value = "off|on|require", .words = serve_tls_words,
	  .help = "TLS (default: on with certificates or keys, else off)" },
	{ OPT_STRING, "tls-certificates", 0, S(seed.serve.tls_files.certificates), .value = "DIR",
	  .help = "folder of server-cert.pem, server-key.pem, ca-cert.pem" },
	{ OPT_STRING, "tls-psk", 0, S(seed.serve.tls_files.psk), .value = "FILE",
	  .help = "file of keys, USER:HEX a line" },
	{ OPT_FLAG, "tls-verify-peer", 0, S(seed.serve.tls_verify_peer),
	  .help = "leechers need a certificate of the CA" },
	{ OPT_LIST, "tls-allow", 0, S(seed.serve.tls_allow), .value = "SUBJECT",
	  .help = "only leechers whose certificate has this subject" },
	{ OPT_FLAG, "no-mlock", 0, .clear = true, S(mount.lock),
	  .help = "do not lock the helper's memory; then do not swap to the device" },
	OPT_JSON_AT(S(mount.json)),
	{ OPT_END },
};

static int seed_run(const void *settings, int argc, char **argv, struct error *error)
{
	struct seed_settings s = *(const struct seed_settings *)settings;

	(void)argc;
	if (mount_options_check(&s.mount, error))
		return EXIT_USAGE;
	if (managed_options_check(&s.mount, error))
		return EXIT_USAGE;
	if (stop_check(&s.seed.stop, error))
		return EXIT_USAGE;
	s.mount.seed = &s.seed;
	return mount_serve(&s.mount, argv[0], error);
}

const struct command command_seed = {
	.name = "seed",
	.arguments = "[OPTION]... BACKEND",
	.summary = "Make a device of BACKEND whose region can move to another host while it is in use",
	.options = seed_opts,
	.defaults = &seed_defaults,
	.settings_size = sizeof(seed_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = seed_run,
};
