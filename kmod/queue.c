// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lists of a queue, and what happens to them when time passes and helpers come and go.
 * See queue.h.
 */
#include <linux/netlink.h>
#include <linux/skbuff.h>
#include <net/sock.h>

#include "area.h"
#include "device.h"
#include "managed.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

/* --- lists ------------------------------------------------------------------------------- */

void r3map_queue_add_waiting(struct r3map_queue *queue, struct r3map_request *request)
{
	lockdep_assert_held(&queue->lock);
	list_add_tail(&request->node, &queue->waiting);
	queue->nr_waiting++;
	if (queue->gate == R3MAP_GATE_HOLD) {
		queue->counter[R3MAP_A_COUNTER_PARKED]++;
		trace_r3map_park(queue, 1);
	}
}

void r3map_queue_add_ready(struct r3map_queue *queue, struct r3map_request *request)
{
	lockdep_assert_held(&queue->lock);
	list_add_tail(&request->node, &queue->ready);
	queue->nr_ready++;
}

void r3map_queue_add_flying(struct r3map_queue *queue, struct r3map_request *request,
			    u32 message)
{
	struct r3map_slot *slot = &queue->slots[request->slot];

	lockdep_assert_held(&queue->lock);
	list_add_tail(&request->node, &queue->flying);
	queue->nr_flying++;
	slot->sent = true;
	slot->message = message;
	if (unlikely(request->issued))
		queue->counter[R3MAP_A_COUNTER_REISSUED]++;
}

void r3map_queue_take_back(struct r3map_queue *queue, struct r3map_request *request,
			   struct list_head *lost)
{
	lockdep_assert_held(&queue->lock);
	if (queue->gate == R3MAP_GATE_FAIL)
		list_add_tail(&request->node, lost);
	else
		r3map_queue_add_waiting(queue, request);
}

void r3map_queue_forget(struct r3map_queue *queue, u32 nr)
{
	lockdep_assert_held(&queue->lock);
	if (!WARN_ON_ONCE(nr > queue->nr_requests))
		queue->nr_requests -= nr;
}

void r3map_queue_lose(struct r3map_queue *queue, struct list_head *lost)
{
	struct r3map_request *request;

	if (likely(list_empty(lost)))
		return;
	spin_lock(&queue->lock);
	list_for_each_entry(request, lost, node) {
		if (request->bio)
			queue->counter[R3MAP_A_COUNTER_ERRORS]++;
		r3map_queue_forget(queue, 1);
	}
	spin_unlock(&queue->lock);
	r3map_request_end_list(queue->dev, lost, BLK_STS_IOERR);
}

/* --- from waiting to ready ---------------------------------------------------------------- */

bool r3map_queue_must_place(const struct r3map_queue *queue, const struct r3map_request *request)
{
	return request->op == R3MAP_OP_WRITE && queue->area;
}

/* Makes waiting requests ready as far as slots and room go, oldest first; writes go to @place. */
static void queue_admit(struct r3map_queue *queue, struct list_head *place)
{
	struct r3map_request *request, *next;

	lockdep_assert_held(&queue->lock);
	if (queue->gate != R3MAP_GATE_SERVE)
		return;
	list_for_each_entry_safe(request, next, &queue->waiting, node) {
		if (!r3map_slot_take(queue, request))
			break;
		list_del(&request->node);
		queue->nr_waiting--;
		if (r3map_queue_must_place(queue, request))
			list_add_tail(&request->node, place);
		else
			r3map_queue_add_ready(queue, request);
	}
}

/* Copies the payload of the writes on @place and makes them ready. The lock is dropped for it. */
static void queue_place(struct r3map_queue *queue, struct list_head *place,
			struct list_head *lost)
	__must_hold(&queue->lock)
{
	struct r3map_area *area = r3map_area_get(queue->area);
	struct r3map_request *request, *next;
	u32 epoch = queue->epoch;

	lockdep_assert_held(&queue->lock);
	spin_unlock(&queue->lock);
	list_for_each_entry(request, place, node)
		r3map_area_store(area, request->area, request->bio);
	r3map_area_put(area);
	spin_lock(&queue->lock);

	list_for_each_entry_safe(request, next, place, node) {
		list_del(&request->node);
		if (likely(queue->epoch == epoch))
			r3map_queue_add_ready(queue, request);
		else
			r3map_queue_take_back(queue, request, lost);
	}
}

void r3map_queue_run(struct r3map_queue *queue, gfp_t gfp)
	__releases(&queue->lock)
{
	LIST_HEAD(place);
	LIST_HEAD(lost);

	if (unlikely(queue->nr_waiting)) {
		queue_admit(queue, &place);
		while (!list_empty(&place)) {
			queue_place(queue, &place, &lost);
			queue_admit(queue, &place);
		}
	}
	r3map_queue_send(queue, gfp);
	r3map_queue_lose(queue, &lost);
}

/* --- the helper comes and goes ------------------------------------------------------------ */

int r3map_queue_bind(struct r3map_queue *queue, struct sock *sk, u32 portid,
		     struct r3map_area *area, struct netlink_ext_ack *extack)
{
	struct r3map_device *dev = queue->dev;
	struct sk_buff *reserve;

	lockdep_assert_held(&dev->lock);
	if (queue->socket.sk) {
		NL_SET_ERR_MSG(extack, "the queue has a socket already");
		return -EBUSY;
	}
	reserve = r3map_queue_new_reserve(queue, GFP_NOIO);
	if (!reserve)
		return -ENOMEM;
	spin_lock(&queue->lock);
	r3map_socket_bind(&queue->socket, sk, portid, dev, dev->generation);
	queue->area = area;
	queue->reserve = reserve;
	queue->epoch++;
	spin_unlock(&queue->lock);
	return 0;
}

void r3map_queue_serve(struct r3map_queue *queue)
{
	struct r3map_request *request;

	lockdep_assert_held(&queue->dev->lock);
	spin_lock(&queue->lock);
	queue->gate = R3MAP_GATE_SERVE;
	queue->credit = true;
	list_for_each_entry(request, &queue->waiting, node)
		request->since = jiffies;
	r3map_queue_run(queue, GFP_NOIO);
}

static void queue_fail_waiting(struct r3map_queue *queue)
{
	LIST_HEAD(lost);

	spin_lock(&queue->lock);
	if (queue->gate == R3MAP_GATE_FAIL) {
		list_splice_init(&queue->waiting, &lost);
		queue->nr_waiting = 0;
	}
	spin_unlock(&queue->lock);
	r3map_queue_lose(queue, &lost);
}

void r3map_queue_set_gate(struct r3map_queue *queue, enum r3map_gate gate)
{
	lockdep_assert_held(&queue->dev->lock);
	spin_lock(&queue->lock);
	queue->gate = gate;
	spin_unlock(&queue->lock);
	if (gate == R3MAP_GATE_FAIL)
		queue_fail_waiting(queue);
}

/* Everything that has a slot waits again, oldest first, and the slots are free. */
static void queue_take_all_back(struct r3map_queue *queue)
{
	u32 taken = queue->nr_ready + queue->nr_flying;
	struct r3map_request *request;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry(request, &queue->flying, node)
		request->issued = true;
	list_splice_init(&queue->ready, &queue->waiting);
	list_splice_init(&queue->flying, &queue->waiting);
	queue->nr_waiting += taken;
	queue->nr_ready = 0;
	queue->nr_flying = 0;
	r3map_slot_reset(queue);
}

void r3map_queue_unbind(struct r3map_queue *queue, enum r3map_gate gate)
{
	struct r3map_area *area;
	struct sk_buff *reserve;
	struct sock *sk;

	lockdep_assert_held(&queue->dev->lock);
	r3map_socket_unbind(&queue->socket);

	spin_lock(&queue->lock);
	queue_take_all_back(queue);
	if (gate == R3MAP_GATE_HOLD && queue->gate == R3MAP_GATE_SERVE && queue->nr_waiting) {
		queue->counter[R3MAP_A_COUNTER_PARKED] += queue->nr_waiting;
		trace_r3map_park(queue, queue->nr_waiting);
	}
	queue->gate = gate;
	queue->epoch++;
	queue->credit = false;
	area = queue->area;
	queue->area = NULL;
	reserve = queue->reserve;
	queue->reserve = NULL;
	sk = queue->socket.sk;
	WRITE_ONCE(queue->socket.sk, NULL);
	spin_unlock(&queue->lock);

	r3map_area_put(area);
	kfree_skb(reserve);
	if (sk)
		sock_put(sk);
	if (gate == R3MAP_GATE_FAIL)
		queue_fail_waiting(queue);
}

/* --- time --------------------------------------------------------------------------------- */

/*
 * Who waits for a fetch has a bound of its own; the fetch has none, for as long as the helper may
 * still write to the store. A remote flush of a managed device takes as long as it makes progress.
 */
static bool queue_is_patient(const struct r3map_queue *queue, const struct r3map_request *request,
			     unsigned long before)
{
	const struct r3map_managed *managed = queue->dev->managed;

	return managed && (request->op == R3MAP_OP_FETCH ||
			   !time_before(READ_ONCE(managed->pushed), before));
}

/* Moves what is older than @before to @expired. The lists are sorted by age. */
static u32 queue_expire_list(struct r3map_queue *queue, struct list_head *list,
			     unsigned long before, struct list_head *expired)
{
	struct r3map_request *request, *next;
	u32 nr = 0, bios = 0;

	lockdep_assert_held(&queue->lock);
	list_for_each_entry_safe(request, next, list, node) {
		if (!time_before(request->since, before))
			break;
		if (queue_is_patient(queue, request, before))
			continue;
		list_move_tail(&request->node, expired);
		nr++;
		if (request->bio)
			bios++;
	}
	queue->counter[R3MAP_A_COUNTER_TIMEOUTS] += bios;
	queue->counter[R3MAP_A_COUNTER_ERRORS] += bios;
	r3map_queue_forget(queue, nr);
	return nr;
}

/* At the helper: the slot stays taken until it answers. */
static void queue_expire_flying(struct r3map_queue *queue, unsigned long before,
				struct list_head *expired)
{
	struct r3map_request *request;

	queue->nr_flying -= queue_expire_list(queue, &queue->flying, before, expired);
	list_for_each_entry(request, expired, node) {
		struct r3map_slot *slot = &queue->slots[request->slot];

		slot->request = NULL;
		slot->sent = false;
		slot->abandoned = true;
	}
}

/* Never sent: the slot is free at once. */
static void queue_expire_ready(struct r3map_queue *queue, unsigned long before,
			       struct list_head *expired)
{
	struct r3map_request *request;

	queue->nr_ready -= queue_expire_list(queue, &queue->ready, before, expired);
	list_for_each_entry(request, expired, node)
		r3map_slot_free(queue, request->slot);
}

bool r3map_queue_expire(struct r3map_queue *queue, unsigned long timeout)
{
	unsigned long before = jiffies - timeout;
	LIST_HEAD(flying);
	LIST_HEAD(ready);
	LIST_HEAD(waiting);
	bool busy;

	spin_lock(&queue->lock);
	if (queue->gate == R3MAP_GATE_SERVE) {
		queue_expire_flying(queue, before, &flying);
		queue_expire_ready(queue, before, &ready);
		queue->nr_waiting -= queue_expire_list(queue, &queue->waiting, before, &waiting);
	}
	busy = queue->nr_requests;
	r3map_queue_run(queue, GFP_NOIO);

	r3map_request_end_list(queue->dev, &flying, BLK_STS_TIMEOUT);
	r3map_request_end_list(queue->dev, &ready, BLK_STS_TIMEOUT);
	r3map_request_end_list(queue->dev, &waiting, BLK_STS_TIMEOUT);
	return busy;
}

/* --- making ------------------------------------------------------------------------------- */

int r3map_queue_init(struct r3map_queue *queue, struct r3map_device *dev, u32 id)
{
	queue->dev = dev;
	queue->id = id;
	queue->depth = dev->params.depth;
	queue->inlined = dev->params.transport == R3MAP_TRANSPORT_INLINE;
	spin_lock_init(&queue->lock);
	queue->gate = R3MAP_GATE_HOLD;
	INIT_LIST_HEAD(&queue->waiting);
	INIT_LIST_HEAD(&queue->ready);
	INIT_LIST_HEAD(&queue->flying);
	INIT_DELAYED_WORK(&queue->retry, r3map_queue_retry);
	return r3map_slot_init(queue);
}

void r3map_queue_exit(struct r3map_queue *queue)
{
	if (!queue->dev)
		return;
	cancel_delayed_work_sync(&queue->retry);
	WARN_ON_ONCE(queue->nr_requests);
	WARN_ON_ONCE(queue->nr_waiting || queue->nr_ready || queue->nr_flying);
	WARN_ON_ONCE(queue->socket.sk);
	r3map_slot_exit(queue);
}

u64 r3map_queue_area(const struct r3map_queue *queue)
{
	lockdep_assert_held(&queue->lock);
	return queue->area ? (u64)queue->area->nr_pages << PAGE_SHIFT : 0;
}

size_t r3map_queue_memory(struct r3map_queue *queue)
{
	size_t bytes = sizeof(*queue) +
		       queue->depth * (sizeof(*queue->slots) + sizeof(*queue->free_slots));

	spin_lock(&queue->lock);
	if (queue->area)
		bytes += r3map_area_memory(queue->area);
	spin_unlock(&queue->lock);
	return bytes;
}
