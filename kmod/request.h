/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A request: one bio on its way through a queue, and the one place where bios end.
 *
 * A request is made for a bio in bio.c and belongs to exactly one owner at any time: the submitter,
 * one of its queue's lists (waiting, ready, flying; see queue.h), or whoever took it off
 * its list under the queue's lock. Only the owner may end it, and ending frees it: that is what
 * makes every bio complete exactly once.
 */
#ifndef R3MAP_REQUEST_H
#define R3MAP_REQUEST_H

#include <linux/blk_types.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/r3map.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct r3map_device;

struct r3map_request {
	struct list_head node;		/* in one of the queue's lists, or the owner's */
	struct bio *bio;		/* NULL: a FETCH, or a DEVICE_SYNC */
	union {				/* managed devices, see managed.c */
		struct work_struct work;	/* it goes the long way */
		struct {		/* it waits for a chunk */
			struct hlist_node bucket;
			unsigned long chunk;
		};
		struct {		/* it is a DEVICE_SYNC, see device.c */
			u64 sync;
			u32 sync_error;	/* an errno */
		};
	};
	unsigned long start;		/* jiffies: submitted, for the accounting and for the age */
	unsigned long since;		/* jiffies: since when the timeout counts */
	u64 begun;			/* ns: when this stage was submitted; managed devices */
	u64 sent;			/* ns: when the helper was sent it */
	u64 offset;			/* bytes */
	u32 length;			/* bytes */
	u32 area;			/* offset of the payload in the queue's area */
	u32 data;			/* offset of the payload in the answer, inline transport */
	u64 lent;			/* where the helper still has the payload, or 0 */
	u16 slot;			/* valid while it has one */
	u8 op;				/* enum r3map_op of the present stage */
	bool accounted;			/* start is to be given back to the accounting */
	bool writes;			/* the bio is counted by r3map_hold_enter() */
	bool flush_first;		/* this stage is the flush before a write */
	bool issued;			/* a helper was given it before */
	bool owner;			/* of the chunks of its range that are not local yet */
	bool counted;			/* as a hit or a miss */
	bool sampled;			/* it is a hit that is timed */
	bool demanded;			/* it made a FETCH */
	bool waited;			/* for a chunk */
	bool saved;			/* a flush: the store is on disk, the helper is next */
	bool missed;			/* what was lent was not there: it is to be in the area */
	bool borrowed;			/* what was lent was there, and was copied */
	s32 error;			/* of the completion */
	u32 bytes;			/* of the completion */
};

int r3map_request_init(void);
void r3map_request_exit(void);

/*
 * Each device has a reserve of requests of its own: one that is parked must not keep another from
 * making progress.
 */
mempool_t *r3map_request_pool_new(void);

/**
 * r3map_request_new - the request of @bio
 * Context: may sleep unless @bio is REQ_NOWAIT; uses the reserve of @dev, never fails if it may
 * sleep.
 * Return: NULL only for REQ_NOWAIT. The bio stays the caller's until r3map_request_end().
 */
struct r3map_request *r3map_request_new(struct r3map_device *dev, struct bio *bio);

/**
 * r3map_request_new_fetch - a request for the helper of a managed device, without a bio
 * @pool: one that no bio's request comes from
 * Context: does not sleep.
 * Return: NULL if there is no memory.
 */
struct r3map_request *r3map_request_new_fetch(mempool_t *pool, u64 offset, u32 length);

/*
 * A FLUSH of nobody's bio; its end is r3map_device_synced()'s. NULL: out of memory. Context:
 * sleeps.
 */
struct r3map_request *r3map_request_new_sync(u64 number);
void r3map_request_free_sync(struct r3map_request *request);

/* Which counter has the operations @op that went well. */
enum r3map_a_counter r3map_op_counter(u8 op);

/* READ and WRITE have payload that moves between module and helper. */
static inline bool r3map_op_has_payload(u8 op)
{
	return op <= R3MAP_OP_WRITE;
}

/* The flush before a write is done: the write is next. Context: the caller owns @request. */
void r3map_request_next_stage(struct r3map_request *request);

/**
 * r3map_request_end - end the bio with @status, or settle the fetch, and free @request
 * Context: the caller owns @request and holds no spinlock.
 */
void r3map_request_end(struct r3map_device *dev, struct r3map_request *request,
		       blk_status_t status);

/* The same for a whole list of requests that the caller owns. */
void r3map_request_end_list(struct r3map_device *dev, struct list_head *list,
			    blk_status_t status);

#endif
