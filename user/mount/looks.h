/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the backend says about the ranges that a pull comes to next: which parts of them are data, and
 * which are zeroes that nobody needs to fetch. It is asked about several parts at a time, ahead of the
 * pull, so that to know it costs no round trip for each. A part is small at first, grows while it is
 * one extent, and shrinks when the answer has no room for all of its extents.
 *
 * Belongs to one thread.
 */
#ifndef R3MAP_MOUNT_LOOKS_H
#define R3MAP_MOUNT_LOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct backend_channel;
struct looks;
struct order;

/* Whole chunks, of data or of zeroes. */
struct piece {
	uint64_t offset, end;		/* bytes */
	bool zero;
};

/*
 * About the ranges of @order, which the caller keeps, as @channel. @answered is called when
 * looks_next() may have more. NULL: out of memory. To be freed when the channel is closed.
 */
struct looks *looks_new(struct backend_channel *channel, struct order *order, uint64_t size,
			uint32_t chunk, void (*answered)(void *data), void *data);
void looks_free(struct looks *looks);

enum looks_next {
	LOOKS_PIECE,			/* here it is */
	LOOKS_WAIT,			/* the backend has not answered */
	LOOKS_NONE,			/* the order has no range */
};

/* The next piece, right behind the last one or in the next range. Asks the backend for more. */
enum looks_next looks_next(struct looks *looks, struct piece *piece);
/*
 * After LOOKS_WAIT: where the next piece will begin, as data, @most bytes of it. looks_next() will still
 * give all of it. The first looks_next() has asked the backend about no more than this. False: nobody knows.
 */
bool looks_guess(const struct looks *looks, uint64_t most, struct piece *piece);
/*
 * Something comes first: of the range that was begun the rest comes with the whole region in the end,
 * those behind it come when their turn is.
 */
void looks_drop(struct looks *looks);
/*
 * There is more of the order: it comes before the whole region. True if the piece that came last is
 * of that, and should wait, too.
 */
bool looks_yield(struct looks *looks);

#endif
