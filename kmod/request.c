// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests: making them, from a reserve when memory is short, and ending them.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/ktime.h>
#include <linux/mempool.h>
#include <linux/slab.h>
#include <linux/r3map.h>

#include "device.h"
#include "managed.h"
#include "request.h"
#include "trace.h"

/* So many bios of a device make progress however short memory is. */
#define REQUEST_RESERVE 32

static struct kmem_cache *request_cache;

static_assert(R3MAP_OP_READ == 0 && R3MAP_OP_WRITE == 1);

int r3map_request_init(void)
{
	request_cache = KMEM_CACHE(r3map_request, 0);
	return request_cache ? 0 : -ENOMEM;
}

void r3map_request_exit(void)
{
	kmem_cache_destroy(request_cache);
}

mempool_t *r3map_request_pool_new(void)
{
	return mempool_create_slab_pool(REQUEST_RESERVE, request_cache);
}

enum r3map_a_counter r3map_op_counter(u8 op)
{
	static const u8 counters[] = {
		[R3MAP_OP_READ] = R3MAP_A_COUNTER_READS,
		[R3MAP_OP_WRITE] = R3MAP_A_COUNTER_WRITES,
		[R3MAP_OP_FLUSH] = R3MAP_A_COUNTER_FLUSHES,
		[R3MAP_OP_DISCARD] = R3MAP_A_COUNTER_DISCARDS,
		[R3MAP_OP_WRITE_ZEROES] = R3MAP_A_COUNTER_ZEROES,
		[R3MAP_OP_FETCH] = R3MAP_A_COUNTER_FETCHES,
	};

	return counters[op];
}

static u8 request_op(const struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return R3MAP_OP_READ;
	case REQ_OP_DISCARD:
		return R3MAP_OP_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return R3MAP_OP_WRITE_ZEROES;
	default:
		return R3MAP_OP_WRITE;
	}
}

struct r3map_request *r3map_request_new(struct r3map_device *dev, struct bio *bio)
{
	gfp_t gfp = bio->bi_opf & REQ_NOWAIT ? GFP_NOWAIT : GFP_NOIO;
	struct r3map_request *request;

	request = mempool_alloc(dev->requests, gfp);
	if (!request)
		return NULL;
	request->bio = bio;
	request->offset = bio->bi_iter.bi_sector << SECTOR_SHIFT;
	request->length = bio->bi_iter.bi_size;
	request->op = request_op(bio);
	request->writes = r3map_bio_writes(bio);
	request->flush_first = false;
	request->issued = false;
	request->owner = false;
	request->counted = false;
	request->sampled = false;
	request->demanded = false;
	request->waited = false;
	request->saved = false;
	request->missed = false;
	request->borrowed = false;
	if (dev->managed)
		request->begun = ktime_get_ns();
	request->area = 0;
	if (bio->bi_opf & REQ_PREFLUSH) {
		/* A flush of its own, or one before the data: the write follows when it is done. */
		request->flush_first = request->length;
		request->op = R3MAP_OP_FLUSH;
	}
	request->accounted = blk_queue_io_stat(bdev_get_queue(bio->bi_bdev));
	if (request->accounted)
		request->start = bio_start_io_acct(bio);
	else
		request->start = jiffies;
	request->since = request->start;
	return request;
}

static void request_begin(struct r3map_request *request, u8 op)
{
	memset(request, 0, sizeof(*request));
	request->op = op;
	request->start = jiffies;
	request->since = request->start;
}

struct r3map_request *r3map_request_new_fetch(mempool_t *pool, u64 offset, u32 length)
{
	struct r3map_request *request = mempool_alloc(pool, GFP_NOWAIT);

	if (!request)
		return NULL;
	request_begin(request, R3MAP_OP_FETCH);
	request->offset = offset;
	request->length = length;
	return request;
}

struct r3map_request *r3map_request_new_sync(u64 number)
{
	struct r3map_request *request = kmem_cache_alloc(request_cache, GFP_NOIO);

	if (!request)
		return NULL;
	request_begin(request, R3MAP_OP_FLUSH);
	request->sync = number;
	return request;
}

void r3map_request_free_sync(struct r3map_request *request)
{
	kmem_cache_free(request_cache, request);
}

void r3map_request_next_stage(struct r3map_request *request)
{
	request->flush_first = false;
	request->issued = false;
	request->op = R3MAP_OP_WRITE;
	request->since = jiffies;
	request->begun = ktime_get_ns();
}

void r3map_request_end(struct r3map_device *dev, struct r3map_request *request,
		       blk_status_t status)
{
	struct bio *bio = request->bio;

	trace_r3map_complete(dev, request, status);
	if (!bio) {
		if (request->op == R3MAP_OP_FETCH)
			r3map_managed_fetched(dev->managed, request, status);
		else
			r3map_device_synced(dev, request, status);
		return;
	}
	if (request->writes) {
		/* Also when it failed: nobody knows how far it came. */
		r3map_epochs_mark(&dev->epochs, request->offset, request->length);
		r3map_hold_leave(&dev->held);
	}
	r3map_hold_served(&dev->held);
	if (request->accounted)
		bio_end_io_acct(bio, request->start);
	mempool_free(request, dev->requests);
	bio->bi_status = status;
	bio_endio(bio);
}

void r3map_request_end_list(struct r3map_device *dev, struct list_head *list,
			    blk_status_t status)
{
	struct r3map_request *request, *next;

	list_for_each_entry_safe(request, next, list, node) {
		list_del(&request->node);
		r3map_request_end(dev, request, status);
	}
}
