// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices: the registry, the state machine, helpers coming and going. See device.h.
 *
 *		 DEVICE_START			 helper gone
 *	NEW ───────────────► LIVE ◄─────────────────────────► PARKED
 *	 │ helper gone	      │ ▲  DEVICE_ATTACH, DEVICE_START	 │ PARK is over
 *	 │		      │ └────────────── FAILED ◄─────────┘
 *	 └─────────► DELETING ◄── DEVICE_DEL, from any state ──► REMOVED
 */
#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/ktime.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "debugfs.h"
#include "device.h"
#include "disk.h"
#include "event.h"
#include "main.h"
#include "managed.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

#define DEVICE_EXPIRE_MIN_MS	10	/* how often requests are looked at */
#define DEVICE_EXPIRE_MAX_MS	1000

static DEFINE_XARRAY_ALLOC(registry);		/* index to device */
static atomic64_t device_generation;
static atomic_t device_count;			/* devices whose memory is not yet free */
static DECLARE_WAIT_QUEUE_HEAD(device_freed);

static const char *const state_names[__R3MAP_STATE_MAX] = {
	[R3MAP_STATE_UNSPEC] = "unspecified",
	[R3MAP_STATE_NEW] = "new",
	[R3MAP_STATE_LIVE] = "live",
	[R3MAP_STATE_PARKED] = "parked",
	[R3MAP_STATE_FAILED] = "failed",
	[R3MAP_STATE_DELETING] = "deleting",
	[R3MAP_STATE_REMOVED] = "removed",
};

/* Bit s of state_successors[t]: t may be followed by s. */
static const u32 state_successors[__R3MAP_STATE_MAX] = {
	[R3MAP_STATE_UNSPEC] = BIT(R3MAP_STATE_NEW),
	[R3MAP_STATE_NEW] = BIT(R3MAP_STATE_LIVE) | BIT(R3MAP_STATE_DELETING),
	[R3MAP_STATE_LIVE] = BIT(R3MAP_STATE_PARKED) | BIT(R3MAP_STATE_FAILED) |
			     BIT(R3MAP_STATE_DELETING),
	[R3MAP_STATE_PARKED] = BIT(R3MAP_STATE_LIVE) | BIT(R3MAP_STATE_FAILED) |
			       BIT(R3MAP_STATE_DELETING),
	[R3MAP_STATE_FAILED] = BIT(R3MAP_STATE_LIVE) | BIT(R3MAP_STATE_DELETING),
	[R3MAP_STATE_DELETING] = BIT(R3MAP_STATE_REMOVED),
};

const char *r3map_state_name(enum r3map_state state)
{
	return state < __R3MAP_STATE_MAX ? state_names[state] : "unknown";
}

/* The only writer of dev->state. */
static void device_set_state(struct r3map_device *dev, enum r3map_state state,
			     enum r3map_event event)
{
	lockdep_assert_held(&dev->lock);
	WARN_ON_ONCE(!(state_successors[dev->state] & BIT(state)));
	trace_r3map_state(dev, dev->state, state);
	WRITE_ONCE(dev->state, state);
	dev->state_time = ktime_get_ns();
	r3map_event_send(dev, event);
}

static u64 device_next_generation(void)
{
	/* Numbers of an earlier life of the module do not come again. */
	atomic64_cmpxchg(&device_generation, 0, ktime_get_real_seconds() * 1000);
	return atomic64_inc_return(&device_generation);
}

/* --- references --------------------------------------------------------------------------- */

static void device_free(struct r3map_device *dev)
{
	u32 i;

	for (i = 0; dev->queues && i < dev->params.queues; i++)
		r3map_queue_exit(&dev->queues[i]);
	r3map_managed_free(dev->managed);
	r3map_throttle_exit(&dev->throttle);
	r3map_hold_exit(&dev->held);
	kvfree(dev->queues);
	mempool_destroy(dev->requests);
	kfree(dev->backend);
	mutex_destroy(&dev->lock);
	kfree_rcu(dev, rcu);
	if (atomic_dec_and_test(&device_count))
		wake_up_all(&device_freed);
}

static void device_release_work(struct work_struct *work)
{
	struct r3map_device *dev = container_of(work, struct r3map_device, release);

	/* Its bios have ended, and nobody queues it any more. Before what it may start. */
	cancel_work_sync(&dev->held.go);
	/* Before the expire work, which it may start. */
	if (dev->managed)
		cancel_delayed_work_sync(&dev->managed->look);
	cancel_delayed_work_sync(&dev->expire);
	cancel_delayed_work_sync(&dev->park_over);
	cancel_work_sync(&dev->tell);
	WARN_ON_ONCE(dev->control.sk);
	device_free(dev);
}

static void device_release(struct kref *refs)
{
	struct r3map_device *dev = container_of(refs, struct r3map_device, refs);

	queue_work(r3map_slow_workqueue, &dev->release);
}

struct r3map_device *r3map_device_get(struct r3map_device *dev)
{
	kref_get(&dev->refs);
	return dev;
}

void r3map_device_put(struct r3map_device *dev)
{
	kref_put(&dev->refs, device_release);
}

struct r3map_device *r3map_device_find(u32 index)
{
	struct r3map_device *dev;

	rcu_read_lock();
	dev = xa_load(&registry, index);
	if (dev && !kref_get_unless_zero(&dev->refs))
		dev = NULL;
	rcu_read_unlock();
	return dev;
}

struct r3map_device *r3map_device_next(u32 *index)
{
	struct r3map_device *dev;
	unsigned long at = *index;

	rcu_read_lock();
	xa_for_each_start(&registry, at, dev, at)
		if (kref_get_unless_zero(&dev->refs))
			break;
	rcu_read_unlock();
	*index = at;
	return dev;
}

/* --- helpers ------------------------------------------------------------------------------ */

static int device_set_helper(struct r3map_device *dev, struct sock *sk, u32 portid,
			     struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&dev->lock);
	/* Who serves a device needs the module. */
	if (!try_module_get(THIS_MODULE)) {
		NL_SET_ERR_MSG(extack, "the module is being unloaded");
		return -ENODEV;
	}
	WRITE_ONCE(dev->generation, device_next_generation());
	dev->helper = get_pid(task_tgid(current));
	WRITE_ONCE(dev->helper_pid, pid_nr(dev->helper));
	r3map_socket_bind(&dev->control, sk, portid, dev, dev->generation);
	return 0;
}

/* Forgets the helper, if there is one; requests are held or failed. */
static void device_drop_helper(struct r3map_device *dev, enum r3map_gate gate)
{
	struct sock *sk = dev->control.sk;
	u32 i;

	lockdep_assert_held(&dev->lock);
	r3map_epochs_close(&dev->epochs);
	for (i = 0; i < dev->params.queues; i++)
		r3map_queue_unbind(&dev->queues[i], gate);
	/* Not before: what goes on now is not for the queues of this helper. */
	r3map_throttle_set(&dev->throttle, 0);
	if (dev->managed && gate == R3MAP_GATE_FAIL)
		r3map_managed_fail(dev->managed);
	else if (dev->managed)
		r3map_managed_abandon(dev->managed);
	if (!sk)
		return;
	r3map_socket_unbind(&dev->control);
	dev->control.sk = NULL;
	sock_put(sk);
	put_pid(dev->helper);
	dev->helper = NULL;
	WRITE_ONCE(dev->helper_pid, 0);
	dev->nr_troubles = 0;
	module_put(THIS_MODULE);
}

u32 r3map_device_park_left(const struct r3map_device *dev)
{
	u64 until = READ_ONCE(dev->park_until), now = ktime_get_ns();

	if (READ_ONCE(dev->state) != R3MAP_STATE_PARKED || now >= until)
		return 0;
	return DIV_ROUND_UP_ULL(until - now, NSEC_PER_MSEC);
}

static void device_park(struct r3map_device *dev)
{
	lockdep_assert_held(&dev->lock);
	WRITE_ONCE(dev->park_until, ktime_get_ns() + (u64)dev->park * NSEC_PER_MSEC);
	mod_delayed_work(r3map_workqueue, &dev->park_over, msecs_to_jiffies(dev->park));
}

static void device_park_over(struct work_struct *work)
{
	struct r3map_device *dev = container_of(to_delayed_work(work), struct r3map_device,
						park_over);
	u32 left, i;

	mutex_lock(&dev->lock);
	left = r3map_device_park_left(dev);
	if (left) {
		/* Recovered and parked again while this waited for the lock, or simply early. */
		mod_delayed_work(r3map_workqueue, &dev->park_over, msecs_to_jiffies(left));
	} else if (dev->state == R3MAP_STATE_PARKED) {
		device_set_state(dev, R3MAP_STATE_FAILED, R3MAP_EVENT_FAILED);
		for (i = 0; i < dev->params.queues; i++)
			r3map_queue_set_gate(&dev->queues[i], R3MAP_GATE_FAIL);
		/* A helper may have attached, and claimed chunks, and never started. */
		if (dev->managed)
			r3map_managed_fail(dev->managed);
	}
	mutex_unlock(&dev->lock);
}

void r3map_device_detach(struct r3map_device *dev)
{
	lockdep_assert_held(&dev->lock);
	if (!dev->control.sk)
		return;
	switch (dev->state) {
	case R3MAP_STATE_NEW:
		r3map_device_delete(dev, true, NULL);
		break;
	case R3MAP_STATE_LIVE:
		r3map_finalize_orphan(dev);
		if (dev->park) {
			device_drop_helper(dev, R3MAP_GATE_HOLD);
			device_park(dev);
			device_set_state(dev, R3MAP_STATE_PARKED, R3MAP_EVENT_PARKED);
		} else {
			device_drop_helper(dev, R3MAP_GATE_FAIL);
			device_set_state(dev, R3MAP_STATE_FAILED, R3MAP_EVENT_FAILED);
		}
		break;
	case R3MAP_STATE_PARKED:
		/* It had attached, but not started: the time that is left is for the next one. */
		device_drop_helper(dev, R3MAP_GATE_HOLD);
		break;
	default:
		device_drop_helper(dev, R3MAP_GATE_FAIL);
		break;
	}
}

void r3map_device_helper_gone(struct r3map_device *dev, u64 generation)
{
	mutex_lock(&dev->lock);
	if (dev->generation == generation)
		r3map_device_detach(dev);
	mutex_unlock(&dev->lock);
}

int r3map_device_attach(struct r3map_device *dev, struct sock *sk, u32 portid,
			const char *backend, u64 size, bool force,
			struct netlink_ext_ack *extack)
{
	bool other = backend && strcmp(backend, dev->backend);
	char *copy = NULL;
	int err;

	lockdep_assert_held(&dev->lock);
	if (dev->state != R3MAP_STATE_PARKED && dev->state != R3MAP_STATE_FAILED) {
		NL_SET_ERR_MSG(extack, "the device has not lost its helper");
		return -EBUSY;
	}
	if (dev->control.sk) {
		NL_SET_ERR_MSG(extack, "another helper is attaching");
		return -EBUSY;
	}
	if (size && size != dev->size) {
		NL_SET_ERR_MSG(extack, "the backend has another size than the device");
		return -EINVAL;
	}
	if (other && !force) {
		NL_SET_ERR_MSG(extack, "the device was made with another backend");
		return -EINVAL;
	}
	if (other) {
		copy = kstrdup(backend, GFP_NOIO);
		if (!copy)
			return -ENOMEM;
	}
	err = device_set_helper(dev, sk, portid, extack);
	if (err) {
		kfree(copy);
		return err;
	}
	if (copy) {
		spin_lock(&dev->open_lock);
		swap(dev->backend, copy);
		spin_unlock(&dev->open_lock);
		kfree(copy);
	}
	r3map_event_send(dev, R3MAP_EVENT_ATTACHED);
	return 0;
}

int r3map_device_start(struct r3map_device *dev, struct sock *sk, struct netlink_ext_ack *extack)
{
	bool first = !dev->disk;
	int err;
	u32 i;

	lockdep_assert_held(&dev->lock);
	if (dev->control.sk != sk) {
		NL_SET_ERR_MSG(extack, "this socket is not the control socket of the device");
		return -EPERM;
	}
	if (dev->state == R3MAP_STATE_LIVE) {
		NL_SET_ERR_MSG(extack, "the device is live already");
		return -EALREADY;
	}
	for (i = 0; i < dev->params.queues; i++) {
		if (!dev->queues[i].socket.sk) {
			NL_SET_ERR_MSG(extack, "not every queue has a socket");
			return -EINVAL;
		}
	}
	if (dev->managed)
		r3map_managed_serve(dev->managed);
	for (i = 0; i < dev->params.queues; i++)
		r3map_queue_serve(&dev->queues[i]);
	if (first) {
		err = r3map_disk_add(dev);
		if (err) {
			for (i = 0; i < dev->params.queues; i++)
				r3map_queue_set_gate(&dev->queues[i], R3MAP_GATE_HOLD);
			NL_SET_ERR_MSG(extack, "the disk cannot be made");
			return err;
		}
		r3map_debugfs_add(dev);
		/* What is dirty is not lost to rmmod; until the device is deleted. */
		if (dev->managed)
			__module_get(THIS_MODULE);
	}
	device_set_state(dev, R3MAP_STATE_LIVE, R3MAP_EVENT_READY);
	/* Of one that is held DEVICE_RELEASE does it. */
	if (first && !(dev->flags & R3MAP_DEVICE_HELD))
		queue_work(r3map_slow_workqueue, &dev->scan);
	return 0;
}

static bool device_is_going(const struct r3map_device *dev)
{
	lockdep_assert_held(&dev->lock);
	return dev->state == R3MAP_STATE_DELETING || dev->state == R3MAP_STATE_REMOVED;
}

/* --- use ---------------------------------------------------------------------------------- */

int r3map_device_open(struct r3map_device *dev)
{
	int err = 0;

	spin_lock(&dev->open_lock);
	if (dev->closed)
		err = -ENXIO;
	else
		dev->openers++;
	spin_unlock(&dev->open_lock);
	return err;
}

void r3map_device_release(struct r3map_device *dev)
{
	spin_lock(&dev->open_lock);
	dev->openers--;
	spin_unlock(&dev->open_lock);
}

int r3map_device_set(struct r3map_device *dev, const u64 *size, const u32 *flags,
		     const u32 *timeout, const u32 *park, struct netlink_ext_ack *extack)
{
	unsigned int noio;

	lockdep_assert_held(&dev->lock);
	if (!dev->disk || device_is_going(dev)) {
		NL_SET_ERR_MSG(extack, "the device is not ready");
		return -ENXIO;
	}
	if (size && *size != dev->size && dev->managed) {
		NL_SET_ERR_MSG(extack, "a managed device cannot be resized");
		return -EOPNOTSUPP;
	}
	if (size && *size != dev->size && dev->epochs.nr) {
		NL_SET_ERR_MSG(extack, "a device that a migration watches cannot be resized");
		return -EBUSY;
	}
	if (flags && ((*flags ^ dev->flags) & ~R3MAP_DEVICE_READ_ONLY)) {
		NL_SET_ERR_MSG(extack, "only READ_ONLY can be changed");
		return -EINVAL;
	}
	/* What is allocated to tell of the change must not wait for writeback to this device. */
	noio = memalloc_noio_save();
	if (size && *size != dev->size) {
		dev->size = *size;
		r3map_disk_resize(dev, *size);
	}
	if (flags && *flags != dev->flags) {
		dev->flags = *flags;
		r3map_disk_set_read_only(dev, *flags & R3MAP_DEVICE_READ_ONLY);
	}
	memalloc_noio_restore(noio);
	if (timeout) {
		WRITE_ONCE(dev->timeout, *timeout);
		mod_delayed_work(r3map_workqueue, &dev->expire, 0);
	}
	if (park) {
		WRITE_ONCE(dev->park, *park);
		if (dev->state == R3MAP_STATE_PARKED)
			device_park(dev);
	}
	r3map_event_send(dev, R3MAP_EVENT_CHANGED);
	return 0;
}

int r3map_device_sync(struct r3map_device *dev, u64 *number, struct netlink_ext_ack *extack)
{
	struct r3map_request *request;

	lockdep_assert_held(&dev->lock);
	if (!dev->disk || device_is_going(dev)) {
		NL_SET_ERR_MSG(extack, "the device is not ready");
		return -ENXIO;
	}
	request = r3map_request_new_sync(dev->sync + 1);
	if (!request)
		return -ENOMEM;
	*number = ++dev->sync;
	r3map_device_get(dev);	/* until device_tell() */
	r3map_queue_submit(&dev->queues[0], request);
	return 0;
}

void r3map_device_synced(struct r3map_device *dev, struct r3map_request *request,
			 blk_status_t status)
{
	request->sync_error = -blk_status_to_errno(status);
	spin_lock(&dev->open_lock);
	list_add_tail(&request->node, &dev->synced);
	spin_unlock(&dev->open_lock);
	queue_work(r3map_workqueue, &dev->tell);
}

static void device_tell(struct work_struct *work)
{
	struct r3map_device *dev = container_of(work, struct r3map_device, tell);
	struct r3map_request *request, *next;
	LIST_HEAD(synced);

	spin_lock(&dev->open_lock);
	list_splice_init(&dev->synced, &synced);
	spin_unlock(&dev->open_lock);
	mutex_lock(&dev->lock);
	list_for_each_entry(request, &synced, node)
		r3map_event_send_synced(dev, request->sync, request->sync_error);
	mutex_unlock(&dev->lock);
	list_for_each_entry_safe(request, next, &synced, node) {
		r3map_request_free_sync(request);
		r3map_device_put(dev);
	}
}

static void device_expire(struct work_struct *work)
{
	struct r3map_device *dev = container_of(to_delayed_work(work), struct r3map_device,
						expire);
	u32 timeout = READ_ONCE(dev->timeout);
	bool busy = false;
	u32 i;

	clear_bit(0, &dev->armed);
	/* Pairs with r3map_device_arm(): it sees the bit clear, or its request is seen here. */
	smp_mb__after_atomic();
	for (i = 0; i < dev->params.queues; i++)
		if (r3map_queue_expire(&dev->queues[i], msecs_to_jiffies(timeout)))
			busy = true;
	if (dev->managed && r3map_managed_expire(dev->managed, msecs_to_jiffies(timeout)))
		busy = true;
	if (busy)
		r3map_device_arm(dev);
}

void r3map_device_arm(struct r3map_device *dev)
{
	u32 ms;

	/* The request before the bit; pairs with device_expire(). */
	smp_mb();
	if (likely(test_bit(0, &dev->armed)) || test_and_set_bit(0, &dev->armed))
		return;
	ms = clamp_t(u32, READ_ONCE(dev->timeout) / 8, DEVICE_EXPIRE_MIN_MS, DEVICE_EXPIRE_MAX_MS);
	queue_delayed_work(r3map_workqueue, &dev->expire, msecs_to_jiffies(ms));
}

static void device_scan(struct work_struct *work)
{
	r3map_disk_scan(container_of(work, struct r3map_device, scan));
}

u64 r3map_device_memory(struct r3map_device *dev)
{
	u64 bytes = sizeof(*dev);
	u32 i;

	for (i = 0; i < dev->params.queues; i++)
		bytes += r3map_queue_memory(&dev->queues[i]);
	bytes += r3map_epochs_memory(&dev->epochs);
	if (dev->managed)
		bytes += r3map_managed_memory(dev->managed);
	return bytes;
}

/* --- life and death ----------------------------------------------------------------------- */

static void device_remove(struct work_struct *work)
{
	struct r3map_device *dev = container_of(work, struct r3map_device, remove);

	r3map_finalize_end(dev);
	cancel_work_sync(&dev->scan);
	r3map_debugfs_remove(dev);
	r3map_disk_remove(dev);
	if (dev->managed)
		r3map_managed_end(dev->managed);
	xa_erase(&registry, dev->index);
	mutex_lock(&dev->lock);
	device_set_state(dev, R3MAP_STATE_REMOVED, R3MAP_EVENT_REMOVED);
	mutex_unlock(&dev->lock);
	r3map_device_put(dev);
}

int r3map_device_delete(struct r3map_device *dev, bool force, struct netlink_ext_ack *extack)
{
	bool busy, dirty;

	lockdep_assert_held(&dev->lock);
	if (device_is_going(dev)) {
		NL_SET_ERR_MSG(extack, "the device is being deleted already");
		return -EALREADY;
	}
	spin_lock(&dev->open_lock);
	busy = dev->openers && !force;
	/* Nobody has it open, so nobody makes it dirty behind this look. */
	dirty = !busy && !force && dev->managed && !r3map_managed_is_settled(dev->managed);
	if (!busy && !dirty)
		dev->closed = true;
	spin_unlock(&dev->open_lock);
	if (busy) {
		NL_SET_ERR_MSG(extack, "the device is in use");
		return -EBUSY;
	}
	if (dirty) {
		NL_SET_ERR_MSG(extack, "what was written is not at the backend yet");
		return -EAGAIN;
	}
	device_drop_helper(dev, R3MAP_GATE_FAIL);
	r3map_finalize_abandon(dev);
	if (dev->managed && dev->disk)
		module_put(THIS_MODULE);
	device_set_state(dev, R3MAP_STATE_DELETING, R3MAP_EVENT_DELETING);
	queue_work(r3map_slow_workqueue, &dev->remove);
	return 0;
}

static struct r3map_device *device_alloc(const struct r3map_device_config *config,
					 struct netlink_ext_ack *extack)
{
	struct r3map_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int err = -ENOMEM;
	u32 i;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&device_count);
	kref_init(&dev->refs);
	mutex_init(&dev->lock);
	dev->epochs.lock = &dev->lock;
	r3map_finalize_init(&dev->final);
	r3map_throttle_init(&dev->throttle);
	if (r3map_hold_init(&dev->held, config->flags & R3MAP_DEVICE_HELD ? R3MAP_HOLD_ALL :
								     R3MAP_HOLD_NONE))
		goto err_free;
	spin_lock_init(&dev->open_lock);
	INIT_DELAYED_WORK(&dev->expire, device_expire);
	INIT_DELAYED_WORK(&dev->park_over, device_park_over);
	INIT_LIST_HEAD(&dev->synced);
	INIT_WORK(&dev->tell, device_tell);
	INIT_WORK(&dev->scan, device_scan);
	INIT_WORK(&dev->remove, device_remove);
	INIT_WORK(&dev->release, device_release_work);
	dev->params = config->params;
	dev->size = config->size;
	dev->flags = config->flags;
	dev->timeout = config->timeout;
	dev->park = config->park;
	dev->backend = kstrdup(config->backend, GFP_KERNEL);
	dev->queues = kvcalloc(dev->params.queues, sizeof(*dev->queues), GFP_KERNEL);
	dev->requests = r3map_request_pool_new();
	if (!dev->backend || !dev->queues || !dev->requests)
		goto err_free;
	for (i = 0; i < dev->params.queues; i++)
		if (r3map_queue_init(&dev->queues[i], dev, i))
			goto err_free;
	if (dev->params.chunk) {
		dev->managed = r3map_managed_new(dev, config, extack);
		if (IS_ERR(dev->managed)) {
			err = PTR_ERR(dev->managed);
			dev->managed = NULL;
			goto err_free;
		}
	}
	return dev;

err_free:
	device_free(dev);
	return ERR_PTR(err);
}

static int device_enlist(struct r3map_device *dev, const struct r3map_device_config *config,
			 struct netlink_ext_ack *extack)
{
	int err;

	if (config->any_index) {
		err = xa_alloc(&registry, &dev->index, dev, XA_LIMIT(0, MINORMASK), GFP_KERNEL);
	} else {
		dev->index = config->index;
		err = xa_insert(&registry, dev->index, dev, GFP_KERNEL);
	}
	if (err == -EBUSY && !config->any_index) {
		NL_SET_ERR_MSG(extack, "a device with this index exists");
		return -EEXIST;
	}
	return err;
}

struct r3map_device *r3map_device_new(const struct r3map_device_config *config, struct sock *sk,
				      u32 portid, struct netlink_ext_ack *extack)
{
	struct r3map_device *dev = device_alloc(config, extack);
	int err;

	if (IS_ERR(dev))
		return dev;
	/* Whoever finds it in the registry waits until it is complete. */
	mutex_lock(&dev->lock);
	err = device_set_helper(dev, sk, portid, extack);
	if (err)
		goto err_unlock;
	err = device_enlist(dev, config, extack);
	if (err)
		goto err_helper;
	r3map_device_get(dev);
	device_set_state(dev, R3MAP_STATE_NEW, R3MAP_EVENT_CREATED);
	mutex_unlock(&dev->lock);
	return dev;

err_helper:
	device_drop_helper(dev, R3MAP_GATE_FAIL);
err_unlock:
	mutex_unlock(&dev->lock);
	device_free(dev);
	return ERR_PTR(err);
}

/* No helper is attached and no disk is open: both hold the module. */
void r3map_device_exit(void)
{
	struct r3map_device *dev;
	u32 index = 0;

	while ((dev = r3map_device_next(&index))) {
		mutex_lock(&dev->lock);
		r3map_device_delete(dev, true, NULL);
		mutex_unlock(&dev->lock);
		r3map_device_put(dev);
		index++;
	}
	wait_event(device_freed, !atomic_read(&device_count));
	xa_destroy(&registry);
}
