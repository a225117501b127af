/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which parts of a backend hold data, from its beginning to its end.
 */
#ifndef R3MAP_INFO_MAP_H
#define R3MAP_INFO_MAP_H

#include <stdint.h>

struct backend;
struct error;

/*
 * Calls @each for every extent, in order and without gaps, neighbours with equal @flags
 * (BACKEND_EXTENT_*) merged. What it returns, if not 0, ends the walk. Blocks, each step of it
 * for half a minute at most. Returns 0, what @each returned, or a negative errno with one sentence
 * in @error.
 */
int map_walk(struct backend *backend,
	     int (*each)(uint64_t offset, uint64_t length, uint32_t flags, void *owner),
	     void *owner, struct error *error);

/* "data", "hole", "zero", "hole,zero". */
const char *map_type(uint32_t flags);

#endif
