/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was written to a region: a bit a grain, bit i of word j for grain 64 j + i. It has the size of the region, not
 * of what was written: 2 MiB for 64 GiB. Belongs to one thread.
 */
#ifndef R3MAP_MIGRATE_DIRTY_H
#define R3MAP_MIGRATE_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct r3map_extent;
struct ranges;

struct dirty {
	uint64_t size;			/* bytes of the region */
	uint32_t grain;			/* bytes, a power of two */
	size_t words;
	uint64_t *word;			/* bits beyond the region are clear */
	int file;			/* that has the words, or -1 */
};

/* Nothing is dirty. 0 or -ENOMEM; its memory is there, and not only promised. Freed by dirty_free(). */
int dirty_init(struct dirty *dirty, uint64_t size, uint32_t grain);
/* The same in a memfd, so that its pages can be sent as they are. 0 or a negative errno. */
int dirty_init_file(struct dirty *dirty, uint64_t size, uint32_t grain);
void dirty_free(struct dirty *dirty);
void dirty_clear(struct dirty *dirty);
/* All of it is. */
void dirty_fill(struct dirty *dirty);
/* @more, of the same size and grain, as well. */
void dirty_merge(struct dirty *dirty, const struct dirty *more);
/* The same of @count words from word @first on, which are within. */
void dirty_merge_words(struct dirty *dirty, const struct dirty *more, size_t first, size_t count);
/* These bytes, as whole grains. False: they are not within the region. */
bool dirty_set(struct dirty *dirty, uint64_t offset, uint64_t length);
/*
 * @count words from word @first on, for who writes them himself, and says dirty_cut() then. NULL: they are not within
 * the region.
 */
uint64_t *dirty_words(struct dirty *dirty, uint64_t first, size_t count);
/* Bits beyond the region are clear again. */
void dirty_cut(struct dirty *dirty);
/* Is so much of these words dirty that they are told faster as they are than run by run? */
bool dirty_dense(const struct dirty *dirty, uint64_t first, size_t count);
/* Bytes that are dirty. */
uint64_t dirty_bytes(const struct dirty *dirty);
/* Are any among @bytes at @offset? */
bool dirty_any(const struct dirty *dirty, uint64_t offset, uint64_t bytes);
/* Where that ends, after @offset: the next byte that is dirty if that one is not, or is not; @end at most. */
uint64_t dirty_turn(const struct dirty *dirty, uint64_t offset, uint64_t end);
/*
 * Adds to @to, of the same size and another grain, the grains that are dirty here, even in part.
 */
void dirty_convert(struct dirty *to, const struct dirty *from);

/*
 * The next runs from grain *@at to grain @end: up to @room of them, ascending, none touching another but across
 * @end. Returns how many; *@at is where to go on.
 */
unsigned int dirty_runs(const struct dirty *dirty, uint64_t *at, uint64_t end,
			struct r3map_extent *runs, unsigned int room);
/* All of them, for a pull; to be freed. NULL: out of memory. */
struct ranges *dirty_ranges(const struct dirty *dirty);

#endif
