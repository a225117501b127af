// SPDX-License-Identifier: GPL-2.0-only
/*
 * From ready to flying: making QUEUE_REQUEST messages and sending them. See queue.h for the credit.
 *
 * A message that cannot be made or sent now is tried again, by a work item that may wait for
 * memory. So that this ends even when all memory waits for us, each queue keeps one message in
 * reserve.
 */
#include <linux/ktime.h>
#include <linux/skbuff.h>
#include <net/genetlink.h>
#include <net/sock.h>

#include "device.h"
#include "main.h"
#include "message.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

#define SEND_RESERVE_NR		8		/* requests that fit in the reserve, if shared */
#define SEND_INLINE_PAYLOAD	65536		/* bytes that an inline message gathers */
#define SEND_RETRY_MS		5

static void send_retry_later(struct r3map_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	queue->counter[R3MAP_A_COUNTER_DELAYED]++;
	queue_delayed_work(r3map_workqueue, &queue->retry, msecs_to_jiffies(SEND_RETRY_MS));
}

struct sk_buff *r3map_queue_new_reserve(const struct r3map_queue *queue, gfp_t gfp)
{
	if (queue->inlined)
		return r3map_message_new(1, queue->dev->params.max_io, gfp);
	return r3map_message_new(SEND_RESERVE_NR, 0, gfp);
}

static struct sk_buff *send_take_reserve(struct r3map_queue *queue)
{
	struct sk_buff *skb = queue->reserve;

	lockdep_assert_held(&queue->lock);
	queue->reserve = NULL;
	/* The work item fills it again, or tries again if there is none. */
	send_retry_later(queue);
	return skb;
}

void r3map_queue_retry(struct work_struct *work)
{
	struct r3map_queue *queue = container_of(to_delayed_work(work), struct r3map_queue, retry);
	struct sk_buff *skb;

	/* What waiting would free may be waiting for this message: use the system's reserves. */
	skb = r3map_queue_new_reserve(queue, GFP_NOIO | __GFP_MEMALLOC);
	spin_lock(&queue->lock);
	if (!queue->reserve && queue->socket.sk)
		swap(queue->reserve, skb);
	if (!queue->reserve && queue->socket.sk)
		send_retry_later(queue);
	r3map_queue_run(queue, GFP_NOIO);
	kfree_skb(skb);
}

/* --- where a message goes ----------------------------------------------------------------- */

struct send_target {
	struct sock *sk;	/* a reference */
	u32 portid;
	u32 epoch;
	u32 seq;		/* the number of the message */
};

/* Takes the credit for the next message. */
static void send_begin(struct r3map_queue *queue, struct send_target *target)
{
	lockdep_assert_held(&queue->lock);
	queue->credit = false;
	target->sk = queue->socket.sk;
	sock_hold(target->sk);
	target->portid = queue->socket.portid;
	target->epoch = queue->epoch;
	target->seq = ++queue->seq;
}

/* The message did not reach the helper: what was in it is ready again, in its old order. */
static void send_undo(struct r3map_queue *queue, const struct send_target *target)
{
	struct r3map_request *request, *prev;
	struct r3map_slot *slot;
	u32 i;

	spin_lock(&queue->lock);
	if (queue->epoch != target->epoch) {
		spin_unlock(&queue->lock);
		return;
	}
	list_for_each_entry_safe_reverse(request, prev, &queue->flying, node) {
		slot = &queue->slots[request->slot];
		if (slot->message != target->seq)
			continue;
		slot->sent = false;
		list_move(&request->node, &queue->ready);
		queue->nr_flying--;
		queue->nr_ready++;
	}
	/* Some may have timed out meanwhile: no answer will come for them. */
	for (i = 0; i < queue->depth; i++)
		if (queue->slots[i].abandoned && queue->slots[i].message == target->seq)
			r3map_slot_free(queue, i);
	queue->credit = true;
	send_retry_later(queue);
	spin_unlock(&queue->lock);
}

/* Consumes @skb and the target's socket. */
static void send_message(struct r3map_queue *queue, struct sk_buff *skb,
			 const struct send_target *target)
{
	int err = -ECONNREFUSED;

	/* Of a socket that was closed the port may be somebody else's by now. */
	if (likely(!sock_flag(target->sk, SOCK_DEAD)))
		err = genlmsg_unicast(sock_net(target->sk), skb, target->portid);
	else
		kfree_skb(skb);
	sock_put(target->sk);
	if (unlikely(err))
		send_undo(queue, target);
}

/* --- shared transport --------------------------------------------------------------------- */

/* A message of descriptors only, made under the lock. */
static void send_shared(struct r3map_queue *queue)
	__releases(&queue->lock)
{
	u32 nr = min_t(u32, queue->nr_ready, R3MAP_MAX_BATCH);
	struct r3map_request *request, *next;
	struct send_target target;
	struct r3map_desc *desc;
	struct sk_buff *skb;
	u32 i = 0;
	u64 now;

	skb = r3map_message_new(nr, 0, GFP_NOWAIT);
	if (unlikely(!skb)) {
		skb = send_take_reserve(queue);
		nr = min_t(u32, nr, SEND_RESERVE_NR);
	}
	if (unlikely(!skb)) {
		spin_unlock(&queue->lock);
		return;
	}
	send_begin(queue, &target);
	desc = r3map_message_begin(skb, queue, target.portid, target.seq, nr);
	now = ktime_get_ns();
	list_for_each_entry_safe(request, next, &queue->ready, node) {
		if (i == nr)
			break;
		r3map_message_describe(&desc[i], request, r3map_slot_tag(queue, request->slot),
				       now);
		if (request->op == R3MAP_OP_READ && !request->missed)
			desc[i].flags |= R3MAP_DESC_LEND;
		i++;
		list_del(&request->node);
		queue->nr_ready--;
		r3map_queue_add_flying(queue, request, target.seq);
	}
	r3map_message_end(skb);
	queue->counter[R3MAP_A_COUNTER_REQUEST_MESSAGES]++;
	trace_r3map_send(queue, target.seq, nr);
	spin_unlock(&queue->lock);
	send_message(queue, skb, &target);
}

/* --- inline transport --------------------------------------------------------------------- */

struct send_batch {
	struct list_head requests;	/* the sender's: on no list of the queue */
	u32 nr;
	u32 payload;			/* bytes */
};

static u32 send_payload(const struct r3map_request *request)
{
	return request->op == R3MAP_OP_WRITE ? request->length : 0;
}

static void send_take_batch(struct r3map_queue *queue, struct send_batch *batch)
{
	struct r3map_request *request, *next;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry_safe(request, next, &queue->ready, node) {
		u32 length = send_payload(request);

		if (batch->nr == R3MAP_MAX_BATCH ||
		    (batch->nr && batch->payload + length > SEND_INLINE_PAYLOAD))
			break;
		batch->payload += length;
		batch->nr++;
		list_move_tail(&request->node, &batch->requests);
		queue->nr_ready--;
	}
}

/* Gives all but the first @keep requests of @batch back. */
static void send_untake(struct r3map_queue *queue, struct send_batch *batch, u32 keep)
{
	struct r3map_request *request, *prev;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry_safe_reverse(request, prev, &batch->requests, node) {
		if (batch->nr == keep)
			break;
		batch->payload -= send_payload(request);
		batch->nr--;
		list_move(&request->node, &queue->ready);
		queue->nr_ready++;
	}
}

static void send_fill(struct r3map_queue *queue, struct sk_buff *skb,
		      const struct send_target *target, const struct send_batch *batch)
{
	struct r3map_data_writer writer;
	struct r3map_request *request;
	struct r3map_desc *desc;
	u64 now;

	desc = r3map_message_begin(skb, queue, target->portid, target->seq, batch->nr);
	now = ktime_get_ns();
	r3map_data_begin(&writer, skb, batch->payload);
	list_for_each_entry(request, &batch->requests, node) {
		r3map_message_describe(desc++, request, r3map_slot_tag(queue, request->slot), now);
		if (request->op == R3MAP_OP_WRITE)
			r3map_data_store(&writer, request->bio);
	}
	r3map_message_end(skb);
}

/* The helper went while the message was built. True if there is another one to serve. */
static bool send_lost_helper(struct r3map_queue *queue, struct send_batch *batch,
			     struct list_head *lost)
{
	struct r3map_request *request, *next;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry_safe(request, next, &batch->requests, node) {
		list_del(&request->node);
		r3map_queue_take_back(queue, request, lost);
	}
	return queue->gate == R3MAP_GATE_SERVE;
}

/*
 * Payload is copied into the message, so it is built without the lock, by the task that took the
 * credit and the requests.
 */
static void send_inline(struct r3map_queue *queue, gfp_t gfp)
	__releases(&queue->lock)
{
	struct send_batch batch = { .requests = LIST_HEAD_INIT(batch.requests) };
	struct r3map_request *request, *next;
	struct send_target target;
	struct sk_buff *skb;
	LIST_HEAD(lost);

	send_begin(queue, &target);
	send_take_batch(queue, &batch);
	spin_unlock(&queue->lock);

	skb = r3map_message_new(batch.nr, batch.payload, gfp);
	if (unlikely(!skb)) {
		spin_lock(&queue->lock);
		if (queue->epoch == target.epoch) {
			skb = send_take_reserve(queue);
			send_untake(queue, &batch, skb ? 1 : 0);
			queue->credit = !skb;
		}
		spin_unlock(&queue->lock);
	}
	if (likely(skb))
		send_fill(queue, skb, &target, &batch);

	spin_lock(&queue->lock);
	if (unlikely(queue->epoch != target.epoch)) {
		kfree_skb(skb);
		skb = NULL;
		if (send_lost_helper(queue, &batch, &lost))
			send_retry_later(queue);
	}
	if (likely(skb)) {
		list_for_each_entry_safe(request, next, &batch.requests, node) {
			list_del(&request->node);
			r3map_queue_add_flying(queue, request, target.seq);
		}
		queue->counter[R3MAP_A_COUNTER_REQUEST_MESSAGES]++;
		trace_r3map_send(queue, target.seq, batch.nr);
	}
	spin_unlock(&queue->lock);

	if (likely(skb))
		send_message(queue, skb, &target);
	else
		sock_put(target.sk);
	r3map_queue_lose(queue, &lost);
}

void r3map_queue_send(struct r3map_queue *queue, gfp_t gfp)
	__releases(&queue->lock)
{
	if (queue->gate != R3MAP_GATE_SERVE || !queue->credit || !queue->nr_ready)
		spin_unlock(&queue->lock);
	else if (queue->inlined)
		send_inline(queue, gfp);
	else
		send_shared(queue);
}
