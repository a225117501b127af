/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leecher: a managed mount whose region comes from a seeder, where it is in use, and then is this device's own. All
 * of its bios are held until then. One thread goes through it, step by step, beside the mount:
 *
 *	pulling ──► following ──► finalizing ──► arriving ──► complete
 *	   all of it   rounds: what       │         what was written
 *	               was written        │         last, on demand and
 *	               meanwhile          │         in the background
 *	      ▲            ▲ refused, or  │
 *	      └────────────┴──────────────┘ not in time
 *
 * See Documentation/design/migration.rst.
 */
#ifndef R3MAP_MIGRATE_LEECH_H
#define R3MAP_MIGRATE_LEECH_H

#include <stdbool.h>
#include <stdint.h>

#include "migrate/stop.h"

struct cJSON;
struct error;
struct leech;
struct loop;
struct managed;
struct seed;

struct leech_options {
	bool finalize;			/* by itself, once all has come */
	bool push_all_first;		/* nobody is let in before everything is here */
	uint32_t max_downtime;		/* ms: by itself, once the stop would be no longer; 0: no */
	uint64_t max_dirty;		/* bytes: by itself, once no more was written in a round; 0: no */
	uint32_t rounds;		/* by itself, after so many; 0: no */
	const char *group;		/* those of this name can be finalized as one; NULL: none */
	uint32_t deadline;		/* ms that the seeder may take to bring writes to rest */
	struct stop_options stop;	/* resume alone */
};

/* What a migration took, in ns. */
struct leech_times {
	uint64_t suspend, freeze, drain;	/* at the seeder */
	uint64_t list;			/* held, until the seeder sent what was written */
	uint64_t network;		/* half of a round trip */
	uint64_t receive;		/* that list */
	uint64_t apply;			/* dropping, and letting bios go */
	uint64_t first;			/* until the first of those that waited was served; 0: none did */
	uint64_t downtime;		/* from drain on, all of these together but drain and suspend */
	uint64_t resume;		/* until the application was told to go on; 0: nobody is told */
};

/* What is told, in the thread of the loop. */
struct leech_events {
	/* A finalize has ended, one way or the other; code 0: well. */
	void (*finalized)(void *data, const struct error *error);
	/* All is done but for letting anybody in: what leech_prepare() has asked for. */
	void (*prepared)(void *data);
	void (*whole)(void *data);	/* all of the region is here, for good */
	void *data;
};

/*
 * Begins. @uri: the seeder's; @managed: of the mount, started; @before: the generation of its device with the helper before
 * this one, or 0; @device: its path; @onward: what seeds it on, or NULL. All is borrowed. 0 or a negative errno with a
 * sentence.
 */
int leech_open(struct loop *loop, const struct leech_options *options, const char *uri,
	       struct managed *managed, uint64_t before, const char *device,
	       const struct seed *onward, const struct leech_events *events, struct leech **leech,
	       struct error *error);
/*
 * To be finalized now. 0, or a negative errno with a sentence: it cannot be any more, or, -EBUSY, a group decides that.
 */
int leech_finalize(struct leech *leech, struct error *error);
/*
 * As a part of a group: to be finalized up to where it can still be undone, and then to wait for leech_proceed() or
 * leech_undo(), for a while. As leech_finalize().
 */
int leech_prepare(struct leech *leech, struct error *error);
/* All of its group are prepared: to the end. As leech_finalize(); -EBUSY: it is not prepared. */
int leech_proceed(struct leech *leech, struct error *error);
/*
 * What leech_prepare() has begun is given up; told as a finalize that has failed. -EALREADY: there is
 * nothing to give up.
 */
int leech_undo(struct leech *leech, struct error *error);
/* Who has asked for leech_prepare() is gone. If it is not decided yet, it is undone. */
void leech_left(struct leech *leech);
/* Is the region, or will it be for all that is known, used here? */
bool leech_has_region(struct leech *leech);
/* In words, for who asked: how long the stop was. */
void leech_summary(struct leech *leech, char *text, unsigned int size);
/* Adds what there is to tell to @object. False: out of memory. */
bool leech_tell(struct cJSON *object, struct leech *leech);
/* Is the region not here as a whole, but no more at the seeder, either? */
bool leech_is_between(struct leech *leech);
/* Ends it where it is; @leech may be NULL. */
void leech_close(struct leech *leech);

#endif
