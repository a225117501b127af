// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the backend says about what is pulled next. See looks.h.
 *
 * A range of the order is cut into parts of whole chunks. Each has a look, which is a request to the
 * backend; those that were made wait in a ring in the order of their parts, answered or not. The first of
 * them is where pieces are taken from. A look that is dropped while the backend has it is of no use
 * until it is answered.
 */
#include <stddef.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "mount/looks.h"
#include "mount/order.h"

#define LOOKS		16u
#define EXTENTS		64u		/* of one answer */
#define PART_FIRST	(16u << 20)	/* bytes */
#define PART_LEAST	(1u << 20)	/* or one chunk, if that is larger */
#define PART_MOST	(1u << 30)

struct look {
	struct backend_io io;
	struct looks *looks;
	struct look *next;		/* free ones */
	struct backend_extents *extents;
	unsigned int extent;		/* the next of them */
	uint64_t known;			/* where the extents that were looked at end */
	uint64_t done;			/* where the last piece ended */
	uint64_t to;			/* bytes: the end of the part */
	uint64_t range_to;		/* and of its range */
	bool first;			/* of its range, and no piece was taken */
	bool whole;			/* its range is the whole region */
	bool data;			/* and is to be read as data: nobody is asked */
	bool asked;			/* the backend has it */
	bool dropped;
};

struct looks {
	struct backend_channel *channel;
	struct order *order;
	uint64_t size;
	uint32_t chunk;
	void (*answered)(void *data);
	void *data;

	struct range range;		/* of which parts are still to be made */
	bool range_first;		/* none was */
	uint64_t part;			/* bytes of the next one */
	bool range_whole;		/* it is the whole region */
	bool at_whole;			/* so was that of the last piece */
	bool begun;			/* the first look was made, and what its part is may be guessed */

	struct look look[LOOKS];
	struct look *free;
	struct look *ring[LOOKS];
	unsigned int head, used;	/* of the ring */
};

static void look_put(struct look *look)
{
	look->next = look->looks->free;
	look->looks->free = look;
}

/* The next part is as large as answers can say all of. */
static void part_learn(struct looks *looks, const struct look *look, uint64_t answered)
{
	uint64_t least = looks->chunk > PART_LEAST ? looks->chunk : PART_LEAST;

	if (answered < look->io.length && looks->part / 2 >= least)
		looks->part /= 2;
	else if (answered >= look->io.length && look->extents->used == 1 &&
		 look->io.length >= looks->part && looks->part < PART_MOST)
		looks->part *= 2;
}

static void look_done(struct backend_io *io, int error)
{
	struct look *look = (struct look *)io;	/* its first member */
	struct looks *looks = look->looks;
	uint64_t answered = 0;

	look->asked = false;
	if (look->dropped) {
		look_put(look);
		looks->answered(looks->data);
		return;
	}
	look->extent = 0;
	if (error || !look->extents->used) {	/* then all of it may be data */
		look->extents->used = 1;
		look->extents->extent[0] =
			(struct backend_extent) { .length = io->length, .flags = 0 };
	}
	for (uint32_t i = 0; i < look->extents->used; i++)
		answered += look->extents->extent[i].length;
	part_learn(looks, look, answered);
	looks->answered(looks->data);
}

/* Asks about what is not known of the part. */
static void look_ask(struct look *look)
{
	look->asked = true;
	look->extents->room = EXTENTS;
	look->extents->used = 0;
	look->extent = 0;
	look->io.op = BACKEND_EXTENTS;
	look->io.flags = 0;
	look->io.offset = look->known;
	look->io.length = (uint32_t)(look->to - look->known);
	look->io.buf = NULL;
	look->io.extents = look->extents;
	backend_submit(look->looks->channel, &look->io);
}

/* The next range, in whole chunks. False: there is none. */
static bool range_next(struct looks *looks)
{
	const uint64_t mask = looks->chunk - 1;
	struct range *range = &looks->range;

	if (!order_next(looks->order, range))
		return false;
	range->from &= ~mask;
	range->to = (range->to + mask) & ~mask;
	if (range->to > looks->size)
		range->to = looks->size;
	looks->range_first = true;
	looks->range_whole = !range->from && range->to == looks->size;
	return true;
}

/* All of it is data. */
static void look_assume(struct look *look)
{
	look->asked = false;
	look->extent = 0;
	look->extents->used = 1;
	look->extents->extent[0] = (struct backend_extent) { .length = look->to - look->known };
}

/* As many looks as there may be; the first one alone, so that a guess comes before the others. */
static void looks_ask(struct looks *looks)
{
	while (looks->free && looks->used < (looks->begun ? LOOKS : 1)) {
		struct look *look = looks->free;
		uint64_t part, left;

		if (looks->range.from >= looks->range.to && !range_next(looks))
			return;
		left = looks->range.to - looks->range.from;
		part = looks->range.data ? left : looks->part;
		looks->free = look->next;
		look->dropped = false;
		look->first = looks->range_first;
		look->whole = looks->range_whole;
		look->data = looks->range.data;
		look->known = looks->range.from;
		look->done = looks->range.from;
		look->to = looks->range.from + (left < part ? left : part);
		look->range_to = looks->range.to;
		looks->range.from = look->to;
		looks->range_first = false;
		looks->ring[(looks->head + looks->used++) % LOOKS] = look;
		if (look->data)
			look_assume(look);
		else	/* may answer at once */
			look_ask(look);
	}
}

/* Whole chunks that end at @end, or at the end of the part. False: there are none. */
static bool piece_set(struct look *look, uint64_t end, bool zero, struct piece *piece)
{
	if (end > look->to)
		end = look->to;
	if (end <= look->done)
		return false;
	*piece = (struct piece) { look->done, end, zero };
	look->done = end;
	return true;
}

/*
 * The next piece of the answer, right behind the last one. A chunk that is zeroes in part is
 * data. False: there is none.
 */
static bool piece_next(struct look *look, struct piece *piece)
{
	const uint64_t mask = look->looks->chunk - 1, size = look->looks->size;

	while (look->extent < look->extents->used) {
		const struct backend_extent *extent = &look->extents->extent[look->extent];
		bool zero = extent->flags & BACKEND_EXTENT_ZERO;
		uint64_t end = look->known + extent->length;

		/* What lies before the first whole chunk of zeroes. */
		if (zero && piece_set(look, (look->known + mask) & ~mask, false, piece))
			return true;
		look->known = end;
		look->extent++;
		if (zero && end < size)
			end &= ~mask;
		else
			end = (end + mask) & ~mask;
		if (piece_set(look, end, zero, piece))
			return true;
	}
	return look->known >= look->to && piece_set(look, look->to, false, piece);
}

enum looks_next looks_next(struct looks *looks, struct piece *piece)
{
	for (;;) {
		struct look *look;

		looks_ask(looks);
		if (!looks->used)	/* none is free: all that were dropped are on their way */
			return looks->free ? LOOKS_NONE : LOOKS_WAIT;
		looks->begun = true;
		look = looks->ring[looks->head];
		if (look->asked)
			return LOOKS_WAIT;
		if (piece_next(look, piece)) {
			looks->at_whole = look->whole;
			look->first = false;
			return LOOKS_PIECE;
		}
		if (look->known < look->to) {
			look_ask(look);
			continue;
		}
		looks->head = (looks->head + 1) % LOOKS;
		looks->used--;
		look_put(look);
	}
}

bool looks_guess(const struct looks *looks, uint64_t most, struct piece *piece)
{
	const struct look *look = looks->ring[looks->head];

	if (!looks->used)
		return false;
	*piece = (struct piece) { look->done, look->to, false };
	if (piece->end - piece->offset > most)
		piece->end = piece->offset + most;
	return true;
}

/* The last of the ring is not wanted now. */
static void last_drop(struct looks *looks)
{
	struct look *look = looks->ring[(looks->head + --looks->used) % LOOKS];

	if (look->first && !look->whole) {
		const struct range range = { look->done, look->range_to, look->data };

		order_return(looks->order, &range);
	}
	look->dropped = true;
	if (!look->asked)
		look_put(look);
}

/* Nor are the parts of a range that were not asked about. */
static void range_drop(struct looks *looks)
{
	if (looks->range_first && looks->range.from < looks->range.to && !looks->range_whole)
		order_return(looks->order, &looks->range);
	looks->range.from = looks->range.to;
}

void looks_drop(struct looks *looks)
{
	range_drop(looks);
	/* From the last to the first, so that the first comes first again. */
	while (looks->used)
		last_drop(looks);
	order_again(looks->order);
}

bool looks_yield(struct looks *looks)
{
	if (!looks->range_whole)	/* it is the last that was taken */
		return false;
	range_drop(looks);
	while (looks->used && looks->ring[(looks->head + looks->used - 1) % LOOKS]->whole)
		last_drop(looks);
	order_again(looks->order);
	return looks->at_whole;
}

struct looks *looks_new(struct backend_channel *channel, struct order *order, uint64_t size,
			uint32_t chunk, void (*answered)(void *data), void *data)
{
	struct looks *looks = calloc(1, sizeof(*looks));

	if (!looks)
		return NULL;
	looks->channel = channel;
	looks->order = order;
	looks->size = size;
	looks->chunk = chunk;
	looks->answered = answered;
	looks->data = data;
	looks->part = PART_FIRST > chunk ? PART_FIRST : chunk;
	for (unsigned int i = LOOKS; i-- > 0;) {
		struct look *look = &looks->look[i];

		look->looks = looks;
		look->io.done = look_done;
		look->extents = calloc(1, sizeof(*look->extents) +
					  EXTENTS * sizeof(struct backend_extent));
		if (!look->extents) {
			looks_free(looks);
			return NULL;
		}
		look_put(look);
	}
	return looks;
}

void looks_free(struct looks *looks)
{
	if (!looks)
		return;
	for (unsigned int i = 0; i < LOOKS; i++)
		free(looks->look[i].extents);
	free(looks);
}
