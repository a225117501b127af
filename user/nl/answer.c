// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a queue says to the kernel, see queue.h. Every message out has the same head, built once:
 *
 *	offset 0   struct nlmsghdr	length and sequence number are filled in
 *	      16   struct genlmsghdr
 *	      20   INDEX		constant
 *	      28   QUEUE		constant
 *	      36   GENERATION		constant
 *	      48   SEQ			filled in
 *	      56   COMPLETIONS		filled in; the payload at 60 is kept 8-byte aligned
 *		   ADDRESSES		behind them, if any payload is lent
 *
 * send() hands a message over, but does not tell what became of it: only a refusal comes back, as a
 * message of its own, or as ENOBUFS if there was no memory for that, either. Saying the same twice
 * does no harm: tags that were completed are refused as a whole, a number counts once.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define LOG_PREFIX "queue: "
#include "lib/log.h"
#include "nl/message.h"
#include "nl/queue.h"

#define HEAD_SEQ		48
#define HEAD_COMPLETIONS	56
#define HEAD_SIZE		60
#define TX_SIZE			(HEAD_SIZE + NLA_HDRLEN + R3MAP_MAX_BATCH * \
				 (sizeof(struct r3map_completion) + sizeof(uint64_t)))
#define TX_STRIDE		((TX_SIZE + 4 + 63) / 64 * 64)
#define IOV_MAX_USED		1000		/* the kernel takes 1024 */
#define PAYLOAD_MAX		(2U << 20)	/* bytes of DATA in one message out */

_Static_assert(sizeof(struct r3map_completion) == 16, "completions are 16 bytes on the wire");
_Static_assert(NLMSG_HDRLEN + GENL_HDRLEN == 20, "the head starts behind both headers");

uint8_t *queue_attr_put(uint8_t *at, uint16_t type, const void *value, uint16_t length)
{
	struct nlattr attr = { .nla_len = (uint16_t)(NLA_HDRLEN + length), .nla_type = type };

	memcpy(at, &attr, sizeof(attr));
	memcpy(at + NLA_HDRLEN, value, length);
	return at + NLA_ALIGN(NLA_HDRLEN + length);
}

uint8_t *queue_head_put(uint8_t *at, const struct queue_config *config, uint8_t cmd,
			uint16_t flags)
{
	struct nlmsghdr header = { .nlmsg_type = config->family,
				   .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) };
	struct genlmsghdr generic = { .cmd = cmd, .version = R3MAP_FAMILY_VERSION };

	memcpy(at, &header, sizeof(header));
	memcpy(at + NLMSG_HDRLEN, &generic, sizeof(generic));
	at += NLMSG_HDRLEN + GENL_HDRLEN;
	at = queue_attr_put(at, R3MAP_A_QUEUE_INDEX, &config->index, sizeof(config->index));
	at = queue_attr_put(at, R3MAP_A_QUEUE_QUEUE, &config->number, sizeof(config->number));
	return queue_attr_put(at, R3MAP_A_QUEUE_GENERATION, &config->generation,
			      sizeof(config->generation));
}

static void out_begin(struct queue *queue)
{
	struct queue_out *out = &queue->outs[queue->nl_seq % QUEUE_OUTS];

	out->nl_seq = 0;
	out->again = false;
	out->iov_used = 1;
	out->heads_used = 0;
	out->payload = 0;
	queue->out = out;
	queue->count = 0;
	queue->lent = false;
}

int queue_outs_make(struct queue *queue)
{
	queue->tx_memory = aligned_alloc(64, QUEUE_OUTS * TX_STRIDE);
	if (!queue->tx_memory)
		return -ENOMEM;
	memset(queue->tx_memory, 0, QUEUE_OUTS * TX_STRIDE);	/* present, not only promised */
	for (unsigned int i = 0; i < QUEUE_OUTS; i++) {
		struct queue_out *out = &queue->outs[i];

		/* Four bytes off, so that the completions at HEAD_SIZE are aligned to 8. */
		out->tx = queue->tx_memory + i * TX_STRIDE + 4;
		out->completions = (void *)(out->tx + HEAD_SIZE);
		queue_head_put(out->tx, &queue->config, R3MAP_CMD_QUEUE_COMPLETE, 0);
		if (!queue->config.inlined)
			continue;
		out->iov = calloc(IOV_MAX_USED + 2, sizeof(*out->iov));
		out->heads = calloc(IOV_MAX_USED, sizeof(*out->heads));
		if (!out->iov || !out->heads)
			return -ENOMEM;
	}
	out_begin(queue);
	return 0;
}

bool queue_full(const struct queue *queue, size_t length)
{
	const struct queue_out *out = queue->out;

	if (queue->count >= R3MAP_MAX_BATCH)
		return true;
	if (!queue->config.inlined || !queue->count)
		return false;
	return out->payload + length > PAYLOAD_MAX ||
	       out->iov_used + 2 * (length / R3MAP_MAX_DATA + 1) > IOV_MAX_USED;
}

/* Cuts @bytes at @data into DATA attributes that point to where the payload is. */
static void answer_payload(struct queue_out *out, const uint8_t *data, uint32_t bytes)
{
	struct nlattr attr = { .nla_type = R3MAP_A_QUEUE_DATA };
	uint32_t part;

	for (; bytes; data += part, bytes -= part) {
		part = bytes < R3MAP_MAX_DATA ? bytes : R3MAP_MAX_DATA;
		attr.nla_len = (uint16_t)(NLA_HDRLEN + part);
		memcpy(&out->heads[out->heads_used], &attr, sizeof(attr));
		out->iov[out->iov_used++] = (struct iovec){
			.iov_base = &out->heads[out->heads_used++], .iov_len = NLA_HDRLEN };
		out->iov[out->iov_used++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)data, .iov_len = part };
		out->payload += NLA_HDRLEN + part;	/* whole blocks: no padding is needed */
	}
}

void queue_answer(struct queue *queue, uint64_t tag, int error, uint32_t bytes, const void *data)
{
	const unsigned int i = queue->count++;

	queue->out->completions[i] = (struct r3map_completion){
		.tag = tag, .error = error, .bytes = bytes };
	if (queue->config.inlined) {
		if (data)
			answer_payload(queue->out, data, bytes);
		return;
	}
	queue->addresses[i] = (uintptr_t)data;
	if (data)
		queue->lent = true;
}

/* Hands @out to the kernel, and payload behind it. */
static int queue_transmit(struct queue *queue, struct queue_out *out)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	struct msghdr msg = { .msg_iov = out->iov, .msg_iovlen = out->iov_used };
	unsigned int tries = 0;
	ssize_t sent;

	queue->unchecked++;
	for (;;) {
		if (queue->config.inlined) {
			out->iov[0] = (struct iovec){ .iov_base = out->tx, .iov_len = out->length };
			sent = sendmsg(queue->fd, &msg, 0);
		} else {
			sent = send(queue->fd, out->tx, out->length, 0);
		}
		if (sent >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != ENOBUFS && errno != ENOMEM && errno != EAGAIN)
			return -errno;
		/* The kernel is short of memory: what we hold back is an answer, not a request. */
		if (tries++ % 1000 == 0)
			log_warn("queue %u: the kernel has no memory for an answer, trying again",
				 queue->config.number);
		nanosleep(&pause, NULL);
	}
}

int queue_send(struct queue *queue)
{
	const unsigned int bytes = queue->count * sizeof(struct r3map_completion);
	struct queue_out *out = queue->out;
	struct nlmsghdr *header = (struct nlmsghdr *)out->tx;	/* 4-byte aligned */
	struct nlattr attr = { .nla_type = R3MAP_A_QUEUE_COMPLETIONS,
			       .nla_len = (uint16_t)(NLA_HDRLEN + bytes) };
	int err;

	out->length = HEAD_COMPLETIONS;
	queue_attr_put(out->tx + HEAD_SEQ, R3MAP_A_QUEUE_SEQ, &queue->seq, sizeof(queue->seq));
	if (queue->count) {
		memcpy(out->tx + HEAD_COMPLETIONS, &attr, sizeof(attr));
		out->length = HEAD_SIZE + bytes;
	}
	if (queue->lent) {
		const unsigned int size = queue->count * sizeof(queue->addresses[0]);

		queue_attr_put(out->tx + out->length, R3MAP_A_QUEUE_ADDRESSES, queue->addresses,
			       (uint16_t)size);
		out->length += NLA_HDRLEN + size;
	}
	if (!++queue->nl_seq)	/* 0 is queue_wake()'s */
		queue->nl_seq += QUEUE_OUTS;
	out->nl_seq = queue->nl_seq;
	out->messages_in = queue->messages_in;
	header->nlmsg_len = (uint32_t)(out->length + out->payload);
	header->nlmsg_seq = out->nl_seq;
	queue->unanswered = false;
	queue->messages_out++;
	err = queue_transmit(queue, out);
	out_begin(queue);
	return err;
}

static struct queue_out *out_find(struct queue *queue, uint32_t nl_seq)
{
	for (unsigned int i = 0; i < QUEUE_OUTS; i++)
		if (nl_seq && queue->outs[i].nl_seq == nl_seq)
			return &queue->outs[i];
	return NULL;
}

/* Says @nl_seq once more. -EPROTO if it is not known any more, or its payload not there. */
static int out_again(struct queue *queue, uint32_t nl_seq)
{
	struct queue_out *out = out_find(queue, nl_seq);

	if (!out || (out->payload && out->messages_in != queue->messages_in)) {
		log_error("queue %u: the kernel had no memory for an answer that cannot be repeated",
			  queue->config.number);
		return -EPROTO;
	}
	out->again = true;
	return queue_transmit(queue, out);
}

int queue_resend_unchecked(struct queue *queue)
{
	unsigned int most = queue->unchecked;
	int err = 0;

	queue->unchecked = 0;
	for (; most && !err; most--)
		err = out_again(queue, queue->nl_seq - most + 1);
	return err;
}

int queue_refused(struct queue *queue, uint32_t nl_seq, int error, const char *text)
{
	const struct queue_out *out = out_find(queue, nl_seq);

	switch (error) {
	case -ENOMEM:
	case -ENOBUFS:
		return out_again(queue, nl_seq);
	case -ENOENT:
		if (out && out->again)	/* it had been taken the first time */
			return 0;
		break;
	case -ENODEV:	/* the device was removed while the answer was on its way */
	case -EPERM:	/* and this socket is nobody's */
		log_debug("queue %u: an answer came too late: %s", queue->config.number, text);
		return 0;
	}
	log_error("the module refused an answer (please report this): queue %u, message %u of %u: %s%s%s",
		  queue->config.number, nl_seq, queue->nl_seq, strerror(-error), text[0] ? ": " : "",
		  text);
	return -EPROTO;
}
