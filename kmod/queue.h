/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A queue: the requests of some CPUs, and the helper's socket that serves them.
 *
 * Requests are on one of three lists, named by progress:
 *
 *   waiting	no slot or no room in the area yet, or no helper
 *   ready	slot and room are taken, a write's payload is in place; leaves with the next message
 *   flying	in a message that was sent; answered by the helper, or taken back
 *
 *	submit ──► waiting ──► ready ──► flying ──► ended
 *	                ▲         │        │
 *	                └─────────┴────────┘  the helper died: back, oldest first
 *
 * The owner of a request that is on no list is the one task that took it off under the lock: while
 * it copies payload, or ends the bio. Such a task remembers the epoch; when that has changed, the
 * helper it worked for is gone, and slots and area with it. nr_requests counts those, too, so that
 * time goes on being looked at while a request is on no list.
 *
 * Credit: one QUEUE_REQUEST message may be unanswered. The helper answers with its number; what
 * has gathered meanwhile goes out in the next one.
 *
 * Whoever changes what is waiting, the slots, the room, the credit or the gate calls
 * r3map_queue_run() afterwards: nothing waits that could go.
 *
 * The path of a request, file by file: bio.c, submit.c, queue.c, send.c, complete.c, request.c.
 * The lock is never held across a copy of payload, a wait, a send or the end of a bio.
 */
#ifndef R3MAP_QUEUE_H
#define R3MAP_QUEUE_H

#include <linux/list.h>
#include <linux/r3map.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "latency.h"
#include "slot.h"
#include "socket.h"

struct netlink_ext_ack;
struct nlmsghdr;
struct r3map_area;
struct r3map_device;
struct r3map_request;
struct sk_buff;

/* What a queue does with a bio; the device's state decides. */
enum r3map_gate {
	R3MAP_GATE_HOLD,	/* no helper: wait for one */
	R3MAP_GATE_SERVE,	/* a helper serves */
	R3MAP_GATE_FAIL,	/* no helper is coming: EIO */
};

struct r3map_queue {
	struct r3map_device *dev;	/* constant */
	u32 id;				/* constant */
	u32 depth;			/* constant */
	bool inlined;			/* constant: payload travels in the messages */
	struct delayed_work retry;	/* a message could not be made or sent */

	spinlock_t lock ____cacheline_aligned_in_smp;	/* guards the rest */
	enum r3map_gate gate;
	u32 epoch;			/* grows when the helper comes and when it goes */
	u32 seq;			/* of the last message */
	bool credit;			/* no message is unanswered */
	struct r3map_socket socket;	/* of the helper; bound while it is attached */
	struct r3map_area *area;	/* one reference; NULL if inline or without a helper */
	struct sk_buff *reserve;	/* a message for when memory is short */

	struct list_head waiting;
	struct list_head ready;
	struct list_head flying;
	u32 nr_waiting;
	u32 nr_ready;
	u32 nr_flying;
	u32 nr_requests;		/* submitted and not ended: on a list, or with an owner */

	struct r3map_slot *slots;	/* depth of them */
	u16 *free_slots;		/* stack of nr_free */
	u32 nr_free;

	u64 counter[__R3MAP_A_COUNTER_MAX];	/* by enum r3map_a_counter */
	struct r3map_latency latency[R3MAP_OP_FETCH + 1];	/* at the helper, by r3map_op */
};

/* queue.c */

/* Context: sleeps. @queue is zeroed memory; undone by r3map_queue_exit(), also after a failure. */
int r3map_queue_init(struct r3map_queue *queue, struct r3map_device *dev, u32 id);
void r3map_queue_exit(struct r3map_queue *queue);

/**
 * r3map_queue_bind - give @queue the socket and area of a helper; r3map_queue_serve() follows
 * @area: its reference becomes the queue's; NULL for the inline transport
 * Context: dev->lock is held.
 * Return: -EBUSY if the queue has a socket already; @area is still the caller's then.
 */
int r3map_queue_bind(struct r3map_queue *queue, struct sock *sk, u32 portid,
		     struct r3map_area *area, struct netlink_ext_ack *extack);

/* Opens the gate: all queues of the device are bound. Context: dev->lock is held; may sleep. */
void r3map_queue_serve(struct r3map_queue *queue);

/**
 * r3map_queue_unbind - the helper is gone: forget its socket and area, take everything back
 * @gate: HOLD or FAIL, what becomes of the requests
 * Context: dev->lock is held; does not wait for anybody.
 */
void r3map_queue_unbind(struct r3map_queue *queue, enum r3map_gate gate);

/* From HOLD to FAIL, or back. Context: dev->lock is held. */
void r3map_queue_set_gate(struct r3map_queue *queue, enum r3map_gate gate);

/**
 * r3map_queue_expire - fail what is older than @timeout jiffies
 * Context: may sleep.
 * Return: true if requests are left, also such as are on no list just now.
 */
bool r3map_queue_expire(struct r3map_queue *queue, unsigned long timeout);

/* Moves everything on that can move. Context: the lock is held, and released. */
void r3map_queue_run(struct r3map_queue *queue, gfp_t gfp) __releases(&queue->lock);

/* Lists; the lock is held. */
void r3map_queue_add_waiting(struct r3map_queue *queue, struct r3map_request *request);
void r3map_queue_add_ready(struct r3map_queue *queue, struct r3map_request *request);
void r3map_queue_add_flying(struct r3map_queue *queue, struct r3map_request *request,
			    u32 message);
/*
 * @request's owner lost its helper on the way, or it is to be sent once more: it waits again. If
 * the gate is FAIL it is still the owner's, on @lost, which r3map_queue_lose() ends.
 */
void r3map_queue_take_back(struct r3map_queue *queue, struct r3map_request *request,
			   struct list_head *lost);
/* @nr requests leave @queue; who owns them ends them next. */
void r3map_queue_forget(struct r3map_queue *queue, u32 nr);
/* Ends requests that the caller owns with EIO. Context: the lock is not held. */
void r3map_queue_lose(struct r3map_queue *queue, struct list_head *lost);

/* The payload of a write has to be copied into the area before it is ready. */
bool r3map_queue_must_place(const struct r3map_queue *queue, const struct r3map_request *request);

/* Bytes of pinned area. Context: the lock is held. */
u64 r3map_queue_area(const struct r3map_queue *queue);
/* Bytes of kernel memory of one queue's tables. Context: the lock is not held. */
size_t r3map_queue_memory(struct r3map_queue *queue);

/* submit.c */

/**
 * r3map_queue_submit - hand @request over to @queue
 * Context: the submitter of the bio; does not sleep. @request is the queue's afterwards.
 */
void r3map_queue_submit(struct r3map_queue *queue, struct r3map_request *request);

/* send.c */

/* Sends what is ready if there is credit. Context: the lock is held, and released. */
void r3map_queue_send(struct r3map_queue *queue, gfp_t gfp) __releases(&queue->lock);
/* A message for r3map_queue.reserve. Context: may sleep if @gfp does. */
struct sk_buff *r3map_queue_new_reserve(const struct r3map_queue *queue, gfp_t gfp);
/* queue->retry */
void r3map_queue_retry(struct work_struct *work);

/* complete.c */

/* One QUEUE_COMPLETE message. Arrays are in kernel memory, aligned to 4 bytes only. */
struct r3map_answer {
	struct sock *sk;		/* of the sender */
	const u64 *generation;		/* the one it was meant for, or NULL */
	const u32 *seq;			/* the message that it answers, or NULL */
	const void *comps;		/* nr of struct r3map_completion */
	const void *addresses;		/* nr of u64, or NULL */
	u32 nr;
	const struct nlmsghdr *nlh;	/* the message, for its DATA attributes */
};

/**
 * r3map_queue_complete - apply @answer, or refuse it as a whole
 * Context: a system call of the helper; does not sleep.
 * Return: 0, or a negative errno with text in @extack when nothing was changed.
 */
int r3map_queue_complete(struct r3map_queue *queue, const struct r3map_answer *answer,
			 struct netlink_ext_ack *extack);

#endif
