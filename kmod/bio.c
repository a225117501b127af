// SPDX-License-Identifier: GPL-2.0-only
/*
 * The entry of the data path: a bio is split to the limits, checked, and given to the queue of its
 * CPU, or to the chunk map of a managed device, as a request. What cannot be served ends here.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>

#include "bio.h"
#include "device.h"
#include "hold.h"
#include "managed.h"
#include "queue.h"
#include "request.h"
#include "throttle.h"

static blk_status_t bio_check(const struct bio *bio)
{
	enum req_op op = bio_op(bio);

	if (op != REQ_OP_READ && op != REQ_OP_WRITE && op != REQ_OP_DISCARD &&
	    op != REQ_OP_WRITE_ZEROES)
		return BLK_STS_NOTSUPP;
	if (!bio->bi_iter.bi_size && !(bio->bi_opf & REQ_PREFLUSH))
		return BLK_STS_NOTSUPP;
	/* Before 6.5 the block layer lets it through, and nobody means it. */
	if (op != REQ_OP_WRITE && (bio->bi_opf & REQ_PREFLUSH))
		return BLK_STS_NOTSUPP;
	/* The block layer only warns. A flush of a read-only disk is harmless. */
	if (op_is_write(op) && bio->bi_iter.bi_size && bdev_read_only(bio->bi_bdev))
		return BLK_STS_IOERR;
	return BLK_STS_OK;
}

/* It never became a request. */
static void bio_refuse(struct r3map_queue *queue, struct bio *bio, blk_status_t status)
{
	spin_lock(&queue->lock);
	queue->counter[status == BLK_STS_AGAIN ? R3MAP_A_COUNTER_WOULD_BLOCK :
						 R3MAP_A_COUNTER_ERRORS]++;
	spin_unlock(&queue->lock);
	bio->bi_status = status;
	bio_endio(bio);
}

static struct r3map_queue *bio_queue(struct r3map_device *dev)
{
	return &dev->queues[raw_smp_processor_id() % dev->params.queues];
}

void r3map_bio_submit(struct bio *bio)
{
	struct r3map_device *dev = bio->bi_bdev->bd_disk->private_data;
	blk_status_t status;

	bio = bio_split_to_limits(bio);
	if (!bio)
		return;
	status = bio_check(bio);
	if (unlikely(status))
		bio_refuse(bio_queue(dev), bio, status);
	else if (r3map_throttle_enter(&dev->throttle, bio, &status))
		r3map_bio_admit(bio);
	else if (status)
		bio_refuse(bio_queue(dev), bio, status);
}

void r3map_bio_admit(struct bio *bio)
{
	struct r3map_device *dev = bio->bi_bdev->bd_disk->private_data;
	struct r3map_queue *queue = bio_queue(dev);
	struct r3map_request *request;
	blk_status_t status;

	if (!r3map_hold_enter(&dev->held, bio, &status)) {
		if (status)
			bio_refuse(queue, bio, status);
		return;
	}
	if (dev->managed && r3map_managed_try(dev->managed, bio))
		return;
	request = r3map_request_new(dev, bio);
	if (unlikely(!request)) {
		if (r3map_bio_writes(bio)) {
			/* A part of it may be in the store. */
			r3map_epochs_mark(&dev->epochs, bio->bi_iter.bi_sector << SECTOR_SHIFT,
					  bio->bi_iter.bi_size);
			r3map_hold_leave(&dev->held);
		}
		bio_refuse(queue, bio, BLK_STS_AGAIN);
		return;
	}
	if (dev->managed)
		r3map_managed_submit(dev->managed, request);
	else
		r3map_queue_submit(queue, request);
}
