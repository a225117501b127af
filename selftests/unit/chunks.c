// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NBD replies in chunks, structured and extended, from a server that this test plays: every order,
 * every split, and every way to break the protocol that a chunk offers.
 */
#include "drive.h"

#include <endian.h>
#include <signal.h>
#include <sys/socket.h>

#include "nbd/connection.h"
#include "nbd/cover.h"
#include "nbd/reply.h"

#define CONTEXT		77u
#define DONE		NBD_REPLY_FLAG_DONE
#define BASE		1048576u	/* where the requests begin */
#define EXTENTS		8		/* extents that are asked for */

static struct nbd_client *client;
static struct loop *loop;
static int server_fd;
static enum nbd_headers headers;

static struct {
	struct backend_extents list;
	struct backend_extent room[EXTENTS];
} extents;

static char wire[600000];	/* what the server is going to say */
static size_t wire_used;

static void start(enum nbd_headers kind)
{
	const struct nbd_client_config config = { .name = "test" };
	struct nbd_export export = {
		.headers = kind, .block_min = 512, .has_allocation = true, .allocation_id = CONTEXT,
	};
	int fds[2];

	headers = kind;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(nbd_client_new((struct stream) { .fd = fds[0] }, &export, &config, loop,
					&client), 0);
	server_fd = fds[1];
	wire_used = 0;
	drive_log_clear();
}

static void stop(void)
{
	nbd_client_free(client);
	loop_free(loop);
	close(server_fd);
}

static void turn(void)
{
	int i;

	for (i = 0; i < 20; i++)
		assert_int_equal(loop_once(loop, 0), 0);
}

static void submit(struct request *request, enum backend_op op, uint64_t offset, void *buf,
		   uint32_t length, uint32_t flags)
{
	request_make(request, op, offset, buf, length, flags);
	extents.list.room = EXTENTS;
	request->io.extents = &extents.list;
	nbd_client_submit(client, &request->io);
}

static struct nbd_call hear(void)
{
	char wire_request[NBD_REQUEST_MAX];
	struct nbd_call call;

	assert_int_equal(read(server_fd, wire_request, nbd_request_size(headers)),
			 nbd_request_size(headers));
	assert_true(nbd_request_decode(headers, wire_request, &call));
	return call;
}

/* To be said: a chunk's header with @length in it, then @have bytes. */
static void put(const struct nbd_call *call, uint16_t type, uint16_t flags, uint64_t length,
		const void *payload, size_t have)
{
	const struct nbd_reply reply = {
		.type = type, .flags = flags, .cookie = call->cookie, .offset = call->offset,
		.length = length,
	};

	assert_true(wire_used + NBD_REPLY_MAX + have <= sizeof(wire));
	wire_used += nbd_chunk_encode(headers, &reply, wire + wire_used);
	if (have)
		memcpy(wire + wire_used, payload, have);
	wire_used += have;
}

static void put_none(const struct nbd_call *call)
{
	put(call, NBD_REPLY_TYPE_NONE, DONE, 0, NULL, 0);
}

static void put_data(const struct nbd_call *call, uint16_t flags, uint64_t offset,
		     const void *data, size_t length)
{
	uint64_t be = htobe64(offset);

	put(call, NBD_REPLY_TYPE_OFFSET_DATA, flags, sizeof(be) + length, &be, sizeof(be));
	memcpy(wire + wire_used, data, length);
	wire_used += length;
}

static void put_hole(const struct nbd_call *call, uint16_t flags, uint64_t offset, uint32_t length)
{
	char payload[NBD_HOLE_SIZE];

	nbd_hole_encode(offset, length, payload);
	put(call, NBD_REPLY_TYPE_OFFSET_HOLE, flags, sizeof(payload), payload, sizeof(payload));
}

static void put_simple(const struct nbd_call *call, uint32_t error)
{
	nbd_simple_reply_encode(call->cookie, error, wire + wire_used);
	wire_used += sizeof(struct nbd_simple_reply);
}

/* @offset: of ERROR_OFFSET. */
static void put_error(const struct nbd_call *call, uint16_t type, uint16_t flags, uint32_t error,
		      const char *text, uint64_t offset)
{
	struct {
		uint32_t error;
		uint16_t length;
		char rest[300];
	} __attribute__((packed)) payload = {
		htobe32(error), htobe16((uint16_t)strlen(text)), "",
	};
	size_t length = 6 + strlen(text);

	memcpy(payload.rest, text, strlen(text));
	if (type == NBD_REPLY_TYPE_ERROR_OFFSET) {
		offset = htobe64(offset);
		memcpy((char *)&payload + length, &offset, sizeof(offset));
		length += sizeof(offset);
	}
	put(call, type, flags, length, &payload, length);
}

/* @pairs: length and flags of each extent. */
static void put_status(const struct nbd_call *call, bool wide, uint32_t context, uint32_t count,
		       const uint64_t (*pairs)[2], size_t extents_count)
{
	const size_t each = wide ? NBD_EXTENT_EXT_SIZE : NBD_EXTENT_SIZE;
	char payload[NBD_STATUS_EXT_SIZE + 20 * NBD_EXTENT_EXT_SIZE];
	size_t length = wide ? NBD_STATUS_EXT_SIZE : NBD_STATUS_SIZE;
	size_t i;

	context = htobe32(context);
	count = htobe32(count);
	memcpy(payload, &context, sizeof(context));
	memcpy(payload + 4, &count, sizeof(count));
	for (i = 0; i < extents_count; i++, length += each)
		nbd_extent_encode(wide, pairs[i][0], pairs[i][1], payload + length);
	put(call, wide ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT : NBD_REPLY_TYPE_BLOCK_STATUS, DONE,
	    length, payload, length);
}

/* Says all that was put, @step bytes at a time, and turns the loop between. */
static void say(size_t step)
{
	size_t at, length;
	ssize_t wrote;

	for (at = 0; at < wire_used; at += (size_t)wrote) {
		length = wire_used - at < step ? wire_used - at : step;
		wrote = send(server_fd, wire + at, length, MSG_NOSIGNAL);
		if (wrote < 0)
			wrote = errno == EPIPE ? (ssize_t)length : 0;
		assert_int_equal(loop_once(loop, 0), 0);
	}
	wire_used = 0;
	turn();
}

static void is_done(const struct request *request, int result)
{
	assert_int_equal(request->completed, 1);
	assert_int_equal(request->result, result);
}

/* The bytes that the server has at @offset. */
static char byte_at(uint64_t offset)
{
	return (char)(offset * 31 + offset / 1000);
}

static void fill(char *to, uint64_t offset, size_t length)
{
	while (length--)
		*to++ = byte_at(offset++);
}

static const enum nbd_headers kinds[] = { NBD_HEADERS_STRUCTURED, NBD_HEADERS_EXTENDED };

static void requests_are_what_the_protocol_says(void **state)
{
	static const struct {
		enum backend_op op;
		uint32_t flags;
		uint16_t type, wire_flags;
		bool payload;
	} cases[] = {
		{ BACKEND_READ, BACKEND_FUA | BACKEND_ONE, NBD_CMD_READ, 0, false },
		{ BACKEND_WRITE, BACKEND_FUA, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, true },
		{ BACKEND_WRITE, BACKEND_ONE | BACKEND_FAST_ZERO, NBD_CMD_WRITE, 0, true },
		{ BACKEND_FLUSH, BACKEND_FUA, NBD_CMD_FLUSH, 0, false },
		{ BACKEND_DISCARD, BACKEND_FUA, NBD_CMD_TRIM, 0, false },
		{ BACKEND_WRITE_ZEROES, BACKEND_FAST_ZERO | BACKEND_FUA, NBD_CMD_WRITE_ZEROES,
		  NBD_CMD_FLAG_FAST_ZERO | NBD_CMD_FLAG_FUA, false },
		{ BACKEND_WRITE_ZEROES, BACKEND_NO_UNMAP, NBD_CMD_WRITE_ZEROES,
		  NBD_CMD_FLAG_NO_HOLE, false },
		{ BACKEND_EXTENTS, 0, NBD_CMD_BLOCK_STATUS, 0, false },
		{ BACKEND_EXTENTS, BACKEND_ONE, NBD_CMD_BLOCK_STATUS, NBD_CMD_FLAG_REQ_ONE, false },
		{ BACKEND_CACHE, BACKEND_FUA, NBD_CMD_CACHE, 0, false },
	};
	enum { COUNT = sizeof(cases) / sizeof(cases[0]) };
	struct request requests[COUNT];
	char buf[1024], payload[1024];
	size_t k, i;

	(void)state;
	memset(buf, 'p', sizeof(buf));
	for (k = 0; k < 2; k++) {
		start(kinds[k]);
		for (i = 0; i < COUNT; i++)
			submit(&requests[i], cases[i].op, BASE * (i + 1), buf, 1024,
			       cases[i].flags);
		nbd_client_kick(client);
		for (i = 0; i < COUNT; i++) {
			struct nbd_call call = hear();
			bool flush = call.type == NBD_CMD_FLUSH;
			uint16_t more = headers == NBD_HEADERS_EXTENDED && cases[i].payload ?
					NBD_CMD_FLAG_PAYLOAD_LEN : 0;

			assert_int_equal(call.type, cases[i].type);
			assert_int_equal(call.flags, cases[i].wire_flags | more);
			assert_int_equal(call.offset, flush ? 0 : BASE * (i + 1));
			assert_int_equal(call.length, flush ? 0 : 1024);
			if (cases[i].payload) {
				assert_int_equal(read(server_fd, payload, 1024), 1024);
				assert_memory_equal(payload, buf, 1024);
			}
			if (call.type != NBD_CMD_READ && call.type != NBD_CMD_BLOCK_STATUS) {
				put_none(&call);
				say(1000);
				is_done(&requests[i], 0);
			}
		}
		assert_string_equal(drive_log, "");
		stop();
	}
}

/* More requests than the table has places: the ring of headers wraps at its own size. */
static void many_requests(void **state)
{
	enum { MANY = 3 * NBD_CLIENT_DEPTH + 7 };
	static struct request requests[MANY];
	unsigned int heard = 0;
	struct nbd_call call;
	size_t k, i;

	(void)state;
	for (k = 0; k < 2; k++) {
		start(kinds[k]);
		heard = 0;
		for (i = 0; i < MANY; i++)
			submit(&requests[i], BACKEND_CACHE, i * 512, NULL, 512, 0);
		nbd_client_kick(client);
		while (heard < MANY) {
			for (i = 0; i < 50 && heard < MANY; i++) {
				call = hear();
				assert_int_equal(call.offset, 512 * heard++);
				put_none(&call);
			}
			say(sizeof(wire));
		}
		for (i = 0; i < MANY; i++)
			is_done(&requests[i], 0);
		stop();
	}
}

enum { READS = 4 };
static struct request reads[READS];
static char bufs[READS][100000];

static const uint32_t lengths[2][READS] = {
	{ 512, 70000, 4096, 32768 },
	{ 512, 3000, 1, 1700 },		/* for the small steps */
};

/*
 * Puts replies to all reads: pieces of random size, some of them holes, in random order and mixed
 * with each other.
 */
static void put_mixed(const struct nbd_call *calls, const uint32_t *length)
{
	struct { unsigned int read; uint32_t from, to; bool hole; } pieces[READS * 12], swap;
	static char data[100000];
	unsigned int left[READS] = { 0 };
	unsigned int used = 0, i, n;

	for (i = 0; i < READS; i++) {
		uint32_t at = 0;

		while (at < length[i]) {
			uint32_t size = 1 + (uint32_t)random() % length[i];

			if (left[i] == 11 || size > length[i] - at)
				size = length[i] - at;
			pieces[used].read = i;
			pieces[used].from = at;
			pieces[used].to = at + size;
			pieces[used++].hole = random() % 4 == 0;
			left[i]++;
			at += size;
		}
	}
	for (i = used; i > 1; i--) {
		n = (unsigned int)random() % i;
		swap = pieces[n];
		pieces[n] = pieces[i - 1];
		pieces[i - 1] = swap;
	}
	for (i = 0; i < used; i++) {
		const struct nbd_call *call = &calls[pieces[i].read];
		uint64_t offset = call->offset + pieces[i].from;
		uint32_t size = pieces[i].to - pieces[i].from;
		bool last = !--left[pieces[i].read];
		bool apart = last && random() % 2;	/* the end is a chunk of its own */
		uint16_t flags = last && !apart ? DONE : 0;

		fill(data, offset, size);
		if (pieces[i].hole)
			put_hole(call, flags, offset, size);
		else
			put_data(call, flags, offset, data, size);
		if (pieces[i].hole)	/* what is_right() goes by */
			memset(bufs[pieces[i].read] + pieces[i].from, 'h', size);
		else
			memset(bufs[pieces[i].read] + pieces[i].from, 'd', size);
		if (apart)
			put_none(call);
	}
}

/* Is this valgrind, or the like? Then there are fewer rounds, and pieces are not so small. */
static bool is_slow(void)
{
	return getenv("TEST_SLOW") && atoi(getenv("TEST_SLOW")) > 1;
}

static void chunks_in_any_order_and_pieces(void **state)
{
	static const size_t steps[] = { sizeof(wire), 1, 2, 7, 20, 28, 4095, 33000 };
	static char expected[READS][100000];
	struct nbd_call calls[READS];
	size_t k, s, i, n;
	int round;

	(void)state;
	srandom(7);
	for (k = 0; k < 2; k++) {
		start(kinds[k]);
		for (s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
			const uint32_t *length = lengths[steps[s] < 100];

			for (round = 0; round < (is_slow() ? 2 : 20); round++) {
				for (i = 0; i < READS; i++)
					submit(&reads[i], BACKEND_READ, BASE * i + 1, bufs[i], length[i], 0);
				nbd_client_kick(client);
				for (i = 0; i < READS; i++)
					calls[i] = hear();
				put_mixed(calls, length);
				for (i = 0; i < READS; i++)
					for (n = 0; n < length[i]; n++)
						expected[i][n] = bufs[i][n] == 'h' ? 0 :
								 byte_at(calls[i].offset + n);
				say(steps[s]);
				for (i = 0; i < READS; i++) {
					is_done(&reads[i], 0);
					assert_memory_equal(bufs[i], expected[i], length[i]);
				}
			}
		}
		assert_string_equal(drive_log, "");
		stop();
	}
}

/* A stream with every kind of chunk in it, cut in two at every byte. */
static void cut_at_every_byte(void **state)
{
	static const uint64_t pairs[][2] = { { 512, 0 }, { 1024, 3 }, { 512, 1 } };
	struct request read_request, write, status;
	struct nbd_call read_call, write_call, status_call;
	char buf[600], data[600] = "", payload[512];
	size_t k, cut, total;

	(void)state;
	for (k = 0; k < 2; k++) {
		total = 1;
		for (cut = 1; cut < total + 1; cut++) {
			start(kinds[k]);
			submit(&read_request, BACKEND_READ, BASE, buf, 600, 0);
			submit(&write, BACKEND_WRITE, 0, data, 512, 0);
			submit(&status, BACKEND_EXTENTS, 0, NULL, 2048, 0);
			nbd_client_kick(client);
			read_call = hear();
			write_call = hear();
			assert_int_equal(read(server_fd, payload, 512), 512);
			status_call = hear();
			memset(buf, 'x', sizeof(buf));
			fill(data, BASE, 600);
			put_data(&read_call, 0, BASE, data, 100);
			put_error(&write_call, NBD_REPLY_TYPE_ERROR_OFFSET, 0, NBD_ENOSPC, "full", 100);
			put_hole(&read_call, 0, BASE + 500, 100);
			put_status(&status_call, headers == NBD_HEADERS_EXTENDED, CONTEXT, 3, pairs, 3);
			put_none(&write_call);
			put_data(&read_call, DONE, BASE + 100, data + 100, 400);
			total = wire_used;
			say(cut);
			is_done(&read_request, 0);
			assert_memory_equal(buf, data, 500);
			assert_true(is_filled(buf + 500, 100, 0));
			is_done(&write, -ENOSPC);
			is_done(&status, 0);
			assert_int_equal(extents.list.used, 3);
			assert_string_equal(drive_log, "");
			stop();
		}
	}
}

static void errors(void **state)
{
	static const struct {
		uint16_t type;
		uint32_t error;
		int result;
	} cases[] = {
		{ NBD_REPLY_TYPE_ERROR, NBD_EIO, -EIO },
		{ NBD_REPLY_TYPE_ERROR_OFFSET, NBD_ENOSPC, -ENOSPC },
		{ NBD_REPLY_TYPE_ERROR_BIT | 99, NBD_ENOTSUP, -EOPNOTSUPP },
		{ NBD_REPLY_TYPE_ERROR, 4711, -EINVAL },
	};
	struct request request;
	struct nbd_call call;
	char buf[512] = "";
	size_t k, i;

	(void)state;
	for (k = 0; k < 2; k++) {
		start(kinds[k]);
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			/* at once */
			submit(&request, BACKEND_READ, BASE, buf, 512, 0);
			nbd_client_kick(client);
			call = hear();
			put_error(&call, cases[i].type, DONE, cases[i].error, "so\nit is", BASE + 3);
			say(100);
			is_done(&request, cases[i].result);
			/* in the middle, with more behind it; the first one counts */
			submit(&request, BACKEND_READ, BASE, buf, 512, 0);
			nbd_client_kick(client);
			call = hear();
			put_data(&call, 0, BASE, buf, 100);
			put_error(&call, cases[i].type, 0, cases[i].error, "", BASE);
			put_error(&call, NBD_REPLY_TYPE_ERROR, 0, NBD_EPERM, "again", 0);
			put_data(&call, DONE, BASE + 400, buf, 100);
			say(100);
			is_done(&request, cases[i].result);
		}
		assert_string_equal(drive_log, "");
		stop();
	}
}

/* With structured replies, what has no payload may be answered the old way. */
static void simple_replies_beside_structured_ones(void **state)
{
	struct request flush, discard, status;
	struct nbd_call call;

	(void)state;
	start(NBD_HEADERS_STRUCTURED);
	submit(&flush, BACKEND_FLUSH, 0, NULL, 0, 0);
	submit(&discard, BACKEND_DISCARD, 0, NULL, 512, 0);
	submit(&status, BACKEND_EXTENTS, 0, NULL, 512, 0);
	nbd_client_kick(client);
	call = hear();
	put_simple(&call, 0);
	call = hear();
	put_simple(&call, NBD_EPERM);
	call = hear();
	put_simple(&call, NBD_EINVAL);
	say(5);
	is_done(&flush, 0);
	is_done(&discard, -EPERM);
	is_done(&status, -EINVAL);
	assert_string_equal(drive_log, "");
	stop();
}

/* Legal, but more than is remembered: that read fails, the connection goes on. */
static void too_many_pieces(void **state)
{
	struct request request;
	struct nbd_call call;
	char buf[512] = "";
	uint64_t at;
	int round;

	(void)state;
	start(NBD_HEADERS_STRUCTURED);
	for (round = 0; round < 2; round++) {
		submit(&request, BACKEND_READ, BASE, buf, 512, 0);
		nbd_client_kick(client);
		call = hear();
		for (at = 0; at < 512; at += 2)
			put_data(&call, 0, BASE + at, buf, 1);
		for (at = 1; at < 512; at += 2)
			put_data(&call, 0, BASE + at, buf, 1);
		put_none(&call);
		say(1000);
		is_done(&request, -EIO);
	}
	assert_non_null(strstr(drive_log, "more than 16 pieces"));	/* once */
	assert_ptr_equal(strchr(drive_log, '\n'), drive_log + strlen(drive_log) - 1);
	submit(&request, BACKEND_READ, BASE, buf, 512, 0);	/* in the same slot */
	nbd_client_kick(client);
	call = hear();
	put_data(&call, DONE, BASE, buf, 512);
	say(1000);
	is_done(&request, 0);
	stop();
}

static struct backend_extents *status_of(bool wide, uint32_t length, uint32_t flags,
					 const uint64_t (*pairs)[2], size_t count)
{
	struct request request;
	struct nbd_call call;

	submit(&request, BACKEND_EXTENTS, BASE, NULL, length, flags);
	nbd_client_kick(client);
	call = hear();
	put_status(&call, wide, CONTEXT, wide ? (uint32_t)count : 0, pairs, count);
	say(3);
	is_done(&request, 0);
	return &extents.list;
}

static void block_status(void **state)
{
	static const uint64_t plain[][2] = { { 512, 0 }, { 512, 0 }, { 1024, 3 }, { 512, 1 | 64 } };
	static const uint64_t beyond[][2] = { { 512, 2 }, { 1 << 30, 0 } };
	static const uint64_t one[][2] = { { 4096, 3 } };
	static const uint64_t odd[][2] = { { 512, 3 }, { 515, 0 } };
	static uint64_t many[20][2];
	struct backend_extents *got;
	size_t k, i;
	int wide;

	(void)state;
	for (i = 0; i < 20; i++) {
		many[i][0] = 512;
		many[i][1] = i % 3;
	}
	for (k = 0; k < 2; k++) {
		for (wide = 0; wide <= (kinds[k] == NBD_HEADERS_EXTENDED); wide++) {
			start(kinds[k]);
			got = status_of(wide, 8192, 0, plain, 4);	/* less than asked for */
			assert_int_equal(got->used, 3);
			assert_int_equal(got->extent[0].length, 1024);
			assert_int_equal(got->extent[0].flags, 0);
			assert_int_equal(got->extent[1].length, 1024);
			assert_int_equal(got->extent[1].flags,
					 BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO);
			assert_int_equal(got->extent[2].flags, BACKEND_EXTENT_HOLE);
			got = status_of(wide, 2048, 0, beyond, 2);	/* more than asked for */
			assert_int_equal(got->used, 2);
			assert_int_equal(got->extent[0].flags, BACKEND_EXTENT_ZERO);
			assert_int_equal(got->extent[1].length, 1536);
			got = status_of(wide, 4096, BACKEND_ONE, one, 1);
			assert_int_equal(got->used, 1);
			assert_int_equal(got->extent[0].length, 4096);
			got = status_of(wide, 1024, 0, odd, 2);		/* its last block is cut */
			assert_int_equal(got->extent[1].length, 512);
			got = status_of(wide, 20 * 512, 0, many, 20);	/* more than there is room for */
			assert_int_equal(got->used, EXTENTS);
			for (i = 0; i < EXTENTS; i++) {
				assert_int_equal(got->extent[i].length, 512);
				assert_int_equal(got->extent[i].flags, i % 3);
			}
			assert_string_equal(drive_log, "");
			stop();
		}
	}
}

static struct nbd_call r, w, s;		/* a READ, a WRITE and a BLOCK_STATUS that are in flight */
static char junk[8192];

static void unknown_cookie(void)
{
	r.cookie ^= htobe64(512);
	put_none(&r);
}

static void wrong_magic(void)
{
	put_none(&r);
	wire[1] ^= 1;
}

static void the_other_magic(void)
{
	enum nbd_headers mine = headers;

	headers = mine == NBD_HEADERS_EXTENDED ? NBD_HEADERS_STRUCTURED : NBD_HEADERS_EXTENDED;
	put_none(&w);
	put_none(&w);
	headers = mine;
}

static void simple_to_a_read(void)
{
	put_simple(&r, NBD_EIO);
	put(&r, 0, 0, 0, junk, 30);
}

static void data_too_long(void)
{
	put_data(&r, DONE, BASE, junk, 4097);
}

static void data_much_too_long(void)
{
	uint64_t offset = htobe64(BASE);

	put(&r, NBD_REPLY_TYPE_OFFSET_DATA, DONE, UINT32_MAX, &offset, 8);
}

static void data_before_the_range(void)
{
	put_data(&r, 0, BASE - 1, junk, 512);
}

static void data_behind_the_range(void)
{
	put_data(&r, 0, BASE + 4096, junk, 1);
}

static void data_that_wraps(void)
{
	put_data(&r, 0, UINT64_MAX - 10, junk, 512);
}

static void data_of_no_length(void)
{
	put_data(&r, 0, BASE, junk, 0);
}

static void data_without_an_offset(void)
{
	put(&r, NBD_REPLY_TYPE_OFFSET_DATA, 0, 7, junk, 7);
	put_none(&w);
}

static void data_to_a_write(void)
{
	put_data(&w, DONE, BASE, junk, 512);
}

static void data_to_a_status(void)
{
	put_data(&s, DONE, 0, junk, 512);
}

static void data_twice(void)
{
	put_data(&r, 0, BASE, junk, 512);
	put_data(&r, 0, BASE + 511, junk, 512);
}

static void a_hole_on_data(void)
{
	put_data(&r, 0, BASE + 100, junk, 512);
	put_hole(&r, 0, BASE, 101);
}

static void a_hole_too_long(void)
{
	put_hole(&r, 0, BASE, 4097);
}

static void a_hole_of_no_length(void)
{
	put_hole(&r, 0, BASE, 0);
}

static void a_hole_of_another_size(void)
{
	put(&r, NBD_REPLY_TYPE_OFFSET_HOLE, 0, NBD_HOLE_SIZE + 1, junk, NBD_HOLE_SIZE + 1);
}

static void bytes_missing(void)
{
	put_data(&r, 0, BASE, junk, 4095);
	put_none(&r);
}

static void all_bytes_missing(void)
{
	put_none(&r);
}

static void done_with_bytes_missing(void)
{
	put_data(&r, 0, BASE, junk, 512);
	put_data(&r, DONE, BASE + 513, junk, 4096 - 513);
}

static void data_after_done(void)
{
	put_data(&r, DONE, BASE, junk, 4096);
	put_data(&r, 0, BASE, junk, 1);
}

static void none_without_done(void)
{
	put(&w, NBD_REPLY_TYPE_NONE, 0, 0, NULL, 0);
}

static void none_with_a_payload(void)
{
	put(&w, NBD_REPLY_TYPE_NONE, DONE, 1, junk, 1);
}

static void unknown_type(void)
{
	put(&w, 3, DONE, 0, NULL, 0);
}

static void error_cut_off(void)
{
	put(&w, NBD_REPLY_TYPE_ERROR, DONE, 5, junk, 5);
}

static void error_text_too_long(void)
{
	static const char payload[] = { 0, 0, 0, 5, 0, 3, 'a', 'b' };

	put(&w, NBD_REPLY_TYPE_ERROR, DONE, sizeof(payload), payload, sizeof(payload));
}

static void error_without_an_offset(void)
{
	static const char payload[] = { 0, 0, 0, 5, 0, 1, 'a', 'b' };

	put(&w, NBD_REPLY_TYPE_ERROR_OFFSET, DONE, sizeof(payload), payload, sizeof(payload));
}

static void error_too_long(void)
{
	put(&w, NBD_REPLY_TYPE_ERROR_BIT | 9, DONE, 100000, junk, sizeof(junk));
}

static void error_that_is_none(void)
{
	put_error(&w, NBD_REPLY_TYPE_ERROR, DONE, 0, "", 0);
}

static void error_elsewhere(void)
{
	put_error(&r, NBD_REPLY_TYPE_ERROR_OFFSET, DONE, NBD_EIO, "", BASE - 1);
}

static void status_to_a_read(void)
{
	static const uint64_t pairs[][2] = { { 4096, 0 } };

	put_status(&r, false, CONTEXT, 0, pairs, 1);
}

static void an_endless_row_of_errors(void)
{
	unsigned int i;

	for (i = 0; i <= NBD_ERRORS_MAX; i++)
		put_error(&r, NBD_REPLY_TYPE_ERROR, 0, NBD_EIO, "", BASE);
}

static void status_of_another_context(void)
{
	static const uint64_t pairs[][2] = { { 4096, 0 } };

	put_status(&s, false, CONTEXT + 1, 0, pairs, 1);
}

static void status_without_an_extent(void)
{
	put_status(&s, false, CONTEXT, 0, NULL, 0);
}

static void status_of_no_extent_size(void)
{
	put(&s, NBD_REPLY_TYPE_BLOCK_STATUS, DONE, 15, junk, 15);
}

static void status_missing(void)
{
	put_none(&s);
}

static void status_twice(void)
{
	static const uint64_t pairs[][2] = { { 4096, 0 } };

	put_status(&s, false, CONTEXT, 0, pairs, 1);
	wire[5] = 0;			/* the first is not the last chunk */
	put_status(&s, false, CONTEXT, 0, pairs, 1);
}

static void extent_of_no_length(void)
{
	static const uint64_t pairs[][2] = { { 512, 0 }, { 0, 1 }, { 512, 0 } };

	put_status(&s, false, CONTEXT, 0, pairs, 3);
}

static void extent_of_a_part_of_a_block(void)
{
	static const uint64_t pairs[][2] = { { 100, 0 }, { 3996, 1 } };

	put_status(&s, false, CONTEXT, 0, pairs, 2);
}

static void extent_behind_the_range(void)
{
	static const uint64_t pairs[][2] = { { 4096, 0 }, { 512, 1 } };

	put_status(&s, false, CONTEXT, 0, pairs, 2);
}

static void extent_too_long_in_the_middle(void)
{
	static const uint64_t pairs[][2] = { { 8192, 0 }, { 512, 1 } };

	put_status(&s, false, CONTEXT, 0, pairs, 2);
}

static void extent_wide_of_structured(void)
{
	static const uint64_t pairs[][2] = { { 4096, 0 } };

	put_status(&s, true, CONTEXT, headers == NBD_HEADERS_EXTENDED ? 7 : 1, pairs, 1);
}

static const struct {
	void (*say)(void);
	const char *part;
} hostile[] = {
	{ unknown_cookie, "not made" },
	{ wrong_magic, "magic 0x" },
	{ the_other_magic, "magic 0x" },
	{ simple_to_a_read, "" },	/* without structured replies it has the wrong magic */
	{ data_too_long, "outside of the range" },
	{ data_much_too_long, "outside of the range" },
	{ data_before_the_range, "outside of the range" },
	{ data_behind_the_range, "outside of the range" },
	{ data_that_wraps, "outside of the range" },
	{ data_of_no_length, "type 1 and 8 bytes" },
	{ data_without_an_offset, "type 1 and 7 bytes" },
	{ data_to_a_write, "not a read" },
	{ data_to_a_status, "not a read" },
	{ data_twice, "twice" },
	{ a_hole_on_data, "twice" },
	{ a_hole_too_long, "outside of the range" },
	{ a_hole_of_no_length, "outside of the range" },
	{ a_hole_of_another_size, "type 2 and 13 bytes" },
	{ bytes_missing, "in part" },
	{ all_bytes_missing, "in part" },
	{ done_with_bytes_missing, "in part" },
	{ data_after_done, "not made" },
	{ none_without_done, "not the last" },
	{ none_with_a_payload, "type 0 and 1 bytes" },
	{ unknown_type, "unknown type 3" },
	{ error_cut_off, "cut off" },
	{ error_text_too_long, "cut off" },
	{ error_without_an_offset, "cut off" },
	{ error_too_long, "100000 bytes" },
	{ error_that_is_none, "that is none" },
	{ error_elsewhere, "outside of the range" },
	{ an_endless_row_of_errors, "more than 1024 errors" },
	{ status_to_a_read, "not asked for" },
	{ status_of_another_context, "not negotiated" },
	{ status_without_an_extent, "type 5 and 4 bytes" },
	{ status_of_no_extent_size, "15 bytes" },
	{ status_missing, "without a status" },
	{ status_twice, "two block statuses" },
	{ extent_of_no_length, "no length" },
	{ extent_of_a_part_of_a_block, "part of a block" },
	{ extent_behind_the_range, "no length" },
	{ extent_too_long_in_the_middle, "longer than the range" },
	{ extent_wide_of_structured, "" },
};

/* Each of them ends the connection, with one line, for whatever step it comes in. */
static void what_is_forbidden_ends_the_connection(void **state)
{
	const size_t steps[] = { sizeof(wire), is_slow() ? 5 : 1 };
	struct request read_request, write, status, later;
	char buf[4096] = "", payload[512];
	size_t k, i, n;

	(void)state;
	for (n = 0; n < 4; n++) {
		k = n / 2;
		for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
			int before;

			start(kinds[k]);
			submit(&read_request, BACKEND_READ, BASE, buf, 4096, 0);
			submit(&write, BACKEND_WRITE, 0, buf, 512, 0);
			submit(&status, BACKEND_EXTENTS, 0, NULL, 4096, 0);
			nbd_client_kick(client);
			r = hear();
			w = hear();
			assert_int_equal(read(server_fd, payload, 512), 512);
			s = hear();
			hostile[i].say();
			say(steps[n % 2]);
			before = read_request.result;	/* 0 if it was answered before */
			if (write.result != -EIO || (before && before != -EIO) ||
			    !strstr(drive_log, hostile[i].part) ||
			    !strstr(drive_log, "broke the protocol"))
				fail_msg("case %zu, kind %zu: %d, %d, %s", i, k, before,
					 write.result, drive_log);
			assert_int_equal(read_request.completed + write.completed + status.completed, 3);
			assert_ptr_equal(strchr(drive_log, '\n'), drive_log + strlen(drive_log) - 1);
			submit(&later, BACKEND_FLUSH, 0, NULL, 0, 0);
			is_done(&later, -EIO);
			stop();
		}
	}
}

static void the_offset_of_another_request(void **state)
{
	struct request request;
	struct nbd_call call;
	char buf[512] = "";

	(void)state;
	start(NBD_HEADERS_EXTENDED);
	submit(&request, BACKEND_READ, BASE, buf, 512, 0);
	nbd_client_kick(client);
	call = hear();
	call.offset++;
	put_data(&call, DONE, BASE, buf, 512);
	say(1000);
	is_done(&request, -EIO);
	assert_non_null(strstr(drive_log, "offset of another"));
	stop();
}

static void more_extents_than_the_one(void **state)
{
	static const uint64_t two[][2] = { { 512, 0 }, { 512, 1 } };
	static const uint64_t longer[][2] = { { 4608, 0 } };
	struct request request;
	struct nbd_call call;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		start(NBD_HEADERS_STRUCTURED);
		submit(&request, BACKEND_EXTENTS, BASE, NULL, 4096, BACKEND_ONE);
		nbd_client_kick(client);
		call = hear();
		put_status(&call, false, CONTEXT, 0, i ? longer : two, i ? 1 : 2);
		say(1000);
		is_done(&request, -EIO);
		assert_non_null(strstr(drive_log, i ? "longer than the range" : "more than the one"));
		stop();
	}
}

/* A write that is refused by a chunk before all of it has left must be sent to its end. */
static void an_early_answer(void **state)
{
	enum { LENGTH = 4 << 20 };
	static char buf[LENGTH], heard[LENGTH];
	struct request write, other;
	struct nbd_call call;
	size_t k, used;
	ssize_t got;

	(void)state;
	for (k = 0; k < 2; k++) {
		start(kinds[k]);
		submit(&write, BACKEND_WRITE, BASE, buf, LENGTH, 0);
		submit(&other, BACKEND_FLUSH, 0, NULL, 0, 0);
		nbd_client_kick(client);
		call = hear();
		put_error(&call, NBD_REPLY_TYPE_ERROR, 0, NBD_ENOSPC, "", 0);
		put_none(&call);
		say(1000);
		assert_int_equal(write.completed, 0);
		for (used = 0; used < LENGTH;) {
			got = read(server_fd, heard + used, LENGTH - used);
			if (got > 0)
				used += (size_t)got;
			assert_int_equal(loop_once(loop, 0), 0);
		}
		turn();
		is_done(&write, -ENOSPC);
		call = hear();
		put_none(&call);
		say(1000);
		is_done(&other, 0);
		stop();
	}
}

/* Whatever comes: no crash, no answer twice, and an end. */
static void noise(void **state)
{
	struct request read_request, write, status;
	char buf[4096] = "", payload[512];
	struct nbd_call calls[3];
	size_t i, n, round;

	(void)state;
	srandom(11);
	for (round = 0; round < 4000; round++) {
		start(kinds[round % 2]);
		submit(&read_request, BACKEND_READ, BASE, buf, 4096, 0);
		submit(&write, BACKEND_WRITE, 0, buf, 512, 0);
		submit(&status, BACKEND_EXTENTS, 0, NULL, 4096, 0);
		nbd_client_kick(client);
		calls[0] = hear();
		calls[1] = hear();
		assert_int_equal(read(server_fd, payload, 512), 512);
		calls[2] = hear();
		for (n = 0; n < 6; n++) {
			static const uint16_t types[] = { 0, 1, 2, 5, 6, 0x8001, 0x8002, 0x8003 };
			unsigned char noisy[64];
			size_t length = (size_t)random() % sizeof(noisy);
			uint64_t offset = htobe64(BASE + (uint64_t)random() % 64 * 64);
			uint32_t small = htobe32((uint32_t)random() % 5 * 512);

			for (i = 0; i < sizeof(noisy); i++)
				noisy[i] = (unsigned char)random();
			memcpy(noisy, &offset, 8);
			memcpy(noisy + 8, &small, 4);
			put(&calls[random() % 3], types[random() % 8], random() % 3 == 0, length,
			    noisy, length);
		}
		say((size_t)random() % 40 + 1);
		shutdown(server_fd, SHUT_WR);
		turn();
		assert_int_equal(read_request.completed, 1);
		assert_int_equal(write.completed, 1);
		assert_int_equal(status.completed, 1);
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_what_the_protocol_says),
		cmocka_unit_test(many_requests),
		cmocka_unit_test(chunks_in_any_order_and_pieces),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(errors),
		cmocka_unit_test(simple_replies_beside_structured_ones),
		cmocka_unit_test(too_many_pieces),
		cmocka_unit_test(block_status),
		cmocka_unit_test(what_is_forbidden_ends_the_connection),
		cmocka_unit_test(the_offset_of_another_request),
		cmocka_unit_test(more_extents_than_the_one),
		cmocka_unit_test(an_early_answer),
		cmocka_unit_test(noise),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
