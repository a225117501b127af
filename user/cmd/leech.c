// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map leech: a device whose region comes from a seeder, while it is in use there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "migrate/group.h"
#include "migrate/leech.h"
#include "migrate/seed.h"
#include "mount/mount.h"
#include "nbd/reverse.h"
#include "nbd/uri.h"
#include "nl/device.h"

struct leech_settings {
	struct mount_options mount;
	struct leech_options leech;
	struct seed_options seed;	/* once all is here */
	const char *listen;		/* ADDRESS, or NULL */
};

static const struct leech_settings leech_defaults = {
	.mount = MOUNT_DEFAULTS,
	.leech = { .deadline = 10000 },
	.seed = SEED_DEFAULTS,
};

#define L(field) OPT(leech_settings, field)

static const struct opt leech_opts[] = {
	{ OPT_STRING, "listen", 'l', L(listen), .value = "ADDRESS",
	  .help = "wait for a seeder that dials HOST, HOST:PORT, [IPv6]:PORT or :PORT of this host: r3map seed --dial" },
	{ OPT_FLAG, "finalize", 'f', L(leech.finalize),
	  .help = "finalize by itself, once everything has come" },
	{ OPT_TIME, "max-downtime", 0, L(leech.max_downtime), .value = "TIME", .min = 1,
	  .max = R3MAP_MAX_TIMEOUT,
	  .help = "finalize by itself, once the stop is expected to be no longer and rounds do not become shorter" },
	{ OPT_SIZE64, "max-dirty", 0, L(leech.max_dirty), .value = "SIZE", .min = 4096, .max = INT64_MAX,
	  .help = "finalize by itself, once no more was written in a round" },
	{ OPT_U32, "rounds", 0, L(leech.rounds), .value = "N", .min = 1, .max = INT32_MAX,
	  .help = "finalize by itself after so many rounds" },
	{ OPT_FLAG, "push-all-first", 0, L(leech.push_all_first),
	  .help = "let nobody in before everything is here: the stop is longer, and losing the seeder then is no loss" },
	{ OPT_STRING, "group", 0, L(leech.group), .value = "NAME",
	  .help = "one of those that r3map finalize --group NAME finalizes as one" },
	{ OPT_TIME, "deadline", 0, L(leech.deadline), .value = "TIME", .min = 10, .max = 60000,
	  .help = "writes at the seeder have to come to rest in this time, or go on (default: 10s)" },
	{ OPT_STRING, "resume", 0, L(leech.stop.resume), .value = "CMD",
	  .help = "run CMD by sh to let the application go on here" },
	{ OPT_U32, "stop-group", 0, L(leech.stop.group), .value = "PGID", .min = 1, .max = INT32_MAX,
	  .help = "let this process group go on, by SIGCONT" },
	{ OPT_STRING, "stop-cgroup", 0, L(leech.stop.cgroup), .value = "DIR", .help = "thaw this cgroup" },
	{ OPT_LIST, "seed-listen", 0, L(seed.serve.listen), .value = "ADDRESS",
	  .help = "once all is here, seed it from this device on HOST, HOST:PORT, [IPv6]:PORT, or :PORT" },
	{ OPT_STRING, "seed-unix", 0, L(seed.serve.unix_socket), .value = "PATH",
	  .help = "the same on a unix socket" },
	{ OPT_STRING, "suspend", 0, L(leech.stop.suspend), .value = "CMD",
	  .help = "with these: run CMD by sh to stop the application before the region goes on" },
	{ OPT_TIME, "hold-time", 0, L(seed.hold_time), .value = "TIME", .max = R3MAP_MAX_TIMEOUT,
	  .help = "with these: as of r3map seed (default: 60s)" },
	{ OPT_CHOICE, "tls", 0, L(seed.serve.tls), .value = "off|on|require", .words = serve_tls_words,
	  .help = "with these: TLS (default: on with certificates or keys, else off)" },
	{ OPT_STRING, "tls-certificates", 0, L(seed.serve.tls_files.certificates), .value = "DIR",
	  .help = "folder of server-cert.pem, server-key.pem, ca-cert.pem" },
	{ OPT_STRING, "tls-psk", 0, L(seed.serve.tls_files.psk), .value = "FILE",
	  .help = "file of keys, USER:HEX a line" },
	{ OPT_FLAG, "tls-verify-peer", 0, L(seed.serve.tls_verify_peer),
	  .help = "leechers of this device need a certificate of the CA" },
	{ OPT_LIST, "tls-allow", 0, L(seed.serve.tls_allow), .value = "SUBJECT",
	  .help = "only leechers whose certificate has this subject" },
	{ OPT_STRING, "store", 0, L(mount.store), .value = "FILE",
	  .help = "keep the region in FILE, which is made, and has all of it in the end (default: memory)" },
	{ OPT_SIZE32, "chunk-size", 0, L(mount.chunk), .value = "SIZE", .min = R3MAP_MIN_CHUNK,
	  .max = R3MAP_MAX_CHUNK,
	  .help = "what is fetched at once, a power of two (default: 4K, more for regions of more than 64G)" },
	{ OPT_U32, "pull-workers", 0, L(mount.pull_push.pull_workers), .value = "N", .min = 1,
	  .max = 65536, .help = "reads of a pull at a time, at most (default: 256)" },
	{ OPT_STRING, "order", 0, L(mount.pull_push.order), .value = "sequential|reverse|FILE",
	  .help = "what is pulled first; FILE has lines OFFSET LENGTH (default: sequential)" },
	{ OPT_SIZE64, "pull-rate", 0, L(mount.pull_push.pull_rate), .value = "SIZE",
	  .help = "pull no more than so much a second, 0: no limit (default: 0)" },
	{ OPT_FLAG, "daemon", 0, L(mount.daemon),
	  .help = "go into the background; returns once there is the device" },
	{ OPT_STRING, "log", 0, L(mount.log), .value = "FILE",
	  .help = "with --daemon: append messages to FILE" },
	{ OPT_FLAG, "progress", 0, L(mount.progress), .help = "show how far the pull is" },
	{ OPT_U32, "index", 'i', L(mount.index), .value = "N", .max = INT32_MAX,
	  .help = "make /dev/r3mapN (default: the lowest free number)" },
	{ OPT_STRING, "recover", 0, L(mount.recover), .value = "DEVICE",
	  .help = "take over DEVICE, whose helper is gone" },
	{ OPT_TIME, "park", 0, L(mount.park), .value = "TIME", .max = R3MAP_MAX_TIMEOUT,
	  .help = "when the helper dies, requests wait so long for another (default: 60s)" },
	{ OPT_TIME, "timeout", 't', L(mount.timeout), .value = "TIME", .min = 10,
	  .max = R3MAP_MAX_TIMEOUT, .help = "a request may take so long, then it fails (default: 30s)" },
	{ OPT_U32, "queues", 'q', L(mount.queues), .value = "N", .min = 1, .max = R3MAP_MAX_QUEUES,
	  .help = "queues, each with a thread (default: one per CPU, up to 8; over a network one)" },
	{ OPT_FLAG, "no-mlock", 0, .clear = true, L(mount.lock),
	  .help = "do not lock the helper's memory; then do not swap to the device" },
	OPT_JSON_AT(L(mount.json)),
	{ OPT_END },
};

static bool leech_seeds(const struct seed_options *seed)
{
	return seed->serve.listen.count || seed->serve.unix_socket;
}

/* What was given that only a seeder can use, or NULL. */
static const char *leech_seeding_option(const struct leech_settings *s)
{
	const struct serve_options *serve = &s->seed.serve;

	if (s->leech.stop.suspend)
		return "--suspend";
	return serve->tls >= 0 || serve->tls_files.certificates || serve->tls_files.psk ||
			       serve->tls_verify_peer || serve->tls_allow.count ?
		       "an option --tls..." :
		       NULL;
}

/* --listen is a short form of a URI. *@uri is to be freed. */
static int leech_uri(const struct leech_settings *s, int argc, char **argv, char **uri,
		     struct error *error)
{
	if (!s->listen == !argc)
		return error_set(error, -EINVAL, "give the seeder's URI, or --listen and none");
	if (s->listen ? asprintf(uri, "nbd+listen://%s/", s->listen) < 0 : !(*uri = strdup(argv[0])))
		return error_set(error, -ENOMEM, "out of memory");
	return 0;
}

/* Before anything is made: the seeder may come at any time. */
static int leech_await(const char *uri, struct error *error)
{
	const char *rest = strchr(uri, ':');
	struct nbd_uri parsed;
	char scheme[16];

	snprintf(scheme, sizeof(scheme), "%.*s", rest ? (int)(rest - uri) : 0, uri);
	if (!nbd_uri_scheme(scheme))
		return 0;	/* the migration refuses it */
	if (nbd_uri_parse(scheme, rest + 1, &parsed, error))
		return error->code;
	return parsed.transport == NBD_LISTEN ? nbd_reverse_wait(&parsed, error) : 0;
}

static int leech_mount(const struct leech_settings *s, const char *uri, struct error *error)
{
	int err = leech_await(uri, error);

	return err ? err : mount_serve(&s->mount, uri, error);
}

static int leech_run(const void *settings, int argc, char **argv, struct error *error)
{
	struct leech_settings s = *(const struct leech_settings *)settings;
	char *uri;
	int status;

	if (mount_options_check(&s.mount, error))
		return EXIT_USAGE;
	if (stop_check(&s.leech.stop, error))
		return EXIT_USAGE;
	if (s.leech.group && group_check(s.leech.group, error))
		return EXIT_USAGE;
	if (leech_seeds(&s.seed)) {
		s.seed.stop = s.leech.stop;
		s.mount.seed = &s.seed;
	} else if (leech_seeding_option(&s)) {
		error_set(error, -EINVAL, "%s is for a leecher that seeds on: give --seed-listen or --seed-unix, too",
			  leech_seeding_option(&s));
		return EXIT_USAGE;
	}
	s.mount.managed = true;
	s.mount.flush = s.mount.store ? MOUNT_FLUSH_DURABLE : MOUNT_FLUSH_LOCAL;
	s.mount.leech = &s.leech;
	if (leech_uri(&s, argc, argv, &uri, error))
		return error->code == -ENOMEM ? EXIT_FAILED : EXIT_USAGE;
	status = leech_mount(&s, uri, error);
	free(uri);
	return status;
}

const struct command command_leech = {
	.name = "leech",
	.arguments = "[OPTION]... [URI]",
	.summary = "Make a device of the region of a seeder, which is in use there until it is finalized",
	.options = leech_opts,
	.defaults = &leech_defaults,
	.settings_size = sizeof(leech_defaults),
	.args_min = 0,
	.args_max = 1,
	.run = leech_run,
};
