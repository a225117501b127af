// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holding bios back. See hold.h.
 */
#include <linux/blkdev.h>
#include <linux/ktime.h>

#include "bio.h"
#include "hold.h"
#include "main.h"

static void hold_drained(struct percpu_ref *ref)
{
	wake_up_all(&container_of(ref, struct r3map_held, writers)->drained);
}

static void hold_go(struct work_struct *work)
{
	struct r3map_held *held = container_of(work, struct r3map_held, go);
	struct bio_list bios;
	struct bio *bio;

	/* One that is held again is not looked at again here. */
	spin_lock(&held->lock);
	bios = held->bios;
	bio_list_init(&held->bios);
	WRITE_ONCE(held->nr, 0);
	spin_unlock(&held->lock);
	while ((bio = bio_list_pop(&bios)))
		r3map_bio_admit(bio);
}

int r3map_hold_init(struct r3map_held *held, enum r3map_hold level)
{
	unsigned int flags = PERCPU_REF_ALLOW_REINIT;

	spin_lock_init(&held->lock);
	init_waitqueue_head(&held->drained);
	INIT_WORK(&held->go, hold_go);
	bio_list_init(&held->bios);
	held->level = level;
	if (level != R3MAP_HOLD_NONE)
		flags |= PERCPU_REF_INIT_DEAD;
	return percpu_ref_init(&held->writers, hold_drained, flags, GFP_KERNEL);
}

void r3map_hold_exit(struct r3map_held *held)
{
	cancel_work_sync(&held->go);
	WARN_ON_ONCE(!bio_list_empty(&held->bios));
	percpu_ref_exit(&held->writers);
}

static bool hold_concerns(const struct r3map_held *held, bool writes)
{
	lockdep_assert_held(&held->lock);
	return held->level == R3MAP_HOLD_ALL || (held->level == R3MAP_HOLD_WRITES && writes);
}

/* The long way: held, refused, or let in after all. */
static bool hold_enter_slow(struct r3map_held *held, struct bio *bio, bool writes,
			    blk_status_t *status)
{
	bool in;

	spin_lock(&held->lock);
	in = !hold_concerns(held, writes);
	if (in) {
		/* Live under the lock, as long as nothing is held. */
		if (writes)
			percpu_ref_get(&held->writers);
	} else if (held->failing) {
		*status = BLK_STS_IOERR;
	} else if (bio->bi_opf & REQ_NOWAIT) {
		*status = BLK_STS_AGAIN;
	} else {
		*status = BLK_STS_OK;
		bio_list_add(&held->bios, bio);
		WRITE_ONCE(held->nr, held->nr + 1);
	}
	spin_unlock(&held->lock);
	return in;
}

bool r3map_hold_enter(struct r3map_held *held, struct bio *bio, blk_status_t *status)
{
	bool writes = r3map_bio_writes(bio);

	if (writes ? likely(percpu_ref_tryget_live(&held->writers)) :
		     likely(READ_ONCE(held->level) != R3MAP_HOLD_ALL))
		return true;
	return hold_enter_slow(held, bio, writes, status);
}

void r3map_hold_prepare(struct r3map_held *held)
{
	percpu_ref_switch_to_atomic_sync(&held->writers);
}

void r3map_hold_relax(struct r3map_held *held)
{
	percpu_ref_switch_to_percpu(&held->writers);
}

void r3map_hold_writes(struct r3map_held *held)
{
	spin_lock(&held->lock);
	WARN_ON_ONCE(held->level != R3MAP_HOLD_NONE);
	WRITE_ONCE(held->level, R3MAP_HOLD_WRITES);
	held->failing = false;
	/* Does not wait: it is atomic already. */
	percpu_ref_kill(&held->writers);
	spin_unlock(&held->lock);
}

bool r3map_hold_drain(struct r3map_held *held, unsigned long jiffies)
{
	return wait_event_timeout(held->drained, percpu_ref_is_zero(&held->writers) ||
				  READ_ONCE(held->level) == R3MAP_HOLD_NONE, jiffies);
}

bool r3map_hold_still(const struct r3map_held *held)
{
	return READ_ONCE(held->level) == R3MAP_HOLD_WRITES &&
	       percpu_ref_is_zero((struct percpu_ref *)&held->writers);
}

void r3map_hold_fail(struct r3map_held *held)
{
	spin_lock(&held->lock);
	held->failing = true;
	spin_unlock(&held->lock);
	/* They are submitted again, and refused. */
	queue_work(r3map_hold_workqueue, &held->go);
}

void r3map_hold_release(struct r3map_held *held)
{
	spin_lock(&held->lock);
	if (held->level != R3MAP_HOLD_NONE) {
		held->first = 0;
		set_bit(0, &held->watching);
		percpu_ref_resurrect(&held->writers);
		WRITE_ONCE(held->level, R3MAP_HOLD_NONE);
	}
	held->failing = false;
	spin_unlock(&held->lock);
	wake_up_all(&held->drained);
	queue_work(r3map_hold_workqueue, &held->go);
}

enum r3map_hold r3map_hold_level(const struct r3map_held *held)
{
	enum r3map_hold level = READ_ONCE(held->level);

	return level != R3MAP_HOLD_NONE && READ_ONCE(held->failing) ? R3MAP_HOLD_REFUSED : level;
}
