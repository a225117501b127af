/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracking: remembers which chunks were changed through it. See stage.h.
 *
 * A chunk is dirty when it was changed; taken when it was handed out to be pushed, which ends with
 * done. What changes while it is taken is dirty as well, and is handed out again once it is done.
 */
#ifndef R3MAP_CHUNK_TRACKING_H
#define R3MAP_CHUNK_TRACKING_H

#include <stdint.h>

#include "nl/chunks.h"

struct backend;
struct error;

/* @chunk: bytes, a power of two. */
int tracking_new(struct backend *inner, uint32_t chunk, struct backend **stage,
		 struct error *error);
/* How many bytes are in chunks that are dirty or taken. From any thread. */
uint64_t tracking_bytes(const struct backend *stage);
/* See chunks_take() and chunks_done(). */
int tracking_take(struct backend *stage, uint64_t offset, uint64_t length, uint64_t max,
		  struct chunk_extents *extents, struct error *error);
int tracking_done(struct backend *stage, const struct r3map_extent *extents, unsigned int count,
		  int code, struct error *error);

#endif
