/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A managed device: the way of a bio through chunk map and store.
 *
 * A bio whose chunks are local is served here, in the context of its submitter. Another waits for
 * the first chunk that it lacks and is looked at again when that is settled: by the answer to a
 * FETCH request, which travels through a queue as any other, by the helper's CHUNK_FILL, or by
 * the bio that wrote the chunk as a whole. Nobody holds a chunk while it waits for another.
 *
 *	bio.c ──► managed.c ──► chunk.c, store.c			hit
 *	              │  ▲
 *	       FETCH  ▼  │ r3map_managed_fetched()
 *	          queue.c ... complete.c				miss
 */
#ifndef R3MAP_MANAGED_H
#define R3MAP_MANAGED_H

#include <linux/blk_types.h>
#include <linux/mempool.h>
#include <linux/percpu.h>
#include <linux/r3map.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "chunk.h"
#include "latency.h"
#include "store.h"

struct netlink_ext_ack;
struct r3map_device;
struct r3map_device_config;
struct r3map_mapfile;
struct r3map_queue;
struct r3map_request;

struct r3map_managed {
	struct r3map_device *dev;	/* constant */
	enum r3map_flush flush;		/* constant */
	struct r3map_store store;	/* constant */
	struct r3map_chunks chunks;
	struct r3map_mapfile *mapfile;	/* constant; NULL: the store does not outlive the device */
	mempool_t *fetches;		/* constant: requests without a bio */
	/* Constant. Of its own: the store of another device may be slow. */
	struct workqueue_struct *workqueue;
	u64 __percpu *counter;		/* by enum r3map_a_counter, added to the queues' */
	struct r3map_latency __percpu *latency;	/* by enum r3map_a_latency, up to COALESCED */
	bool timed;			/* the chunk map's lock guards it: who waits can time out */
	unsigned long pushed;		/* jiffies of the last DIRTY_DONE; no lock */
	struct list_head stalled;	/* the chunk map's lock guards it: look at these soon */
	struct delayed_work look;	/* at @stalled */
};

/**
 * r3map_managed_new - make what a managed device has and a direct one has not
 * Context: sleeps.
 * Return: it, or an ERR_PTR with text in @extack.
 */
struct r3map_managed *r3map_managed_new(struct r3map_device *dev,
					const struct r3map_device_config *config,
					struct netlink_ext_ack *extack);
/* The disk is gone: what outlives the device is put on disk. Context: sleeps, for a disk. */
void r3map_managed_end(struct r3map_managed *managed);
/* Nobody waits any more. Context: sleeps. @managed may be NULL. */
void r3map_managed_free(struct r3map_managed *managed);

/*
 * A READ or WRITE that needs nothing but a copy: serves @bio and ends it. False: it is to become a
 * request. Context: as r3map_managed_submit().
 */
bool r3map_managed_try(struct r3map_managed *managed, struct bio *bio);

/* Hand @request over. Context: the submitter of the bio; does not sleep for I/O. */
void r3map_managed_submit(struct r3map_managed *managed, struct r3map_request *request);

/* A FETCH has ended; frees @fetch. Context: the caller owns it and holds no spinlock. */
void r3map_managed_fetched(struct r3map_managed *managed, struct r3map_request *fetch,
			   blk_status_t status);

/* The helper serves from now on, or is gone. Context: dev->lock is held; does not wait. */
void r3map_managed_serve(struct r3map_managed *managed);
void r3map_managed_abandon(struct r3map_managed *managed);
/* No helper is waited for any more: who still waits for a chunk has TIMEOUT left. Context: same. */
void r3map_managed_fail(struct r3map_managed *managed);

/* As r3map_queue_expire(), for bios that wait for a chunk. */
bool r3map_managed_expire(struct r3map_managed *managed, unsigned long timeout);

/* Requests that are the caller's come as far as they can. Context: no lock is held. */
void r3map_managed_run(struct r3map_managed *managed, struct list_head *requests);

/* The same, but a work item does it. Context: any. */
void r3map_managed_stall(struct r3map_managed *managed, struct list_head *requests);

static inline void r3map_managed_add(struct r3map_managed *managed, enum r3map_a_counter counter,
				     u64 n)
{
	this_cpu_add(managed->counter[counter], n);
}

/* What is in the store is on its disk, if it has one. Context: sleeps, for a disk. */
int r3map_managed_save(struct r3map_managed *managed);
/* Can the device go, and nothing is lost with it? Context: nobody makes it dirty. */
bool r3map_managed_is_settled(struct r3map_managed *managed);
/* Bytes of its tables. */
u64 r3map_managed_memory(const struct r3map_managed *managed);
/* Adds to @counter, an array of all, what was counted here. */
void r3map_managed_count(const struct r3map_managed *managed, u64 *counter);

#endif
