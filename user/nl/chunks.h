/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chunk map of a managed device: the STORE_*, CHUNK_* and DIRTY_* commands, or one in this
 * process (chunk/), for which the functions below mean the same.
 *
 * A control socket is used by one thread at a time; the thread that pulls and pushes has its own.
 */
#ifndef R3MAP_NL_CHUNKS_H
#define R3MAP_NL_CHUNKS_H

#include <linux/r3map.h>
#include <stdbool.h>
#include <stdint.h>

struct chunk_extents;
struct control;
struct error;

/* A map that is not the module's. Each as the function chunks_NAME() below. */
struct chunks_ops {
	int (*claim)(void *map, uint64_t offset, uint64_t length, uint64_t max, bool loose,
		     struct chunk_extents *extents, struct error *error);
	int (*firm)(void *map, uint64_t offset, uint64_t length, struct chunk_extents *extents,
		    struct error *error);
	int (*fill)(void *map, const struct r3map_extent *extents, unsigned int count, int code,
		    struct error *error);
	int (*take)(void *map, uint64_t offset, uint64_t length, uint64_t max,
		    struct chunk_extents *extents, struct error *error);
	int (*done)(void *map, const struct r3map_extent *extents, unsigned int count, int code,
		    struct error *error);
	int (*local)(void *map, uint64_t *bytes, struct error *error);
};

/* Whose chunks: the module's, of a device, unless there are @ops. */
struct chunks {
	const struct chunks_ops *ops;
	void *map;			/* of @ops */
	struct control *control;
	uint32_t index;
	uint64_t generation;
	uint32_t chunk;			/* bytes */
};

/* An answer: ascending, whole chunks. */
struct chunk_extents {
	uint64_t next;			/* bytes: where to ask further */
	unsigned int count;
	struct r3map_extent extent[R3MAP_MAX_EXTENTS];
};

/*
 * All of these: 0 or a negative errno with a sentence, the kernel's if it is the module's map. If the
 * kernel has no memory for an answer they ask again for a while.
 */

/* How many bytes are local. */
int chunks_local(const struct chunks *chunks, uint64_t *bytes, struct error *error);
/* Of the module only: a descriptor of the store, which the caller owns. */
int chunks_store(const struct chunks *chunks, int *fd, struct error *error);
/*
 * Claims remote chunks within @length bytes at @offset, up to @max bytes and at least one chunk. @loose: who
 * writes all of one takes it away, and it may not be written in the store before chunks_firm().
 */
int chunks_claim(const struct chunks *chunks, uint64_t offset, uint64_t length, uint64_t max,
		 bool loose, struct chunk_extents *extents, struct error *error);
/* What is still claimed loosely within these bytes is claimed firmly from now on. */
int chunks_firm(const struct chunks *chunks, uint64_t offset, uint64_t length,
		struct chunk_extents *extents, struct error *error);
/* Claimed chunks are in the store; or, with @code, a negative errno, they are not. */
int chunks_fill(const struct chunks *chunks, const struct r3map_extent *extents,
		unsigned int count, int code, struct error *error);
/* Takes dirty chunks, as chunks_claim(). */
int chunks_take(const struct chunks *chunks, uint64_t offset, uint64_t length, uint64_t max,
		struct chunk_extents *extents, struct error *error);
/* Taken chunks are at the backend, or not, as chunks_fill(). */
int chunks_done(const struct chunks *chunks, const struct r3map_extent *extents,
		unsigned int count, int code, struct error *error);
/* Of the module only: the states of all chunks from @offset on; the generation does not matter. */
int chunks_get(const struct chunks *chunks, uint64_t offset, struct chunk_extents *extents,
	       struct error *error);

#endif
