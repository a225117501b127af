// SPDX-License-Identifier: GPL-2.0-only
/*
 * The helper's answers: checked as a whole, then applied as a whole.
 *
 * Under the lock the completed requests leave the queue; without it the payload of reads is
 * copied; under it again their slots become free, and what waited for them goes out, before the
 * bios are ended. A read whose payload was lent, and is not in memory, is asked for again.
 */
#include <linux/blkdev.h>
#include <linux/ktime.h>
#include <linux/netlink.h>

#include "area.h"
#include "device.h"
#include "lent.h"
#include "managed.h"
#include "message.h"
#include "queue.h"
#include "request.h"

static struct r3map_completion complete_get(const struct r3map_answer *answer, u32 i)
{
	struct r3map_completion comp;

	memcpy(&comp, answer->comps + i * sizeof(comp), sizeof(comp));
	return comp;
}

/* Where the payload of completion @i is; 0: in the area, or in the message. */
static u64 complete_address(const struct r3map_answer *answer, u32 i)
{
	u64 address = 0;

	if (answer->addresses)
		memcpy(&address, answer->addresses + i * sizeof(address), sizeof(address));
	return address;
}

static int complete_check_one(struct r3map_queue *queue, const struct r3map_answer *answer, u32 i,
			      u64 *payload, struct netlink_ext_ack *extack)
{
	struct r3map_completion comp = complete_get(answer, i);
	u32 number = r3map_tag_slot(comp.tag);
	struct r3map_slot *slot;
	u32 most;

	if (number >= queue->depth) {
		NL_SET_ERR_MSG(extack, "tag was never given out");
		return -EINVAL;
	}
	slot = &queue->slots[number];
	if (comp.tag != r3map_slot_tag(queue, number) || slot->marked ||
	    (!slot->sent && !slot->abandoned)) {
		NL_SET_ERR_MSG(extack, "tag is not in flight");
		return -ENOENT;
	}
	if (comp.error > 0 || comp.error < -MAX_ERRNO) {
		NL_SET_ERR_MSG(extack, "error is not 0 or a negative errno");
		return -EINVAL;
	}
	most = r3map_op_has_payload(slot->op) && !comp.error ? slot->length : 0;
	if (comp.bytes > most) {
		NL_SET_ERR_MSG(extack, "completion of more bytes than were asked for");
		return -EINVAL;
	}
	if (complete_address(answer, i) && (slot->op != R3MAP_OP_READ || queue->inlined)) {
		NL_SET_ERR_MSG(extack, "only READs of the shared transport have addresses");
		return -EINVAL;
	}
	if (slot->op == R3MAP_OP_READ)
		*payload += comp.bytes;
	slot->marked = true;
	return 0;
}

static int complete_check_owner(const struct r3map_queue *queue, const struct sock *sk,
				struct netlink_ext_ack *extack)
{
	if (READ_ONCE(queue->socket.sk) == sk)
		return 0;
	NL_SET_ERR_MSG(extack, "this socket does not own the queue");
	return -EPERM;
}

static int complete_check_head(struct r3map_queue *queue, const struct r3map_answer *answer,
			       struct netlink_ext_ack *extack)
{
	int err = complete_check_owner(queue, answer->sk, extack);

	if (err)
		return err;
	if (answer->generation && *answer->generation != queue->socket.generation) {
		NL_SET_ERR_MSG(extack, "the device has another generation now");
		return -ESTALE;
	}
	if (answer->seq && (s32)(*answer->seq - queue->seq) > 0) {
		NL_SET_ERR_MSG(extack, "no message with this number was sent");
		return -EINVAL;
	}
	return 0;
}

/* The whole message is right, or nothing of it is applied. */
static int complete_check(struct r3map_queue *queue, const struct r3map_answer *answer,
			  struct netlink_ext_ack *extack)
{
	u32 marked = 0;
	u64 payload = 0;
	int err;

	lockdep_assert_held(&queue->lock);
	err = complete_check_head(queue, answer, extack);
	while (!err && marked < answer->nr) {
		err = complete_check_one(queue, answer, marked, &payload, extack);
		if (!err)
			marked++;
	}
	if (!err && (queue->inlined ? payload : 0) != r3map_data_length(answer->nlh)) {
		NL_SET_ERR_MSG(extack, "DATA does not match the bytes of the completed reads");
		err = -EINVAL;
	}
	while (marked-- > 0)
		queue->slots[r3map_tag_slot(complete_get(answer, marked).tag)].marked = false;
	return err;
}

/* Takes the completed requests off the list; abandoned slots are free at last. */
static void complete_take(struct r3map_queue *queue, const struct r3map_answer *answer,
			  struct list_head *done)
{
	u32 data = 0, i;

	lockdep_assert_held(&queue->lock);
	for (i = 0; i < answer->nr; i++) {
		struct r3map_completion comp = complete_get(answer, i);
		u16 number = r3map_tag_slot(comp.tag);
		struct r3map_slot *slot = &queue->slots[number];
		struct r3map_request *request = slot->request;
		u32 at = data;

		if (slot->op == R3MAP_OP_READ)
			data += comp.bytes;
		if (!request) {
			r3map_slot_free(queue, number);
			continue;
		}
		request->error = comp.error;
		request->bytes = comp.bytes;
		request->data = at;
		request->lent = complete_address(answer, i);
		list_move_tail(&request->node, done);
		queue->nr_flying--;
		/* Not the timeout's any more, nor of use to a second completion. */
		slot->request = NULL;
		slot->sent = false;
		slot->seq++;
	}
}

static blk_status_t complete_status(const struct r3map_request *request)
{
	switch (request->error) {
	case 0:
		if (r3map_op_has_payload(request->op) && request->bytes != request->length)
			return BLK_STS_IOERR;
		return BLK_STS_OK;
	/* These mean more to the block layer than an error of the backend. */
	case -EAGAIN:
	case -EREMCHG:
		return BLK_STS_IOERR;
	default:
		return errno_to_blk_status(request->error);
	}
}

/* From where the helper has it; what cannot be read there is to come by the area, once more. */
static void complete_load_lent(struct r3map_request *request)
{
	request->borrowed = r3map_lent_load(request->lent, request->bio);
	if (request->borrowed)
		request->lent = 0;
	else if (request->missed)
		request->error = -EFAULT;
	request->missed = request->lent;
}

/* The payload of reads. A short one fails: its bytes are not worth having. */
static void complete_load(const struct r3map_queue *queue, struct r3map_area *area,
			  const struct nlmsghdr *nlh, struct list_head *done)
{
	struct r3map_data_reader reader;
	struct r3map_request *request;

	if (queue->inlined)
		r3map_data_open(&reader, nlh);
	list_for_each_entry(request, done, node) {
		if (request->op != R3MAP_OP_READ || complete_status(request))
			continue;
		if (queue->inlined)
			r3map_data_load(&reader, request->data, request->bio);
		else if (request->lent)
			complete_load_lent(request);
		else
			r3map_area_load(area, request->area, request->bio);
	}
}

static void complete_count(struct r3map_queue *queue, const struct r3map_request *request,
			   u64 now)
{
	r3map_latency_note(&queue->latency[request->op], now - request->sent);
	queue->counter[r3map_op_counter(request->op)]++;
	if (request->op == R3MAP_OP_READ) {
		queue->counter[R3MAP_A_COUNTER_READ_BYTES] += request->length;
		queue->counter[R3MAP_A_COUNTER_LENT] += request->borrowed;
	} else if (request->op == R3MAP_OP_WRITE) {
		queue->counter[R3MAP_A_COUNTER_WRITE_BYTES] += request->length;
	} else if (request->op == R3MAP_OP_FETCH) {
		queue->counter[R3MAP_A_COUNTER_FETCH_BYTES] += request->length;
	}
}

/*
 * Gives the slots of @done back and starts the second stage of those that have one; for a managed
 * device it is not this queue's, and they go to @on.
 */
static void complete_settle(struct r3map_queue *queue, struct list_head *done, bool same_helper,
			    struct list_head *on, struct list_head *lost)
{
	struct r3map_request *request, *next;
	const u64 now = ktime_get_ns();

	lockdep_assert_held(&queue->lock);
	list_for_each_entry_safe(request, next, done, node) {
		if (likely(same_helper))
			r3map_slot_free(queue, request->slot);
		if (complete_status(request)) {
			if (request->bio)
				queue->counter[R3MAP_A_COUNTER_ERRORS]++;
			r3map_queue_forget(queue, 1);
			continue;
		}
		if (request->lent) {
			list_del(&request->node);
			request->since = jiffies;
			r3map_queue_take_back(queue, request, lost);
			continue;
		}
		complete_count(queue, request, now);
		if (request->op == R3MAP_OP_FLUSH && queue->dev->managed)
			r3map_chunks_flushed(&queue->dev->managed->chunks);
		if (!request->flush_first) {
			r3map_queue_forget(queue, 1);
			continue;
		}
		r3map_request_next_stage(request);
		list_del(&request->node);
		if (queue->dev->managed) {
			r3map_queue_forget(queue, 1);
			list_add_tail(&request->node, on);
		} else {
			r3map_queue_take_back(queue, request, lost);
		}
	}
}

int r3map_queue_complete(struct r3map_queue *queue, const struct r3map_answer *answer,
			 struct netlink_ext_ack *extack)
{
	struct r3map_request *request, *next;
	struct r3map_area *area = NULL;
	LIST_HEAD(done);
	LIST_HEAD(lost);
	LIST_HEAD(on);
	u32 epoch;
	int err;

	/* Anybody may send this. A stranger gets no further: to no lock, and to no counter. */
	err = complete_check_owner(queue, answer->sk, extack);
	if (err)
		return err;
	spin_lock(&queue->lock);
	err = complete_check(queue, answer, extack);
	if (err) {
		queue->counter[R3MAP_A_COUNTER_REFUSED]++;
		spin_unlock(&queue->lock);
		return err;
	}
	queue->counter[R3MAP_A_COUNTER_COMPLETE_MESSAGES]++;
	complete_take(queue, answer, &done);
	if (answer->seq && *answer->seq == queue->seq)
		queue->credit = true;
	epoch = queue->epoch;
	if (queue->area)
		area = r3map_area_get(queue->area);
	spin_unlock(&queue->lock);

	complete_load(queue, area, answer->nlh, &done);

	spin_lock(&queue->lock);
	complete_settle(queue, &done, queue->epoch == epoch, &on, &lost);
	r3map_queue_run(queue, GFP_NOWAIT);
	r3map_area_put(area);

	list_for_each_entry_safe(request, next, &done, node)
		r3map_request_end(queue->dev, request, complete_status(request));
	r3map_queue_lose(queue, &lost);
	if (unlikely(!list_empty(&on)))
		r3map_managed_run(queue->dev->managed, &on);
	return 0;
}
