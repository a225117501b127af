// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bits of chunks, counted. See bits.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk/bits.h"
#include "lib/error.h"

int bits_new(struct bits *bits, uint64_t size, uint32_t chunk, struct error *error)
{
	memset(bits, 0, sizeof(*bits));
	bits->size = size;
	bits->pages.shift = (unsigned int)__builtin_ctz(chunk);
	bits->pages.words = calloc(1, pages_bytes(size, bits->pages.shift));
	if (!bits->pages.words)
		return error_set(error, -ENOMEM,
				 "out of memory for a map of %" PRIu64 " bytes in chunks of %" PRIu32 ": give a larger --chunk-size",
				 size, chunk);
	return 0;
}

void bits_free(struct bits *bits)
{
	free((void *)bits->pages.words);
	bits->pages.words = NULL;
}

bool bits_has(const struct bits *bits, uint64_t offset)
{
	bool set;

	pages_run(&bits->pages, offset, offset + 1, &set);
	return set;
}

uint64_t bits_run(const struct bits *bits, uint64_t from, uint64_t to, bool *set)
{
	return pages_run(&bits->pages, from, to, set);
}

/* Makes the range whole chunks, and returns how many of its bytes have the bit, or have not. */
static uint64_t bits_count(const struct bits *bits, uint64_t *from, uint64_t *to, bool with)
{
	const uint64_t mask = (1ull << bits->pages.shift) - 1;
	uint64_t count = 0, run;
	bool set;

	*from &= ~mask;
	*to = (*to + mask) & ~mask;
	if (*to > bits->size)
		*to = bits->size;
	for (uint64_t at = *from; at < *to; at += run) {
		run = bits_run(bits, at, *to, &set);
		if (set == with)
			count += run;
	}
	return count;
}

void bits_set(struct bits *bits, uint64_t from, uint64_t to)
{
	uint64_t fresh = bits_count(bits, &from, &to, false);

	if (!fresh)
		return;
	pages_mark(&bits->pages, from, to - from);
	atomic_fetch_add(&bits->bytes, fresh);
}

void bits_clear(struct bits *bits, uint64_t from, uint64_t to)
{
	uint64_t gone = bits_count(bits, &from, &to, true);

	if (!gone)
		return;
	pages_clear(&bits->pages, from, to);
	atomic_fetch_sub(&bits->bytes, gone);
}

uint64_t bits_bytes(const struct bits *bits)
{
	return atomic_load(&bits->bytes);
}
