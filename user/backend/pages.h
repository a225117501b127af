/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of a region of memory have been written: a bit each, for any number of threads.
 *
 * The words are the caller's memory, zero at first, absent until a bit is set: they cost a page
 * per 32768 pages that are in use. pages_mark() is in the path of every write, so it is here, and
 * a page that is marked already costs it a load and a comparison.
 */
#ifndef R3MAP_BACKEND_PAGES_H
#define R3MAP_BACKEND_PAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGES_WORD	64

struct pages {
	_Atomic uint64_t *words;
	unsigned int shift;	/* a page has 1 << shift bytes */
};

/* Bytes that the words of a region of @size bytes need. */
size_t pages_bytes(uint64_t size, unsigned int shift);

/* The bits first to last of word @word; both are numbers of pages, first <= last. */
static inline uint64_t pages_mask(uint64_t word, uint64_t first, uint64_t last)
{
	uint64_t mask = ~0ull;

	if (word == first / PAGES_WORD)
		mask <<= first % PAGES_WORD;
	if (word == last / PAGES_WORD)
		mask &= ~0ull >> (PAGES_WORD - 1 - last % PAGES_WORD);
	return mask;
}

/*
 * These bytes, at least one, have been written: call it after they are, see pages_clear(). Every
 * page that has one of them is marked.
 */
static inline void pages_mark(struct pages *pages, uint64_t offset, uint64_t length)
{
	uint64_t first = offset >> pages->shift;
	uint64_t last = (offset + length - 1) >> pages->shift;
	uint64_t word, mask;

	atomic_signal_fence(memory_order_seq_cst);
	for (word = first / PAGES_WORD; word <= last / PAGES_WORD; word++) {
		mask = pages_mask(word, first, last);
		if ((atomic_load_explicit(&pages->words[word], memory_order_relaxed) & mask) != mask)
			atomic_fetch_or(&pages->words[word], mask);
	}
}

/*
 * The pages from byte @from up to byte @to, multiples of the page size, are about to be given back:
 * call it before they are. A write that finds its page still marked, and so leaves the bit alone,
 * was in the old page before the mark went; it ends with that page, for memory is unmapped only
 * when no processor uses the old mapping any more. One that comes later marks the page again.
 */
void pages_clear(struct pages *pages, uint64_t from, uint64_t to);

/*
 * How many bytes from @from on, up to byte @to, are in pages marked alike; > 0 if from < to.
 * @marked: whether they are.
 */
uint64_t pages_run(const struct pages *pages, uint64_t from, uint64_t to, bool *marked);

#endif
