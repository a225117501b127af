// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A queue's socket, and what comes in; see queue.h. What goes out is in answer.c.
 *
 * The socket is connected to the kernel (port 0), so nobody else's messages can arrive, and no
 * address is copied per call.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_PREFIX "queue: "
#include "lib/error.h"
#include "lib/log.h"
#include "nl/extack.h"
#include "nl/message.h"
#include "nl/queue.h"

#define SOCKET_BUFFER		(8U << 20)	/* bytes: more than any one message */
#define RX_SHARED		(32U << 10)	/* bytes: a full batch of descriptors is 8 KiB */
#define RX_INLINE		(1U << 20)	/* bytes: payload is at most one request, or 64 KiB */

_Static_assert(sizeof(struct r3map_desc) == 32, "descriptors are 32 bytes on the wire");
_Static_assert(RX_INLINE > 2 * R3MAP_MAX_IO_INLINE, "room for the headers, too");

static int queue_socket(struct queue *queue, struct error *error)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int size = SOCKET_BUFFER;
	int on = 1;

	queue->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (queue->fd < 0)
		return error_set(error, -errno, "cannot open a generic netlink socket: %s",
				 strerror(errno));
	if (bind(queue->fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
	    connect(queue->fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return error_set(error, -errno, "cannot connect a generic netlink socket: %s",
				 strerror(errno));
	setsockopt(queue->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(queue->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	/*
	 * FORCE needs CAP_NET_ADMIN; what is left without it still works for the shared
	 * transport.
	 */
	if (setsockopt(queue->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(queue->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(queue->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(queue->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

int queue_open(struct queue *queue, const struct queue_config *config, struct error *error)
{
	int err;

	queue->config = *config;
	queue->fd = -1;
	err = queue_socket(queue, error);
	if (err)
		goto fail;
	queue->rx_size = config->inlined ? RX_INLINE : RX_SHARED;
	/* Present from the start: the kernel must not have to find a page for what it brings. */
	queue->rx = mmap(NULL, queue->rx_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (queue->rx == MAP_FAILED) {
		queue->rx = NULL;
		goto fail_memory;
	}
	if (!queue_outs_make(queue))
		return 0;

fail_memory:
	err = error_set(error, -ENOMEM, "out of memory for the buffers of a queue");
fail:
	queue_close(queue);
	return err;
}

void queue_close(struct queue *queue)
{
	if (queue->fd >= 0)
		close(queue->fd);
	if (queue->rx)
		munmap(queue->rx, queue->rx_size);
	for (unsigned int i = 0; i < QUEUE_OUTS; i++) {
		free(queue->outs[i].iov);
		free(queue->outs[i].heads);
	}
	free(queue->tx_memory);
	memset(queue, 0, sizeof(*queue));
	queue->fd = -1;
}

int queue_bind(struct queue *queue, void *area, size_t size, struct error *error)
{
	uint8_t msg[128];
	uint64_t value;
	uint8_t *at = queue_head_put(msg, &queue->config, R3MAP_CMD_QUEUE_BIND, NLM_F_ACK);
	struct nlmsghdr header;
	struct nlmsgerr reply;
	char text[256];
	uint32_t length;
	ssize_t got;

	if (area) {
		value = (uintptr_t)area;
		at = queue_attr_put(at, R3MAP_A_QUEUE_AREA_ADDR, &value, sizeof(value));
		value = size;
		at = queue_attr_put(at, R3MAP_A_QUEUE_AREA_SIZE, &value, sizeof(value));
	}
	length = (uint32_t)(at - msg);
	memcpy(msg, &length, sizeof(length));	/* nlmsg_len comes first */
	while (send(queue->fd, msg, length, 0) < 0)
		if (errno != EINTR)
			return error_set(error, -errno, "cannot send to the kernel: %s",
					 strerror(errno));
	do {
		got = recv(queue->fd, queue->rx, queue->rx_size, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return error_set(error, -errno, "cannot receive from the kernel: %s",
				 strerror(errno));
	memcpy(&header, queue->rx, sizeof(header));
	if ((size_t)got < NLMSG_HDRLEN + sizeof(reply) || header.nlmsg_type != NLMSG_ERROR ||
	    header.nlmsg_len > (size_t)got)
		return error_set(error, -EBADMSG, "the kernel's answer to QUEUE_BIND makes no sense");
	memcpy(&reply, queue->rx + NLMSG_HDRLEN, sizeof(reply));
	if (!reply.error)
		return 0;
	extack_text((struct nlmsghdr *)queue->rx, text, sizeof(text));
	return error_set(error, reply.error, "cannot bind queue %u: %s", queue->config.number,
			 text[0] ? text : strerror(-reply.error));
}

/* An error reply to something sent earlier, or the echo of queue_wake(). As queue_receive(). */
static int receive_error(struct queue *queue, const struct nlmsghdr *header)
{
	struct nlmsgerr reply;
	char text[256];

	if (header->nlmsg_len < NLMSG_HDRLEN + sizeof(reply))
		return 0;
	memcpy(&reply, queue->rx + NLMSG_HDRLEN, sizeof(reply));
	if (!reply.error)
		return 0;
	extack_text(header, text, sizeof(text));
	return queue_refused(queue, reply.msg.nlmsg_seq, reply.error, text);
}

/* Checks the attributes of a QUEUE_REQUEST. 0 or -EBADMSG; then nothing of @message is valid. */
static int receive_parse(const uint8_t *rx, size_t length, struct queue_message *message)
{
	const uint8_t *at = rx + NLMSG_HDRLEN + GENL_HDRLEN;
	const uint8_t *end = rx + length;
	bool has_seq = false;
	struct nlattr attr;
	size_t size;

	message->count = 0;
	message->descs = NULL;
	message->data = NULL;
	message->end = end;
	message->data_used = 0;
	message->data_left = 0;
	while ((size_t)(end - at) >= sizeof(attr)) {
		memcpy(&attr, at, sizeof(attr));
		if (attr.nla_len < sizeof(attr) || attr.nla_len > (size_t)(end - at))
			return -EBADMSG;
		size = attr.nla_len - sizeof(attr);
		switch (attr.nla_type & NLA_TYPE_MASK) {
		case R3MAP_A_QUEUE_SEQ:
			if (size != sizeof(message->seq))
				return -EBADMSG;
			memcpy(&message->seq, at + sizeof(attr), sizeof(message->seq));
			has_seq = true;
			break;
		case R3MAP_A_QUEUE_REQUESTS:
			if (size % sizeof(struct r3map_desc) ||
			    size > R3MAP_MAX_BATCH * sizeof(struct r3map_desc) || message->descs)
				return -EBADMSG;
			message->descs = at + sizeof(attr);
			message->count = (unsigned int)(size / sizeof(struct r3map_desc));
			break;
		case R3MAP_A_QUEUE_DATA:
			if (!message->data)
				message->data = at;
			message->data_left += size;
			break;
		}
		size = NLA_ALIGN(attr.nla_len);
		at += size < (size_t)(end - at) ? size : (size_t)(end - at);
	}
	return has_seq ? 0 : -EBADMSG;
}

int queue_receive(struct queue *queue, bool wait, struct queue_message *message)
{
	struct nlmsghdr header;
	struct genlmsghdr generic;
	ssize_t got;

	/* MSG_TRUNC: the true length comes back even if the buffer were too small. */
	got = recv(queue->fd, queue->rx, queue->rx_size, MSG_TRUNC | (wait ? 0 : MSG_DONTWAIT));
	if (got < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		/*
		 * Something could not be put into the socket: a request message, which the module
		 * sends again, or the refusal of an answer, which then is lost.
		 */
		if (errno == ENOBUFS)
			return queue_resend_unchecked(queue);
		return -errno;
	}
	queue->unchecked = 0;	/* an ENOBUFS would have come first */
	if ((size_t)got > queue->rx_size) {
		log_error("queue %u: a message of %zd bytes is larger than the %zu that are agreed",
			  queue->config.number, got, queue->rx_size);
		return -EMSGSIZE;
	}
	if ((size_t)got < sizeof(header))
		return -EBADMSG;
	memcpy(&header, queue->rx, sizeof(header));
	if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > (size_t)got)
		return -EBADMSG;
	if (header.nlmsg_type == NLMSG_ERROR)
		return receive_error(queue, (struct nlmsghdr *)queue->rx);
	if (header.nlmsg_type != queue->config.family ||
	    header.nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN)
		return 0;
	memcpy(&generic, queue->rx + NLMSG_HDRLEN, sizeof(generic));
	if (generic.cmd != R3MAP_CMD_QUEUE_REQUEST)
		return 0;
	if (receive_parse(queue->rx, header.nlmsg_len, message))
		return -EBADMSG;
	queue->seq = message->seq;
	queue->unanswered = true;
	queue->messages_in++;
	return 1;
}

struct r3map_desc queue_desc(const struct queue_message *message, unsigned int i)
{
	struct r3map_desc desc;

	memcpy(&desc, message->descs + i * sizeof(desc), sizeof(desc));
	return desc;
}

bool queue_payload(struct queue_message *message, void *to, size_t length)
{
	uint8_t *out = to;
	struct nlattr attr;
	size_t size, part;

	if (length > message->data_left)
		return false;
	message->data_left -= length;
	while (length) {
		memcpy(&attr, message->data, sizeof(attr));	/* receive_parse() has checked it */
		size = (attr.nla_type & NLA_TYPE_MASK) == R3MAP_A_QUEUE_DATA ?
			attr.nla_len - sizeof(attr) : 0;
		if (message->data_used == size) {
			message->data += NLA_ALIGN(attr.nla_len);
			message->data_used = 0;
			continue;
		}
		part = size - message->data_used < length ? size - message->data_used : length;
		if (out) {
			memcpy(out, message->data + sizeof(attr) + message->data_used, part);
			out += part;
		}
		message->data_used += part;
		length -= part;
	}
	return true;
}

void queue_wake(const struct queue *queue)
{
	/* Netlink acknowledges even a message that says nothing, to the socket it came from. */
	struct nlmsghdr nothing = { .nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = NLMSG_NOOP,
				    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK };

	while (send(queue->fd, &nothing, sizeof(nothing), 0) < 0 &&
	       (errno == EINTR || errno == ENOBUFS || errno == ENOMEM))
		;
}
