/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The slots of a queue: what makes a request answerable.
 *
 * A slot is free; taken by a request that is not sent yet; sent; or abandoned: its request timed
 * out, but it stays taken, with its room in the area, until the helper answers or is gone, for only
 * then is it known that nobody writes there any more.
 *
 * The tag that the helper sees is the slot's number and, above it, a sequence number that changes
 * whenever the slot does: an answer that comes twice or too late finds another tag.
 *
 * All of this is guarded by the lock of the queue.
 */
#ifndef R3MAP_SLOT_H
#define R3MAP_SLOT_H

#include <linux/types.h>

struct r3map_queue;
struct r3map_request;

struct r3map_slot {
	struct r3map_request *request;	/* NULL: free, abandoned or being completed */
	u32 seq;			/* upper half of the tag */
	u32 message;			/* number of the message it was sent in */
	u32 area;			/* room in the area */
	u32 length;			/* bytes of it */
	u8 op;				/* of the request */
	bool sent;
	bool abandoned;
	bool marked;			/* seen in the answer that is being checked */
};

/* Context: sleeps. Undone by r3map_slot_exit(), also after a failure. */
int r3map_slot_init(struct r3map_queue *queue);
void r3map_slot_exit(struct r3map_queue *queue);

/* Takes a slot and, where payload travels in the area, room for it. False: not now. */
bool r3map_slot_take(struct r3map_queue *queue, struct r3map_request *request);
void r3map_slot_free(struct r3map_queue *queue, u16 slot);
/* Forgets all of them; the area goes with its helper. */
void r3map_slot_reset(struct r3map_queue *queue);

u64 r3map_slot_tag(const struct r3map_queue *queue, u16 slot);
static inline u32 r3map_tag_slot(u64 tag)
{
	return tag & U32_MAX;
}

#endif
