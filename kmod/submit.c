// SPDX-License-Identifier: GPL-2.0-only
/*
 * Into the queue: from the submitter's hands to waiting or ready.
 */
#include <linux/blkdev.h>

#include "area.h"
#include "device.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

static blk_status_t submit_would_block(struct r3map_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	queue->counter[R3MAP_A_COUNTER_WOULD_BLOCK]++;
	return BLK_STS_AGAIN;
}

/* Puts @request on a list, or says why it cannot be. The lock is held, and dropped to copy. */
static blk_status_t submit_enter(struct r3map_queue *queue, struct r3map_request *request)
	__must_hold(&queue->lock)
{
	bool nowait = request->bio && request->bio->bi_opf & REQ_NOWAIT;
	struct r3map_area *area;
	u32 epoch;

	lockdep_assert_held(&queue->lock);
again:
	if (unlikely(queue->gate == R3MAP_GATE_FAIL)) {
		if (request->bio)
			queue->counter[R3MAP_A_COUNTER_ERRORS]++;
		return BLK_STS_IOERR;
	}
	/* The oldest first: nobody overtakes those that wait. */
	if (unlikely(queue->gate == R3MAP_GATE_HOLD) || unlikely(queue->nr_waiting) ||
	    unlikely(!r3map_slot_take(queue, request))) {
		if (nowait)
			return submit_would_block(queue);
		r3map_queue_add_waiting(queue, request);
		return BLK_STS_OK;
	}
	if (r3map_queue_must_place(queue, request)) {
		area = r3map_area_get(queue->area);
		epoch = queue->epoch;
		spin_unlock(&queue->lock);
		r3map_area_store(area, request->area, request->bio);
		r3map_area_put(area);
		spin_lock(&queue->lock);
		if (unlikely(queue->epoch != epoch))
			goto again;
	}
	r3map_queue_add_ready(queue, request);
	return BLK_STS_OK;
}

void r3map_queue_submit(struct r3map_queue *queue, struct r3map_request *request)
{
	struct r3map_device *dev = queue->dev;
	blk_status_t status;

	trace_r3map_submit(queue, request);
	spin_lock(&queue->lock);
	status = submit_enter(queue, request);
	if (unlikely(status)) {
		spin_unlock(&queue->lock);
		r3map_request_end(dev, request, status);
		return;
	}
	queue->nr_requests++;
	/*
	 * From here on @request may be gone. It is not held back for a plug: the first one goes at
	 * once, and those that follow gather for as long as the helper takes to answer.
	 */
	r3map_queue_run(queue, GFP_NOWAIT);
	r3map_device_arm(dev);
}
