/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bit for each chunk of a region, and how many bytes have it.
 *
 * Changed by one thread; bits_bytes() from any.
 */
#ifndef R3MAP_CHUNK_BITS_H
#define R3MAP_CHUNK_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/pages.h"

struct error;

struct bits {
	struct pages pages;
	uint64_t size;			/* bytes of the region; the last chunk may be shorter */
	_Atomic uint64_t bytes;
};

/* All clear. @chunk: bytes, a power of two. 0 or -ENOMEM with a sentence. */
int bits_new(struct bits *bits, uint64_t size, uint32_t chunk, struct error *error);
/* Of one that is all zeroes, too. */
void bits_free(struct bits *bits);

/* Has the chunk of byte @offset the bit? */
bool bits_has(const struct bits *bits, uint64_t offset);
/* As pages_run(): how many bytes from @from on, up to @to, are alike in that. > 0 if from < to. */
uint64_t bits_run(const struct bits *bits, uint64_t from, uint64_t to, bool *set);
/* All chunks that have one of these bytes. */
void bits_set(struct bits *bits, uint64_t from, uint64_t to);
void bits_clear(struct bits *bits, uint64_t from, uint64_t to);
/* How many bytes have it. */
uint64_t bits_bytes(const struct bits *bits);

#endif
