// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A bit per page: see pages.h.
 */
#include "pages.h"

size_t pages_bytes(uint64_t size, unsigned int shift)
{
	uint64_t pages = ((size - 1) >> shift) + 1;

	return (pages + PAGES_WORD - 1) / PAGES_WORD * sizeof(uint64_t);
}

/* The load first: a word of no bits stays absent. */
void pages_clear(struct pages *pages, uint64_t from, uint64_t to)
{
	uint64_t first = from >> pages->shift;
	uint64_t last = (to - 1) >> pages->shift;
	uint64_t word, mask;

	if (from >= to)
		return;
	for (word = first / PAGES_WORD; word <= last / PAGES_WORD; word++) {
		mask = pages_mask(word, first, last);
		if (atomic_load(&pages->words[word]) & mask)
			atomic_fetch_and(&pages->words[word], ~mask);
	}
}

uint64_t pages_run(const struct pages *pages, uint64_t from, uint64_t to, bool *marked)
{
	uint64_t first = from >> pages->shift;
	uint64_t last = (to - 1) >> pages->shift;
	uint64_t word, differ, at;

	for (word = first / PAGES_WORD; word <= last / PAGES_WORD; word++) {
		differ = atomic_load(&pages->words[word]);
		if (word == first / PAGES_WORD)
			*marked = differ >> first % PAGES_WORD & 1;
		if (*marked)
			differ = ~differ;
		differ &= pages_mask(word, first, last);
		if (differ) {
			at = (word * PAGES_WORD + (uint64_t)__builtin_ctzll(differ)) << pages->shift;
			return at - from;
		}
	}
	return to - from;
}
