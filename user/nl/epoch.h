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
#include <stdbool.h>
#include <stddef.h>
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

/*
 * What is dirty in @epoch, into @words: bit i of word j is grain 64 j + i. @count: of words, those that the region
 * has. It is not dirty any more then. After an error some of it may have been taken.
 */
int epoch_take(const struct epoch *epoch, uint64_t *words, size_t count, struct error *error);
/* The same of @count words from word @first on, all of the region's; it stays dirty. */
int epoch_peek(const struct epoch *epoch, size_t first, uint64_t *words, size_t count,
	       struct error *error);

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

/* No more than @rate bytes a second are written, while an epoch is open; 0: no limit. */
int device_throttle(struct control *control, uint32_t index, uint64_t generation, uint64_t rate,
		    struct error *error);

/*
 * Chunks of a device that is held are remote again, those whose bit is set: bit i of word j is chunk 64 j + i, and
 * @count is that of words for all of them. The words do not change. After an error, some may be.
 */
int chunks_drop(const struct chunks *chunks, uint64_t *words, size_t count, struct error *error);

#endif
