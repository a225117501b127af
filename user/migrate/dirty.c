// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bitmaps of what was written. See dirty.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/r3map.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "migrate/dirty.h"
#include "mount/order.h"

#define BITS	64u

static uint64_t dirty_grains(const struct dirty *dirty)
{
	return (dirty->size + dirty->grain - 1) / dirty->grain;
}

static size_t dirty_room(const struct dirty *dirty)
{
	return dirty->words * sizeof(*dirty->word);
}

static void dirty_measure(struct dirty *dirty, uint64_t size, uint32_t grain)
{
	dirty->size = size;
	dirty->grain = grain;
	dirty->words = (size_t)((dirty_grains(dirty) + BITS - 1) / BITS);
	dirty->file = -1;
}

int dirty_init(struct dirty *dirty, uint64_t size, uint32_t grain)
{
	dirty_measure(dirty, size, grain);
	dirty->word = malloc(dirty_room(dirty));
	if (!dirty->word)
		return -ENOMEM;
	dirty_clear(dirty);
	return 0;
}

int dirty_init_file(struct dirty *dirty, uint64_t size, uint32_t grain)
{
	void *map;
	int err;

	dirty_measure(dirty, size, grain);
	dirty->file = memfd_create("r3map-dirty", MFD_CLOEXEC);
	if (dirty->file < 0)
		return -errno;
	/* Its pages now, or -ENOSPC: a mapping would tell by SIGBUS. */
	err = posix_fallocate(dirty->file, 0, (off_t)dirty_room(dirty));
	map = err ? MAP_FAILED : mmap(NULL, dirty_room(dirty), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_POPULATE, dirty->file, 0);
	if (map == MAP_FAILED) {
		err = err ? err : errno;
		close(dirty->file);
		dirty->file = -1;
		return -err;
	}
	dirty->word = map;
	return 0;
}

void dirty_free(struct dirty *dirty)
{
	if (dirty->word && dirty->file >= 0) {
		munmap(dirty->word, dirty_room(dirty));
		close(dirty->file);
	} else {
		free(dirty->word);
	}
	dirty->word = NULL;
}

void dirty_clear(struct dirty *dirty)
{
	memset(dirty->word, 0, dirty->words * sizeof(*dirty->word));
}

void dirty_cut(struct dirty *dirty)
{
	unsigned int rest = (unsigned int)(dirty_grains(dirty) % BITS);

	if (rest)
		dirty->word[dirty->words - 1] &= (1ull << rest) - 1;
}

void dirty_fill(struct dirty *dirty)
{
	memset(dirty->word, 0xff, dirty->words * sizeof(*dirty->word));
	dirty_cut(dirty);
}

void dirty_merge(struct dirty *dirty, const struct dirty *more)
{
	dirty_merge_words(dirty, more, 0, dirty->words);
}

void dirty_merge_words(struct dirty *dirty, const struct dirty *more, size_t first, size_t count)
{
	for (size_t i = first; i < first + count; i++)
		dirty->word[i] |= more->word[i];
}

/* Grains @from to @to, which is within. */
static void dirty_set_grains(struct dirty *dirty, uint64_t from, uint64_t to)
{
	while (from < to) {
		unsigned int bit = (unsigned int)(from % BITS);
		uint64_t some = to - from < BITS - bit ? to - from : BITS - bit;

		dirty->word[from / BITS] |= (some == BITS ? ~0ull : (1ull << some) - 1) << bit;
		from += some;
	}
}

bool dirty_set(struct dirty *dirty, uint64_t offset, uint64_t length)
{
	const uint64_t end = dirty_grains(dirty) * dirty->grain;

	if (!length || offset >= end || length > end - offset)
		return false;
	dirty_set_grains(dirty, offset / dirty->grain,
			 (offset + length - 1) / dirty->grain + 1);
	return true;
}

uint64_t *dirty_words(struct dirty *dirty, uint64_t first, size_t count)
{
	if (first > dirty->words || count > dirty->words - first)
		return NULL;
	return dirty->word + first;
}

/* Is any bit set in these eight words, or, with @flip, clear? */
static bool eight_any(const uint64_t *word, uint64_t flip)
{
	return ((word[0] ^ flip) | (word[1] ^ flip) | (word[2] ^ flip) | (word[3] ^ flip) |
		(word[4] ^ flip) | (word[5] ^ flip) | (word[6] ^ flip) | (word[7] ^ flip)) != 0;
}

/*
 * A run takes 16 bytes and some 20 instructions, eight words 64 bytes and about as many: they are looked at
 * together, and half of these eights is where it turns. One in four of them is looked at: it is a guess what is
 * faster, and to look at all of them would take as long as to send them.
 */
bool dirty_dense(const struct dirty *dirty, uint64_t first, size_t count)
{
	const uint64_t *word = dirty->word + first;
	size_t dense = 0;

	for (size_t i = 0; i + 8 <= count && dense <= count / 64; i += 32)
		dense += eight_any(word + i, 0);
	return dense > count / 64;
}

uint64_t dirty_bytes(const struct dirty *dirty)
{
	uint64_t count = 0, last = dirty_grains(dirty) - 1, over;

	for (size_t i = 0; i < dirty->words; i++)
		if (dirty->word[i])
			count += (unsigned int)__builtin_popcountll(dirty->word[i]);
	over = dirty->word[last / BITS] >> last % BITS & 1 ?
		(last + 1) * dirty->grain - dirty->size : 0;
	return count * dirty->grain - over;
}

/* The first grain from @at on that is dirty, or, if not @set, is not; @end: there is none. */
static uint64_t dirty_find(const struct dirty *dirty, uint64_t at, uint64_t end, bool set)
{
	const uint64_t flip = set ? 0 : ~0ull;

	while (at < end) {
		uint64_t word = (dirty->word[at / BITS] ^ flip) >> at % BITS;

		if (word) {
			at += (unsigned int)__builtin_ctzll(word);
			return at < end ? at : end;
		}
		at = (at / BITS + 1) * BITS;
		while (at + 8 * BITS <= end && !eight_any(dirty->word + at / BITS, flip))
			at += 8 * BITS;
	}
	return end;
}

bool dirty_any(const struct dirty *dirty, uint64_t offset, uint64_t bytes)
{
	uint64_t end = (offset + bytes - 1) / dirty->grain + 1;

	return dirty_find(dirty, offset / dirty->grain, end, true) < end;
}

uint64_t dirty_turn(const struct dirty *dirty, uint64_t offset, uint64_t end)
{
	uint64_t at = offset / dirty->grain, last = (end - 1) / dirty->grain + 1;
	bool set = dirty->word[at / BITS] >> at % BITS & 1;
	uint64_t turn = dirty_find(dirty, at, last, !set) * dirty->grain;

	return turn < end ? turn : end;
}

/* A word of @to from as many of @from as it stands for: its grain is @times larger, 64 times at most. */
static void convert_fold(struct dirty *to, const struct dirty *from, unsigned int times)
{
	const uint64_t mask = times == BITS ? ~0ull : (1ull << times) - 1;
	const unsigned int each = BITS / times;		/* bits of one word's */

	for (size_t i = 0; i < from->words; i++) {
		uint64_t word = from->word[i];

		for (unsigned int bit = 0; word; bit++, word = times == BITS ? 0 : word >> times)
			if (word & mask)
				to->word[i / times] |= 1ull << (i % times * each + bit);
	}
}

void dirty_convert(struct dirty *to, const struct dirty *from)
{
	uint64_t at = 0, end = dirty_grains(from);
	struct r3map_extent run;

	if (to->grain == from->grain) {
		dirty_merge(to, from);
	} else if (to->grain > from->grain && to->grain / from->grain <= BITS) {
		convert_fold(to, from, to->grain / from->grain);
	} else {
		while (dirty_runs(from, &at, end, &run, 1))
			dirty_set(to, run.offset, run.length);
	}
}

unsigned int dirty_runs(const struct dirty *dirty, uint64_t *at, uint64_t end,
			struct r3map_extent *runs, unsigned int room)
{
	unsigned int count = 0;

	while (count < room) {
		uint64_t from = dirty_find(dirty, *at, end, true);
		uint64_t to = dirty_find(dirty, from, end, false);

		*at = to;
		if (from == to)
			break;
		runs[count].offset = from * dirty->grain;
		runs[count].length = to * dirty->grain < dirty->size ? (to - from) * dirty->grain :
				     dirty->size - runs[count].offset;
		runs[count].flags = 0;
		runs[count++].reserved = 0;
	}
	return count;
}

struct ranges *dirty_ranges(const struct dirty *dirty)
{
	const uint64_t end = dirty_grains(dirty);
	struct r3map_extent *list = NULL, *grown;
	struct ranges *ranges;
	unsigned int got;
	size_t count = 0, room = 0;
	uint64_t at = 0;

	do {
		room = room ? room * 2 : 1024;
		grown = reallocarray(list, room, sizeof(*list));
		if (!grown) {
			free(list);
			return NULL;
		}
		list = grown;
		got = dirty_runs(dirty, &at, end, list + count, (unsigned int)(room - count));
		count += got;
	} while (count == room);
	ranges = ranges_new(list, count);
	free(list);
	return ranges;
}
