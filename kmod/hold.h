/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Holding bios back: all of a device that is not to be used yet, or those that write, while a
 * region changes its host. bio.c asks for every bio, before anything else is done with it.
 *
 *	          DEVICE_NEW, flag HELD      finalize.c
 *	                  ALL                  WRITES ──► and fail: HOLD_TIME is over, RETIRE, DEL
 *	                   └──► NONE ◄───────────┘
 *	                        DEVICE_RELEASE
 *
 * A bio that writes is counted from r3map_hold_enter() to r3map_hold_leave(), so that whoever holds
 * writes back can wait until those on their way have ended. The count is per CPU; it is made one
 * number by r3map_hold_prepare(), which waits for RCU and so is called while nothing is held yet.
 */
#ifndef R3MAP_HOLD_H
#define R3MAP_HOLD_H

#include <linux/bio.h>
#include <linux/blk_types.h>
#include <linux/percpu-refcount.h>
#include <linux/r3map.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct r3map_held {
	struct percpu_ref writers;	/* dead while writes are held */
	wait_queue_head_t drained;	/* woken when there are none */
	struct work_struct go;		/* submits what was held */

	spinlock_t lock;		/* a leaf; guards the rest */
	enum r3map_hold level;		/* read without it, too */
	bool failing;			/* what would be held gets EIO */
	struct bio_list bios;		/* held, or let go and not yet submitted */
	u32 nr;				/* of @bios */

	/* No lock: the first bio that ends after DEVICE_RELEASE clears one and sets the other. */
	unsigned long watching;		/* bit 0 */
	u64 first;			/* CLOCK_MONOTONIC ns, or 0 */
};

/* @level: NONE or ALL. Context: sleeps. Return: 0 or -ENOMEM; undone by r3map_hold_exit(). */
int r3map_hold_init(struct r3map_held *held, enum r3map_hold level);
/* Nobody submits any more. Context: sleeps. */
void r3map_hold_exit(struct r3map_held *held);

/* Does @bio change bytes of the device? */
static inline bool r3map_bio_writes(const struct bio *bio)
{
	return op_is_write(bio_op(bio)) && bio->bi_iter.bi_size;
}

/**
 * r3map_hold_enter - may @bio go on?
 * @status: set when it may not: OK, it is held and no longer the caller's; else to be ended with
 * Context: the submitter.
 * Return: true: it goes on, and if it writes, r3map_hold_leave() follows.
 */
bool r3map_hold_enter(struct r3map_held *held, struct bio *bio, blk_status_t *status);

/* A bio that writes is about to end. Context: any. */
static inline void r3map_hold_leave(struct r3map_held *held)
{
	percpu_ref_put(&held->writers);
}

/* A bio has been served. Context: any. */
static inline void r3map_hold_served(struct r3map_held *held)
{
	if (likely(!READ_ONCE(held->watching)))
		return;
	if (test_and_clear_bit(0, &held->watching))
		WRITE_ONCE(held->first, ktime_get_ns());
}

/* Writes will be held soon, or will not be for long. Context: sleeps; one caller at a time. */
void r3map_hold_prepare(struct r3map_held *held);
void r3map_hold_relax(struct r3map_held *held);

/* From now on bios that write are held. Context: after r3map_hold_prepare(). */
void r3map_hold_writes(struct r3map_held *held);
/* Waits until none is on its way, or nothing is held any more. False: @jiffies were not enough. */
bool r3map_hold_drain(struct r3map_held *held, unsigned long jiffies);
/*
 * Is that so, and stays so until r3map_hold_release()? Context: the caller keeps that, and
 * r3map_hold_writes(), from being called meanwhile.
 */
bool r3map_hold_still(const struct r3map_held *held);
/* What is held, and would be, fails. Context: any. */
void r3map_hold_fail(struct r3map_held *held);
/* Nothing is held any more. Context: not while r3map_hold_prepare() or _relax() is under way. */
void r3map_hold_release(struct r3map_held *held);

/* What is told: REFUSED for a level that fails. Context: any. */
enum r3map_hold r3map_hold_level(const struct r3map_held *held);

#endif
