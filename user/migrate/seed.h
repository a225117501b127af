/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seeder: what a mount has besides, so that its region can move to another host. It serves the region by
 * NBD, read-only, to whoever asks; a leecher also opens a control link, by the option MIGRATE, for which there is a
 * thread (seeding.c).
 *
 * seed_open() to seed_close() belong to the main thread and its loop, which must run meanwhile.
 */
#ifndef R3MAP_MIGRATE_SEED_H
#define R3MAP_MIGRATE_SEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migrate/stop.h"
#include "serve/serve.h"

struct backend;
struct cJSON;
struct device;
struct error;
struct loop;
struct seed;

struct seed_options {
	struct serve_options serve;	/* where and how; of its exports nothing */
	struct opt_list dial;		/* HOST[:PORT]... of leechers that listen */
	struct stop_options stop;
	uint32_t hold_time;		/* ms that writes wait for the leecher once it has the region */
	uint64_t throttle;		/* bytes a second that writers may be slowed down to; 0: they are not */
};

/* What a seeder is unless its options say otherwise. */
#define SEED_DEFAULTS { .serve = { .tls = -1, .limits = SERVE_LIMITS }, .hold_time = 60000 }

/*
 * @options, @backend and @path, those of @device, are borrowed. @gone(@data): the region is at a leecher as a
 * whole. @before: the generation of the device with the helper before this one, or 0. Its addresses are taken, but nobody is let in before seed_begin(). 0 or a negative errno with a
 * sentence.
 */
int seed_open(struct loop *loop, const struct seed_options *options, struct backend *backend,
	      const struct device *device, uint64_t before, const char *path, void (*gone)(void *data),
	      void *data, struct seed **seed, struct error *error);
/* Lets leechers in. 0 or a negative errno with a sentence. */
int seed_begin(struct seed *seed, struct error *error);
/* Its URIs, a line each; to be freed. NULL: out of memory. */
char *seed_uris(const struct seed *seed);
/*
 * The first of them, for who is at the other end of socket @fd: with the address of this end, if it listens on every
 * one. "": it has none, or it is longer than @size.
 */
void seed_uri(const struct seed *seed, int fd, char *text, size_t size);
/* Adds what there is to tell, once it lets leechers in, to @object. False: out of memory. */
bool seed_tell(struct cJSON *object, struct seed *seed);
/*
 * The leecher that has finalized is known to be lost for good: writes go on here. 0 or a negative errno
 * with a sentence.
 */
int seed_undo(struct seed *seed, struct error *error);
/* Is there a leecher that has the region, but not all of it? */
bool seed_is_needed(struct seed *seed);
/*
 * No leecher is served any more; @seed may be NULL. False: a thread does not end, and its memory must be left
 * alone.
 */
bool seed_close(struct seed *seed);

#endif
