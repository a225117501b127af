// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The load for NBD servers: the same for each of them, light enough not to be what is measured.
 *
 *	nbd-load run URI read|write BYTES DEPTH CONNECTIONS MS PID
 *	nbd-load idle URI CONNECTIONS
 *	nbd-load cpu PID
 *
 * run: random blocks of BYTES, DEPTH of them at the server, spread over CONNECTIONS, for MS
 * milliseconds after a tenth of that. Prints "REQUESTS SECONDS CPU": CPU are seconds of processor
 * time that process PID, all its threads and their system calls, spent meanwhile.
 * idle: connects, prints the headers and the cipher that were agreed on, keeps the connections
 * until stdin ends.
 * cpu: prints the processor time of process PID so far, in seconds.
 *
 * Structured replies are asked for, not 64-bit headers: no other server here has them. Data is
 * not looked at: comparing data is another kind of test.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "nbd/handshake.h"
#include "nbd/reply.h"
#include "tls/credentials.h"
#include "tls/session.h"

#define RX_BYTES	(1u << 20)
#define CONNECT_NS	60000000000ull
#define END_NS		10000000000ull

struct connection {
	struct stream stream;
	struct nbd_export export;
	unsigned int depth;

	/* Requests that have not left: a ring of slots, each a header and, to write, its payload. */
	char *tx;
	size_t slot;			/* bytes of one */
	uint64_t tx_queued, tx_gone;	/* bytes, ever */
	bool tx_full;

	char *rx;
	size_t rx_used;
	uint64_t skip;			/* bytes of a READ's data to come */
	bool ends;			/* and then its reply is complete */
};

static struct nbd_uri uri;
static struct tls_credentials *credentials;
static int epoll;
static uint16_t command;
static uint32_t bytes;
static uint64_t done, begun;
static bool ending;
static uint64_t random_state = 88172645463325252ull;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "nbd-load: %s: %s\n", what, why);
	exit(1);
}

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || !value)
		die(text, "give a whole number above 0");
	return value;
}

static void uri_open(const char *text)
{
	struct error error = { 0 };
	char scheme[16] = "";
	const char *colon = strchr(text, ':');

	if (!colon || (size_t)(colon - text) >= sizeof(scheme))
		die(text, "give an NBD URI");
	memcpy(scheme, text, (size_t)(colon - text));
	if (nbd_uri_parse(scheme, colon + 1, &uri, &error) ||
	    nbd_credentials(&uri, &credentials, &error))
		die(text, error.text);
}

static void connection_open(struct connection *c)
{
	const struct nbd_wish wish = {
		.headers = NBD_HEADERS_STRUCTURED, .credentials = credentials,
	};
	uint64_t deadline = loop_now() + CONNECT_NS;
	struct error error = { 0 };

	memset(c, 0, sizeof(*c));
	if (nbd_connect(&uri, deadline, &c->stream, &error) ||
	    nbd_handshake(&c->stream, &uri, &wish, deadline, &c->export, &error))
		die("connecting", error.text);
}

static void request_queue(struct connection *c)
{
	uint64_t at = c->tx_queued / c->slot % c->depth;
	const struct nbd_call call = {
		.type = command,
		.cookie = c->tx_queued,
		.offset = random_next() % (c->export.size / bytes) * bytes,
		.length = bytes,
	};

	nbd_request_encode(c->export.headers, &call, c->tx + at * c->slot);
	c->tx_queued += c->slot;
	begun++;
}

static void connection_send(struct connection *c)
{
	size_t room = c->slot * c->depth;

	while (!c->tx_full && c->tx_gone < c->tx_queued) {
		size_t at = c->tx_gone % room, length = c->tx_queued - c->tx_gone;
		size_t first = length < room - at ? length : room - at;
		const struct iovec iov[2] = {
			{ c->tx + at, first }, { c->tx, length - first },
		};
		ssize_t sent = stream_writev(&c->stream, iov, length > first ? 2 : 1);

		if (sent < 0 && sent != -EAGAIN)
			die("sending", strerror((int)-sent));
		if (sent > 0)
			c->tx_gone += (uint64_t)sent;
		c->tx_full = sent < (ssize_t)length;
	}
}

static void request_done(struct connection *c)
{
	done++;
	if (!ending)
		request_queue(c);
}

/* Takes one header, or bytes of data. Returns how many; 0: too few. */
static size_t reply_take(struct connection *c, const char *from, size_t have)
{
	struct nbd_reply reply;
	int header;

	if (c->skip) {
		size_t some = have < c->skip ? have : (size_t)c->skip;

		c->skip -= some;
		if (!c->skip && c->ends)
			request_done(c);
		return some;
	}
	header = nbd_reply_decode(c->export.headers, from, have, &reply);
	if (header < 0)
		die("receiving", "no NBD reply");
	if (header == 0)
		return 0;
	if (reply.simple ? reply.error : reply.type & NBD_REPLY_TYPE_ERROR_BIT)
		die("receiving", "the server refuses a request");
	c->skip = reply.length;
	c->ends = reply.flags & NBD_REPLY_FLAG_DONE;
	if (reply.simple) {
		c->skip = command == NBD_CMD_READ ? bytes : 0;
		c->ends = true;
	}
	if (!c->skip && c->ends)
		request_done(c);
	return (size_t)header;
}

/* One read. Returns false if nothing more is there. */
static bool connection_fill(struct connection *c)
{
	const struct iovec iov = { c->rx + c->rx_used, RX_BYTES - c->rx_used };
	ssize_t got = stream_readv(&c->stream, &iov, 1);
	size_t at = 0, took;

	if (got == -EAGAIN)
		return false;
	if (got <= 0)
		die("receiving", got ? strerror((int)-got) : "the server is gone");
	c->rx_used += (size_t)got;
	while (at < c->rx_used) {
		took = reply_take(c, c->rx + at, c->rx_used - at);
		if (!took)
			break;
		at += took;
	}
	c->rx_used -= at;
	memmove(c->rx, c->rx + at, c->rx_used);
	return (size_t)got == iov.iov_len || stream_pending(&c->stream);
}

static void connection_begin(struct connection *c, unsigned int depth)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c,
	};
	size_t i, payload = command == NBD_CMD_WRITE ? bytes : 0;

	connection_open(c);
	c->depth = depth;
	c->slot = nbd_request_size(c->export.headers) + payload;
	c->tx = malloc(c->slot * depth + sizeof(uint64_t));
	c->rx = malloc(RX_BYTES);
	if (!c->tx || !c->rx)
		die("connecting", "out of memory");
	for (i = 0; i < c->slot * depth; i += sizeof(uint64_t)) {
		uint64_t word = random_next();

		memcpy(c->tx + i, &word, sizeof(word));
	}
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->stream.fd, &event) < 0)
		die("epoll", strerror(errno));
	for (i = 0; i < depth; i++)
		request_queue(c);
	connection_send(c);
}

/* Edge-triggered, so whatever is there is read. */
static void work_until(uint64_t deadline)
{
	struct epoll_event events[64];
	int got, i;

	while (loop_now() < deadline && (!ending || done < begun)) {
		got = epoll_wait(epoll, events, 64, 10000);
		if (got == 0)
			die("waiting", "no answer for ten seconds");
		for (i = 0; i < got; i++) {
			struct connection *c = events[i].data.ptr;

			if (events[i].events & EPOLLOUT)
				c->tx_full = false;
			while (connection_fill(c))
				;
			connection_send(c);
		}
	}
}

/* A server may take a connection that just ends for a reason to complain, or worse. */
static void connection_end(struct connection *c)
{
	const struct nbd_call call = { .type = NBD_CMD_DISC };
	char goodbye[NBD_REQUEST_MAX];
	const struct iovec iov = { goodbye, nbd_request_size(c->export.headers) };

	nbd_request_encode(c->export.headers, &call, goodbye);
	stream_writev(&c->stream, &iov, 1);
	stream_bye(&c->stream);
	nbd_disconnect(&c->stream);
}

static double cpu_seconds(pid_t pid)
{
	struct timespec spent;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &spent))
		die("processor time", "there is no such process");
	return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

static int run(char **argv)
{
	unsigned int depth = (unsigned int)number(argv[3]);
	unsigned int count = (unsigned int)number(argv[4]), i;
	uint64_t ms = number(argv[5]), start;
	pid_t pid = (pid_t)number(argv[6]);
	struct connection *connections;
	uint64_t first, counted;
	double seconds, cpu;

	command = strcmp(argv[1], "write") ? NBD_CMD_READ : NBD_CMD_WRITE;
	bytes = (uint32_t)number(argv[2]);
	uri_open(argv[0]);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	connections = calloc(count, sizeof(*connections));
	if (!connections || depth < count)
		die("run", "give at least as much depth as connections");
	for (i = 0; i < count; i++)
		connection_begin(&connections[i], depth / count);
	work_until(loop_now() + ms * 100000);
	first = done;
	cpu = cpu_seconds(pid);
	start = loop_now();
	work_until(start + ms * 1000000);
	seconds = (double)(loop_now() - start) / 1e9;
	cpu = cpu_seconds(pid) - cpu;
	counted = done - first;
	ending = true;
	work_until(loop_now() + END_NS);
	for (i = 0; i < count; i++)
		connection_end(&connections[i]);
	printf("%llu %.6f %.6f\n", (unsigned long long)counted, seconds, cpu);
	return 0;
}

static int idle(char **argv)
{
	unsigned long count = number(argv[1]), i;
	struct connection *connections;
	char cipher[100] = "plain", end;

	uri_open(argv[0]);
	connections = calloc(count, sizeof(*connections));
	if (!connections)
		die("idle", "out of memory");
	for (i = 0; i < count; i++)
		connection_open(&connections[i]);
	if (connections[0].stream.tls)
		tls_describe(connections[0].stream.tls, cipher, sizeof(cipher));
	printf("%s, %s\n", nbd_headers_name(connections[0].export.headers), cipher);
	fflush(stdout);
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
	for (i = 0; i < count; i++)
		connection_end(&connections[i]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 9 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "idle"))
		return idle(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "cpu"))
		return printf("%.6f\n", cpu_seconds((pid_t)number(argv[2]))) < 0;
	fprintf(stderr, "usage: nbd-load run URI read|write BYTES DEPTH CONNECTIONS MS PID\n"
		"       nbd-load idle URI CONNECTIONS\n       nbd-load cpu PID\n");
	return 2;
}
