// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An NBD client whose connection is lost: what is sent again, what waits, what fails and when,
 * what the log tells, and that closing never waits for a server.
 *
 * The test plays the server. The client's dialer gets from it, in its own thread, the other ends
 * of socket pairs, as many as there are; while there are none, connections are refused.
 */
#include "drive.h"

#include <endian.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "nbd/client.h"
#include "nbd/reply.h"
#include "nbd/unflushed.h"
#include "nbd/wait.h"

#define PATIENCE	30000000000ull	/* ns: whatever takes longer hangs */

static struct nbd_client *client;
static struct loop *loop;
static struct nbd_export offered;	/* by the server, to the next connection */
static enum nbd_headers headers;	/* of the current connection */
static int server_fd;

/* What the dialer gets. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int waiting_fd = -1;
static atomic_int tries, released;
static atomic_bool hang, stuck;

static int dial_connect(void *context, struct stream *stream, struct nbd_export *export,
			struct error *error)
{
	int fd;

	assert_ptr_equal(context, &offered);
	tries++;
	if (stuck) {	/* as in the resolver */
		while (stuck)
			usleep(1000);
		return -EHOSTUNREACH;
	}
	if (hang)
		return error_set(error, nbd_wait(-1, 0, loop_now() + 2 * PATIENCE), "hanging");
	pthread_mutex_lock(&lock);
	fd = waiting_fd;
	waiting_fd = -1;
	*export = offered;
	pthread_mutex_unlock(&lock);
	if (fd < 0)
		return error_set(error, -ECONNREFUSED, "nobody there");
	*stream = (struct stream) { .fd = fd };
	return 0;
}

static void dial_release(void *context)
{
	assert_ptr_equal(context, &offered);
	released++;
}

static void start(uint32_t reconnect_ms, uint32_t timeout_ms, struct nbd_unflushed *unflushed)
{
	const struct nbd_client_config config = {
		.name = "test",
		.reconnect_ms = reconnect_ms,
		.timeout_ms = timeout_ms,
		.dial = { dial_connect, dial_release, &offered },
		.unflushed = unflushed,
	};
	int fds[2];

	offered = (struct nbd_export) {
		.size = 1 << 30, .flags = 0x7f, .block_min = 512, .block_preferred = 4096,
		.payload_max = 1 << 20,
	};
	headers = NBD_HEADERS_SIMPLE;
	tries = released = 0;
	hang = stuck = false;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(nbd_client_new((struct stream) { .fd = fds[0] }, &offered, &config, loop,
					&client), 0);
	server_fd = fds[1];
	drive_log_clear();
}

#define until(condition) do { \
	uint64_t until_ = loop_now() + PATIENCE; \
	while (!(condition)) { \
		if (loop_now() > until_) \
			fail_msg("never: %s; log: %s", #condition, drive_log); \
		assert_int_equal(loop_once(loop, loop_now() + 5000000), 0); \
	} \
} while (0)

/* Waits until the dialer has begun its @count-th try; the loop, and with it time, stands still. */
static void wait_tries(int count)
{
	const uint64_t end = loop_now() + PATIENCE;

	while (tries < count) {
		assert_true(loop_now() < end);
		usleep(1000);
	}
}

static void stop(void)
{
	if (client)
		nbd_client_free(client);
	client = NULL;
	until(released);	/* the dialer's thread may be left behind */
	loop_free(loop);
	if (server_fd >= 0)
		close(server_fd);
	if (waiting_fd >= 0)
		close(waiting_fd);
	waiting_fd = -1;
	assert_int_equal(released, 1);
}

static void turn(void)
{
	int i;

	for (i = 0; i < 10; i++)
		assert_int_equal(loop_once(loop, 0), 0);
}

/* The server goes. */
static void server_leave(void)
{
	close(server_fd);
	server_fd = -1;
}

/* The next connection is to this. */
static void offer(const struct nbd_export *export)
{
	pthread_mutex_lock(&lock);
	offered = *export;
	pthread_mutex_unlock(&lock);
}

/* And is back, for one connection. */
static void server_come(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	if (server_fd >= 0)
		close(server_fd);
	server_fd = fds[1];
	pthread_mutex_lock(&lock);
	headers = offered.headers;
	assert_int_equal(waiting_fd, -1);
	waiting_fd = fds[0];
	pthread_mutex_unlock(&lock);
}

static void submit(struct request *request, enum backend_op op, uint64_t offset, void *buf,
		   uint32_t length, uint32_t flags)
{
	request_make(request, op, offset, buf, length, flags);
	nbd_client_submit(client, &request->io);
	nbd_client_kick(client);
}

static bool readable(size_t bytes)
{
	char buf[NBD_REQUEST_MAX];

	return recv(server_fd, buf, bytes, MSG_PEEK) == (ssize_t)bytes;
}

/* The next request; waits for it. */
static struct nbd_call hear(void)
{
	char wire[NBD_REQUEST_MAX];
	struct nbd_call call;

	until(readable(nbd_request_size(headers)));
	assert_int_equal(read(server_fd, wire, nbd_request_size(headers)),
			 nbd_request_size(headers));
	assert_true(nbd_request_decode(headers, wire, &call));
	return call;
}

static void hear_payload(const char *expected, size_t length)
{
	static char payload[65536];

	until(recv(server_fd, payload, length, MSG_PEEK) == (ssize_t)length);
	assert_int_equal(read(server_fd, payload, length), length);
	assert_memory_equal(payload, expected, length);
}

static void say(const void *what, size_t length)
{
	ssize_t wrote;

	while ((wrote = write(server_fd, what, length)) < 0 && errno == EAGAIN)
		assert_int_equal(loop_once(loop, 0), 0);
	assert_int_equal(wrote, length);
}

static void answer(const struct nbd_call *call, uint32_t error)
{
	char wire[NBD_REPLY_MAX];

	nbd_simple_reply_encode(call->cookie, error, wire);
	say(wire, sizeof(struct nbd_simple_reply));
}

static unsigned int log_lines(void)
{
	unsigned int lines = 0;
	const char *at;

	for (at = drive_log; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

static void log_has(const char *part)
{
	if (!strstr(drive_log, part))
		fail_msg("'%s' is not in: %s", part, drive_log);
}

static char data[65536];

static void what_was_in_flight_is_sent_again(void **state)
{
	struct request answered, read_request, write, new;
	struct nbd_call call;
	char buf[4096], payload[4096];

	(void)state;
	memset(payload, 'p', sizeof(payload));
	memset(data, 'd', sizeof(data));
	start(60000, 0, NULL);
	submit(&answered, BACKEND_WRITE, 512, payload, 4096, 0);
	call = hear();
	hear_payload(payload, 4096);
	answer(&call, 0);
	submit(&read_request, BACKEND_READ, 8192, buf, 4096, 0);
	submit(&write, BACKEND_WRITE, 4096, payload, 4096, BACKEND_FUA);
	call = hear();
	answer(&call, 0);
	say("half of it", 10);		/* and then no more */
	until(!memcmp(buf, "half", 4));
	server_leave();
	until(drive_log[0]);
	log_has("the server closed the connection within a reply; 2 requests wait");
	submit(&new, BACKEND_DISCARD, 65536, NULL, 4096, 0);
	server_come();
	/* each of them once, in whatever order, and not the one that was answered */
	for (int i = 0; i < 3; i++) {
		call = hear();
		switch (call.type) {
		case NBD_CMD_READ:
			assert_int_equal(call.offset, 8192);
			answer(&call, 0);
			say(data, 4096);
			break;
		case NBD_CMD_WRITE:
			assert_int_equal(call.offset, 4096);
			assert_int_equal(call.flags, NBD_CMD_FLAG_FUA);
			hear_payload(payload, 4096);
			answer(&call, 0);
			break;
		default:
			assert_int_equal(call.type, NBD_CMD_TRIM);
			answer(&call, 0);
		}
	}
	until(read_request.completed && write.completed && new.completed);
	assert_int_equal(read_request.result | write.result | new.result | answered.result, 0);
	assert_int_equal(answered.completed, 1);
	assert_memory_equal(buf, data, 4096);
	log_has("connected again after");
	assert_int_equal(log_lines(), 2);
	stop();
}

/* A write that had left in part, and requests beyond the table. */
static void much_is_sent_again(void **state)
{
	enum { MANY = 2 * NBD_CLIENT_DEPTH + 100, LENGTH = 2 << 20 };
	static struct request many[MANY];
	static char large[LENGTH], heard[LENGTH];
	static bool seen[MANY];
	struct request write;
	struct nbd_call call;
	size_t used = 0, i;
	ssize_t got;

	(void)state;
	memset(seen, 0, sizeof(seen));
	memset(large, 'l', sizeof(large));
	start(60000, 0, NULL);
	submit(&write, BACKEND_WRITE, 0, large, LENGTH, 0);
	for (i = 0; i < MANY; i++)
		submit(&many[i], BACKEND_CACHE, i * 512, NULL, 512, 0);
	hear();
	assert_true(read(server_fd, heard, 100000) > 0);
	server_leave();
	until(drive_log[0]);
	server_come();
	for (i = 0; i < MANY + 1; i++) {
		call = hear();
		if (call.type == NBD_CMD_CACHE) {
			assert_false(seen[call.offset / 512]);
			seen[call.offset / 512] = true;
		} else {
			assert_int_equal(call.type, NBD_CMD_WRITE);
			while (used < LENGTH) {
				got = read(server_fd, heard + used, LENGTH - used);
				if (got > 0)
					used += (size_t)got;
				assert_int_equal(loop_once(loop, 0), 0);
			}
			assert_memory_equal(heard, large, LENGTH);
		}
		answer(&call, 0);
	}
	until(write.completed);
	for (i = 0; i < MANY; i++) {
		until(many[i].completed);
		assert_int_equal(many[i].completed, 1);
		assert_int_equal(many[i].result, 0);
	}
	stop();
}

/* The next connection may be of another kind. */
static void other_headers(void **state)
{
	struct nbd_reply reply = { .flags = NBD_REPLY_FLAG_DONE };
	struct request write, discard;
	struct nbd_export better;
	struct nbd_call call;
	char wire[NBD_REPLY_MAX];
	int i;

	(void)state;
	start(60000, 0, NULL);
	submit(&write, BACKEND_WRITE, 512, data, 512, 0);
	submit(&discard, BACKEND_DISCARD, 1024, NULL, 512, 0);
	hear();
	server_leave();
	turn();
	better = offered;
	better.headers = NBD_HEADERS_EXTENDED;
	offer(&better);
	server_come();
	for (i = 0; i < 2; i++) {
		call = hear();
		if (call.type == NBD_CMD_WRITE)
			hear_payload(data, 512);
		assert_int_equal(call.flags, call.type == NBD_CMD_WRITE ? NBD_CMD_FLAG_PAYLOAD_LEN : 0);
		reply.cookie = call.cookie;
		reply.offset = call.offset;
		say(wire, nbd_chunk_encode(headers, &reply, wire));
	}
	until(write.completed && discard.completed);
	assert_int_equal(write.result | discard.result, 0);
	stop();
}

static void patience_ends(void **state)
{
	struct request first, second, third, fourth;
	struct nbd_call call;
	char buf[512];

	(void)state;
	start(100, 0, NULL);
	submit(&first, BACKEND_READ, 0, buf, 512, 0);
	hear();
	server_leave();
	until(*drive_log);
	submit(&second, BACKEND_READ, 0, buf, 512, 0);
	assert_int_equal(second.completed, 0);		/* it waits */
	wait_tries(2);		/* so that of the first one is known what came of it */
	until(first.completed && second.completed);
	assert_int_equal(first.result, -ENOTCONN);
	assert_int_equal(second.result, -ENOTCONN);
	log_has("no connection for");
	log_has("nobody there");
	assert_int_equal(log_lines(), 2);
	submit(&third, BACKEND_READ, 0, buf, 512, 0);	/* this one does not */
	assert_int_equal(third.completed, 1);
	assert_int_equal(third.result, -ENOTCONN);
	/* but the search goes on */
	server_come();
	until(strstr(drive_log, "connected again"));
	submit(&fourth, BACKEND_FLUSH, 0, NULL, 0, 0);
	call = hear();
	answer(&call, 0);
	until(fourth.completed);
	assert_int_equal(fourth.result, 0);
	assert_int_equal(log_lines(), 3);
	stop();
}

/* A request that ends every server that it is sent to must not go round for ever. */
static void a_request_that_kills(void **state)
{
	const char *given_up;
	struct request request;
	int deaths = 0;
	char buf[512];

	(void)state;
	start(1000, 0, NULL);
	submit(&request, BACKEND_READ, 0, buf, 512, 0);
	while (!request.completed) {
		assert_int_equal(loop_once(loop, loop_now() + 5000000), 0);
		if (server_fd >= 0 && readable(nbd_request_size(headers))) {
			server_leave();
			assert_in_range(++deaths, 1, 10);	/* the pauses grow: 50, 100, 200 ms */
			server_come();
		}
	}
	assert_int_equal(request.result, -ENOTCONN);
	assert_int_not_equal(deaths, 0);	/* on a slow machine the time is over after one */
	given_up = strstr(drive_log, "no connection for");
	assert_non_null(given_up);
	/* A connection may be there in the same moment, then with nothing to send over it. */
	assert_int_equal(log_lines(), 2 + (strstr(given_up, "connected again") != NULL));
	stop();
}

static void another_export(void **state)
{
	static const struct {
		struct nbd_export is;
		const char *part;
	} cases[] = {
		{ { 1 << 29, 0x7f, 512, 4096, 1 << 20, 0, false, 0 }, "536870912 bytes" },
		{ { 1 << 30, 0x7d, 512, 4096, 1 << 20, 0, false, 0 }, "flags are 0x7d" },
		{ { 1 << 30, 0x7f, 1024, 4096, 1 << 20, 0, false, 0 }, "block has 1024 bytes" },
		{ { 1 << 30, 0x7f, 512, 4096, 65536, 0, false, 0 }, "request has 65536 bytes" },
	};
	struct request first, later;
	char buf[512], byte;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(60000, 0, NULL);
		submit(&first, BACKEND_READ, 0, buf, 512, 0);
		hear();
		server_leave();
		turn();
		offer(&cases[i].is);
		server_come();
		until(first.completed);
		assert_int_equal(first.result, -ESTALE);
		log_has(cases[i].part);
		log_has("has changed since it was opened");
		assert_int_equal(hear().type, NBD_CMD_DISC);
		until(read(server_fd, &byte, 1) == 0);
		submit(&later, BACKEND_READ, 0, buf, 512, 0);
		assert_int_equal(later.result, -ESTALE);
		stop();
	}
}

static void a_server_that_hangs(void **state)
{
	struct request request;
	struct nbd_call call;
	char byte;

	(void)state;
	start(60000, 200, NULL);
	submit(&request, BACKEND_FLUSH, 0, NULL, 0, 0);
	hear();
	until(read(server_fd, &byte, 1) == 0);	/* no answer: the client leaves */
	log_has("next to nothing was heard from the server for 0.2 s; 1 requests wait");
	assert_int_equal(request.completed, 0);
	server_come();
	call = hear();
	answer(&call, 0);
	until(request.completed);
	assert_int_equal(request.result, 0);
	/* without a request it may be silent */
	usleep(500000);
	turn();
	assert_int_equal(log_lines(), 2);
	stop();
}

/* A byte now and then is no life: the reply would take for ever. */
static void a_server_that_drips(void **state)
{
	const uint64_t end = loop_now() + PATIENCE;
	struct request request;
	struct nbd_call call;
	char buf[4096], head[sizeof(struct nbd_simple_reply)];
	ssize_t sent = 0;

	(void)state;
	start(60000, 200, NULL);
	submit(&request, BACKEND_READ, 0, buf, sizeof(buf), 0);
	call = hear();
	nbd_simple_reply_encode(call.cookie, 0, head);
	assert_int_equal(send(server_fd, head, sizeof(head), MSG_NOSIGNAL), sizeof(head));
	while (!drive_log[0] && sent >= 0 && loop_now() < end) {
		sent = send(server_fd, "x", 1, MSG_NOSIGNAL);
		turn();
		usleep(20000);
	}
	log_has("next to nothing was heard from the server for 0.2 s; 1 requests wait");
	assert_int_equal(request.completed, 0);
	server_come();
	call = hear();
	answer(&call, NBD_EIO);
	until(request.completed);
	assert_int_equal(request.result, -EIO);
	stop();
}

/* Slow is not hung, as long as it answers anything. */
static void a_server_that_is_slow(void **state)
{
	struct request slow, quick;
	struct nbd_call slow_call, call;
	uint64_t end;

	(void)state;
	start(60000, 400, NULL);
	submit(&slow, BACKEND_DISCARD, 0, NULL, 512, 0);
	slow_call = hear();
	end = loop_now() + 1500000000;
	while (loop_now() < end) {
		submit(&quick, BACKEND_FLUSH, 0, NULL, 0, 0);
		call = hear();
		answer(&call, 0);
		until(quick.completed);
		usleep(5000);
	}
	answer(&slow_call, 0);
	until(slow.completed);
	assert_int_equal(slow.result, 0);
	assert_string_equal(drive_log, "");
	stop();
}

static void a_server_that_shuts_down(void **state)
{
	struct request request;
	struct nbd_call call;
	char byte;

	(void)state;
	start(60000, 0, NULL);
	submit(&request, BACKEND_DISCARD, 0, NULL, 512, 0);
	call = hear();
	answer(&call, NBD_ESHUTDOWN);
	until(read(server_fd, &byte, 1) == 0);
	log_has("shuts down");
	assert_int_equal(request.completed, 0);
	server_come();
	call = hear();
	answer(&call, 0);
	until(request.completed);
	assert_int_equal(request.result, 0);
	stop();
}

static void a_broken_protocol_is_the_end(void **state)
{
	struct request request;
	char buf[512];

	(void)state;
	start(60000, 0, NULL);
	submit(&request, BACKEND_READ, 0, buf, 512, 0);
	hear();
	say("rubbish, all of it", 18);
	until(request.completed);
	assert_int_equal(request.result, -EIO);
	server_leave();
	turn();
	assert_int_equal(tries, 0);
	assert_int_equal(log_lines(), 1);
	stop();
}

static void lost_while_idle(void **state)
{
	struct request request;
	struct nbd_call call;

	(void)state;
	start(60000, 0, NULL);
	assert_false(loop_busy(loop, NULL));
	server_leave();
	until(tries > 1);
	server_come();
	until(strstr(drive_log, "connected again"));
	assert_int_equal(log_lines(), 2);
	assert_false(loop_busy(loop, NULL));
	submit(&request, BACKEND_FLUSH, 0, NULL, 0, 0);
	call = hear();
	answer(&call, 0);
	until(request.completed);
	assert_int_equal(request.result, 0);
	stop();
}

static bool is_waiting(void)
{
	bool waits;

	pthread_mutex_lock(&lock);
	waits = waiting_fd >= 0;
	pthread_mutex_unlock(&lock);
	return waits;
}

static void closing_does_not_wait(void **state)
{
	struct request request;
	uint64_t before;
	char buf[512];

	(void)state;
	/* for a server that does not answer */
	start(60000, 0, NULL);
	hang = true;
	submit(&request, BACKEND_READ, 0, buf, 512, 0);
	server_leave();
	until(tries);
	nbd_client_free(client);
	client = NULL;
	assert_int_equal(request.completed, 1);
	assert_int_equal(request.result, -ECANCELED);
	until(released);	/* without an end of "hang" */
	stop();

	/* for the resolver: its thread is left behind, and cleans up when it ends */
	start(60000, 0, NULL);
	stuck = true;
	server_leave();
	until(tries);
	before = loop_now();
	nbd_client_free(client);
	client = NULL;
	assert_true(loop_now() - before < PATIENCE);
	assert_int_equal(released, 0);
	stuck = false;
	until(released);
	stop();

	/* for a connection that nobody took */
	start(60000, 0, NULL);
	server_leave();
	until(tries > 1);
	server_come();
	while (is_waiting())
		usleep(1000);
	usleep(10000);
	nbd_client_free(client);
	client = NULL;
	until(recv(server_fd, buf, 1, 0) == 0);
	stop();
}

static void write_acknowledged(uint32_t flags)
{
	struct request write;
	struct nbd_call call;

	submit(&write, BACKEND_WRITE, 0, data, 512, flags);
	call = hear();
	hear_payload(data, 512);
	answer(&call, 0);
	until(write.completed);
}

static int flush_result(void)
{
	struct request flush;
	struct nbd_call call;

	submit(&flush, BACKEND_FLUSH, 0, NULL, 0, 0);
	if (!flush.completed) {
		call = hear();
		answer(&call, 0);
		until(flush.completed);
	}
	return flush.result;
}

static void lose_and_find(void)
{
	server_leave();
	until(drive_log[0]);
	server_come();
	until(strstr(drive_log, "connected again"));
	drive_log_clear();
}

static void a_flush_tells_of_lost_writes(void **state)
{
	struct nbd_unflushed unflushed = { 0 };
	struct request flush;

	(void)state;
	start(60000, 0, &unflushed);
	write_acknowledged(0);
	lose_and_find();
	assert_int_equal(flush_result(), -EIO);		/* once */
	assert_int_equal(flush_result(), 0);
	lose_and_find();				/* nothing to lose */
	assert_int_equal(flush_result(), 0);
	write_acknowledged(BACKEND_FUA);
	lose_and_find();
	assert_int_equal(flush_result(), 0);
	write_acknowledged(0);
	assert_int_equal(flush_result(), 0);
	lose_and_find();
	assert_int_equal(flush_result(), 0);
	/* one that is under way when it happens */
	write_acknowledged(0);
	submit(&flush, BACKEND_FLUSH, 0, NULL, 0, 0);
	hear();
	server_leave();
	until(drive_log[0]);
	server_come();
	until(flush.completed);
	assert_int_equal(flush.result, -EIO);
	assert_int_equal(flush_result(), 0);
	stop();

	/* and if it is not wanted, never */
	start(60000, 0, NULL);
	write_acknowledged(0);
	lose_and_find();
	assert_int_equal(flush_result(), 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_in_flight_is_sent_again),
		cmocka_unit_test(much_is_sent_again),
		cmocka_unit_test(other_headers),
		cmocka_unit_test(patience_ends),
		cmocka_unit_test(a_request_that_kills),
		cmocka_unit_test(another_export),
		cmocka_unit_test(a_server_that_hangs),
		cmocka_unit_test(a_server_that_drips),
		cmocka_unit_test(a_server_that_is_slow),
		cmocka_unit_test(a_server_that_shuts_down),
		cmocka_unit_test(a_broken_protocol_is_the_end),
		cmocka_unit_test(lost_while_idle),
		cmocka_unit_test(closing_does_not_wait),
		cmocka_unit_test(a_flush_tells_of_lost_writes),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
