/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of a region's use on this host: what is in page caches is written back, mounted file
 * systems are frozen, writes are held and those on their way have ended; all of that until a
 * deadline, or nothing of it.
 *
 *	     FINALIZE          frozen            no write on its way
 *	IDLE ────────► FREEZING ────► DRAINING ────────────────► FINAL
 *	 ▲                │ deadline     │ deadline                │ RELEASE, RETIRE, DEL, HOLD_TIME
 *	 └── THAWING ◄────┴──────────────┴─────────────────────────┘
 *
 * Freezing and thawing wait for I/O, so work items do them. A deadline that is missed is told at
 * once, as the event FINALIZED with ETIMEDOUT; what the work item has frozen when it comes back is
 * thawed then. While it has not, another FINALIZE is refused.
 *
 * In FINAL, and after RETIRE or HOLD_TIME, writes are held or refused, see hold.h. RETIRE is for
 * good; who was late with the decision can still take everything back with RELEASE.
 */
#ifndef R3MAP_FINALIZE_H
#define R3MAP_FINALIZE_H

#include <linux/r3map.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct block_device;
struct netlink_ext_ack;

enum r3map_final_stage {
	R3MAP_FINAL_IDLE,
	R3MAP_FINAL_FREEZING,
	R3MAP_FINAL_DRAINING,
	R3MAP_FINAL_DONE,
	R3MAP_FINAL_THAWING,
};

struct r3map_finalize {
	enum r3map_final_stage stage;	/* dev->lock guards it, and all but the work items */
	u32 hold_time;			/* ms that writes are held once it is DONE; 0: no bound */
	bool retired;			/* for good */
	unsigned long deadline;		/* jiffies */
	unsigned long until;		/* jiffies: when HOLD_TIME is over; stage DONE */
	u64 begun, frozen, held, drained;	/* CLOCK_MONOTONIC ns, of the last FINALIZE */

	/* The work items' own, one after the other; there is one from FREEZING to IDLE. */
	struct block_device **devices;	/* frozen, @nr of them, each with a reference */
	unsigned int nr;

	struct work_struct freeze;
	struct work_struct thaw;
	struct delayed_work late;	/* the deadline while FREEZING, HOLD_TIME afterwards */
	wait_queue_head_t idle;
};

struct r3map_device;

void r3map_finalize_init(struct r3map_finalize *final);

/**
 * r3map_finalize_begin - DEVICE_FINALIZE; the event FINALIZED tells the end
 * @deadline: ms
 * @hold_time: ms, or 0 for no bound
 * Context: dev->lock is held; does not wait.
 */
int r3map_finalize_begin(struct r3map_device *dev, u32 deadline, u32 hold_time,
			 struct netlink_ext_ack *extack);
/* DEVICE_RELEASE: what is held goes on, also on a device that was made HELD. Context: the same. */
int r3map_finalize_release(struct r3map_device *dev, struct netlink_ext_ack *extack);
/* DEVICE_RETIRE: writes are refused from now on. Context: the same. */
int r3map_finalize_retire(struct r3map_device *dev, struct netlink_ext_ack *extack);
/*
 * The helper is gone. What was not told to be FINALIZED it cannot have told to anybody else, so
 * that is taken back. Context: the same.
 */
void r3map_finalize_orphan(struct r3map_device *dev);
/* The device is being deleted: what is held fails, and all is thawed. Context: the same. */
void r3map_finalize_abandon(struct r3map_device *dev);
/* Waits for what r3map_finalize_abandon() began. Context: sleeps for I/O; no lock is held. */
void r3map_finalize_end(struct r3map_device *dev);

#endif
