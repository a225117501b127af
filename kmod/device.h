/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device: parameters, state, helper, queues; and who may hold it how long.
 *
 * Lock order: dev->lock (mutex) before queue->lock (spinlock); dev->lock before dev->open_lock
 * before the lock of a chunk map. That one, the registry's lock and the lock of the socket table
 * are leaves. No lock is held while anybody waits for I/O: a netlink handler that waited for a
 * helper would keep that helper's own messages out.
 *
 * References: the registry has one until the index is free again; the disk has one until its last
 * opener is gone; a netlink handler, the notifier of a closed socket and a plug have theirs. The
 * last one frees in a work item.
 *
 * Death: r3map_device_delete() makes the state DELETING under dev->lock, fails everything that is
 * in the queues and lets a work item remove the disk; then the index is free and REMOVED is sent.
 */
#ifndef R3MAP_DEVICE_H
#define R3MAP_DEVICE_H

#include <linux/blk_types.h>
#include <linux/kref.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/r3map.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "epoch.h"
#include "finalize.h"
#include "hold.h"
#include "socket.h"
#include "throttle.h"

struct dentry;
struct gendisk;
struct netlink_ext_ack;
struct pid;
struct r3map_managed;
struct r3map_queue;
struct r3map_request;

/* What DEVICE_NEW asked for, checked and with the defaults filled in. Constant afterwards. */
struct r3map_params {
	u32 logical_block;		/* all sizes in bytes */
	u32 physical_block;
	u32 io_min;
	u32 io_opt;
	u32 max_io;
	u32 max_discard;
	u32 max_zeroes;
	u32 discard_granularity;
	u32 queues;
	u32 depth;
	u32 transport;			/* enum r3map_transport */
	u32 chunk;			/* 0: not managed */
	u32 flush;			/* enum r3map_flush; managed */
};

struct r3map_device {
	struct kref refs;
	struct rcu_head rcu;
	u32 index;			/* constant */
	struct r3map_params params;	/* constant */
	struct r3map_queue *queues;	/* constant: params.queues of them */
	mempool_t *requests;		/* constant */
	struct r3map_managed *managed;	/* constant; NULL: a direct device */
	struct r3map_throttle throttle;
	struct r3map_held held;
	struct r3map_epochs epochs;
	struct r3map_finalize final;
	struct gendisk *disk;		/* set once, before the device is LIVE; then constant */
	struct dentry *debugfs;		/* as disk */

	struct mutex lock;		/* guards the next fields */
	enum r3map_state state;		/* written by device_set_state() only */
	u64 state_time;			/* CLOCK_MONOTONIC ns */
	u64 generation;
	u64 size;			/* bytes */
	u32 flags;			/* R3MAP_DEVICE_* */
	u32 timeout;			/* ms */
	u32 park;			/* ms */
	u64 park_until;			/* CLOCK_MONOTONIC ns, while PARKED */
	char *backend;			/* written under open_lock, too: that is enough to read */
	struct r3map_socket control;	/* of the helper; sk is NULL while there is none */
	struct pid *helper;		/* its process, a reference; NULL while there is none */
	u32 helper_pid;			/* its number in the initial namespace, 0 for none */
	u32 nr_troubles;
	struct r3map_trouble troubles[R3MAP_WRONG_MAX];	/* as it tells, ascending */

	u64 sync;			/* number of the last DEVICE_SYNC */

	spinlock_t open_lock;		/* guards the next three, and backend for readers */
	u32 openers;
	bool closed;			/* nothing can be opened any more */
	struct list_head synced;	/* DEVICE_SYNC requests that are to be told */

	unsigned long armed;		/* bit 0: expire is on its way; see r3map_device_arm() */
	struct delayed_work expire;	/* fails requests that are too old */
	struct delayed_work park_over;
	struct work_struct tell;	/* of @synced */
	struct work_struct scan;	/* looks for partitions */
	struct work_struct remove;
	struct work_struct release;
};

void r3map_device_exit(void);

/* Everything DEVICE_NEW says. */
struct r3map_device_config {
	struct r3map_params params;
	bool any_index;
	u32 index;
	u64 size;
	u32 flags;
	u32 timeout;
	u32 park;
	const char *backend;		/* borrowed */
	int store;			/* descriptor of the calling process; managed */
	int map;			/* the same; -1: none */
	u64 map_region;			/* bytes */
};

/**
 * r3map_device_new - make a device of the calling helper, in state NEW
 * @config: was checked
 * @sk: the sender's socket, with port @portid: the control socket
 * Context: sleeps.
 * Return: the device with a reference for the caller, or an ERR_PTR with text in @extack.
 */
struct r3map_device *r3map_device_new(const struct r3map_device_config *config, struct sock *sk,
				      u32 portid, struct netlink_ext_ack *extack);

/* The device with @index, with a reference, or NULL. Context: any. */
struct r3map_device *r3map_device_find(u32 index);
/* The first one from *@index on, which is set to its index. */
struct r3map_device *r3map_device_next(u32 *index);

struct r3map_device *r3map_device_get(struct r3map_device *dev);
/* Context: any. */
void r3map_device_put(struct r3map_device *dev);

/**
 * r3map_device_attach - the sender becomes the helper of a device that has none
 * @backend: what it serves, or NULL; @size: what it thinks the size is, or 0
 * @force: another backend is meant
 * Context: dev->lock is held.
 */
int r3map_device_attach(struct r3map_device *dev, struct sock *sk, u32 portid,
			const char *backend, u64 size, bool force,
			struct netlink_ext_ack *extack);

/* All queues are bound: serve. Context: dev->lock is held; sleeps. */
int r3map_device_start(struct r3map_device *dev, struct sock *sk, struct netlink_ext_ack *extack);

/* The present helper, if there is one, is gone. Context: dev->lock is held. */
void r3map_device_detach(struct r3map_device *dev);

/*
 * A socket of the helper that was attached as @generation was closed. Does nothing if that is not
 * the present helper. Context: sleeps, never for I/O.
 */
void r3map_device_helper_gone(struct r3map_device *dev, u64 generation);

/**
 * r3map_device_delete - begin the end of @dev; the event REMOVED tells when it is over
 * @force: also when somebody has it open
 * Context: dev->lock is held; does not wait for I/O.
 */
int r3map_device_delete(struct r3map_device *dev, bool force, struct netlink_ext_ack *extack);

/* DEVICE_SET. Each pointer may be NULL. Context: dev->lock is held; all values were checked. */
int r3map_device_set(struct r3map_device *dev, const u64 *size, const u32 *flags,
		     const u32 *timeout, const u32 *park, struct netlink_ext_ack *extack);

/**
 * r3map_device_sync - ask the helper to bring everything to the backend; SYNCED tells the end
 * @number: set to what SYNCED will name
 * Context: dev->lock is held; does not wait for it.
 */
int r3map_device_sync(struct r3map_device *dev, u64 *number, struct netlink_ext_ack *extack);
/* It has. Context: any; the caller owns @request and gives it away. */
void r3map_device_synced(struct r3map_device *dev, struct r3map_request *request,
			 blk_status_t status);

/* Called by the disk. */
int r3map_device_open(struct r3map_device *dev);
void r3map_device_release(struct r3map_device *dev);

/* A request was submitted: makes sure that it is looked at when it is too old. Context: any. */
void r3map_device_arm(struct r3map_device *dev);

/* Milliseconds until parked bios fail, 0 if not PARKED. Context: any. */
u32 r3map_device_park_left(const struct r3map_device *dev);
/* Bytes of kernel tables. Context: dev->lock is held. */
u64 r3map_device_memory(struct r3map_device *dev);

/* "live", "parked" ...; the one table of names. */
const char *r3map_state_name(enum r3map_state state);

#endif
