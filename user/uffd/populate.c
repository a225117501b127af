// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Filling in the background. See populate.h.
 */
#include <stddef.h>

#include "mount/order.h"
#include "uffd/fill.h"
#include "uffd/populate.h"

/*
 * A fault for what is on its way waits for all of its piece, and behind a network for those beside it. What
 * comes from memory is faster in larger ones.
 */
#define PIECE_BYTES(waits)	((waits) ? 64u << 10 : 1u << 20)
#define PIECES_MOST(waits)	((waits) ? 512u : 32u)	/* at a time */
#define STEPS			16u	/* of one round of the loop */

/* Moves on to the next bytes that an order has; false: there are none. */
static bool piece_next(struct populate *populate)
{
	const uint32_t page = populate->filler->settings->page;
	struct range range;

	if (populate->piece < populate->piece_end)
		return true;
	if (!order_next(populate->order, &range))
		return false;
	populate->piece = range.from & ~(uint64_t)(page - 1);
	populate->piece_end = uffd_round(range.to, page);
	return true;
}

/* Past what no memory shows. */
static void piece_skip(struct populate *populate)
{
	const struct filler *filler = populate->filler;
	uint64_t next = populate->piece_end;

	for (unsigned int i = 0; i < filler->region_count; i++)
		if (filler->regions[i].offset > populate->piece && filler->regions[i].offset < next)
			next = filler->regions[i].offset;
	populate->piece = next;
}

/* The next bytes that have to come; false: there are none. */
static bool populate_next(struct populate *populate, const struct uffd_region **region,
			  uint64_t *from, uint64_t *to)
{
	struct filler *filler = populate->filler;
	uint64_t end, run;

	for (;;) {
		if (!piece_next(populate))
			return false;
		*region = fill_region(filler, populate->piece);
		if (!*region) {
			piece_skip(populate);
			continue;
		}
		end = (*region)->offset + (*region)->length;
		if (end > populate->piece_end)
			end = populate->piece_end;
		run = fill_free(filler, populate->piece, end);
		if (run && !bits_has(&filler->single, populate->piece))
			break;
		populate->piece += run ? filler->settings->page :
				   fill_taken(filler, populate->piece, end);
	}
	*from = populate->piece;
	if (run > populate->most)
		run = populate->most;
	*to = *from + run;
	populate->piece = *to;
	return true;
}

static unsigned int window(const struct populate *populate)
{
	return populate->filler->backend->info.waits ? pace_window(&populate->pace) : PIECES_MOST(false);
}

/* Begins one more; false: nothing is to be begun now. */
static bool populate_begin(struct populate *populate)
{
	struct filler *filler = populate->filler;
	const struct uffd_region *region;
	uint64_t from, to;

	if (filler->is_gone)
		return false;
	populate->full = populate->under_way >= window(populate);
	if (populate->full || !populate_next(populate, &region, &from, &to))
		return false;
	fill_start(filler, region, from, to, false);
	return true;
}

/* A few steps a round: faults come in between. What is in memory is there with the step that begins it. */
static void populate_run(struct loop_task *task)
{
	struct populate *populate = (struct populate *)((char *)task - offsetof(struct populate, task));
	struct filler *filler = populate->filler;
	unsigned int left = filler->backend->info.waits ? STEPS : 1;

	while (left && populate_begin(populate))
		left--;
	backend_kick(filler->channel);
	if (!left)
		loop_task_queue(filler->loop, &populate->task);
}

/* A list that grows; files do not. */
static void populate_more(void *data)
{
	populate_kick(data);
}

int populate_open(struct populate *populate, struct filler *filler, struct error *error)
{
	const uint32_t page = filler->settings->page;
	const uint32_t bytes = PIECE_BYTES(filler->backend->info.waits);
	int code;

	populate->filler = filler;
	populate->task.run = populate_run;
	populate->most = filler->backend->info.max_io;
	if (!populate->most || populate->most > bytes)
		populate->most = bytes;
	populate->most &= ~(page - 1);
	if (!populate->most)
		populate->most = page;
	pace_init(&populate->pace, PIECES_MOST(true), 0, loop_now());
	code = order_open(filler->settings->order, filler->size, filler->loop, populate_more,
			  populate, &populate->order, error);
	if (!code)
		populate_kick(populate);
	return code;
}

void populate_close(struct populate *populate)
{
	if (!populate->filler)
		return;
	loop_task_cancel(populate->filler->loop, &populate->task);
	order_close(populate->order);
}

void populate_kick(struct populate *populate)
{
	if (populate->order)
		loop_task_queue(populate->filler->loop, &populate->task);
}

void populate_follow(struct populate *populate, uint64_t to)
{
	struct range rest = { .from = populate->piece, .to = populate->piece_end };

	if (!populate->order || populate->piece == to)
		return;
	if (rest.from < rest.to)
		order_return(populate->order, &rest);
	populate->piece_end = populate->piece;
	order_follow(populate->order, to);
	populate_kick(populate);
}

struct pace_mark populate_asked(struct populate *populate)
{
	populate->under_way++;
	return pace_asked(&populate->pace, loop_now());
}

void populate_ended(struct populate *populate, const struct pace_mark *mark, bool fine)
{
	const uint64_t now = loop_now();

	populate->under_way--;
	/* What failed says nothing about the path, nor does what took no time. */
	if (fine && now > mark->at && populate->filler->backend->info.waits)
		pace_arrived(&populate->pace, mark, now, populate->full);
}
