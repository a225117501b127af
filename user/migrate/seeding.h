/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seeder's side of one control link: a thread that answers the leecher's questions.
 */
#ifndef R3MAP_MIGRATE_SEEDING_H
#define R3MAP_MIGRATE_SEEDING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/post.h"
#include "migrate/session.h"
#include "migrate/stop.h"
#include "tls/stream.h"

/* What all of a seeder's links share. */
struct seedings {
	/* Constant. */
	const struct stop_options *stop;
	uint32_t hold_time;		/* ms */
	uint64_t throttle;		/* bytes a second that writers are slowed down to at least; 0: they are not */
	const char *device;		/* path */
	int interrupt;			/* an eventfd: readable at the end */

	struct sessions sessions;
	uint64_t rate;			/* of the device now, for who holds their lock */
	uint64_t refused;		/* what the module was asked for last; likewise */
	bool resting;			/* it is being finalized, or is; likewise */
	pthread_mutex_t order;		/* held while one finalizes, or takes that back */
	uint64_t stopped;		/* ns: since when the application is, for who has it; 0: it is not */
	_Atomic unsigned int running;	/* threads */
	_Atomic uint64_t sent;		/* bytes, by the links */
	atomic_bool gone;		/* the region is at a leecher as a whole */
	struct post post;		/* to the main thread */
	struct post_job told;		/* @gone has become true */
};

/* Takes over @stream. Any thread. 0, or a negative errno, and then the stream is still the caller's. */
int seeding_start(struct seedings *seedings, const struct stream *stream, const char *address);
/*
 * Once, before the first link: what a helper that has died, when the device had generation @before, has left behind. A
 * finalize of which no leecher can have been told is taken back. 0 or a negative errno with a sentence.
 */
int seeding_adopt(struct seedings *seedings, uint64_t before, struct error *error);
/* See seed_undo(). */
int seeding_undo(struct seedings *seedings, struct error *error);

#endif
