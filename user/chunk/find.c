// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Chunks by their bits. See find.h.
 */
#include "chunk/find.h"

/* The run at @from, up to @to: how long it is, and whether it is one of those. */
static uint64_t find_run(const struct find *find, uint64_t from, uint64_t to, bool *found)
{
	uint64_t run = to - from;
	bool set;

	*found = true;
	for (unsigned int i = 0; i < 3 && find->bits[i]; i++) {
		run = bits_run(find->bits[i], from, from + run, &set);
		*found = set == find->want[i];
		if (!*found)
			break;
	}
	return run;
}

static void extents_put(struct chunk_extents *extents, uint64_t offset, uint64_t length)
{
	struct r3map_extent *last = extents->count ? &extents->extent[extents->count - 1] : NULL;

	if (last && last->offset + last->length == offset)
		last->length += length;
	else
		extents->extent[extents->count++] =
			(struct r3map_extent) { .offset = offset, .length = length };
}

void find_chunks(const struct find *find, uint64_t offset, uint64_t length, uint64_t max,
		 struct chunk_extents *extents)
{
	const uint64_t mask = (1ull << find->bits[0]->pages.shift) - 1;
	const uint64_t size = find->bits[0]->size;
	uint64_t at = offset & ~mask, end = (offset + length + mask) & ~mask, run;
	bool found;

	if (end > size)
		end = size;
	max &= ~mask;
	if (!max)
		max = mask + 1;
	extents->count = 0;
	while (at < end && max && extents->count < R3MAP_MAX_EXTENTS) {
		run = find_run(find, at, end, &found);
		if (found) {
			if (run > max)
				run = max;
			extents_put(extents, at, run);
			max -= run < max ? run : max;
		}
		at += run;
	}
	extents->next = at;
}

bool find_all(const struct bits *bits, const struct r3map_extent *extents, unsigned int count)
{
	const uint64_t mask = (1ull << bits->pages.shift) - 1;
	bool set;

	for (unsigned int i = 0; i < count; i++) {
		const uint64_t from = extents[i].offset, length = extents[i].length;

		if (!length || from & mask || from >= bits->size || length > bits->size - from ||
		    ((from + length) & mask && from + length != bits->size) ||
		    bits_run(bits, from, from + length, &set) != length || !set)
			return false;
	}
	return true;
}
