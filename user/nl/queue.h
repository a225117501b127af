/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hot path: a queue's own netlink socket, one recv() and one send() per message, buffers made
 * once, attributes built and parsed by hand. libnl is not used here.
 *
 * A queue belongs to one thread. The only function another thread may call is queue_wake().
 *
 * What arrives is checked once, in queue_receive(); after that it is trusted.
 */
#ifndef R3MAP_NL_QUEUE_H
#define R3MAP_NL_QUEUE_H

#include <linux/r3map.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct error;

/* What the thread needs to know about its device; constant. */
struct queue_config {
	uint16_t family;
	uint32_t index;
	uint64_t generation;
	uint32_t number;	/* 0 to queues - 1 */
	uint32_t depth;
	uint32_t max_io;	/* bytes */
	bool inlined;		/* payload travels in the messages */
};

#define QUEUE_OUTS	8	/* one is gathered, the others are remembered; a power of two */

/*
 * A message out. It is kept until its place is needed again: an answer that the kernel had no
 * memory to take is told as lost only afterwards, and is sent once more.
 */
struct queue_out {
	uint8_t *tx;			/* constant head, then the completions */
	struct r3map_completion *completions;	/* within tx */
	size_t length;			/* of head and completions */
	uint32_t nl_seq;		/* netlink's own number, for error replies; 0: never sent */
	bool again;			/* sent more than once */

	struct iovec *iov;		/* inline: payload of the gathered completions; [0] is tx */
	unsigned int iov_used;
	uint32_t *heads;		/* inline: an attribute header for each piece */
	unsigned int heads_used;
	size_t payload;			/* inline: bytes gathered */
	uint64_t messages_in;		/* inline: while no other came, the payload is where it was */
};

struct queue {
	struct queue_config config;
	int fd;

	uint8_t *rx;
	size_t rx_size;

	struct queue_out outs[QUEUE_OUTS];
	struct queue_out *out;		/* which is gathered now */
	uint8_t *tx_memory;		/* of all outs */
	unsigned int count;		/* completions gathered */
	uint64_t addresses[R3MAP_MAX_BATCH];	/* where their payload is lent, or 0 */
	bool lent;			/* one of these is not 0 */
	uint32_t nl_seq;		/* of the message sent last */
	unsigned int unchecked;		/* messages sent since the kernel last could tell an error */

	bool unanswered;		/* the newest message has not been answered yet */
	uint32_t seq;			/* of the newest message */

	uint64_t messages_in, messages_out;
};

/* A QUEUE_REQUEST as it lies in the receive buffer: valid until the next queue_receive(). */
struct queue_message {
	uint32_t seq;
	unsigned int count;
	const uint8_t *descs;		/* count * sizeof(struct r3map_desc), not aligned */
	const uint8_t *data;		/* the first DATA attribute that is not used up */
	const uint8_t *end;		/* of the message */
	size_t data_used;		/* bytes used of that attribute */
	size_t data_left;		/* payload bytes in all */
};

/* Opens the socket and makes the buffers, present in memory. The caller zeroed @queue. */
int queue_open(struct queue *queue, const struct queue_config *config, struct error *error);
void queue_close(struct queue *queue);

/* QUEUE_BIND. @area: whole pages, NULL with the inline transport. Waits for the kernel's answer. */
int queue_bind(struct queue *queue, void *area, size_t size, struct error *error);

/*
 * Takes the next message. With @wait it sleeps for one. Returns 1 and @message for a QUEUE_REQUEST;
 * 0 if there was nothing, or nothing but a queue_wake() or an answer that had to be sent again; a
 * negative errno if the socket is of no more use, or if an answer was refused: then its requests,
 * and the credit, are lost to this helper, and only another one can be given them.
 */
int queue_receive(struct queue *queue, bool wait, struct queue_message *message);

/* Request @i of @message. */
struct r3map_desc queue_desc(const struct queue_message *message, unsigned int i);
/* The next @length bytes of payload of @message to @to, or past it. False if there are fewer. */
bool queue_payload(struct queue_message *message, void *to, size_t length);

/* True if one more answer with @length bytes of inline payload would not fit the message. */
bool queue_full(const struct queue *queue, size_t length);
/*
 * Adds an answer; queue_full() was false. @data: @bytes of payload of a READ, which must stay until
 * queue_send(): with the inline transport, or of one that has R3MAP_DESC_LEND and is not in the
 * area; else NULL.
 */
void queue_answer(struct queue *queue, uint64_t tag, int error, uint32_t bytes,
		  const void *data);
/*
 * Sends what has gathered, or the bare number of the last message if that is all there is to say.
 * Retries while the kernel is short of memory. Returns 0, or a negative errno if the socket is of
 * no more use.
 */
int queue_send(struct queue *queue);
/* True if queue_send() would send something. */
static inline bool queue_pending(const struct queue *queue)
{
	return queue->count || queue->unanswered;
}

/* answer.c, for queue.c: what the last @queue->unchecked messages said is said again. */
int queue_resend_unchecked(struct queue *queue);
/* answer.c, for queue.c: the kernel refused message @nl_seq with @error. As queue_receive(). */
int queue_refused(struct queue *queue, uint32_t nl_seq, int error, const char *text);
/* answer.c, for queue.c: makes queue->outs. 0 or -ENOMEM; queue_close() frees what there is. */
int queue_outs_make(struct queue *queue);

/* Makes queue_receive() of the owning thread return 0. May be called from any thread. */
void queue_wake(const struct queue *queue);

#endif
