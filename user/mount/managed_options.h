/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of a managed mount, which several commands have.
 */
#ifndef R3MAP_MOUNT_MANAGED_OPTIONS_H
#define R3MAP_MOUNT_MANAGED_OPTIONS_H

#include "mount/mount.h"

struct error;

extern const char *const managed_flush_words[];

/* Elements of a struct opt[]. @F(field): where that of struct mount_options is. */
#define MANAGED_OPTS(F) \
	{ OPT_FLAG, "managed", 'm', F(managed), \
	  .help = "keep the region in a local store: pulled in the background, written back later" }, \
	{ OPT_STRING, "store", 0, F(store), .value = "FILE", \
	  .help = "with --managed: keep the region in FILE, and what is known of it in FILE.map, for the next mount, too" }, \
	{ OPT_SIZE32, "chunk-size", 0, F(chunk), .value = "SIZE", .min = R3MAP_MIN_CHUNK, \
	  .max = R3MAP_MAX_CHUNK, \
	  .help = "with --managed: what is fetched and written back at once, a power of two (default: 4K, more for regions of more than 64G)" }, \
	{ OPT_CHOICE, "flush", 0, F(flush), .value = "local|local-durable|remote", \
	  .words = managed_flush_words, \
	  .help = "with --managed: what fsync means (default: remote, the bytes are at the backend)" }, \
	{ OPT_U32, "pull-workers", 0, F(pull_push.pull_workers), .value = "N", .max = 65536, \
	  .help = "with --managed: reads of a pull at a time, at most; 0: pull only what is asked for (default: 256)" }, \
	{ OPT_STRING, "order", 0, F(pull_push.order), .value = "sequential|reverse|FILE|-", \
	  .help = "with --managed: what is pulled first; FILE, or - for standard input, has lines OFFSET LENGTH (default: sequential)" }, \
	{ OPT_STRING, "record-order", 0, F(pull_push.record), .value = "FILE", \
	  .help = "with --managed: write to FILE what was asked for and not there, for the --order of another time" }, \
	{ OPT_SIZE64, "pull-first", 0, F(pull_push.pull_first), .value = "SIZE", \
	  .help = "with --managed: the device is ready once so much was pulled (default: 0)" }, \
	{ OPT_SIZE64, "pull-rate", 0, F(pull_push.pull_rate), .value = "SIZE", \
	  .help = "with --managed: pull no more than so much a second, 0: no limit (default: 0)" }, \
	{ OPT_FLAG, "progress", 0, F(progress), \
	  .help = "with --managed: show how far the pull is" }, \
	{ OPT_U32, "push-workers", 0, F(pull_push.push_workers), .value = "N", .min = 1, \
	  .max = 65536, .help = "with --managed: writes to the backend at a time (default: 32)" }, \
	{ OPT_TIME, "push-interval", 0, F(pull_push.push_interval), .value = "TIME", \
	  .max = R3MAP_MAX_TIMEOUT, \
	  .help = "with --managed: write back so often, 0: only when asked and at the end (default: 5s)" }

/* Those that do not go together, or without --managed. 0 or -EINVAL with a sentence. */
int managed_options_check(const struct mount_options *options, struct error *error);

#endif
