// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * This test will feed the queue's side of generic netlink from a socket pair in the kernel's place:
 * right messages are read and answered as the uapi header says, wrong ones are refused, and no
 * message whatever makes the parser read beyond it.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/error.h"
#include "lib/log.h"
#include "nl/extack.h"
#include "nl/queue.h"

#define FAMILY	0x23

static struct queue queue;
static int kernel;		/* the other end */
static char logged[512];

static void sink(enum log_level level, const char *text)
{
	(void)level;
	snprintf(logged, sizeof(logged), "%s", text);
}

static int setup_with(bool inlined)
{
	const struct queue_config config = {
		.family = FAMILY, .index = 3, .generation = 0x1122334455667788, .number = 1,
		.depth = 8, .max_io = 128 << 10, .inlined = inlined,
	};
	struct error error = { 0 };
	int size = 4 << 20;
	int ends[2];

	memset(&queue, 0, sizeof(queue));
	logged[0] = '\0';
	log_set_sink(sink);
	if (queue_open(&queue, &config, &error))
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) || dup2(ends[0], queue.fd) < 0)
		return -1;
	close(ends[0]);
	kernel = ends[1];
	setsockopt(kernel, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(queue.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

static int setup_shared(void **state)
{
	(void)state;
	return setup_with(false);
}

static int setup_inline(void **state)
{
	(void)state;
	return setup_with(true);
}

static int teardown(void **state)
{
	(void)state;
	queue_close(&queue);
	close(kernel);
	log_set_sink(NULL);
	return 0;
}

/* --- messages, as the module would build them --- */

static uint8_t message[1 << 20];
static size_t length;

static void begin(uint16_t type, uint8_t cmd)
{
	struct nlmsghdr header = { .nlmsg_type = type };
	struct genlmsghdr generic = { .cmd = cmd, .version = 1 };

	memset(message, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	memcpy(message, &header, sizeof(header));
	memcpy(message + NLMSG_HDRLEN, &generic, sizeof(generic));
	length = NLMSG_HDRLEN + GENL_HDRLEN;
}

static void put(uint16_t type, const void *value, size_t size)
{
	struct nlattr attr = { .nla_type = type, .nla_len = (uint16_t)(NLA_HDRLEN + size) };

	memcpy(message + length, &attr, sizeof(attr));
	memcpy(message + length + NLA_HDRLEN, value, size);
	length += NLA_ALIGN(NLA_HDRLEN + size);
}

static void deliver(void)
{
	uint32_t size = (uint32_t)length;

	memcpy(message, &size, sizeof(size));
	assert_int_equal(send(kernel, message, length, 0), length);
}

static int receive(struct queue_message *m)
{
	memset(m, 0xff, sizeof(*m));
	return queue_receive(&queue, false, m);
}

/* What the queue has sent: attributes by type, the first of each; DATA joined. */
static uint8_t answer[4 << 20];
static struct { const uint8_t *at; size_t size; } attrs[R3MAP_A_QUEUE_MAX + 1];
static uint8_t data[4 << 20];
static size_t data_size;

static void take_answer(void)
{
	struct nlmsghdr header;
	struct genlmsghdr generic;
	struct nlattr attr;
	ssize_t got = recv(kernel, answer, sizeof(answer), 0);
	size_t at = NLMSG_HDRLEN + GENL_HDRLEN;

	assert_true(got >= (ssize_t)at);
	memcpy(&header, answer, sizeof(header));
	memcpy(&generic, answer + NLMSG_HDRLEN, sizeof(generic));
	assert_int_equal(header.nlmsg_len, got);
	assert_int_equal(header.nlmsg_type, FAMILY);
	assert_int_equal(header.nlmsg_flags, NLM_F_REQUEST);
	assert_int_equal(generic.cmd, R3MAP_CMD_QUEUE_COMPLETE);
	assert_int_equal(generic.version, R3MAP_FAMILY_VERSION);
	memset(attrs, 0, sizeof(attrs));
	data_size = 0;
	while (at < (size_t)got) {
		memcpy(&attr, answer + at, sizeof(attr));
		assert_true(attr.nla_len >= NLA_HDRLEN && at + attr.nla_len <= (size_t)got);
		assert_true(attr.nla_type <= R3MAP_A_QUEUE_MAX);
		if (attr.nla_type == R3MAP_A_QUEUE_DATA) {
			assert_true(attr.nla_len - NLA_HDRLEN <= R3MAP_MAX_DATA);
			memcpy(data + data_size, answer + at + NLA_HDRLEN, attr.nla_len - NLA_HDRLEN);
			data_size += attr.nla_len - NLA_HDRLEN;
		} else {
			assert_null(attrs[attr.nla_type].at);	/* none comes twice */
			attrs[attr.nla_type].at = answer + at + NLA_HDRLEN;
			attrs[attr.nla_type].size = attr.nla_len - NLA_HDRLEN;
		}
		at += NLA_ALIGN(attr.nla_len);
	}
}

static void expect_u32(int type, uint32_t value)
{
	assert_int_equal(attrs[type].size, sizeof(value));
	assert_memory_equal(attrs[type].at, &value, sizeof(value));
}

static const uint32_t seq = 77;

static void requests(unsigned int count, uint8_t op, uint32_t bytes)
{
	struct r3map_desc descs[R3MAP_MAX_BATCH + 1] = { 0 };

	for (unsigned int i = 0; i < count; i++)
		descs[i] = (struct r3map_desc){ .tag = 1000 + i, .offset = 4096ULL * i,
						.length = bytes, .area = 4096 * i, .op = op,
						.flags = R3MAP_DESC_FUA };
	put(R3MAP_A_QUEUE_REQUESTS, descs, count * sizeof(descs[0]));
}

/* A message of @count requests is there to be received. */
static void deliver_requests(unsigned int count, uint8_t op, uint32_t bytes)
{
	begin(FAMILY, R3MAP_CMD_QUEUE_REQUEST);
	put(R3MAP_A_QUEUE_SEQ, &seq, sizeof(seq));
	requests(count, op, bytes);
	deliver();
}

/* --- the tests --- */

static void test_answer_has_all_it_needs(void **state)
{
	const uint64_t generation = queue.config.generation;
	struct r3map_completion completions[2];
	struct queue_message m;
	struct r3map_desc desc;

	(void)state;
	deliver_requests(2, R3MAP_OP_READ, 4096);
	assert_int_equal(receive(&m), 1);
	assert_int_equal(m.count, 2);
	desc = queue_desc(&m, 1);
	assert_int_equal(desc.tag, 1001);
	assert_int_equal(desc.offset, 4096);
	assert_int_equal(desc.area, 4096);
	assert_int_equal(desc.flags, R3MAP_DESC_FUA);
	assert_true(queue_pending(&queue));
	queue_answer(&queue, 1000, 0, 4096, NULL);
	queue_answer(&queue, 1001, -EIO, 0, NULL);
	assert_int_equal(queue_send(&queue), 0);
	assert_false(queue_pending(&queue));
	take_answer();
	expect_u32(R3MAP_A_QUEUE_INDEX, 3);
	expect_u32(R3MAP_A_QUEUE_QUEUE, 1);
	expect_u32(R3MAP_A_QUEUE_SEQ, seq);
	assert_int_equal(attrs[R3MAP_A_QUEUE_GENERATION].size, sizeof(generation));
	assert_memory_equal(attrs[R3MAP_A_QUEUE_GENERATION].at, &generation, sizeof(generation));
	assert_int_equal(attrs[R3MAP_A_QUEUE_COMPLETIONS].size, sizeof(completions));
	memcpy(completions, attrs[R3MAP_A_QUEUE_COMPLETIONS].at, sizeof(completions));
	assert_int_equal(completions[0].tag, 1000);
	assert_int_equal(completions[0].error, 0);
	assert_int_equal(completions[0].bytes, 4096);
	assert_int_equal(completions[1].tag, 1001);
	assert_int_equal(completions[1].error, -EIO);
	assert_int_equal(completions[1].bytes, 0);
	assert_int_equal(data_size, 0);
}

static void test_lent_payload_has_addresses(void **state)
{
	static const char here[512], there[4096];
	const uint64_t addresses[3] = { (uintptr_t)here, 0, (uintptr_t)there };
	struct queue_message m;

	(void)state;
	deliver_requests(3, R3MAP_OP_READ, 4096);
	assert_int_equal(receive(&m), 1);
	queue_answer(&queue, 1000, 0, sizeof(here), here);
	queue_answer(&queue, 1001, 0, 4096, NULL);
	queue_answer(&queue, 1002, 0, sizeof(there), there);
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	assert_int_equal(attrs[R3MAP_A_QUEUE_COMPLETIONS].size, 3 * sizeof(struct r3map_completion));
	assert_int_equal(attrs[R3MAP_A_QUEUE_ADDRESSES].size, sizeof(addresses));
	assert_memory_equal(attrs[R3MAP_A_QUEUE_ADDRESSES].at, addresses, sizeof(addresses));
	assert_int_equal(data_size, 0);
	/* The next answer does not remember them. */
	queue_answer(&queue, 1003, 0, 4096, NULL);
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	assert_null(attrs[R3MAP_A_QUEUE_ADDRESSES].at);
	/* As many as one message takes. */
	for (unsigned int i = 0; i < R3MAP_MAX_BATCH; i++)
		queue_answer(&queue, i, 0, sizeof(here), here);
	assert_true(queue_full(&queue, 0));
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	assert_int_equal(attrs[R3MAP_A_QUEUE_COMPLETIONS].size,
			 R3MAP_MAX_BATCH * sizeof(struct r3map_completion));
	assert_int_equal(attrs[R3MAP_A_QUEUE_ADDRESSES].size, R3MAP_MAX_BATCH * sizeof(uint64_t));
}

static void test_bare_number_gives_credit_back(void **state)
{
	struct queue_message m;

	(void)state;
	deliver_requests(1, R3MAP_OP_FLUSH, 0);
	assert_int_equal(receive(&m), 1);
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	expect_u32(R3MAP_A_QUEUE_SEQ, seq);
	assert_null(attrs[R3MAP_A_QUEUE_COMPLETIONS].at);
	/* The completion that comes later carries the same number. */
	queue_answer(&queue, 1000, 0, 0, NULL);
	assert_true(queue_pending(&queue));
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	expect_u32(R3MAP_A_QUEUE_SEQ, seq);
	assert_int_equal(attrs[R3MAP_A_QUEUE_COMPLETIONS].size, sizeof(struct r3map_completion));
}

static void test_full_at_the_largest_batch(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < R3MAP_MAX_BATCH; i++) {
		assert_false(queue_full(&queue, 0));
		queue_answer(&queue, i, 0, 0, NULL);
	}
	assert_true(queue_full(&queue, 0));
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	assert_int_equal(attrs[R3MAP_A_QUEUE_COMPLETIONS].size,
			 R3MAP_MAX_BATCH * sizeof(struct r3map_completion));
}

static void test_other_messages_are_passed_over(void **state)
{
	const struct nlmsgerr fine = { .error = 0 };
	struct queue_message m;

	(void)state;
	assert_int_equal(receive(&m), 0);		/* nothing there */
	begin(FAMILY, R3MAP_CMD_DEVICE_EVENT);
	deliver();
	assert_int_equal(receive(&m), 0);
	begin(NLMSG_ERROR, 0);				/* the echo of queue_wake() */
	length = NLMSG_HDRLEN;
	memcpy(message + length, &fine, sizeof(fine));
	length += sizeof(fine);
	deliver();
	assert_int_equal(receive(&m), 0);
	assert_string_equal(logged, "");
	queue_wake(&queue);				/* is at least sent */
	assert_true(recv(kernel, answer, sizeof(answer), 0) == NLMSG_HDRLEN);
}

/* The kernel's refusal of message @nl_seq. */
static void deliver_refusal(uint32_t nl_seq, int error, const char *text)
{
	struct nlmsghdr header = { .nlmsg_type = NLMSG_ERROR,
				   .nlmsg_flags = NLM_F_ACK_TLVS | NLM_F_CAPPED };
	struct nlmsgerr reply = { .error = error,
				  .msg = { .nlmsg_len = 4000, .nlmsg_seq = nl_seq } };

	memcpy(message, &header, sizeof(header));
	memcpy(message + NLMSG_HDRLEN, &reply, sizeof(reply));
	length = NLMSG_HDRLEN + sizeof(reply);
	put(NLMSGERR_ATTR_OFFS, &seq, sizeof(seq));
	put(NLMSGERR_ATTR_MSG, text, strlen(text) + 1);
	deliver();
}

/* Its requests and the credit are lost with it: going on would be a device that hangs. */
static void test_refusal_ends_the_queue_with_its_words(void **state)
{
	static const char text[] = "tag 7 is not in flight";
	struct queue_message m;

	(void)state;
	deliver_refusal(0, -EINVAL, text);
	assert_int_equal(receive(&m), -EPROTO);
	assert_non_null(strstr(logged, text));
	assert_non_null(strstr(logged, strerror(EINVAL)));
}

static void test_refusal_of_a_removed_device_is_nothing(void **state)
{
	struct queue_message m;

	(void)state;
	deliver_refusal(1, -ENODEV, "there is no device with this index");
	assert_int_equal(receive(&m), 0);
	deliver_refusal(1, -EPERM, "this socket does not own the queue");
	assert_int_equal(receive(&m), 0);
}

static void test_answer_without_memory_is_said_again(void **state)
{
	uint8_t first[256], again[256];
	struct queue_message m;
	ssize_t size;

	(void)state;
	queue_answer(&queue, 1000, -EIO, 0, NULL);
	assert_int_equal(queue_send(&queue), 0);
	size = recv(kernel, first, sizeof(first), 0);
	/* What gathers meanwhile is not mixed up with it. */
	queue_answer(&queue, 1001, 0, 4096, NULL);
	deliver_refusal(queue.nl_seq, -ENOMEM, "");
	assert_int_equal(receive(&m), 0);
	assert_int_equal(recv(kernel, again, sizeof(again), 0), size);
	assert_memory_equal(first, again, size);
	/* It had been taken after all. */
	deliver_refusal(queue.nl_seq, -ENOENT, "tag is not in flight");
	assert_int_equal(receive(&m), 0);
	assert_int_equal(queue.count, 1);
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	assert_int_equal(attrs[R3MAP_A_QUEUE_COMPLETIONS].size, sizeof(struct r3map_completion));
	/* This one had not been sent twice. */
	deliver_refusal(queue.nl_seq, -ENOENT, "tag is not in flight");
	assert_int_equal(receive(&m), -EPROTO);
}

/* ENOBUFS does not tell which: all since the kernel could last have said so, in order. */
static void test_unchecked_answers_are_said_again(void **state)
{
	struct r3map_completion completion;
	struct queue_message m;

	(void)state;
	queue_answer(&queue, 1, 0, 0, NULL);
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	deliver_requests(1, R3MAP_OP_READ, 4096);
	assert_int_equal(receive(&m), 1);
	for (uint64_t tag = 2; tag <= 3; tag++) {
		queue_answer(&queue, tag, 0, 0, NULL);
		assert_int_equal(queue_send(&queue), 0);
		take_answer();
	}
	assert_int_equal(queue_resend_unchecked(&queue), 0);
	for (uint64_t tag = 2; tag <= 3; tag++) {
		take_answer();
		memcpy(&completion, attrs[R3MAP_A_QUEUE_COMPLETIONS].at, sizeof(completion));
		assert_int_equal(completion.tag, tag);
	}
	/* More of them than are remembered. */
	for (unsigned int i = 0; i < QUEUE_OUTS; i++) {
		queue_answer(&queue, i, 0, 0, NULL);
		assert_int_equal(queue_send(&queue), 0);
		take_answer();
	}
	assert_int_equal(queue_resend_unchecked(&queue), -EPROTO);
}

static void test_payload_is_said_again_while_it_is_there(void **state)
{
	static uint8_t payload[4096];
	struct queue_message m;

	(void)state;
	memset(payload, 0x5a, sizeof(payload));
	for (int round = 0; round < 2; round++) {
		queue_answer(&queue, 1, 0, sizeof(payload), payload);
		assert_int_equal(queue_send(&queue), 0);
		take_answer();
		if (round) {	/* its buffer may be another request's by now */
			deliver_requests(1, R3MAP_OP_READ, 4096);
			assert_int_equal(receive(&m), 1);
		}
		deliver_refusal(queue.nl_seq, -ENOMEM, "");
		assert_int_equal(receive(&m), round ? -EPROTO : 0);
		if (round)
			break;
		take_answer();
		assert_int_equal(data_size, sizeof(payload));
		assert_memory_equal(data, payload, sizeof(payload));
	}
}

static void test_wrong_messages_are_refused(void **state)
{
	struct queue_message m;
	uint64_t wide = 5;
	uint32_t lie;

	(void)state;
	begin(FAMILY, R3MAP_CMD_QUEUE_REQUEST);		/* without a number */
	requests(1, R3MAP_OP_READ, 4096);
	deliver();
	assert_int_equal(receive(&m), -EBADMSG);
	begin(FAMILY, R3MAP_CMD_QUEUE_REQUEST);		/* a number that is too wide */
	put(R3MAP_A_QUEUE_SEQ, &wide, sizeof(wide));
	deliver();
	assert_int_equal(receive(&m), -EBADMSG);
	begin(FAMILY, R3MAP_CMD_QUEUE_REQUEST);		/* half a descriptor */
	put(R3MAP_A_QUEUE_SEQ, &seq, sizeof(seq));
	put(R3MAP_A_QUEUE_REQUESTS, answer, sizeof(struct r3map_desc) / 2);
	deliver();
	assert_int_equal(receive(&m), -EBADMSG);
	begin(FAMILY, R3MAP_CMD_QUEUE_REQUEST);		/* too many of them */
	put(R3MAP_A_QUEUE_SEQ, &seq, sizeof(seq));
	requests(R3MAP_MAX_BATCH + 1, R3MAP_OP_READ, 4096);
	deliver();
	assert_int_equal(receive(&m), -EBADMSG);
	begin(FAMILY, R3MAP_CMD_QUEUE_REQUEST);		/* a length beyond the message */
	put(R3MAP_A_QUEUE_SEQ, &seq, sizeof(seq));
	lie = (uint32_t)length + 4;
	memcpy(message, &lie, sizeof(lie));
	assert_int_equal(send(kernel, message, length, 0), length);
	assert_int_equal(receive(&m), -EBADMSG);
	assert_int_equal(send(kernel, message, 7, 0), 7);	/* not even a header */
	assert_int_equal(receive(&m), -EBADMSG);
}

static void test_payload_is_one_row_of_bytes(void **state)
{
	static uint8_t all[100000], part[100000];
	struct queue_message m;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i * 7 + i / 251);
	begin(FAMILY, R3MAP_CMD_QUEUE_REQUEST);
	put(R3MAP_A_QUEUE_SEQ, &seq, sizeof(seq));
	requests(2, R3MAP_OP_WRITE, 50000);
	put(R3MAP_A_QUEUE_DATA, all, 1);		/* cut anywhere, even to nothing */
	put(R3MAP_A_QUEUE_DATA, all, 0);
	put(R3MAP_A_QUEUE_DATA, all + 1, 60000);
	put(R3MAP_A_QUEUE_QUEUE, &seq, sizeof(seq));	/* something else between */
	put(R3MAP_A_QUEUE_DATA, all + 60001, sizeof(all) - 60001);
	deliver();
	assert_int_equal(receive(&m), 1);
	memcpy(part, all, 30000);
	assert_true(queue_payload(&m, NULL, 30000));	/* of a request that was refused */
	assert_true(queue_payload(&m, part + 30000, 20000));
	assert_true(queue_payload(&m, part + 50000, 49999));
	assert_false(queue_payload(&m, part, 2));	/* one is left, none is taken */
	assert_true(queue_payload(&m, part + 99999, 1));
	assert_false(queue_payload(&m, part, 1));
	assert_memory_equal(part, all, sizeof(all));
}

static void test_read_payload_goes_out_in_order(void **state)
{
	static uint8_t first[128 << 10], second[512];

	(void)state;
	memset(second, 0xee, sizeof(second));
	for (size_t i = 0; i < sizeof(first); i++)
		first[i] = (uint8_t)(i / 3);
	queue_answer(&queue, 1, 0, sizeof(first), first);
	queue_answer(&queue, 2, -EIO, 0, NULL);
	queue_answer(&queue, 3, 0, sizeof(second), second);
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	assert_int_equal(attrs[R3MAP_A_QUEUE_COMPLETIONS].size, 3 * sizeof(struct r3map_completion));
	assert_int_equal(data_size, sizeof(first) + sizeof(second));
	assert_memory_equal(data, first, sizeof(first));
	assert_memory_equal(data + sizeof(first), second, sizeof(second));
	/* Nothing of it is left for the next message. */
	queue_answer(&queue, 4, 0, 0, NULL);
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	assert_int_equal(data_size, 0);
}

static void test_full_by_payload(void **state)
{
	static uint8_t big[128 << 10];
	unsigned int n = 0;

	(void)state;
	while (!queue_full(&queue, sizeof(big)) && n < R3MAP_MAX_BATCH) {
		queue_answer(&queue, n++, 0, sizeof(big), big);
		assert_true(n < 64);
	}
	assert_true(n >= 8);
	assert_int_equal(queue_send(&queue), 0);
	take_answer();
	assert_int_equal(data_size, n * sizeof(big));
}

/* A message of any bytes at all: a sanitizer, or the guard below, tells if the parser goes too far. */
static void test_no_message_is_read_beyond(void **state)
{
	struct queue_message m;
	unsigned int seed = 1, fine = 0;
	static uint8_t out[1 << 16];
	uint16_t word;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		begin(FAMILY, R3MAP_CMD_QUEUE_REQUEST);
		put(R3MAP_A_QUEUE_SEQ, &seq, sizeof(seq));
		requests((unsigned int)rand_r(&seed) % 3, R3MAP_OP_WRITE, 4096);
		put(R3MAP_A_QUEUE_DATA, out, (unsigned int)rand_r(&seed) % 64);
		put(R3MAP_A_QUEUE_DATA, out, (unsigned int)rand_r(&seed) % 64);
		for (int flips = rand_r(&seed) % 4; flips >= 0; flips--) {
			word = (uint16_t)(rand_r(&seed) % 4 ? rand_r(&seed) % 80 : rand_r(&seed));
			memcpy(message + 20 + (unsigned int)rand_r(&seed) % (length - 22), &word, 2);
		}
		length -= (unsigned int)rand_r(&seed) % 8;
		deliver();
		if (receive(&m) != 1)
			continue;
		fine++;
		assert_true(m.end <= queue.rx + length);
		for (unsigned int i = 0; i < m.count; i++) {
			assert_true(m.descs + (i + 1) * sizeof(struct r3map_desc) <= m.end);
			queue_desc(&m, i);
		}
		assert_true(m.data_left <= length);
		assert_true(queue_payload(&m, out, m.data_left));
		assert_true(m.data_left == 0);
	}
	assert_true(fine > 1000);	/* the test is worth something */
}

static void test_extack_is_found_and_cut(void **state)
{
	static const char text[] = "the index is in use";
	struct nlmsghdr header = { .nlmsg_type = NLMSG_ERROR, .nlmsg_flags = NLM_F_ACK_TLVS };
	struct nlmsgerr reply = { .error = -EBUSY, .msg = { .nlmsg_len = NLMSG_HDRLEN + 20 } };
	uint32_t size;
	char out[64];

	(void)state;
	memset(message, 0, 256);
	memcpy(message, &header, sizeof(header));
	memcpy(message + NLMSG_HDRLEN, &reply, sizeof(reply));
	length = NLMSG_HDRLEN + sizeof(reply) + 20;	/* behind the copy of the request */
	put(NLMSGERR_ATTR_MSG, text, sizeof(text));
	size = (uint32_t)length;
	memcpy(message, &size, sizeof(size));
	extack_text((struct nlmsghdr *)message, out, sizeof(out));
	assert_string_equal(out, text);
	extack_text((struct nlmsghdr *)message, out, 6);
	assert_string_equal(out, "the i");
	for (size = 0; size < length; size++) {		/* any cut is survived */
		memcpy(message, &size, sizeof(size));
		extack_text((struct nlmsghdr *)message, out, sizeof(out));
		assert_true(!out[0] || size + 4 > length);
	}
}

#define WITH(test, kind) cmocka_unit_test_setup_teardown(test, setup_##kind, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_answer_has_all_it_needs, shared),
		WITH(test_lent_payload_has_addresses, shared),
		WITH(test_bare_number_gives_credit_back, shared),
		WITH(test_full_at_the_largest_batch, shared),
		WITH(test_other_messages_are_passed_over, shared),
		WITH(test_refusal_ends_the_queue_with_its_words, shared),
		WITH(test_refusal_of_a_removed_device_is_nothing, shared),
		WITH(test_answer_without_memory_is_said_again, shared),
		WITH(test_unchecked_answers_are_said_again, shared),
		WITH(test_payload_is_said_again_while_it_is_there, inline),
		WITH(test_wrong_messages_are_refused, shared),
		WITH(test_payload_is_one_row_of_bytes, inline),
		WITH(test_read_payload_goes_out_in_order, inline),
		WITH(test_full_by_payload, inline),
		WITH(test_no_message_is_read_beyond, inline),
		cmocka_unit_test(test_extack_is_found_and_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
