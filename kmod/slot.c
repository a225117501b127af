// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking and giving back slots. See slot.h.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "area.h"
#include "queue.h"
#include "request.h"
#include "slot.h"

u64 r3map_slot_tag(const struct r3map_queue *queue, u16 slot)
{
	return (u64)queue->slots[slot].seq << 32 | slot;
}

bool r3map_slot_take(struct r3map_queue *queue, struct r3map_request *request)
{
	struct r3map_slot *slot;

	lockdep_assert_held(&queue->lock);
	if (!queue->nr_free)
		return false;
	if (queue->area && r3map_op_has_payload(request->op) &&
	    !r3map_area_alloc(queue->area, request->length, &request->area))
		return false;
	request->slot = queue->free_slots[--queue->nr_free];
	slot = &queue->slots[request->slot];
	slot->request = request;
	slot->op = request->op;
	slot->area = request->area;
	slot->length = request->length;
	return true;
}

static void slot_clear(struct r3map_queue *queue, u16 number)
{
	struct r3map_slot *slot = &queue->slots[number];

	slot->request = NULL;
	slot->sent = false;
	slot->abandoned = false;
	slot->seq++;
	queue->free_slots[queue->nr_free++] = number;
}

void r3map_slot_free(struct r3map_queue *queue, u16 number)
{
	struct r3map_slot *slot = &queue->slots[number];

	lockdep_assert_held(&queue->lock);
	if (queue->area && r3map_op_has_payload(slot->op))
		r3map_area_free(queue->area, slot->area, slot->length);
	slot_clear(queue, number);
}

void r3map_slot_reset(struct r3map_queue *queue)
{
	u32 i;

	lockdep_assert_held(&queue->lock);
	queue->nr_free = 0;
	for (i = queue->depth; i-- > 0;)
		slot_clear(queue, i);
}

int r3map_slot_init(struct r3map_queue *queue)
{
	u32 i;

	queue->slots = kvcalloc(queue->depth, sizeof(*queue->slots), GFP_KERNEL);
	queue->free_slots = kvmalloc_array(queue->depth, sizeof(*queue->free_slots), GFP_KERNEL);
	if (!queue->slots || !queue->free_slots)
		return -ENOMEM;
	/* Tags of an earlier device with the same index are not those of this one. */
	for (i = 0; i < queue->depth; i++)
		queue->slots[i].seq = get_random_u32();
	spin_lock(&queue->lock);
	r3map_slot_reset(queue);
	spin_unlock(&queue->lock);
	return 0;
}

void r3map_slot_exit(struct r3map_queue *queue)
{
	kvfree(queue->free_slots);
	kvfree(queue->slots);
}
