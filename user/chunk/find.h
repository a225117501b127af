/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking for chunks by their bits: what CLAIM and TAKE have in common.
 */
#ifndef R3MAP_CHUNK_FIND_H
#define R3MAP_CHUNK_FIND_H

#include <stdbool.h>

#include "chunk/bits.h"
#include "nl/chunks.h"

/* All that there are have to be as wanted. */
struct find {
	const struct bits *bits[3];	/* the last one may be NULL */
	bool want[3];
};

/*
 * The answer of chunks_claim() and chunks_take(): such chunks within @length bytes at @offset,
 * whole chunks, up to @max bytes and at least one chunk, as far as @extents has room.
 */
void find_chunks(const struct find *find, uint64_t offset, uint64_t length, uint64_t max,
		 struct chunk_extents *extents);
/* Are these within the region, whole chunks, and all of them set? */
bool find_all(const struct bits *bits, const struct r3map_extent *extents, unsigned int count);

#endif
