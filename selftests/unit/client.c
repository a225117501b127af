// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NBD transmission against a server that this test plays, request by request: order, pieces, errors,
 * and every way to break the protocol that a reply offers.
 *
 * One thread: what the client sent is read from the other end of a socket pair, what the server
 * answers is written there, and the loop is turned until nothing moves.
 */
#include "drive.h"

#include <endian.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "nbd/client.h"

static struct nbd_client *client;
static struct loop *loop;
static int server_fd;

/* Replies in chunks are tested in chunks.c. */
static const struct nbd_client_config config = { .name = "test" };	/* see also reconnect.c */
static const struct nbd_export simple = { .headers = NBD_HEADERS_SIMPLE, .block_min = 1 };

static int setup(void **state)
{
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) || loop_new(&loop) ||
	    nbd_client_new((struct stream) { .fd = fds[0] }, &simple, &config, loop, &client))
		return -1;
	server_fd = fds[1];
	drive_log_clear();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (client)
		nbd_client_free(client);
	loop_free(loop);
	if (server_fd >= 0)
		close(server_fd);
	return 0;
}

/* Until there is nothing left to do at once. */
static void turn(void)
{
	int i;

	for (i = 0; i < 40; i++)
		assert_int_equal(loop_once(loop, 0), 0);
}

static void submit(struct request *request, enum backend_op op, uint64_t offset, void *buf,
		   uint32_t length, uint32_t flags)
{
	request_make(request, op, offset, buf, length, flags);
	nbd_client_submit(client, &request->io);
}

static struct nbd_request hear(void)
{
	struct nbd_request request;

	assert_int_equal(read(server_fd, &request, sizeof(request)), sizeof(request));
	assert_int_equal(be32toh(request.magic), NBD_REQUEST_MAGIC);
	return request;
}

static void hear_nothing(void)
{
	char byte;

	assert_int_equal(read(server_fd, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void say(const void *data, size_t length)
{
	assert_int_equal(write(server_fd, data, length), length);
}

/* @cookie: as it was on the wire. */
static void answer(uint64_t cookie, uint32_t error)
{
	struct nbd_simple_reply reply = {
		.magic = htobe32(NBD_SIMPLE_REPLY_MAGIC),
		.error = htobe32(error),
		.cookie = cookie,
	};

	say(&reply, sizeof(reply));
}

static void is_done(const struct request *request, int result)
{
	assert_int_equal(request->completed, 1);
	assert_int_equal(request->result, result);
}

static void requests_are_what_the_protocol_says(void **state)
{
	static const struct {
		enum backend_op op;
		uint32_t flags;
		uint16_t type, wire_flags;
	} cases[] = {
		{ BACKEND_READ, 0, NBD_CMD_READ, 0 },
		{ BACKEND_READ, BACKEND_FUA | BACKEND_NO_UNMAP, NBD_CMD_READ, 0 },
		{ BACKEND_WRITE, 0, NBD_CMD_WRITE, 0 },
		{ BACKEND_WRITE, BACKEND_FUA, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA },
		{ BACKEND_FLUSH, BACKEND_FUA, NBD_CMD_FLUSH, 0 },
		{ BACKEND_DISCARD, BACKEND_FUA, NBD_CMD_TRIM, 0 },
		{ BACKEND_WRITE_ZEROES, 0, NBD_CMD_WRITE_ZEROES, 0 },
		{ BACKEND_WRITE_ZEROES, BACKEND_NO_UNMAP, NBD_CMD_WRITE_ZEROES,
		  NBD_CMD_FLAG_NO_HOLE },
		{ BACKEND_WRITE_ZEROES, BACKEND_NO_UNMAP | BACKEND_FUA, NBD_CMD_WRITE_ZEROES,
		  NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FUA },
	};
	const size_t count = sizeof(cases) / sizeof(cases[0]);
	struct request requests[9];
	uint64_t cookies[9];
	char buf[1024];
	size_t i;

	(void)state;
	memset(buf, 'p', sizeof(buf));
	for (i = 0; i < count; i++)
		submit(&requests[i], cases[i].op, 0x123456789a00ull + i, buf, 1024, cases[i].flags);
	hear_nothing();		/* not before the kick */
	nbd_client_kick(client);
	for (i = 0; i < count; i++) {
		bool flush = cases[i].op == BACKEND_FLUSH;
		struct nbd_request heard = hear();

		assert_int_equal(be16toh(heard.type), cases[i].type);
		assert_int_equal(be16toh(heard.flags), cases[i].wire_flags);
		assert_true(be64toh(heard.offset) == (flush ? 0 : 0x123456789a00ull + i));
		assert_int_equal(be32toh(heard.length), flush ? 0 : 1024);
		cookies[i] = heard.cookie;
		if (cases[i].op == BACKEND_WRITE) {
			char payload[1024];

			assert_int_equal(read(server_fd, payload, 1024), 1024);
			assert_memory_equal(payload, buf, 1024);
		}
	}
	hear_nothing();
	for (i = count; i--;) {		/* in reverse */
		answer(cookies[i], 0);
		if (cases[i].op == BACKEND_READ)
			say(memset(buf, (int)i, 1024), 1024);
		turn();
		is_done(&requests[i], 0);
		if (i)
			assert_int_equal(requests[i - 1].completed, 0);
	}
	assert_string_equal(drive_log, "");
}

/* All at once and a byte at a time; small ones and ones that are read straight into place. */
static void replies_in_any_pieces(void **state)
{
	static const uint32_t lengths[2][8] = {
		{ 1, 512, 40000, 16, 300000, 32768, 4096, 70000 },
		{ 1, 512, 40000, 16, 600, 32768, 7, 17 },	/* for the small steps */
	};
	static char wire[600000], bufs[8][300000];
	static const size_t steps[] = { sizeof(wire), 1, 7, 16, 4095, 33000 };
	struct request requests[8];
	struct nbd_simple_reply reply;
	size_t used, i, n, s, at, step;

	(void)state;
	for (s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
		const uint32_t *length = lengths[steps[s] < 100];

		for (i = 0; i < 8; i++)
			submit(&requests[i], BACKEND_READ, i, bufs[i], length[i], 0);
		nbd_client_kick(client);
		used = 0;
		for (i = 0; i < 8; i++) {
			reply = (struct nbd_simple_reply) {
				.magic = htobe32(NBD_SIMPLE_REPLY_MAGIC),
				.cookie = hear().cookie,
			};
			memcpy(wire + used, &reply, sizeof(reply));
			used += sizeof(reply);
			for (n = 0; n < length[i]; n++)
				wire[used++] = (char)(n * 31 + i + n / 1000 + s);
		}
		for (at = 0; at < used; at += step) {
			ssize_t wrote;

			step = used - at < steps[s] ? used - at : steps[s];
			wrote = write(server_fd, wire + at, step);
			if (wrote > 0)
				step = (size_t)wrote;
			else
				step = 0;
			assert_int_equal(loop_once(loop, 0), 0);
		}
		turn();
		for (i = 0; i < 8; i++) {
			is_done(&requests[i], 0);
			for (n = 0; n < length[i]; n++)
				if (bufs[i][n] != (char)(n * 31 + i + n / 1000 + s))
					fail_msg("step %zu, reply %zu differs at %zu", steps[s], i, n);
		}
	}
	assert_string_equal(drive_log, "");
}

static void errors_become_errnos(void **state)
{
	static const struct {
		uint32_t wire;
		int result;
	} cases[] = {
		{ NBD_EPERM, -EPERM }, { NBD_EIO, -EIO }, { NBD_ENOMEM, -ENOMEM },
		{ NBD_EINVAL, -EINVAL }, { NBD_ENOSPC, -ENOSPC }, { NBD_EOVERFLOW, -EOVERFLOW },
		{ NBD_ENOTSUP, -EOPNOTSUPP }, { NBD_ESHUTDOWN, -ESHUTDOWN },
		{ 4711, -EINVAL }, { UINT32_MAX, -EINVAL },
	};
	struct request request;
	char buf[4096];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		submit(&request, BACKEND_READ, 0, buf, 4096, 0);
		nbd_client_kick(client);
		answer(hear().cookie, cases[i].wire);	/* no payload after an error */
		turn();
		is_done(&request, cases[i].result);
	}
	assert_string_equal(drive_log, "");
}

/* Ends with @code for @a and @b, which are in flight, and for what comes later. */
static void connection_ends(struct request *a, struct request *b, int code, const char *part)
{
	struct request later;
	char buf[512];

	turn();
	is_done(a, code);
	is_done(b, code);
	assert_non_null(strstr(drive_log, part));
	assert_ptr_equal(strchr(drive_log, '\n'), drive_log + strlen(drive_log) - 1);
	submit(&later, BACKEND_READ, 0, buf, 512, 0);
	is_done(&later, code);
	nbd_client_kick(client);
	turn();
}

static struct request first, second;
static char first_buf[65536], second_buf[4096];

static void two_in_flight(uint64_t *cookie)
{
	submit(&first, BACKEND_READ, 0, first_buf, 65536, 0);
	submit(&second, BACKEND_WRITE, 0, second_buf, 4096, 0);
	nbd_client_kick(client);
	*cookie = hear().cookie;
}

static void wrong_magic(void **state)
{
	uint64_t cookie;
	uint32_t magic = htobe32(NBD_STRUCTURED_REPLY_MAGIC);

	(void)state;
	two_in_flight(&cookie);
	say(&magic, 4);
	say(&magic, 4);
	say(&cookie, 8);
	connection_ends(&first, &second, -EIO, "magic 0x668e33ef");
}

static void unknown_cookie(void **state)
{
	uint64_t cookie;

	(void)state;
	two_in_flight(&cookie);
	answer(htobe64(be64toh(cookie) + 5), 0);
	connection_ends(&first, &second, -EIO, "not made");
}

static void cookie_out_of_the_table(void **state)
{
	uint64_t cookie;

	(void)state;
	two_in_flight(&cookie);
	answer(htobe64(be64toh(cookie) | 0x80000400), 0);
	connection_ends(&first, &second, -EIO, "not made");
}

static void cookie_of_another_generation(void **state)
{
	uint64_t cookie;

	(void)state;
	two_in_flight(&cookie);
	answer(htobe64(be64toh(cookie) ^ 1ull << 32), 0);
	connection_ends(&first, &second, -EIO, "not made");
}

static void duplicate_cookie(void **state)
{
	struct request once;
	uint64_t cookie, again;
	char buf[16] = "";

	(void)state;
	submit(&once, BACKEND_READ, 0, buf, 16, 0);
	nbd_client_kick(client);
	again = hear().cookie;
	answer(again, 0);
	say(buf, 16);
	turn();
	is_done(&once, 0);
	two_in_flight(&cookie);
	answer(again, 0);
	connection_ends(&first, &second, -EIO, "not made");
	is_done(&once, 0);
}

static void closed_while_idle(void **state)
{
	struct request later;

	(void)state;
	close(server_fd);
	server_fd = -1;
	turn();
	assert_non_null(strstr(drive_log, "closed the connection; 0 requests"));
	submit(&later, BACKEND_FLUSH, 0, NULL, 0, 0);
	is_done(&later, -ENOTCONN);
}

static void closed_with_requests_in_flight(void **state)
{
	uint64_t cookie;

	(void)state;
	two_in_flight(&cookie);
	close(server_fd);
	server_fd = -1;
	connection_ends(&first, &second, -ENOTCONN, "2 requests were in flight");
}

static void closed_within_a_header(void **state)
{
	uint64_t cookie;

	(void)state;
	two_in_flight(&cookie);
	say("\x67\x44\x66", 3);
	assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
	connection_ends(&first, &second, -ENOTCONN, "within a reply");
}

static void closed_within_a_payload(void **state)
{
	uint64_t cookie;

	(void)state;
	two_in_flight(&cookie);
	answer(cookie, 0);
	say(first_buf, 60000);
	turn();
	assert_int_equal(first.completed, 0);
	assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
	connection_ends(&first, &second, -ENOTCONN, "within a reply");
}

static void bytes_after_a_reply(void **state)
{
	struct request other;
	uint64_t cookie;

	(void)state;
	two_in_flight(&cookie);
	answer(cookie, 0);
	say(first_buf, 65536);
	turn();
	is_done(&first, 0);
	submit(&other, BACKEND_READ, 0, first_buf, 65536, 0);
	nbd_client_kick(client);
	say(first_buf, 4096);		/* a payload of 68 KiB, as it were */
	connection_ends(&second, &other, -EIO, "magic 0x00000000");
}

/* The server answers and leaves at once: the answers count, the rest fails. */
static void answers_before_the_end_count(void **state)
{
	struct request third;
	uint64_t cookie;
	char payload[4096];

	(void)state;
	two_in_flight(&cookie);
	hear();
	assert_int_equal(read(server_fd, payload, 4096), 4096);
	answer(cookie, 0);
	say(first_buf, 65536);
	close(server_fd);
	server_fd = -1;
	submit(&third, BACKEND_FLUSH, 0, NULL, 0, 0);
	nbd_client_kick(client);	/* finds the pipe broken, and reads what is there */
	is_done(&first, 0);
	connection_ends(&second, &third, -ENOTCONN, "in flight");
}

/* Writes that the socket does not take at once leave whole and in order. */
static void a_full_socket(void **state)
{
	enum { COUNT = 40, LENGTH = 100000 };
	static char bufs[COUNT][LENGTH];
	static struct request requests[COUNT];
	static char heard[COUNT * (LENGTH + 28)];
	size_t used = 0, i;
	ssize_t got;

	(void)state;
	for (i = 0; i < COUNT; i++) {
		memset(bufs[i], (int)i + 1, LENGTH);
		submit(&requests[i], BACKEND_WRITE, i * LENGTH, bufs[i], LENGTH, 0);
	}
	nbd_client_kick(client);
	nbd_client_kick(client);
	while (used < sizeof(heard)) {
		got = read(server_fd, heard + used, used % 70001 + 1);
		if (got > 0)
			used += (size_t)got;
		assert_int_equal(loop_once(loop, 0), 0);
	}
	hear_nothing();
	for (i = 0; i < COUNT; i++) {
		struct nbd_request request;
		const char *at = heard + i * (LENGTH + 28);

		memcpy(&request, at, sizeof(request));
		assert_true(be64toh(request.offset) == i * LENGTH);
		assert_true(is_filled(at + 28, LENGTH, (char)(i + 1)));
		answer(request.cookie, 0);
	}
	turn();
	for (i = 0; i < COUNT; i++)
		is_done(&requests[i], 0);
	assert_string_equal(drive_log, "");
}

/* A write that is refused before all of it has left must be sent to its end all the same. */
static void an_early_answer(void **state)
{
	enum { LENGTH = 4 << 20 };
	static char buf[LENGTH], heard[LENGTH];
	struct nbd_request request;
	struct request write, other;
	size_t used = 0;
	ssize_t got;

	(void)state;
	submit(&write, BACKEND_WRITE, 0, buf, LENGTH, 0);
	submit(&other, BACKEND_FLUSH, 0, NULL, 0, 0);
	nbd_client_kick(client);
	request = hear();
	answer(request.cookie, NBD_ENOSPC);
	turn();
	assert_int_equal(write.completed, 0);	/* its buffer is still being read */
	while (used < LENGTH) {
		got = read(server_fd, heard + used, LENGTH - used);
		if (got > 0)
			used += (size_t)got;
		assert_int_equal(loop_once(loop, 0), 0);
	}
	turn();
	is_done(&write, -ENOSPC);
	answer(hear().cookie, 0);
	turn();
	is_done(&other, 0);
}

static void an_answer_to_what_has_not_left(void **state)
{
	enum { LENGTH = 4 << 20 };
	static char buf[LENGTH];
	struct request write, other;
	uint64_t cookie;

	(void)state;
	submit(&write, BACKEND_WRITE, 0, buf, LENGTH, 0);
	submit(&other, BACKEND_WRITE, 0, buf, LENGTH, 0);
	nbd_client_kick(client);
	cookie = hear().cookie;
	answer(htobe64(be64toh(cookie) + 1), 0);	/* the guessed cookie of the other */
	connection_ends(&write, &other, -EIO, "not made");
}

static void twice_an_early_answer(void **state)
{
	enum { LENGTH = 4 << 20 };
	static char buf[LENGTH];
	struct request write, other;
	uint64_t cookie;

	(void)state;
	submit(&write, BACKEND_WRITE, 0, buf, LENGTH, 0);
	submit(&other, BACKEND_FLUSH, 0, NULL, 0, 0);
	nbd_client_kick(client);
	cookie = hear().cookie;
	answer(cookie, NBD_EIO);
	answer(cookie, NBD_EIO);
	connection_ends(&write, &other, -EIO, "not made");
}

enum { MANY = 3 * NBD_CLIENT_DEPTH + 5 };
static struct request many[MANY];

static void submit_many(void)
{
	unsigned int i;

	for (i = 0; i < MANY; i++)
		submit(&many[i], BACKEND_DISCARD, i, NULL, 1, 0);
	nbd_client_kick(client);
}

/* More requests than the table has places: they wait, in order, and all get done. */
static void more_than_the_table(void **state)
{
	static uint64_t cookies[MANY];
	unsigned int heard = 0, answered = 0, i;
	struct nbd_request request;

	(void)state;
	submit_many();
	while (answered < MANY) {
		while (read(server_fd, &request, sizeof(request)) == sizeof(request)) {
			assert_true(be64toh(request.offset) == heard);
			cookies[heard++] = request.cookie;
		}
		assert_int_equal(heard, answered + NBD_CLIENT_DEPTH < MANY ?
				 answered + NBD_CLIENT_DEPTH : MANY);
		for (i = 0; i < 50 && answered < heard; i++)
			answer(cookies[answered++], 0);
		turn();
	}
	for (i = 0; i < MANY; i++)
		is_done(&many[i], 0);
	assert_false(loop_busy(loop, NULL));
}

static void those_that_wait_fail_too(void **state)
{
	unsigned int i;

	(void)state;
	submit_many();
	close(server_fd);
	server_fd = -1;
	turn();
	for (i = 0; i < MANY; i++)
		is_done(&many[i], -ENOTCONN);
}

static struct request again_request;
static unsigned int again_left;

static void again_done(struct backend_io *io, int error)
{
	assert_int_equal(error, 0);
	if (again_left--)
		nbd_client_submit(client, io);
}

/* A done() that submits again needs no kick of its own. */
static void done_may_submit(void **state)
{
	unsigned int heard = 0;
	struct nbd_request request;

	(void)state;
	again_left = 20;
	request_make(&again_request, BACKEND_FLUSH, 0, NULL, 0, 0);
	again_request.io.done = again_done;
	nbd_client_submit(client, &again_request.io);
	nbd_client_kick(client);
	while (read(server_fd, &request, sizeof(request)) == sizeof(request)) {
		heard++;
		answer(request.cookie, 0);
		turn();
	}
	assert_int_equal(heard, 21);
}

static void idle_means_nothing_in_flight(void **state)
{
	struct request request;

	(void)state;
	assert_false(loop_busy(loop, NULL));
	submit(&request, BACKEND_FLUSH, 0, NULL, 0, 0);
	assert_true(loop_busy(loop, NULL));
	nbd_client_kick(client);
	assert_true(loop_busy(loop, NULL));
	answer(hear().cookie, 0);
	turn();
	assert_false(loop_busy(loop, NULL));
}

static void close_says_goodbye(void **state)
{
	char byte;

	(void)state;
	nbd_client_free(client);
	client = NULL;
	assert_int_equal(be16toh(hear().type), NBD_CMD_DISC);
	assert_int_equal(read(server_fd, &byte, 1), 0);
}

static void close_cancels(void **state)
{
	uint64_t cookie;

	(void)state;
	two_in_flight(&cookie);
	nbd_client_free(client);
	client = NULL;
	is_done(&first, -ECANCELED);
	is_done(&second, -ECANCELED);
	assert_string_equal(drive_log, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_what_the_protocol_says),
		TEST(replies_in_any_pieces),
		TEST(errors_become_errnos),
		TEST(wrong_magic),
		TEST(unknown_cookie),
		TEST(cookie_out_of_the_table),
		TEST(cookie_of_another_generation),
		TEST(duplicate_cookie),
		TEST(closed_while_idle),
		TEST(closed_with_requests_in_flight),
		TEST(closed_within_a_header),
		TEST(closed_within_a_payload),
		TEST(bytes_after_a_reply),
		TEST(answers_before_the_end_count),
		TEST(a_full_socket),
		TEST(an_early_answer),
		TEST(an_answer_to_what_has_not_left),
		TEST(twice_an_early_answer),
		TEST(more_than_the_table),
		TEST(those_that_wait_fail_too),
		TEST(done_may_submit),
		TEST(idle_means_nothing_in_flight),
		TEST(close_says_goodbye),
		TEST(close_cancels),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
