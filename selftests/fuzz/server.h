/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole server without its sockets and threads: two serving threads that this one plays, exports
 * of every kind, and one client, at the other end of a socketpair, that says what the input says.
 *
 * Of the exports one is real memory; one is slow: its requests complete when the script says so,
 * in any order, with any error; one is read-only; and one belongs to the other thread, so that
 * its connections are handed over.
 *
 * Included by exactly one file of a program, so everything is static.
 */
#ifndef R3MAP_FUZZ_SERVER_H
#define R3MAP_FUZZ_SERVER_H

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/extents.h"
#include "serve/peer.h"
#include "serve/thread.h"
#include "tls/credentials.h"

#define REGION		(256u << 10)	/* bytes of an export */
#define NAME_MOST	8u		/* bytes of an export's name; a script has longer ones */
#define PAYLOAD		(64u << 10)	/* of a request, at most */
#define SENT_MAX	(4u << 20)	/* bytes that a script may say */
#define PIECES_MAX	200u		/* pieces that it may split them into */
#define HELD_MAX	256u
#define ROUNDS_MAX	1000u		/* of a loop, after which it is stuck */

enum { EXPORT_MEM, EXPORT_SLOW, EXPORT_READ_ONLY, EXPORT_FAR, EXPORTS };

static struct server server;
static struct server_thread threads[2];

/* The slow backend. */
static char slow_bytes[REGION];
static struct backend_io *held[HELD_MAX];
static unsigned int held_count;

static UNTRACED void held_complete(unsigned int which, int error)
{
	struct backend_io *io = held[which];
	bool has_range = io->length;
	uint64_t at = io->offset;
	uint32_t flags;

	memmove(&held[which], &held[which + 1], (--held_count - which) * sizeof(held[0]));
	CLAIM(!has_range || (io->offset < REGION && io->length <= REGION - io->offset));
	CLAIM(!((io->offset | io->length) & 511));
	switch (error ? BACKEND_FLUSH : io->op) {
	case BACKEND_READ:
		memcpy(io->buf, slow_bytes + io->offset, io->length);
		break;
	case BACKEND_WRITE:
		memcpy(slow_bytes + io->offset, io->buf, io->length);
		break;
	case BACKEND_DISCARD:
	case BACKEND_WRITE_ZEROES:
		memset(slow_bytes + io->offset, 0, io->length);
		break;
	case BACKEND_EXTENTS:
		do {
			flags = slow_bytes[at] ? 0 : BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO;
		} while (extents_add(io, &at, 512, flags) && at < io->offset + io->length);
		break;
	default:
		break;
	}
	io->done(io, error);
}

static void slow_submit(struct backend_channel *channel, struct backend_io *io)
{
	(void)channel;
	CLAIM(held_count < HELD_MAX);
	held[held_count++] = io;
}

static int slow_channel_open(struct backend *backend, struct loop *loop,
			     struct backend_channel **channel, struct error *error)
{
	(void)backend;
	(void)loop;
	(void)error;
	*channel = calloc(1, sizeof(**channel));
	return *channel ? 0 : -ENOMEM;
}

static void slow_channel_close(struct backend_channel *channel)
{
	while (held_count)
		held_complete(0, -ECANCELED);
	free(channel);
}

static const struct backend_ops slow_ops = {
	.scheme = "slow",
	.channel_open = slow_channel_open,
	.channel_close = slow_channel_close,
	.submit = slow_submit,
};

static struct backend slow = {
	.ops = &slow_ops,
	.info = {
		.size = REGION, .block_min = 512, .block_preferred = 4096, .can_flush = true,
		.can_fua = false, .can_discard = true, .can_zeroes = true, .can_fast_zero = true,
		.can_extents = true, .can_cache = true, .rotational = true, .waits = true,
		.channels_max = 1,
	},
};

static void credentials_make(void)
{
	static const char key[] = "alice:00112233445566778899aabbccddeeff\n";
	struct error error = { 0 };
	char path[40];
	int fd = memfd_create("psk", 0);
	ssize_t wrote = write(fd, key, sizeof(key) - 1);
	struct tls_files files = { .psk = path };

	CLAIM(wrote == sizeof(key) - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CLAIM(!tls_server_credentials(&files, false, NULL, &server.credentials, &error));
	close(fd);
}

static void server_make(void)
{
	static const char *const names[EXPORTS] = { "mem", "slow", "ro", "far" };
	struct error error = { 0 };
	struct export *list;
	unsigned int i;

	log_watch();
	server.limits = (struct serve_limits) {
		.connections = 4, .export_connections = 2, .options = 16, .name = NAME_MOST,
		.payload = PAYLOAD, .requests = 8, .memory = 2 * PAYLOAD, .handshake = 600000, .stall = 600000,
		.idle = 600000,
	};
	list = calloc(EXPORTS, sizeof(*list));
	CLAIM(list);
	for (i = 0; i < EXPORTS; i++) {
		list[i].name = names[i];
		list[i].index = i;
		list[i].payload_max = PAYLOAD;
		list[i].home = i == EXPORT_FAR ? 1 : SERVE_HOME_ANY;
		list[i].backend = &slow;
	}
	CLAIM(!backend_open("mem:256K", &list[EXPORT_MEM].backend, &error));
	list[EXPORT_READ_ONLY].backend = list[EXPORT_MEM].backend;
	list[EXPORT_READ_ONLY].read_only = true;
	list[EXPORT_READ_ONLY].description = "nothing can be written";
	server.exports = (struct exports) { list, EXPORTS, &list[EXPORT_MEM] };
	server.threads = threads;
	server.thread_count = 2;
	for (i = 0; i < 2; i++) {
		threads[i].server = &server;
		threads[i].index = i;
		threads[i].wake.fd = -1;	/* server_turn() looks without being woken */
		pthread_mutex_init(&threads[i].lock, NULL);
		threads[i].channels = calloc(EXPORTS, sizeof(*threads[i].channels));
		CLAIM(threads[i].channels && !loop_new(&threads[i].loop));
	}
	credentials_make();
}

/* The client. */
static int client_fd = -1;
static bool ended;			/* the server has closed the connection */
static size_t piece;			/* bytes of one send, 0: all at once */
static unsigned int pieces;
static char *sent;			/* all that was said */
static size_t sent_used;
static char *heard;			/* what was answered and not yet looked at */
static size_t heard_used, heard_room;

/* The target's: looks at what was heard. Returns how many bytes make sense. */
static size_t answers_look(const char *from, size_t length);

static struct peer *peer_of_client(void)
{
	return threads[0].peers ? threads[0].peers : threads[1].peers;
}

/* One round of both threads. What rests is waited for, so that no clock plays a part. */
static void server_turn(void)
{
	unsigned int i;
	bool rests;

	for (i = 0; i < 2; i++) {
		struct peer *inbox = threads[i].inbox;

		threads[i].inbox = NULL;
		while (inbox) {
			struct peer *next = inbox->next;

			peer_start(inbox, &threads[i]);
			inbox = next;
		}
		rests = threads[i].peers && gather_rests(&threads[i].peers->gather);
		CLAIM(!loop_once(threads[i].loop, rests ? UINT64_MAX : 0));
	}
}

/* One read. Returns whether there was something. */
static bool client_hear(void)
{
	ssize_t got;
	size_t used;

	if (client_fd < 0 || ended)
		return false;
	if (heard_room - heard_used < 65536) {
		heard_room = heard_used + 131072;
		heard = realloc(heard, heard_room);
		CLAIM(heard);
	}
	got = recv(client_fd, heard + heard_used, heard_room - heard_used, MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0) {
		CLAIM(got == 0 || errno == ECONNRESET);
		ended = true;
		return false;
	}
	heard_used += (size_t)got;
	used = answers_look(heard, heard_used);
	CLAIM(used <= heard_used);
	heard_used -= used;
	memmove(heard, heard + used, heard_used);
	return true;
}

/* Until nothing more happens. */
static void client_hear_all(void)
{
	unsigned int quiet = 0, rounds = 0;

	while (quiet < 3) {
		server_turn();
		quiet = client_hear() ? 0 : quiet + 1;
		CLAIM(++rounds < ROUNDS_MAX);
	}
}

static void client_send(const char *data, size_t length)
{
	unsigned int stuck = 0;

	while (length && !ended && client_fd >= 0) {
		ssize_t took = send(client_fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (took > 0) {
			data += took;
			length -= (size_t)took;
			stuck = 0;
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET) {
			client_hear_all();
			ended = true;
			return;
		}
		CLAIM(errno == EAGAIN);
		/* It waits for its answers to be taken, or for the backend. */
		client_hear_all();
		if (stuck++ > 2 && held_count)
			held_complete(0, 0);
		CLAIM(stuck < HELD_MAX + 10);
	}
}

static void client_say(const void *data, size_t length)
{
	const char *at = data;
	size_t some;

	if (length > SENT_MAX - sent_used)
		length = SENT_MAX - sent_used;
	if (client_fd < 0 || ended)
		return;
	if (length)
		memcpy(sent + sent_used, data, length);
	sent_used += length;
	while (length) {
		some = piece && piece < length && pieces < PIECES_MAX ? piece : length;
		client_send(at, some);
		at += some;
		length -= some;
		if (piece) {
			pieces++;
			server_turn();
		}
	}
}

static void cleared(struct backend_io *io, int error)
{
	(void)io;
	CLAIM(!error);
}

/* A connection whose sockets hold @buffer bytes, 0: as many as is usual. */
static struct peer *client_connect(unsigned int buffer)
{
	struct export *mem = &server.exports.list[EXPORT_MEM];
	static struct backend_io clear = {
		.op = BACKEND_DISCARD, .length = REGION, .done = cleared,
	};
	struct peer *peer;
	int fds[2];
	int size = (int)buffer;

	if (!sent)
		sent = malloc(SENT_MAX);
	CLAIM(sent && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	if (size)
		setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	client_fd = fds[1];
	ended = false;
	piece = pieces = 0;
	sent_used = heard_used = 0;
	memset(slow_bytes, 0, sizeof(slow_bytes));
	mem->backend->ops->submit(thread_channel(&threads[0], mem), &clear);
	atomic_fetch_add(&server.connections, 1);
	peer = peer_new(fds[0], "client");
	CLAIM(peer);
	return peer;
}

static void client_close(void)
{
	if (client_fd >= 0)
		close(client_fd);
	client_fd = -1;
}

/* The end: whatever the client did, nothing of it may be left. */
static void client_gone(void)
{
	unsigned int rounds = 0;
	unsigned int i;

	client_close();
	while (peer_of_client()) {
		server_turn();
		if (held_count)
			held_complete(0, 0);
		CLAIM(++rounds < ROUNDS_MAX);
	}
	CLAIM(!held_count && !threads[0].inbox && !threads[1].inbox);
	CLAIM(!atomic_load(&server.connections));
	for (i = 0; i < EXPORTS; i++)
		CLAIM(!atomic_load(&server.exports.list[i].connections));
	CLAIM(!loop_busy(threads[0].loop, NULL) && !loop_busy(threads[1].loop, NULL));
}

#endif
