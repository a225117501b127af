// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server against clients that mean it ill, or know no better. Its threads run in this process,
 * each client is the other end of a socketpair. After every test, on the same server, a client that
 * behaves is served, and no connection is left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client-wire.h"
#include "lib/error.h"
#include "lib/log.h"
#include "serve/thread.h"

#define THREADS		2
#define SIZE		(64ull << 20)	/* bytes of most exports */
#define KIB		1024ull
#define MIB		(1024 * KIB)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED	1		/* memory is not what it is otherwise */
#else
#define SANITIZED	0
#endif

static const struct serve_limits generous = {
	.connections = 4096,
	.export_connections = 4096,
	.options = 64,
	.name = NBD_MAX_STRING,
	.payload = 32 * MIB,
	.requests = 64,
	.memory = 32 * MIB,
	.handshake = 100000,
	.stall = 100000,
	.shutdown = 60000,
};

static struct server server;		/* of most tests */
static struct wire wire;		/* what is going to be said */
static char data[SIZE], back[SIZE];

static atomic_bool ended_late;		/* a server has given up waiting for a client, at its end */

static void look_at_log(enum log_level level, const char *text)
{
	(void)level;
	if (strstr(text, "did not end in time"))
		atomic_store(&ended_late, true);
}

/* Serves @specs, NULL-terminated; the export "alone" gets one thread that all others hand it to. */
static void server_begin(struct server *s, const struct serve_limits *limits,
			 const char *const *specs)
{
	struct error error = { 0 };
	unsigned int i;

	*s = (struct server) { .limits = *limits, .tls = TLS_OFF, .thread_count = THREADS };
	for (; *specs; specs++) {
		if (exports_add(&s->exports, *specs, limits, !strncmp(*specs, "ro=", 3), &error))
			fail_msg("%s", error.text);
		if (!strncmp(*specs, "alone=", 6))
			s->exports.list[s->exports.count - 1].backend->info.channels_max = 1;
	}
	assert_int_equal(exports_settle(&s->exports, NULL, THREADS, &error), 0);
	s->threads = calloc(THREADS, sizeof(*s->threads));
	assert_non_null(s->threads);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(thread_start(&s->threads[i], s, i), 0);
}

static void server_over(struct server *s)
{
	unsigned int i;

	for (i = 0; i < THREADS; i++)
		thread_end(&s->threads[i]);
	for (i = 0; i < THREADS; i++)
		thread_join(&s->threads[i]);
	for (i = 0; i < THREADS; i++)
		thread_free(&s->threads[i]);
	free(s->threads);
	assert_int_equal(s->connections, 0);
	for (i = 0; i < s->exports.count; i++)
		assert_int_equal(s->exports.list[i].connections, 0);
	exports_free(&s->exports);
}

/* A new connection of @s, at its very beginning. */
static int client_of(struct server *s)
{
	static unsigned int next;
	struct peer *peer;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	patience_set(ends[0]);
	atomic_fetch_add(&s->connections, 1);
	peer = peer_new(ends[1], "a test");
	assert_non_null(peer);
	thread_give(&s->threads[next++ % THREADS], peer);
	return ends[0];
}

static int client(void)
{
	return client_of(&server);
}

/* A connection that has said its flags. */
static int client_greeted(void)
{
	int fd = client();

	greet(fd, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	return fd;
}

static void session_put(struct wire *to, int headers, const char *name)
{
	if (headers != SIMPLE) {
		wire_option(to, headers == EXTENDED ? NBD_OPT_EXTENDED_HEADERS :
			    NBD_OPT_STRUCTURED_REPLY, "", 0);
		wire_context(to, name);
	}
	wire_go(to, NBD_OPT_GO, name);
}

static void session_hear(int fd, int headers)
{
	if (headers != SIMPLE) {
		assert_int_equal(hear_verdict(fd, headers == EXTENDED ? NBD_OPT_EXTENDED_HEADERS :
					      NBD_OPT_STRUCTURED_REPLY), NBD_REP_ACK);
		assert_int_equal(hear_verdict(fd, NBD_OPT_SET_META_CONTEXT), NBD_REP_ACK);
	}
	assert_int_equal(hear_verdict(fd, NBD_OPT_GO), NBD_REP_ACK);
}

/* A connection to export @name of @s that may send requests. */
static int session_of(struct server *s, int headers, const char *name)
{
	struct wire *to = &wire;
	int fd = client_of(s);

	to->used = 0;
	greet(fd, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	session_put(to, headers, name);
	assert_true(wire_say(fd, to));
	session_hear(fd, headers);
	return fd;
}

static int session(int headers, const char *name)
{
	return session_of(&server, headers, name);
}

/* Says goodbye; the server must agree. */
static void leave(int fd, int headers)
{
	wire.used = 0;
	wire_request(&wire, headers, 0, NBD_CMD_DISC, 0, 0, 0);
	wire_say(fd, &wire);
	hear_end(fd, false);
}

static uint32_t ask(int fd, int headers, uint16_t flags, uint16_t type, uint64_t offset,
		    uint64_t length)
{
	static uint64_t cookie = 0x1122334455667788;

	wire.used = 0;
	wire_request(&wire, headers, flags, type, ++cookie, offset, length);
	assert_true(wire_say(fd, &wire));
	return hear_status(fd, headers, cookie);
}

static uint32_t write_at(int fd, int headers, uint64_t offset, const char *from, uint64_t length)
{
	wire.used = 0;
	wire_request(&wire, headers, headers == EXTENDED ? NBD_CMD_FLAG_PAYLOAD_LEN : 0,
		     NBD_CMD_WRITE, 7, offset, length);
	assert_true(wire_say(fd, &wire));
	assert_true(say(fd, from, length));
	return hear_status(fd, headers, 7);
}

static uint32_t read_at(int fd, int headers, uint16_t flags, uint64_t offset, char *to,
			uint64_t length, uint64_t *came)
{
	uint64_t ignored;

	wire.used = 0;
	wire_request(&wire, headers, flags, NBD_CMD_READ, 8, offset, length);
	assert_true(wire_say(fd, &wire));
	return hear_read(fd, headers, 8, offset, to, length, came ? came : &ignored);
}

static void fill(char *at, size_t length, unsigned int seed)
{
	while (length--) {
		seed = seed * 1103515245 + 12345;
		*at++ = (char)(seed >> 16);
	}
}

static size_t resident(void)
{
	unsigned long all = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &all, &pages), 2);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Waits until @s has no more than @count connections. */
static void wait_connections(struct server *s, uint32_t count)
{
	unsigned int rounds = WIRE_PATIENCE * 1000;

	while (atomic_load(&s->connections) > count) {
		assert_int_not_equal(rounds--, 0);
		usleep(1000);
	}
}

/* Waits until the server has read all that was said. */
static void wait_taken(int fd)
{
	unsigned int rounds = WIRE_PATIENCE * 1000;
	int left;

	while (assert_int_equal(ioctl(fd, SIOCOUTQ, &left), 0), left) {
		assert_int_not_equal(rounds--, 0);
		usleep(1000);
	}
}

/* After each test: somebody else is served by each thread, and nobody is left. */
static int still_works(void **state)
{
	static const char *const names[] = { "disk", "alone", "slow" };
	static char a[100000], b[100000];
	unsigned int i;
	int headers;

	(void)state;
	for (i = 0; i < 6; i++) {
		int fd;

		headers = (int)i % 3;
		fd = session(headers, names[(i + i / 3) % 3]);
		fill(a, sizeof(a), i);
		assert_int_equal(write_at(fd, headers, 4097 * i, a, sizeof(a)), 0);
		assert_int_equal(read_at(fd, headers, 0, 4097 * i, b, sizeof(b), NULL), 0);
		assert_memory_equal(a, b, sizeof(a));
		assert_int_equal(ask(fd, headers, 0, NBD_CMD_FLUSH, 0, 0), 0);
		assert_int_equal(ask(fd, headers, 0, NBD_CMD_TRIM, 0, SIZE), 0);
		leave(fd, headers);
	}
	wait_connections(&server, 0);
	return 0;
}

/* A region of 2 TiB; valgrind and some sanitizers leave no address space for it in memory. */
static const char *vast(void)
{
	struct backend *backend;

	if (backend_open("mem:2T", &backend, NULL))
		return "vast=null:2T";
	backend_close(backend);
	return "vast=mem:2T";
}

static int group_begin(void **state)
{
	const char *const specs[] = {
		"disk=mem:64M", "ro=mem:64M", "alone=delay:0s:mem:64M", "slow=delay:0s:mem:64M",
		"late=delay:300ms:mem:64M", vast(), NULL,
	};

	(void)state;
	log_set_sink(look_at_log);
	server_begin(&server, &generous, specs);
	return 0;
}

static int group_end(void **state)
{
	(void)state;
	server_over(&server);
	return 0;
}

/* A whole session, as bytes to be said. */
static void whole_session(struct wire *to, int headers)
{
	static char payload[3000];

	fill(payload, sizeof(payload), 5);
	to->used = 0;
	wire_put32(to, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	wire_option(to, 4711, "abc", 3);
	wire_go(to, NBD_OPT_INFO, "nobody");
	session_put(to, headers, "alone");
	wire_request(to, headers, headers == EXTENDED ? NBD_CMD_FLAG_PAYLOAD_LEN : 0,
		     NBD_CMD_WRITE, 1, 5000, sizeof(payload));
	wire_put(to, payload, sizeof(payload));
	wire_request(to, headers, 0, NBD_CMD_FLUSH, 2, 0, 0);
	wire_request(to, headers, 0, NBD_CMD_DISC, 3, 0, 0);
}

/* The end of its answers; the two may come in either order. */
static void whole_session_hear(int fd, int headers)
{
	struct chunk chunk;
	uint64_t cookies = 0;
	int i;

	assert_true(hear64(fd) == NBDMAGIC);
	assert_true(hear64(fd) == NBD_IHAVEOPT);
	hear16(fd);
	assert_int_equal(hear_verdict(fd, 4711), NBD_REP_ERR_UNSUP);
	assert_int_equal(hear_verdict(fd, NBD_OPT_INFO), NBD_REP_ERR_UNKNOWN);
	session_hear(fd, headers);
	for (i = 0; i < 2; i++) {
		hear_chunk(fd, headers, &chunk);
		assert_int_equal(chunk.error, 0);
		cookies += chunk.cookie;
	}
	assert_int_equal(cookies, 1 + 2);
	hear_end(fd, false);
}

static void a_session_in_one_piece(void **state)
{
	int headers, fd;

	(void)state;
	for (headers = SIMPLE; headers <= EXTENDED; headers++) {
		fd = client();
		whole_session(&wire, headers);
		assert_true(wire_say(fd, &wire));
		whole_session_hear(fd, headers);
	}
}

static void a_session_byte_by_byte(void **state)
{
	int headers, fd;
	size_t i;

	(void)state;
	for (headers = SIMPLE; headers <= EXTENDED; headers++) {
		fd = client();
		whole_session(&wire, headers);
		for (i = 0; i < wire.used; i++) {
			assert_true(say(fd, wire.buf + i, 1));
			if (i % 16 == 0)
				usleep(20);	/* lest the kernel joins them */
		}
		whole_session_hear(fd, headers);
	}
}

/* Cut anywhere: half-closed, or closed at once. */
static void a_session_cut_short(void **state)
{
	size_t cut;
	int fd;

	(void)state;
	whole_session(&wire, EXTENDED);
	for (cut = 0; cut < wire.used; cut += cut < 400 ? 1 : 97) {
		fd = client();
		assert_true(say(fd, wire.buf, cut));
		shutdown(fd, SHUT_WR);
		hear_end(fd, true);
		fd = client();
		say(fd, wire.buf, cut);
		close(fd);
	}
}

/* Bytes of a session changed, lost, doubled, moved at random: anything may come of it but harm. */
static void a_session_mangled(void **state)
{
	static struct wire mangled;
	unsigned int round, hits;
	int fd;

	(void)state;
	srand(11);
	for (round = 0; round < 1500; round++) {
		whole_session(&mangled, (int)round % 3);
		for (hits = 1 + (unsigned int)rand() % 4; hits--;) {
			size_t at = (size_t)rand() % 420, length = (size_t)rand() % 40;

			switch (rand() % 4) {
			case 0:
				mangled.buf[at] = (char)rand();
				break;
			case 1:
				mangled.buf[at] ^= (char)(1 << rand() % 8);
				break;
			case 2:
				memmove(mangled.buf + at, mangled.buf + at + length,
					mangled.used - at - length);
				mangled.used -= length;
				break;
			case 3:
				memmove(mangled.buf + at + length, mangled.buf + at,
					mangled.used - at);
				mangled.used += length;
				break;
			}
		}
		fd = client();
		if (say(fd, mangled.buf, mangled.used))
			shutdown(fd, SHUT_WR);
		hear_end(fd, true);
	}
}

static void beginnings_that_are_none(void **state)
{
	static const uint32_t flags[] = { 4, 0x80000000, 0xffffffff, 0x00010000 };
	unsigned int i;
	int fd;

	(void)state;
	for (i = 0; i < 4; i++) {
		fd = client();
		greet(fd, flags[i]);
		hear_end(fd, false);
	}
	fd = client_greeted();
	say(fd, "IHAVEOPS\0\0\0\3\0\0\0\0", 16);	/* one letter is wrong */
	hear_end(fd, false);
	fd = client_greeted();
	wire_request(&wire, SIMPLE, 0, NBD_CMD_READ, 1, 0, 512);
	wire_say(fd, &wire);
	hear_end(fd, false);
	fd = client();
	say(fd, "GET / HTTP/1.0\r\n\r\n", 18);
	hear_end(fd, true);
	fd = client();			/* says nothing at all */
	close(fd);
}

static uint32_t option_verdict(uint32_t option, const void *from, uint32_t length)
{
	int fd = client_greeted();
	uint32_t verdict;

	wire.used = 0;
	wire_option(&wire, NBD_OPT_STRUCTURED_REPLY, "", 0);
	wire_option(&wire, option, from, length);
	assert_true(wire_say(fd, &wire));
	assert_int_equal(hear_verdict(fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ACK);
	verdict = hear_verdict(fd, option);
	/* Whatever it was, the handshake goes on. */
	wire_go(&wire, NBD_OPT_INFO, "disk");
	assert_true(wire_say(fd, &wire));
	assert_int_equal(hear_verdict(fd, NBD_OPT_INFO), NBD_REP_ACK);
	close(fd);
	return verdict;
}

static void long_options(void **state)
{
	static const uint32_t endless[] = { (1u << 20) + 1, 1u << 31, 0xffffffff };
	unsigned int i;
	int fd;

	(void)state;
	memset(data, 0, 1 << 20);
	assert_int_equal(option_verdict(NBD_OPT_LIST, data, 1), NBD_REP_ERR_INVALID);
	assert_int_equal(option_verdict(NBD_OPT_GO, data, 32 * KIB), NBD_REP_ERR_INVALID);
	assert_int_equal(option_verdict(NBD_OPT_GO, data, 32 * KIB + 1), NBD_REP_ERR_TOO_BIG);
	assert_int_equal(option_verdict(77, data, 1000000), NBD_REP_ERR_TOO_BIG);
	for (i = 0; i < 3; i++) {
		fd = client_greeted();
		wire.used = 0;
		wire_put64(&wire, NBD_IHAVEOPT);
		wire_put32(&wire, NBD_OPT_GO);
		wire_put32(&wire, endless[i]);
		wire_say(fd, &wire);
		hear_end(fd, false);
	}
	/* EXPORT_NAME has no answer but the end. */
	fd = client_greeted();
	wire_option(&wire, NBD_OPT_EXPORT_NAME, data, 40000);
	wire_say(fd, &wire);
	hear_end(fd, false);
}

static void malformed_options(void **state)
{
	static char name[5000];
	uint32_t i;
	int fd;

	(void)state;
	wire.used = 0;
	wire_go(&wire, NBD_OPT_GO, "disk");
	memcpy(data, wire.buf + 16, wire.used - 16);	/* without the header: 10 bytes */
	for (i = 0; i < 10; i++)	/* every length but the right one */
		assert_int_equal(option_verdict(NBD_OPT_GO, data, i), NBD_REP_ERR_INVALID);
	assert_int_equal(option_verdict(NBD_OPT_INFO, data, 10), NBD_REP_ACK);
	assert_int_equal(option_verdict(NBD_OPT_INFO, data, 11), NBD_REP_ERR_INVALID);
	memcpy(data + 8, "\xff\xff", 2);		/* so many requests for information */
	assert_int_equal(option_verdict(NBD_OPT_GO, data, 10), NBD_REP_ERR_INVALID);
	assert_int_equal(option_verdict(NBD_OPT_GO, data, 32000), NBD_REP_ERR_INVALID);
	memcpy(data + 8, "\0\0", 2);
	memcpy(data, "\xff\xff\xff\xff", 4);		/* a name of 4 GiB */
	assert_int_equal(option_verdict(NBD_OPT_GO, data, 10), NBD_REP_ERR_INVALID);
	assert_int_equal(option_verdict(NBD_OPT_SET_META_CONTEXT, data, 8), NBD_REP_ERR_INVALID);
	memcpy(data, "\0\0\0\4d\0sk", 8);		/* a name with a NUL */
	assert_int_equal(option_verdict(NBD_OPT_GO, data, 10), NBD_REP_ERR_INVALID);
	fd = client_greeted();
	wire.used = 0;
	wire_option(&wire, NBD_OPT_EXPORT_NAME, "disk", 5);
	wire_say(fd, &wire);
	hear_end(fd, false);

	memset(name, 'n', sizeof(name));
	for (i = 4095; i <= 4097; i++) {
		uint32_t size = htobe32(i);

		memcpy(data, &size, 4);
		memcpy(data + 4, name, i);
		memset(data + 4 + i, 0, 2);
		assert_int_equal(option_verdict(NBD_OPT_GO, data, 4 + i + 2),
				 i <= 4096 ? NBD_REP_ERR_UNKNOWN : NBD_REP_ERR_INVALID);
		fd = client_greeted();
		wire.used = 0;
		wire_option(&wire, NBD_OPT_EXPORT_NAME, name, i);
		wire_say(fd, &wire);
		hear_end(fd, false);
	}
	assert_int_equal(option_verdict(0, "", 0), NBD_REP_ERR_UNSUP);
	assert_int_equal(option_verdict(4, "", 0), NBD_REP_ERR_UNSUP);
	assert_int_equal(option_verdict(0xffffffff, "", 0), NBD_REP_ERR_UNSUP);
	assert_int_equal(option_verdict(NBD_OPT_STARTTLS, "", 0), NBD_REP_ERR_POLICY);
	assert_int_equal(option_verdict(NBD_OPT_STARTTLS, "x", 1), NBD_REP_ERR_INVALID);
}

/* A client of @s says @option of export @name. Returns the verdict; the handshake goes on. */
static uint32_t name_verdict(struct server *s, uint32_t option, const char *name)
{
	int fd = client_of(s);
	uint32_t verdict;
	char *at = data;

	*(uint32_t *)at = htobe32((uint32_t)strlen(name));
	at = stpcpy(at + 4, name);
	memset(at, 0, 4);		/* no query; or the number of wishes has two bytes */
	at += option == NBD_OPT_INFO || option == NBD_OPT_GO ? 2 : 4;
	greet(fd, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	wire.used = 0;
	wire_option(&wire, NBD_OPT_STRUCTURED_REPLY, "", 0);
	wire_option(&wire, option, data, (uint32_t)(at - data));
	assert_true(wire_say(fd, &wire));
	assert_int_equal(hear_verdict(fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ACK);
	verdict = hear_verdict(fd, option);
	if (option != NBD_OPT_GO || verdict != NBD_REP_ACK) {
		wire_go(&wire, NBD_OPT_GO, "disk");
		assert_true(wire_say(fd, &wire));
		assert_int_equal(hear_verdict(fd, NBD_OPT_GO), NBD_REP_ACK);
	}
	leave(fd, STRUCTURED);
	return verdict;
}

static void names_that_are_longer_than_allowed(void **state)
{
	static const char *const specs[] = { "disk=mem:64M", NULL };
	static const uint32_t options[] = {
		NBD_OPT_INFO, NBD_OPT_GO, NBD_OPT_LIST_META_CONTEXT, NBD_OPT_SET_META_CONTEXT,
	};
	static struct server strict;
	struct serve_limits limits = generous;
	struct error error = { 0 };
	unsigned int i;
	int fd;

	(void)state;
	limits.name = 4;
	server_begin(&strict, &limits, specs);
	for (i = 0; i < 4; i++) {
		assert_int_equal(name_verdict(&strict, options[i], "disk"), NBD_REP_ACK);
		assert_int_equal(name_verdict(&strict, options[i], ""), NBD_REP_ACK);
		assert_int_equal(name_verdict(&strict, options[i], "dish"), NBD_REP_ERR_UNKNOWN);
		assert_int_equal(name_verdict(&strict, options[i], "disk1"), NBD_REP_ERR_TOO_BIG);
	}
	for (i = 0; i < 2; i++) {
		fd = client_of(&strict);
		greet(fd, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
		wire_option(&wire, NBD_OPT_EXPORT_NAME, "disk1", 4 + i);
		assert_true(wire_say(fd, &wire));
		if (i == 0) {
			assert_true(hear64(fd) == SIZE);
			hear16(fd);
			leave(fd, SIMPLE);
		} else {
			hear_end(fd, false);
		}
	}
	assert_int_equal(exports_add(&strict.exports, "disk1=mem:1M", &limits, false, &error),
			 -EINVAL);
	assert_non_null(strstr(error.text, "'disk1' has 5 bytes, at most 4"));
	server_over(&strict);
}

static void many_queries(void **state)
{
	char *at = data;

	(void)state;
	/* A million queries are said to follow, some do; each is empty. */
	memset(data, 0, 32768);
	memcpy(at, "\0\0\0\4disk\0\x0f\x42\x40", 12);
	assert_int_equal(option_verdict(NBD_OPT_SET_META_CONTEXT, data, 32768),
			 NBD_REP_ERR_INVALID);
	assert_int_equal(option_verdict(NBD_OPT_LIST_META_CONTEXT, data, 12),
			 NBD_REP_ERR_INVALID);
	memcpy(at + 8, "\0\0\x1f\xfd", 4);	/* 8189, which is what there is room for */
	assert_int_equal(option_verdict(NBD_OPT_SET_META_CONTEXT, data, 32768), NBD_REP_ACK);
	memcpy(at + 8, "\0\0\0\1\xff\xff\xff\xf0", 8);
	assert_int_equal(option_verdict(NBD_OPT_SET_META_CONTEXT, data, 32768),
			 NBD_REP_ERR_INVALID);
	memcpy(at + 8, "\0\0\0\1\0\0\x10\1", 8);	/* one of 4097 bytes */
	assert_int_equal(option_verdict(NBD_OPT_SET_META_CONTEXT, data, 16 + 4097),
			 NBD_REP_ERR_INVALID);
	memcpy(at + 8, "\0\0\0\1\0\0\x10\0", 8);
	assert_int_equal(option_verdict(NBD_OPT_SET_META_CONTEXT, data, 16 + 4096),
			 NBD_REP_ACK);
}

static void options_without_end(void **state)
{
	static char ignored[8192];
	const unsigned int most = generous.options + 2 * server.exports.count;
	unsigned int i;
	int fd = client_greeted();

	(void)state;
	for (i = 0; i < most; i++) {
		wire_option(&wire, NBD_OPT_LIST, "", 0);
		assert_true(wire_say(fd, &wire));
		assert_int_equal(hear_verdict(fd, NBD_OPT_LIST), NBD_REP_ACK);
	}
	wire_option(&wire, NBD_OPT_LIST, "", 0);
	wire_say(fd, &wire);
	hear_end(fd, true);

	fd = client_greeted();		/* all at once, and no answer is read */
	for (i = 0; i < 10000; i++)
		wire_option(&wire, NBD_OPT_LIST, "", 0);
	wire_say(fd, &wire);
	hear_end(fd, true);

	fd = client_greeted();
	wire_option(&wire, NBD_OPT_ABORT, "", 0);
	wire_say(fd, &wire);
	assert_int_equal(hear_option(fd, NBD_OPT_ABORT, ignored, NULL), NBD_REP_ACK);
	hear_end(fd, false);
}

/* What was agreed on is not agreed on twice, nor taken back. */
static void headers_are_agreed_on_once(void **state)
{
	int fd = client_greeted();

	(void)state;
	wire.used = 0;
	wire_context(&wire, "disk");
	wire_say(fd, &wire);
	assert_int_equal(hear_verdict(fd, NBD_OPT_SET_META_CONTEXT), NBD_REP_ERR_INVALID);
	wire_option(&wire, NBD_OPT_STRUCTURED_REPLY, "", 0);
	wire_option(&wire, NBD_OPT_STRUCTURED_REPLY, "", 0);
	wire_option(&wire, NBD_OPT_EXTENDED_HEADERS, "x", 1);
	wire_option(&wire, NBD_OPT_EXTENDED_HEADERS, "", 0);
	wire_option(&wire, NBD_OPT_STRUCTURED_REPLY, "", 0);
	wire_option(&wire, NBD_OPT_EXTENDED_HEADERS, "", 0);
	wire_say(fd, &wire);
	assert_int_equal(hear_verdict(fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ACK);
	assert_int_equal(hear_verdict(fd, NBD_OPT_STRUCTURED_REPLY), NBD_REP_ERR_INVALID);
	assert_int_equal(hear_verdict(fd, NBD_OPT_EXTENDED_HEADERS), NBD_REP_ERR_INVALID);
	assert_int_equal(hear_verdict(fd, NBD_OPT_EXTENDED_HEADERS), NBD_REP_ACK);
	assert_int_equal(hear_verdict(fd, NBD_OPT_STRUCTURED_REPLY),
			 NBD_REP_ERR_EXT_HEADER_REQD);
	assert_int_equal(hear_verdict(fd, NBD_OPT_EXTENDED_HEADERS), NBD_REP_ERR_INVALID);
	close(fd);
}

static void ranges_that_are_none(void **state)
{
	static const struct {
		uint64_t offset, length;
	} none[] = {
		{ SIZE, 1 }, { SIZE - 1, 2 }, { SIZE + 1, 1 }, { 0, SIZE + 1 }, { 0, 0 }, { SIZE, 0 },
		{ UINT64_MAX, 1 }, { UINT64_MAX, 2 }, { UINT64_MAX - 511, 512 }, { 1ull << 63, 512 },
		{ UINT64_MAX - 511, 1024 }, { 512, UINT32_MAX },
	};
	static const uint16_t commands[] = {
		NBD_CMD_READ, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES, NBD_CMD_BLOCK_STATUS,
		NBD_CMD_CACHE,
	};
	int headers, fd;
	size_t i, n;

	(void)state;
	for (headers = SIMPLE; headers <= EXTENDED; headers++) {
		fd = session(headers, "disk");
		for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
			for (n = 0; n < sizeof(commands) / sizeof(commands[0]); n++)
				assert_int_not_equal(ask(fd, headers, 0, commands[n], none[i].offset,
							 none[i].length), 0);
		/* Extended, lengths wrap as well. */
		for (n = 0; headers == EXTENDED && n < sizeof(commands) / sizeof(commands[0]); n++) {
			assert_int_not_equal(ask(fd, headers, 0, commands[n], 4096, UINT64_MAX), 0);
			assert_int_not_equal(ask(fd, headers, 0, commands[n], 4096,
						 UINT64_MAX - 4095), 0);
			assert_int_not_equal(ask(fd, headers, 0, commands[n], 0, 1ull << 40), 0);
			assert_int_not_equal(ask(fd, headers, 0, commands[n], 0, 1ull << 32), 0);
		}
		/* A WRITE's payload is skipped, and the connection goes on. */
		assert_int_equal(write_at(fd, headers, SIZE - 511, data, 512), NBD_ENOSPC);
		assert_int_equal(write_at(fd, headers, UINT64_MAX - 511, data, 512), NBD_ENOSPC);
		assert_int_equal(write_at(fd, headers, UINT64_MAX, data, 4096), NBD_ENOSPC);
		assert_int_equal(write_at(fd, headers, 0, data, 32 * MIB + 1), NBD_EOVERFLOW);
		assert_int_equal(read_at(fd, headers, 0, 0, back, 32 * MIB + 1, NULL),
				 NBD_EOVERFLOW);
		assert_int_equal(read_at(fd, headers, 0, 1, back, 32 * MIB, NULL), 0);
		assert_int_equal(ask(fd, headers, 0, NBD_CMD_FLUSH, 1, 0), NBD_EINVAL);
		assert_int_equal(ask(fd, headers, 0, NBD_CMD_FLUSH, 0, 1), NBD_EINVAL);
		leave(fd, headers);
	}
}

static void commands_and_flags_that_are_none(void **state)
{
	/* By command: the flags that it may have. */
	static const uint16_t allowed[] = {
		[NBD_CMD_READ] = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_DF,
		[NBD_CMD_FLUSH] = NBD_CMD_FLAG_FUA,
		[NBD_CMD_TRIM] = NBD_CMD_FLAG_FUA,
		[NBD_CMD_WRITE_ZEROES] = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE |
			NBD_CMD_FLAG_FAST_ZERO,
		[NBD_CMD_BLOCK_STATUS] = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_REQ_ONE,
	};
	int headers, fd, bit;
	uint16_t type;

	(void)state;
	for (headers = SIMPLE; headers <= EXTENDED; headers++) {
		fd = session(headers, "disk");
		assert_int_equal(ask(fd, headers, 0, 8, 0, 512), NBD_EINVAL);
		assert_int_equal(ask(fd, headers, 0, 0xffff, 0, 512), NBD_EINVAL);
		assert_int_equal(ask(fd, headers, 0xffff, 0x8000, 0, 0), NBD_EINVAL);
		for (type = 0; type <= NBD_CMD_BLOCK_STATUS; type++) {
			if (type == NBD_CMD_WRITE || type == NBD_CMD_DISC || type == NBD_CMD_CACHE)
				continue;
			for (bit = 0; bit < 16; bit++) {
				if ((allowed[type] & 1 << bit) ||
				    (headers == EXTENDED && 1 << bit == NBD_CMD_FLAG_PAYLOAD_LEN))
					continue;
				assert_int_equal(ask(fd, headers, (uint16_t)(1 << bit), type, 0,
						     type == NBD_CMD_FLUSH ? 0 : 512), NBD_EINVAL);
			}
		}
		assert_int_equal(ask(fd, headers, NBD_CMD_FLAG_FUA, NBD_CMD_FLUSH, 0, 0), 0);
		assert_int_equal(ask(fd, headers, NBD_CMD_FLAG_FUA, NBD_CMD_TRIM, 0, SIZE), 0);
		leave(fd, headers);
	}
	/* A payload where there is none to be. */
	fd = session(EXTENDED, "disk");
	for (type = 0; type < 12; type++) {
		if (type == NBD_CMD_WRITE || type == NBD_CMD_DISC)
			continue;
		wire.used = 0;
		wire_request(&wire, EXTENDED, NBD_CMD_FLAG_PAYLOAD_LEN, type, 9, 0, 700);
		wire_put(&wire, data, 700);
		wire_say(fd, &wire);
		assert_int_equal(hear_status(fd, EXTENDED, 9), NBD_EINVAL);
	}
	leave(fd, EXTENDED);
	fd = session(EXTENDED, "disk");
	wire_request(&wire, EXTENDED, NBD_CMD_FLAG_PAYLOAD_LEN, NBD_CMD_READ, 9, 0, 1ull << 62);
	wire_say(fd, &wire);
	hear_end(fd, false);
}

static void what_was_not_agreed_on(void **state)
{
	int fd;

	(void)state;
	fd = client_greeted();
	wire.used = 0;
	wire_option(&wire, NBD_OPT_STRUCTURED_REPLY, "", 0);
	wire_context(&wire, "slow");
	wire_go(&wire, NBD_OPT_GO, "disk");		/* not the export of the context */
	wire_say(fd, &wire);
	session_hear(fd, STRUCTURED);
	assert_int_equal(ask(fd, STRUCTURED, 0, NBD_CMD_BLOCK_STATUS, 0, 512), NBD_EINVAL);
	leave(fd, STRUCTURED);

	fd = session(SIMPLE, "ro");
	assert_int_equal(write_at(fd, SIMPLE, 0, data, 4096), NBD_EPERM);
	assert_int_equal(write_at(fd, SIMPLE, SIZE, data, MIB), NBD_EPERM);
	assert_int_equal(ask(fd, SIMPLE, 0, NBD_CMD_TRIM, 0, 4096), NBD_EPERM);
	assert_int_equal(ask(fd, SIMPLE, 0, NBD_CMD_WRITE_ZEROES, 0, 4096), NBD_EPERM);
	assert_int_equal(read_at(fd, SIMPLE, 0, 0, back, 4096, NULL), 0);
	assert_int_equal(ask(fd, SIMPLE, 0, NBD_CMD_FLUSH, 0, 0), 0);
	leave(fd, SIMPLE);
}

static void payloads_that_are_announced(void **state)
{
	static const uint64_t lengths[] = { 64 * MIB + 1, UINT32_MAX, 1ull << 40, UINT64_MAX };
	unsigned int i;
	size_t before;
	int fd;

	(void)state;
	before = resident();
	for (i = 0; i < 4; i++) {
		int headers = lengths[i] > UINT32_MAX ? EXTENDED : STRUCTURED;

		fd = session(headers, "disk");
		wire_request(&wire, headers, headers == EXTENDED ? NBD_CMD_FLAG_PAYLOAD_LEN : 0,
			     NBD_CMD_WRITE, 1, 0, lengths[i]);
		wire_say(fd, &wire);
		hear_end(fd, false);
	}
	/* So many that their payloads never come, each of the largest size that is served. */
	for (i = 0; i < 20; i++) {
		fd = session(STRUCTURED, "disk");
		wire_request(&wire, STRUCTURED, 0, NBD_CMD_WRITE, 1, 0, 32 * MIB);
		wire_say(fd, &wire);
		say(fd, data, 100);
		if (i % 2) {
			close(fd);
		} else {
			shutdown(fd, SHUT_WR);
			hear_end(fd, false);
		}
	}
	wait_connections(&server, 0);
	if (!SANITIZED)
		assert_true(resident() < before + 64 * MIB);
}

static void wrong_magics(void **state)
{
	int headers, fd;

	(void)state;
	for (headers = SIMPLE; headers <= EXTENDED; headers++) {
		/* The magic of the other kind of headers. */
		fd = session(headers, "disk");
		wire_request(&wire, headers == EXTENDED ? SIMPLE : EXTENDED, 0, NBD_CMD_READ, 1, 0,
			     512);
		wire_request(&wire, SIMPLE, 0, NBD_CMD_READ, 1, 0, 512);
		wire_say(fd, &wire);
		hear_end(fd, false);
		/* Something between two requests: what came before is answered or not, no more is. */
		fd = session(headers, "disk");
		wire_request(&wire, headers, 0, NBD_CMD_FLUSH, 1, 0, 0);
		wire_put(&wire, "x", 1);
		wire_request(&wire, headers, 0, NBD_CMD_FLUSH, 2, 0, 0);
		wire_request(&wire, headers, 0, NBD_CMD_FLUSH, 3, 0, 0);
		wire_say(fd, &wire);
		hear_end(fd, true);
	}
}

static void lengths_of_64_bits(void **state)
{
	size_t before = resident();
	int fd, other;

	(void)state;
	fd = session(EXTENDED, "vast");
	other = session(STRUCTURED, "disk");
	wire_request(&wire, EXTENDED, 0, NBD_CMD_WRITE_ZEROES, 1, 4096, 1ull << 40);
	wire_request(&wire, EXTENDED, NBD_CMD_FLAG_FUA, NBD_CMD_TRIM, 2, 1, 1ull << 40);
	wire_request(&wire, EXTENDED, NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 3, 0,
		     2ull << 40);
	wire_say(fd, &wire);
	assert_int_equal(ask(other, STRUCTURED, 0, NBD_CMD_FLUSH, 0, 0), 0);
	/* They take turns, so the shorter ones end first. */
	assert_int_equal(hear_status(fd, EXTENDED, 1), 0);
	assert_int_equal(hear_status(fd, EXTENDED, 2), 0);
	assert_int_equal(hear_status(fd, EXTENDED, 3), 0);
	if (!SANITIZED)
		assert_true(resident() < before + 16 * MIB);
	leave(other, STRUCTURED);

	/* Gone in the middle of it. */
	wire_request(&wire, EXTENDED, 0, NBD_CMD_WRITE_ZEROES, 1, 0, 2ull << 40);
	wire_say(fd, &wire);
	close(fd);
}

/* The same cookie twice, and all kinds of requests at once. */
static void cookies_are_the_clients(void **state)
{
	struct chunk chunk;
	int headers, fd, i;

	(void)state;
	for (headers = SIMPLE; headers <= EXTENDED; headers++) {
		fd = session(headers, "slow");
		for (i = 0; i < 50; i++)
			wire_request(&wire, headers, 0, NBD_CMD_FLUSH, UINT64_MAX, 0, 0);
		wire_say(fd, &wire);
		for (i = 0; i < 50; i++) {
			hear_chunk(fd, headers, &chunk);
			assert_true(chunk.cookie == UINT64_MAX && !chunk.error);
		}
		leave(fd, headers);
	}
}

/* More at once than may be under way: they wait, all are answered, and nothing is mixed up. */
static void more_than_may_be_under_way(void **state)
{
	static const char *const names[] = { "disk", "alone", "slow" };
	enum { COUNT = 3000, LENGTH = 100 };
	struct chunk chunk;
	unsigned int i;
	int headers, fd;
	static bool seen[COUNT];

	(void)state;
	for (headers = SIMPLE; headers <= EXTENDED; headers++) {
		/* With the end of the handshake, so that it is handed over with it. */
		fd = client_greeted();
		wire.used = 0;
		session_put(&wire, headers, names[headers]);
		fill(data, COUNT * LENGTH, (unsigned int)headers);
		memset(seen, 0, sizeof(seen));
		for (i = 0; i < COUNT; i++) {
			wire_request(&wire, headers, headers == EXTENDED ? NBD_CMD_FLAG_PAYLOAD_LEN : 0,
				     NBD_CMD_WRITE, i, i * LENGTH, LENGTH);
			wire_put(&wire, data + i * LENGTH, LENGTH);
		}
		assert_true(wire_say(fd, &wire));
		session_hear(fd, headers);
		for (i = 0; i < COUNT; i++) {
			hear_chunk(fd, headers, &chunk);
			assert_true(!chunk.error && chunk.cookie < COUNT && !seen[chunk.cookie]);
			seen[chunk.cookie] = true;
		}
		assert_int_equal(read_at(fd, headers, 0, 0, back, COUNT * LENGTH, NULL), 0);
		assert_memory_equal(data, back, COUNT * LENGTH);
		leave(fd, headers);
	}
}

/* Many under way, each sent by itself: see serve/gather.h. The last ones when it has closed its half. */
static void a_client_that_sends_one_by_one(void **state)
{
	static const char *const names[] = { "disk", "alone", "slow" };
	enum { COUNT = 4000, LENGTH = 100, DEPTH = 64, TURN = 16 };
	unsigned int sent, got;
	struct chunk chunk;
	int headers, fd;
	static bool seen[COUNT];

	(void)state;
	for (headers = SIMPLE; headers <= EXTENDED; headers++) {
		fd = session(headers, names[headers]);
		fill(data, COUNT * LENGTH, 77 + (unsigned int)headers);
		memset(seen, 0, sizeof(seen));
		for (sent = got = 0; got < COUNT; got++) {
			while (sent < COUNT && sent - got < DEPTH && got % TURN == 0) {
				wire_request(&wire, headers,
					     headers == EXTENDED ? NBD_CMD_FLAG_PAYLOAD_LEN : 0,
					     NBD_CMD_WRITE, sent, sent * LENGTH, LENGTH);
				wire_put(&wire, data + sent * LENGTH, LENGTH);
				assert_true(wire_say(fd, &wire));
				sent++;
			}
			if (got == COUNT - DEPTH)
				shutdown(fd, SHUT_WR);
			hear_chunk(fd, headers, &chunk);
			assert_true(!chunk.error && chunk.cookie < COUNT && !seen[chunk.cookie]);
			seen[chunk.cookie] = true;
		}
		hear_end(fd, false);
		fd = session(headers, names[headers]);
		assert_int_equal(read_at(fd, headers, 0, 0, back, COUNT * LENGTH, NULL), 0);
		assert_memory_equal(data, back, COUNT * LENGTH);
		leave(fd, headers);
	}
}

static void a_client_that_does_not_read(void **state)
{
	size_t before = resident(), most = 0;
	struct chunk chunk;
	unsigned int i, n;
	int fds[4];

	(void)state;
	/* Each asks for 1 GiB, in pieces for which the server needs memory. */
	for (n = 0; n < 4; n++) {
		fds[n] = session(SIMPLE, "slow");
		for (i = 0; i < 1024; i++)
			wire_request(&wire, SIMPLE, 0, NBD_CMD_READ, i, 0, MIB);
		assert_true(wire_say(fds[n], &wire));
	}
	for (i = 0; i < 20; i++) {
		int fd = session(STRUCTURED, "slow");

		assert_int_equal(ask(fd, STRUCTURED, 0, NBD_CMD_FLUSH, 0, 0), 0);
		leave(fd, STRUCTURED);
		if (resident() > most)
			most = resident();
	}
	print_message("# 4 clients that read nothing: %zu MiB\n", (size_t)((most - before) / MIB));
	if (!SANITIZED)		/* 32 MiB is the limit of each; a buffer may have twice its size */
		assert_true(most < before + 4 * 2 * 33 * MIB);
	/* One of them goes on, and gets all. */
	for (i = 0; i < 1024; i++) {
		hear_chunk(fds[0], SIMPLE, &chunk);
		assert_true(!chunk.error);
		hear_all(fds[0], back, MIB);
	}
	leave(fds[0], SIMPLE);
	for (n = 1; n < 4; n++)
		close(fds[n]);
}

static void a_client_that_goes_while_the_backend_works(void **state)
{
	static const uint16_t types[] = {
		NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_FLUSH, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES,
		NBD_CMD_BLOCK_STATUS,
	};
	unsigned int i, n;
	int fd;

	(void)state;
	for (n = 0; n < 4; n++) {
		fd = session(EXTENDED, "late");
		for (i = 0; i < 6; i++) {
			bool write = types[i] == NBD_CMD_WRITE;

			wire_request(&wire, EXTENDED, write ? NBD_CMD_FLAG_PAYLOAD_LEN : 0, types[i],
				     i, types[i] == NBD_CMD_FLUSH ? 0 : n * MIB,
				     types[i] == NBD_CMD_FLUSH ? 0 : 100000);
			if (write)
				wire_put(&wire, data, 100000);
		}
		assert_true(wire_say(fd, &wire));
		if (n == 0) {
			close(fd);
		} else if (n == 1) {		/* half-closed: it wants its answers */
			shutdown(fd, SHUT_WR);
			hear_end(fd, true);
		} else if (n == 2) {		/* the same, said properly */
			wire_request(&wire, EXTENDED, 0, NBD_CMD_DISC, 0, 0, 0);
			wire_say(fd, &wire);
			for (i = 0; i < 3; i++)
				hear16(fd);
			hear_end(fd, true);
		} else {			/* something wrong after what is right */
			say(fd, back, 100);
			hear_end(fd, true);
		}
	}
}

/* A BLOCK_STATUS's answer must be @want, "FLAGS:LENGTH ..." */
static void hear_block_status(int fd, int headers, const char *want)
{
	struct chunk chunk;
	char text[400] = "";
	uint32_t count, i;

	hear_chunk(fd, headers, &chunk);
	assert_int_equal(chunk.flags, NBD_REPLY_FLAG_DONE);
	assert_int_equal(hear32(fd), 1);
	if (headers == EXTENDED) {
		assert_int_equal(chunk.type, NBD_REPLY_TYPE_BLOCK_STATUS_EXT);
		count = hear32(fd);
		assert_true(chunk.length == 8 + 16ull * count);
	} else {
		assert_int_equal(chunk.type, NBD_REPLY_TYPE_BLOCK_STATUS);
		count = (uint32_t)(chunk.length - 4) / 8;
		assert_true(chunk.length == 4 + 8ull * count);
	}
	for (i = 0; i < count; i++) {
		uint64_t length = headers == EXTENDED ? hear64(fd) : hear32(fd);
		uint64_t flags = headers == EXTENDED ? hear64(fd) : hear32(fd);
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%s%llu:%llu", i ? " " : "",
			 (unsigned long long)flags, (unsigned long long)length);
	}
	assert_string_equal(text, want);
}

static void holes(void **state)
{
	static const char *const names[] = { "disk", "slow" };
	uint64_t came;
	int headers, fd, i;

	(void)state;
	for (i = 0; i < 4; i++) {
		headers = i < 2 ? STRUCTURED : EXTENDED;
		fd = session(headers, names[i % 2]);
		fill(data, MIB, 3);
		memset(data + 8192, 0, MIB - 3 * 8192);
		assert_int_equal(ask(fd, headers, 0, NBD_CMD_TRIM, 0, SIZE), 0);
		assert_int_equal(write_at(fd, headers, 0, data, 8192), 0);
		assert_int_equal(write_at(fd, headers, MIB - 16384, data + MIB - 16384, 8192), 0);
		memset(data + MIB - 8192, 0, 8192);
		assert_int_equal(read_at(fd, headers, 0, 0, back, MIB, &came), 0);
		assert_memory_equal(data, back, MIB);
		assert_int_equal(came, 16384);
		assert_int_equal(read_at(fd, headers, NBD_CMD_FLAG_DF, 0, back, MIB, &came), 0);
		assert_memory_equal(data, back, MIB);
		assert_int_equal(came, MIB);
		assert_int_equal(read_at(fd, headers, 0, 5, back, MIB - 10, &came), 0);
		assert_memory_equal(data + 5, back, MIB - 10);
		assert_int_equal(came, 16384 - 5);
		wire_request(&wire, headers, 0, NBD_CMD_BLOCK_STATUS, 4, 4096, MIB);
		wire_request(&wire, headers, NBD_CMD_FLAG_REQ_ONE, NBD_CMD_BLOCK_STATUS, 4, 8193,
			     MIB);
		wire_say(fd, &wire);
		hear_block_status(fd, headers, "0:4096 3:1024000 0:8192 3:12288");
		hear_block_status(fd, headers, "3:1023999");
		leave(fd, headers);
	}
}

/* What a write has left that never became whole is the same in whatever way it is looked at. */
static void a_write_that_is_cut_short(void **state)
{
	static const char *const names[] = { "disk", "alone" };
	uint64_t at;
	int fd, i;

	(void)state;
	fill(data, MIB, 9);
	for (i = 0; i < 4; i++) {
		fd = session(STRUCTURED, names[i % 2]);
		assert_int_equal(ask(fd, STRUCTURED, 0, NBD_CMD_TRIM, 0, SIZE), 0);
		wire.used = 0;
		wire_request(&wire, STRUCTURED, 0, NBD_CMD_WRITE, 7, 0, MIB);
		assert_true(wire_say(fd, &wire));
		assert_true(say(fd, data, i < 2 ? MIB - 1 : MIB / 2));
		close(fd);
		wait_connections(&server, 0);

		fd = session(STRUCTURED, names[i % 2]);
		/* In pieces for which holes are not looked for, then all at once. */
		for (at = 0; at < MIB; at += 4096)
			assert_int_equal(read_at(fd, STRUCTURED, 0, at, data + MIB + at, 4096,
						 NULL), 0);
		assert_int_equal(read_at(fd, STRUCTURED, 0, 0, back, MIB, NULL), 0);
		assert_memory_equal(data + MIB, back, MIB);
		leave(fd, STRUCTURED);
	}
}

/* A file's or memory's extents, more than one answer has room for. */
static void more_holes_than_an_answer_holds(void **state)
{
	struct chunk chunk;
	uint64_t came;
	int fd, i;

	(void)state;
	fd = session(STRUCTURED, "disk");
	assert_int_equal(ask(fd, STRUCTURED, 0, NBD_CMD_TRIM, 0, SIZE), 0);
	memset(data, 0, 16 * MIB);
	for (i = 0; i < 2048; i++) {
		memset(data + i * 8192, i % 255 + 1, 4096);
		assert_int_equal(write_at(fd, STRUCTURED, (uint64_t)i * 8192, data + i * 8192, 4096),
				 0);
	}
	assert_int_equal(read_at(fd, STRUCTURED, 0, 0, back, 16 * MIB, &came), 0);
	assert_memory_equal(data, back, 16 * MIB);
	assert_true(came >= 8 * MIB);
	wire_request(&wire, STRUCTURED, 0, NBD_CMD_BLOCK_STATUS, 4, 0, 16 * MIB);
	wire_say(fd, &wire);
	hear_chunk(fd, STRUCTURED, &chunk);
	assert_in_range(chunk.length, 4 + 8, 65536);
	hear_all(fd, back, chunk.length);
	leave(fd, STRUCTURED);
}

static void idle_connections(void **state)
{
	enum { COUNT = 1000 };
	static int fds[COUNT];
	struct rlimit limit;
	size_t before, each;
	int i;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * COUNT + 100)
		skip();
	before = resident();
	for (i = 0; i < COUNT; i++) {
		fds[i] = session(i % 3, "disk");
		if (i % 2)
			assert_int_equal(ask(fds[i], i % 3, 0, NBD_CMD_FLUSH, 0, 0), 0);
	}
	if (!SANITIZED) {
		each = (resident() - before) / COUNT;
		print_message("# an idle connection: %zu bytes\n", each);
		assert_in_range(each, 0, 64 * KIB);
	}
	for (i = 0; i < COUNT; i++)
		assert_int_equal(ask(fds[i], i % 3, 0, NBD_CMD_FLUSH, 0, 0), 0);
	for (i = 0; i < COUNT; i++)
		close(fds[i]);
}

/* A server of little patience. Nothing here must be fast, only end. */
static void those_who_stop_are_left(void **state)
{
	static const char *const specs[] = { "disk=mem:64M", "slow=delay:0s:mem:64M", NULL };
	static struct server hasty;
	struct serve_limits limits = generous;
	unsigned int i;
	int fds[8];

	(void)state;
	limits.handshake = 300;
	server_begin(&hasty, &limits, specs);
	for (i = 0; i < 3; i++)
		fds[i] = client_of(&hasty);
	wire.used = 0;
	greet(fds[0], 1);				/* then nothing */
	say(fds[1], "\0", 1);				/* not even flags */
	greet(fds[2], 1);
	wire_put64(&wire, NBD_IHAVEOPT);
	wire_put32(&wire, NBD_OPT_GO);
	wire_put32(&wire, 20);
	wire_say(fds[2], &wire);			/* not all of an option */
	for (i = 0; i < 3; i++)
		hear_end(fds[i], true);
	server_over(&hasty);

	/* Another server, as a handshake that is to succeed may take long. */
	limits.handshake = generous.handshake;
	limits.stall = 300;
	server_begin(&hasty, &limits, specs);
	for (i = 3; i < 8; i++)
		fds[i] = session_of(&hasty, STRUCTURED, "slow");
	wire_put32(&wire, NBD_REQUEST_MAGIC);
	wire_say(fds[3], &wire);			/* not all of a header */
	wire_request(&wire, STRUCTURED, 0, NBD_CMD_WRITE, 1, 0, 5000);
	wire_put(&wire, data, 4999);
	wire_say(fds[4], &wire);			/* not all of a payload */
	wire_request(&wire, STRUCTURED, 0, NBD_CMD_WRITE, 1, SIZE, 5000);
	wire_put(&wire, data, 4999);
	wire_say(fds[5], &wire);			/* nor of one that is skipped */
	for (i = 0; i < 64; i++)
		wire_request(&wire, STRUCTURED, 0, NBD_CMD_READ, i, 0, MIB);
	fill(data, MIB, 1);
	assert_int_equal(write_at(fds[7], STRUCTURED, 0, data, MIB), 0);
	for (i = 0; i < 64; i++)
		wire_request(&wire, STRUCTURED, 0, NBD_CMD_READ, i, 0, MIB);
	wire_say(fds[6], &wire);			/* does not take its answers */
	wait_connections(&hasty, 1);			/* fds[7] only waits */
	for (i = 3; i < 7; i++)
		hear_end(fds[i], true);
	leave(fds[7], STRUCTURED);
	server_over(&hasty);

	limits.idle = 200;
	server_begin(&hasty, &limits, specs);
	fds[0] = session_of(&hasty, STRUCTURED, "disk");
	hear_end(fds[0], false);
	server_over(&hasty);
}

/* The server ends while clients are in all kinds of states: what is under way is answered. */
static void the_end_of_the_server(void **state)
{
	const char *const specs[] = { vast(), "late=delay:300ms:mem:64M",
					     "alone=delay:100ms:mem:64M", NULL };
	static struct server ending;
	unsigned int i;
	int fds[8];

	(void)state;
	server_begin(&ending, &generous, specs);
	fds[0] = client_of(&ending);
	fds[1] = client_of(&ending);
	greet(fds[1], 1);
	fds[2] = session_of(&ending, EXTENDED, "vast");
	wire_request(&wire, EXTENDED, 0, NBD_CMD_WRITE_ZEROES, 1, 0, 1ull << 40);
	wire_say(fds[2], &wire);
	fds[3] = session_of(&ending, STRUCTURED, "late");
	wire_request(&wire, STRUCTURED, 0, NBD_CMD_WRITE, 1, 0, 100);
	wire_put(&wire, data, 100);
	wire_say(fds[3], &wire);
	fds[4] = session_of(&ending, STRUCTURED, "alone");
	/* An answer: it was handed over to its thread. */
	assert_int_equal(ask(fds[4], STRUCTURED, 0, NBD_CMD_FLUSH, 0, 0), 0);
	wire_request(&wire, STRUCTURED, 0, NBD_CMD_READ, 1, 0, 100);
	wire_say(fds[4], &wire);
	fds[5] = session_of(&ending, STRUCTURED, "vast");
	wire_request(&wire, STRUCTURED, 0, NBD_CMD_WRITE, 1, 0, 2000);
	wire_put(&wire, data, 1000);		/* and no more */
	wire_say(fds[5], &wire);
	fds[6] = session_of(&ending, SIMPLE, "vast");
	fds[7] = session_of(&ending, SIMPLE, "late");
	for (i = 2; i < 6; i++)	/* what has not arrived is not answered */
		wait_taken(fds[i]);
	server_over(&ending);
	assert_false(ended_late);
	hear_end(fds[0], true);
	hear_end(fds[1], true);
	assert_int_equal(hear_status(fds[2], EXTENDED, 1), 0);
	hear_end(fds[2], false);
	assert_int_equal(hear_status(fds[3], STRUCTURED, 1), 0);
	hear_end(fds[3], false);
	assert_int_equal(hear_read(fds[4], STRUCTURED, 1, 0, back, 100, &(uint64_t){ 0 }), 0);
	hear_end(fds[4], false);
	for (i = 5; i < 8; i++)
		hear_end(fds[i], false);
}

int main(void)
{
#define CASE(test)	cmocka_unit_test_teardown(test, still_works)
	const struct CMUnitTest tests[] = {
		CASE(a_session_in_one_piece),
		CASE(a_session_byte_by_byte),
		CASE(a_session_cut_short),
		CASE(a_session_mangled),
		CASE(beginnings_that_are_none),
		CASE(long_options),
		CASE(malformed_options),
		CASE(names_that_are_longer_than_allowed),
		CASE(many_queries),
		CASE(options_without_end),
		CASE(headers_are_agreed_on_once),
		CASE(ranges_that_are_none),
		CASE(commands_and_flags_that_are_none),
		CASE(what_was_not_agreed_on),
		CASE(payloads_that_are_announced),
		CASE(wrong_magics),
		CASE(lengths_of_64_bits),
		CASE(cookies_are_the_clients),
		CASE(more_than_may_be_under_way),
		CASE(a_client_that_sends_one_by_one),
		CASE(a_client_that_does_not_read),
		CASE(a_client_that_goes_while_the_backend_works),
		CASE(holes),
		CASE(a_write_that_is_cut_short),
		CASE(more_holes_than_an_answer_holds),
		CASE(idle_connections),
		CASE(those_who_stop_are_left),
		CASE(the_end_of_the_server),
	};

	return cmocka_run_group_tests(tests, group_begin, group_end);
}
