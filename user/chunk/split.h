/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stage's request in several parts: what arbitrary.c and chunked.c have in common.
 */
#ifndef R3MAP_CHUNK_SPLIT_H
#define R3MAP_CHUNK_SPLIT_H

#include "backend/wrap.h"

#define SPLIT_PARTS	8u	/* of one request under way at a time */

/* The start of such a stage's own struct. */
struct split {
	struct wrap wrap;
	/* How many bytes the part of @io at @at has, at most up to @end; > 0. */
	uint64_t (*part)(const struct split *split, const struct backend_io *io, uint64_t at,
			 uint64_t end);
};

/*
 * Submits @io, which has a length, in parts, in ascending order. After an error no further part is
 * begun; @io completes with the first error when all that were begun are over.
 */
void split_submit(struct backend_channel *channel, struct backend_io *io);

#endif
