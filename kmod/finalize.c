// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a region's use on this host. See finalize.h.
 */
#include <linux/blkdev.h>
#include <linux/ktime.h>
#include <linux/netlink.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"
#include "event.h"
#include "finalize.h"
#include "hold.h"
#include "main.h"

static void final_set_stage(struct r3map_device *dev, enum r3map_final_stage stage)
{
	lockdep_assert_held(&dev->lock);
	dev->final.stage = stage;
	if (stage == R3MAP_FINAL_IDLE)
		wake_up_all(&dev->final.idle);
}

/* --- freezing ----------------------------------------------------------------------------- */

/* The disk and its partitions, each with a reference, as an array of *@nr; NULL: no memory. */
static struct block_device **final_devices(struct gendisk *disk, unsigned int *nr)
{
	struct block_device **devices, *part;
	unsigned int most = 0;
	unsigned long i;

	*nr = 0;
	rcu_read_lock();
	xa_for_each(&disk->part_tbl, i, part)
		most++;
	rcu_read_unlock();
	devices = kvcalloc(most, sizeof(*devices), GFP_NOIO);
	if (!devices)
		return NULL;
	/* Who makes a partition meanwhile has not mounted it. */
	rcu_read_lock();
	xa_for_each(&disk->part_tbl, i, part)
		if (*nr < most && kobject_get_unless_zero(&part->bd_device.kobj))
			devices[(*nr)++] = part;
	rcu_read_unlock();
	return devices;
}

static void final_put(struct r3map_finalize *final, unsigned int from)
{
	while (final->nr > from)
		put_device(&final->devices[--final->nr]->bd_device);
}

/* Writes back and freezes the disk and its partitions; what is frozen is remembered. */
static int final_freeze_all(struct r3map_device *dev)
{
	struct r3map_finalize *final = &dev->final;
	unsigned int i, nr;
	int err = 0;

	final->devices = final_devices(dev->disk, &final->nr);
	if (!final->devices)
		return -ENOMEM;
	nr = final->nr;
	for (i = 0; i < nr && !err; i++)
		err = r3map_compat_freeze(final->devices[i]);
	/* The one that could not be is not to be thawed. */
	if (err)
		final_put(final, i - 1);
	return err;
}

static void final_thaw_all(struct r3map_finalize *final)
{
	unsigned int i;

	for (i = final->nr; i-- > 0;)
		r3map_compat_thaw(final->devices[i]);
	final_put(final, 0);
	kvfree(final->devices);
	final->devices = NULL;
}

static void final_thaw(struct work_struct *work)
{
	struct r3map_finalize *final = container_of(work, struct r3map_finalize, thaw);
	struct r3map_device *dev = container_of(final, struct r3map_device, final);

	bool relaxed = false;

	final_thaw_all(final);
	mutex_lock(&dev->lock);
	while (!relaxed && r3map_hold_level(&dev->held) == R3MAP_HOLD_NONE) {
		mutex_unlock(&dev->lock);
		r3map_hold_relax(&dev->held);
		relaxed = true;
		mutex_lock(&dev->lock);
	}
	final_set_stage(dev, R3MAP_FINAL_IDLE);
	mutex_unlock(&dev->lock);
	r3map_device_put(dev);	/* of r3map_finalize_begin() */
}

static void final_begin_thaw(struct r3map_device *dev)
{
	final_set_stage(dev, R3MAP_FINAL_THAWING);
	queue_work(r3map_slow_workqueue, &dev->final.thaw);
}

static unsigned long final_left(const struct r3map_finalize *final)
{
	long left = final->deadline - jiffies;

	return max(left, 0l);
}

/* Frozen: writes are held, unless it is too late. */
static bool final_hold(struct r3map_device *dev, int err)
{
	struct r3map_finalize *final = &dev->final;
	bool go;

	mutex_lock(&dev->lock);
	go = !err && final->stage == R3MAP_FINAL_FREEZING;
	if (go) {
		final->frozen = ktime_get_ns();
		final_set_stage(dev, R3MAP_FINAL_DRAINING);
		r3map_hold_writes(&dev->held);
		final->held = ktime_get_ns();
	} else {
		/* A missed deadline has been told, and a device that goes needs no word. */
		if (final->stage == R3MAP_FINAL_FREEZING)
			r3map_event_send_finalized(dev, -err);
		final_begin_thaw(dev);
	}
	mutex_unlock(&dev->lock);
	return go;
}

static void final_freeze(struct work_struct *work)
{
	struct r3map_finalize *final = container_of(work, struct r3map_finalize, freeze);
	struct r3map_device *dev = container_of(final, struct r3map_device, final);
	bool drained;

	/* It takes long, and holds nobody up: before the clock of a stop begins. */
	r3map_hold_prepare(&dev->held);
	mutex_lock(&dev->lock);
	final->begun = ktime_get_ns();
	mutex_unlock(&dev->lock);
	if (!final_hold(dev, final_freeze_all(dev)))
		return;
	drained = r3map_hold_drain(&dev->held, final_left(final));
	mutex_lock(&dev->lock);
	if (final->stage != R3MAP_FINAL_DRAINING) {
		final_begin_thaw(dev);	/* the device, or its helper, is going */
	} else if (drained) {
		final->drained = ktime_get_ns();
		final_set_stage(dev, R3MAP_FINAL_DONE);
		final->until = jiffies + msecs_to_jiffies(final->hold_time);
		if (final->hold_time)
			mod_delayed_work(r3map_workqueue, &final->late,
					 msecs_to_jiffies(final->hold_time));
		r3map_event_send_finalized(dev, 0);
	} else {
		r3map_hold_release(&dev->held);
		r3map_event_send_finalized(dev, ETIMEDOUT);
		final_begin_thaw(dev);
	}
	mutex_unlock(&dev->lock);
}

static void final_late(struct work_struct *work)
{
	struct r3map_finalize *final = container_of(to_delayed_work(work), struct r3map_finalize,
						    late);
	struct r3map_device *dev = container_of(final, struct r3map_device, final);
	long left;

	mutex_lock(&dev->lock);
	switch (final->stage) {
	case R3MAP_FINAL_FREEZING:
		if (final_left(final)) {
			mod_delayed_work(r3map_workqueue, &final->late, final_left(final));
			break;
		}
		/* final_hold() finds that it is too late, whenever that is. */
		final_set_stage(dev, R3MAP_FINAL_THAWING);
		r3map_event_send_finalized(dev, ETIMEDOUT);
		break;
	case R3MAP_FINAL_DONE:
		/* This may be the deadline's, which the end of draining was just before. */
		if (!final->hold_time)
			break;
		left = final->until - jiffies;
		if (left > 0) {
			mod_delayed_work(r3map_workqueue, &final->late, left);
			break;
		}
		r3map_hold_fail(&dev->held);
		final_begin_thaw(dev);
		break;
	default:
		break;
	}
	mutex_unlock(&dev->lock);
}

/* --- what is asked for -------------------------------------------------------------------- */

void r3map_finalize_init(struct r3map_finalize *final)
{
	INIT_WORK(&final->freeze, final_freeze);
	INIT_WORK(&final->thaw, final_thaw);
	INIT_DELAYED_WORK(&final->late, final_late);
	init_waitqueue_head(&final->idle);
}

int r3map_finalize_begin(struct r3map_device *dev, u32 deadline, u32 hold_time,
			 struct netlink_ext_ack *extack)
{
	struct r3map_finalize *final = &dev->final;

	lockdep_assert_held(&dev->lock);
	if (dev->state != R3MAP_STATE_LIVE) {
		NL_SET_ERR_MSG(extack, "the device is not live");
		return -ENXIO;
	}
	if (final->stage != R3MAP_FINAL_IDLE) {
		NL_SET_ERR_MSG(extack, "the device is being finalized, or thawed, already");
		return -EBUSY;
	}
	if (r3map_hold_level(&dev->held) != R3MAP_HOLD_NONE) {
		NL_SET_ERR_MSG(extack, "the device is held");
		return -EBUSY;
	}
	final->deadline = jiffies + msecs_to_jiffies(deadline);
	final->hold_time = hold_time;
	final->frozen = 0;
	final->held = 0;
	final->drained = 0;
	/* What is to be written back is not to wait for that. */
	r3map_throttle_set(&dev->throttle, 0);
	final_set_stage(dev, R3MAP_FINAL_FREEZING);
	r3map_device_get(dev);	/* until final_thaw() */
	queue_work(r3map_slow_workqueue, &final->freeze);
	mod_delayed_work(r3map_workqueue, &final->late, msecs_to_jiffies(deadline));
	return 0;
}

/* Only of a device that has a disk, and keeps it. */
static bool final_may_decide(const struct r3map_device *dev, struct netlink_ext_ack *extack)
{
	switch (dev->state) {
	case R3MAP_STATE_LIVE:
	case R3MAP_STATE_PARKED:
	case R3MAP_STATE_FAILED:
		return true;
	default:
		NL_SET_ERR_MSG(extack, "the device is not ready");
		return false;
	}
}

int r3map_finalize_release(struct r3map_device *dev, struct netlink_ext_ack *extack)
{
	enum r3map_hold level = r3map_hold_level(&dev->held);
	struct r3map_finalize *final = &dev->final;

	lockdep_assert_held(&dev->lock);
	if (!final_may_decide(dev, extack))
		return -ENXIO;
	if (final->stage == R3MAP_FINAL_FREEZING) {
		final_set_stage(dev, R3MAP_FINAL_THAWING);
		r3map_event_send_finalized(dev, ECANCELED);
		return 0;
	}
	if (level == R3MAP_HOLD_NONE) {
		NL_SET_ERR_MSG(extack, "nothing is held");
		return -EALREADY;
	}
	if (final->stage == R3MAP_FINAL_DRAINING) {
		NL_SET_ERR_MSG(extack, "the device is being finalized");
		return -EBUSY;
	}
	if (final->retired) {
		NL_SET_ERR_MSG(extack, "the region was handed over: another host has it");
		return -EPERM;
	}
	r3map_hold_release(&dev->held);
	if (level == R3MAP_HOLD_ALL) {
		queue_work(r3map_slow_workqueue, &dev->scan);
	} else if (final->stage != R3MAP_FINAL_THAWING) {
		/* It was thawed before, when HOLD_TIME was over; the count is to be relaxed. */
		if (final->stage == R3MAP_FINAL_IDLE)
			r3map_device_get(dev);
		final_begin_thaw(dev);
	}
	r3map_event_send(dev, R3MAP_EVENT_RELEASED);
	return 0;
}

int r3map_finalize_retire(struct r3map_device *dev, struct netlink_ext_ack *extack)
{
	struct r3map_finalize *final = &dev->final;
	enum r3map_hold level = r3map_hold_level(&dev->held);

	lockdep_assert_held(&dev->lock);
	if (!final_may_decide(dev, extack))
		return -ENXIO;
	if (final->stage == R3MAP_FINAL_DRAINING ||
	    (level != R3MAP_HOLD_WRITES && level != R3MAP_HOLD_REFUSED)) {
		NL_SET_ERR_MSG(extack, "the device is not finalized");
		return -EINVAL;
	}
	if (final->retired) {
		NL_SET_ERR_MSG(extack, "the region was handed over already");
		return -EALREADY;
	}
	final->retired = true;
	r3map_hold_fail(&dev->held);
	if (final->stage == R3MAP_FINAL_DONE)
		final_begin_thaw(dev);
	r3map_event_send(dev, R3MAP_EVENT_RETIRED);
	return 0;
}

void r3map_finalize_orphan(struct r3map_device *dev)
{
	struct r3map_finalize *final = &dev->final;

	lockdep_assert_held(&dev->lock);
	if (final->stage != R3MAP_FINAL_FREEZING && final->stage != R3MAP_FINAL_DRAINING)
		return;
	/* The work item, which is in one of the two, finds that and thaws. */
	if (final->stage == R3MAP_FINAL_DRAINING)
		r3map_hold_release(&dev->held);
	final_set_stage(dev, R3MAP_FINAL_THAWING);
	r3map_event_send_finalized(dev, ECANCELED);
}

void r3map_finalize_abandon(struct r3map_device *dev)
{
	struct r3map_finalize *final = &dev->final;

	lockdep_assert_held(&dev->lock);
	r3map_hold_fail(&dev->held);
	if (final->stage == R3MAP_FINAL_DONE)
		final_begin_thaw(dev);
	else if (final->stage != R3MAP_FINAL_IDLE)
		final_set_stage(dev, R3MAP_FINAL_THAWING);
}

void r3map_finalize_end(struct r3map_device *dev)
{
	wait_event(dev->final.idle, READ_ONCE(dev->final.stage) == R3MAP_FINAL_IDLE);
	cancel_delayed_work_sync(&dev->final.late);
}
