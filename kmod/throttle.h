/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slowing down who writes data, so that a region whose bytes change faster than they can be fetched
 * can move all the same. bio.c asks for every bio, before it may be held (hold.h).
 *
 * There is a rate only while somebody watches the device (epoch.h), and none while it is finalized:
 * it ends with the last epoch, and so with the helper. Zeroes and discards cost a leecher nothing,
 * and go on. What was let in has to be paid for in time; up to THROTTLE_BURST may be owed. Those
 * that come too early wait in a row, NOWAIT ones are told to come again. Nobody waits longer than
 * two THROTTLE_TURNs, whatever the rate: at the end of each those go on that had been there at its
 * beginning.
 */
#ifndef R3MAP_THROTTLE_H
#define R3MAP_THROTTLE_H

#include <linux/bio.h>
#include <linux/blk_types.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

struct r3map_throttle {
	struct delayed_work go;		/* submits those whose time has come */

	spinlock_t lock;		/* a leaf; guards the rest */
	u64 rate;			/* bytes a second, 0: none; read without it, too */
	u64 paid;			/* CLOCK_MONOTONIC ns: what was let in keeps others out */
	u64 turn;			/* CLOCK_MONOTONIC ns: since when there is this one */
	struct bio_list waiting;	/* came in this turn */
	struct bio_list late;		/* before it */
	u32 nr;				/* of both */
};

/* Nothing to undo but by r3map_throttle_exit(). */
void r3map_throttle_init(struct r3map_throttle *throttle);
/* Nobody submits any more, and there is no rate. Context: sleeps. */
void r3map_throttle_exit(struct r3map_throttle *throttle);

/**
 * r3map_throttle_enter_slow - may @bio, which writes data, go on? There was a rate.
 * @status: set when it may not: OK, it waits and is no longer the caller's; else to be ended with
 * Context: the submitter.
 */
bool r3map_throttle_enter_slow(struct r3map_throttle *throttle, struct bio *bio,
			       blk_status_t *status);

static inline bool r3map_throttle_enter(struct r3map_throttle *throttle, struct bio *bio,
					blk_status_t *status)
{
	return likely(!READ_ONCE(throttle->rate)) || bio_op(bio) != REQ_OP_WRITE ||
	       !bio->bi_iter.bi_size || r3map_throttle_enter_slow(throttle, bio, status);
}

/* @rate: bytes a second; 0: none, and those that wait go on. Context: any. */
void r3map_throttle_set(struct r3map_throttle *throttle, u64 rate);

#endif
