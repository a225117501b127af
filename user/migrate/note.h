/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a helper leaves for the one that takes over its device, should it die: a word beside its door, in /run/r3map, for
 * as long as this system runs. It has the generation that the device had with that helper, so that a word about
 * another device, or from before another helper, is none.
 *
 * A leecher leaves the number of its session. A seeder leaves how far a finalize is: before GIVEN is there no leecher can
 * have been told that the region is its own.
 */
#ifndef R3MAP_MIGRATE_NOTE_H
#define R3MAP_MIGRATE_NOTE_H

#include <stdbool.h>
#include <stdint.h>

struct error;

enum note_kind { NOTE_LEECH, NOTE_SEED };

enum note_seed {		/* the value of a NOTE_SEED */
	NOTE_STOPPING = 1,	/* application and writes are being stopped, or are */
	NOTE_GIVEN = 2,		/* a leecher may have been told */
	NOTE_TAKEN = 3,		/* it has said that it uses the region: that is for good */
};

/* In place of what was there. @device: "/dev/r3map0". 0 or a negative errno with a sentence. */
int note_write(const char *device, enum note_kind kind, uint64_t generation, uint64_t value,
	       struct error *error);
/* False: there is none of that generation. */
bool note_read(const char *device, enum note_kind kind, uint64_t generation, uint64_t *value);
void note_remove(const char *device, enum note_kind kind);

#endif
