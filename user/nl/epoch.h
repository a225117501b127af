/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the module does for migrations: epochs, which remember what was written, and the commands that
 * hold bios back and let them go.
 *
 * All of these return 0 or a negative errno with the kernel's sentence. A control socket is used by one
 * thread at a time.
 */
#ifndef R3MAP_NL_EPOCH_H
#define R3MAP_NL_EPOCH_H

#include <linux/r3map.h>
#include <stdint.h>

struct chunks;
struct control;
struct error;

/* An epoch of a device of this process. */
struct epoch {
	struct control *control;
	uint32_t index;
	uint64_t generation;
	uint64_t size;			/* bytes of the device, which stay so while it is open */
	uint64_t number;
	uint32_t grain;			/* bytes */
};

/* @epoch: its first four members are set. Nothing is dirty in it. */
int epoch_open(struct epoch *epoch, struct error *error);
int epoch_close(const struct epoch *epoch, struct error *error);

/* What was written, in whole grains, ascending; the caller frees @extent. */
struct epoch_extents {
	uint64_t bytes;			/* of all of them */
	unsigned int count, room;
	struct r3map_extent *extent;
};

/* Adds what is dirty in @epoch, all of the region, and clears it there. */
int epoch_take(const struct epoch *epoch, struct epoch_extents *extents, struct error *error);
/* Adds @more to @extents, in any order, until they are merged. 0 or -ENOMEM, and nothing has changed. */
int epoch_extents_append(struct epoch_extents *extents, const struct r3map_extent *more,
			 unsigned int count);
void epoch_extents_merge(struct epoch_extents *extents);
/* Both. */
int epoch_extents_add(struct epoch_extents *extents, const struct r3map_extent *more,
		      unsigned int count);

/* What became of a DEVICE_FINALIZE. */
struct finalized {
	uint64_t freeze;		/* ns: writing back and freezing */
	uint64_t drain;			/* ns: until no write was on its way */
	uint64_t held_since;		/* ns, CLOCK_MONOTONIC: of the last write let in */
};

/*
 * Brings what was written to the device to rest within @deadline ms, and waits for that. Writes are held
 * then, for @hold_time ms, until device_release() or device_retire(). After an error, nothing is.
 */
int device_finalize(struct control *control, uint32_t index, uint64_t generation,
		    uint32_t deadline, uint32_t hold_time, struct finalized *finalized,
		    struct error *error);
int device_release(struct control *control, uint32_t index, uint64_t generation,
		   struct error *error);
int device_retire(struct control *control, uint32_t index, uint64_t generation,
		  struct error *error);

/* These bytes of a device that is held are remote again, as whole chunks; in any order. */
int chunks_drop(const struct chunks *chunks, uint64_t size, const struct r3map_extent *extents,
		unsigned int count, struct error *error);

#endif
