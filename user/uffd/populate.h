/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling a client's memory in the background, in an order, at the pace of the path to the backend: what waits in
 * queues on the way would keep a fault waiting behind it (mount/pace.h).
 *
 * Belongs to its filler (fill.h), and to that one's thread.
 */
#ifndef R3MAP_UFFD_POPULATE_H
#define R3MAP_UFFD_POPULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"
#include "mount/pace.h"

struct error;
struct filler;
struct order;

struct populate {
	struct filler *filler;
	struct order *order;		/* NULL: there is no such thing */
	struct loop_task task;
	struct pace pace;
	unsigned int under_way;		/* fills in the background */
	bool full;			/* as many as the pace allows, when it last could have begun more */
	uint32_t most;			/* bytes of one of them */
	uint64_t piece, piece_end;	/* what comes next of it */
};

/* 0 or a negative errno with a sentence; populate_close() either way. */
int populate_open(struct populate *populate, struct filler *filler, struct error *error);
void populate_close(struct populate *populate);

/* There may be more to begin. Later, not from within the call; nothing where there is no order. */
void populate_kick(struct populate *populate);
/* A reader goes on at byte @to, where a fault's bytes end, which began where those of the one before ended. */
void populate_follow(struct populate *populate, uint64_t to);
/* A fill in the background begins. */
struct pace_mark populate_asked(struct populate *populate);
/* And has ended. */
void populate_ended(struct populate *populate, const struct pace_mark *mark, bool fine);

#endif
