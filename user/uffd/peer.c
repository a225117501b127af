// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client of a handler. See peer.h.
 *
 * States: greeted (HELLO is sent; REGISTER has to come in time), serving, ended. Whatever is not in
 * order ends it, with a sentence to the client as far as he reads. The end: the channel is closed,
 * which ends what is under way, then memory and descriptors are let go; the client has descriptors
 * of its own, so its memory does not change by that.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOG_PREFIX "uffd: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/rights.h"
#include "uffd/improve.h"
#include "uffd/peer.h"
#include "uffd/push.h"
#include "uffd/socket.h"

#define GREETING_NS	10000000000ull	/* that a client has for its REGISTER */
#define WRITTEN_MOST	16u		/* messages before others get their turn */

struct uffd_peer {
	const struct peer_context *context;
	unsigned int number;
	pthread_t thread;
	atomic_bool stop, ended;

	/* The thread's. */
	struct loop *loop;
	struct loop_source socket;
	struct loop_source fetches;	/* where SIGSEGV asks; or fd -1 */
	struct loop_timer greeting;
	struct backend_channel *channel;
	struct fill_owner owner;
	struct filler filler;
	struct pusher pusher;
	int memfd;			/* or -1 */
	size_t mapped;			/* bytes of filler.shared */
	bool serving;
	struct uffd_message message;
	char buf[UFFD_MESSAGE_MAX];
};

static struct uffd_peer *peer_of(struct fill_owner *owner)
{
	return (struct uffd_peer *)((char *)owner - offsetof(struct uffd_peer, owner));
}

static void peer_end(struct uffd_peer *peer)
{
	atomic_store(&peer->stop, true);
	loop_stop(peer->loop);
}

/* A client that leaves its socket full does not read, and would never. */
static void peer_send(struct uffd_peer *peer, int socket, const struct uffd_message *message)
{
	int code = uffd_send(socket, message, NULL, 0, peer->buf);

	if (!code)
		return;
	if (code != -EPIPE && code != -ECONNRESET)
		log_warn("client %u is let go: it does not read what it is told", peer->number);
	peer_end(peer);
}

/* Tells client and log what is wrong, and ends. */
static void peer_refuse(struct uffd_peer *peer, int code, const char *sentence)
{
	struct uffd_message *m = &peer->message;

	log_warn("client %u: %s", peer->number, sentence);
	m->type = UFFD_ERROR;
	m->outcome.code = code;
	snprintf(m->outcome.text, sizeof(m->outcome.text), "%s", sentence);
	uffd_send(peer->socket.fd, m, NULL, 0, peer->buf);
	peer_end(peer);
}

/* --- what filler and pusher tell ---------------------------------------------------------- */

static void peer_range(struct uffd_peer *peer, int socket, enum uffd_type type, uint64_t offset,
		       uint64_t length, int code)
{
	struct uffd_message *m = &peer->message;

	m->type = type;
	m->range.offset = offset;
	m->range.length = length;
	m->range.code = code;
	peer_send(peer, socket, m);
}

static void peer_failed(struct fill_owner *owner, uint64_t offset, uint64_t length, int code)
{
	struct uffd_peer *peer = peer_of(owner);

	peer_range(peer, peer->socket.fd, UFFD_FAILED, offset, length, code);
}

static void peer_fetched(struct fill_owner *owner, uint64_t offset, uint64_t length, int code)
{
	struct uffd_peer *peer = peer_of(owner);

	peer_range(peer, peer->fetches.fd, UFFD_FETCHED, offset, length, code);
}

static void peer_gone(struct fill_owner *owner)
{
	peer_end(peer_of(owner));
}

static void peer_synced(struct pusher *pusher, int code)
{
	struct uffd_peer *peer =
		(struct uffd_peer *)((char *)pusher - offsetof(struct uffd_peer, pusher));
	struct uffd_message *m = &peer->message;

	m->type = UFFD_SYNCED;
	m->outcome.code = code;
	m->outcome.text[0] = '\0';
	if (code)
		snprintf(m->outcome.text, sizeof(m->outcome.text), "%s: %s", peer->context->backend->name,
			 strerror(-code));
	peer_send(peer, peer->socket.fd, m);
}

/* --- REGISTER ----------------------------------------------------------------------------- */

/* A descriptor of another kind would be read, or written, as what it is not. */
static bool is_userfaultfd(int fd)
{
	static const char kind[] = "anon_inode:[userfaultfd]";
	char path[32], target[sizeof(kind)];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof(target));
	return length == sizeof(kind) - 1 && !memcmp(target, kind, sizeof(kind) - 1);
}

/*
 * Of the right size for ever, and of plain pages: memory that ends early would kill who touches it,
 * and so would huge pages of which none is free.
 */
static bool is_memory(int fd, uint64_t size)
{
	const int want = F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs system;
	struct stat status;

	return seals >= 0 && (seals & want) == want && !fstatfs(fd, &system) &&
	       system.f_type == TMPFS_MAGIC && !fstat(fd, &status) &&
	       (uint64_t)status.st_size == size;
}

static bool is_socket(int fd)
{
	int type = 0;
	socklen_t length = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) && type == SOCK_SEQPACKET;
}

static int peer_map(struct uffd_peer *peer, int memfd, struct error *error)
{
	const struct uffd_hello *hello = &peer->context->hello;
	const uint64_t size = uffd_round(hello->size, hello->page);
	void *map;

	if (!is_memory(memfd, size))
		return error_set(error, -EINVAL,
				 "the memory is no memfd of %" PRIu64 " bytes that is sealed against a change of its size",
				 size);
	map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd,
		   0);
	if (map == MAP_FAILED)
		return error_set(error, -errno, "cannot map the memory: %s", strerror(errno));
	peer->memfd = memfd;
	peer->filler.shared = map;
	peer->mapped = (size_t)size;
	return 0;
}

/* Keeps what belongs to the mode of the client; all others of @fds stay the caller's. */
static int peer_descriptors(struct uffd_peer *peer, int *fds, struct error *error)
{
	const struct uffd_hello *hello = &peer->context->hello;
	int code = 0;

	if (peer->message.regions.mode == UFFD_MODE_SIGNALS) {
		if (!is_socket(fds[1]))
			return error_set(error, -EINVAL, "the second descriptor is no socket of packets");
		code = peer_map(peer, fds[0], error);
		if (code)
			return code;
		peer->fetches.fd = fds[1];
		fds[0] = fds[1] = -1;
		return 0;
	}
	if (!is_userfaultfd(fds[0]))
		return error_set(error, -EINVAL, "the first descriptor is no userfaultfd");
	if (hello->flags & UFFD_SHARED) {
		code = peer_map(peer, fds[1], error);
		if (code)
			return code;
		fds[1] = -1;
	}
	peer->filler.uffd = fds[0];
	fds[0] = -1;
	return fcntl(peer->filler.uffd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static void fetches_ready(struct loop_source *source, uint32_t events);

static int peer_begin(struct uffd_peer *peer, struct error *error)
{
	struct filler *filler = &peer->filler;
	int code;

	filler->settings = &peer->context->settings;
	filler->owner = &peer->owner;
	filler->backend = peer->context->backend;
	filler->channel = peer->channel;
	filler->loop = peer->loop;
	filler->protect = peer->context->hello.flags & UFFD_DIRTY;
	filler->region_count = peer->message.regions.count;
	memcpy(filler->regions, peer->message.regions.list, sizeof(filler->regions));
	code = filler_open(filler, error);
	if (!code && peer->fetches.fd >= 0) {
		peer->fetches.ready = fetches_ready;
		code = loop_add(peer->loop, &peer->fetches, EPOLLIN);
	}
	if (code || !filler->shared)
		return code;
	peer->pusher.backend = peer->context->backend;
	peer->pusher.channel = peer->channel;
	peer->pusher.loop = peer->loop;
	peer->pusher.timeout = peer->context->settings.timeout;
	peer->pusher.page = peer->context->hello.page;
	peer->pusher.shared = filler->shared;
	peer->pusher.memfd = peer->memfd;
	peer->pusher.filled = &filler->filled;
	peer->pusher.synced = peer_synced;
	return pusher_open(&peer->pusher, error);
}

static void peer_register(struct uffd_peer *peer, int *fds, unsigned int count)
{
	const struct uffd_hello *hello = &peer->context->hello;
	struct error error = { 0 };
	int code = uffd_regions_check(&peer->message, hello, &error);

	if (!code && hello->flags & UFFD_HUGE && peer->message.regions.mode == UFFD_MODE_SIGNALS)
		code = error_set(&error, -EINVAL, "huge pages are for userfaultfd only");
	if (!code && count != uffd_descriptors(&peer->message, hello))
		code = error_set(&error, -EINVAL, "%u descriptors came, it should be %u", count,
				 uffd_descriptors(&peer->message, hello));
	if (!code)
		code = peer_descriptors(peer, fds, &error);
	if (!code)
		code = peer_begin(peer, &error);
	if (code) {
		peer_refuse(peer, code, error.text);
		return;
	}
	loop_timer_cancel(peer->loop, &peer->greeting);
	peer->serving = true;
	log_info("client %u has %u region%s", peer->number, peer->filler.region_count,
		 peer->filler.region_count == 1 ? "" : "s");
	peer->message.type = UFFD_READY;
	peer_send(peer, peer->socket.fd, &peer->message);
}

/* --- messages ----------------------------------------------------------------------------- */

static void peer_written(struct uffd_peer *peer)
{
	const struct uffd_message *m = &peer->message;
	int code = 0;

	if (!(peer->context->hello.flags & UFFD_DIRTY)) {
		peer_refuse(peer, -EROFS, "it tells what was written, and nobody has asked");
		return;
	}
	for (unsigned int i = 0; i < m->written.count && !code; i++)
		code = push_mark(&peer->pusher, m->written.list[i].offset,
				 m->written.list[i].length);
	if (code)
		peer_refuse(peer, code, "it has written bytes that are not there");
	else if (!m->written.more)
		push_sync(&peer->pusher);
}

static void peer_take(struct uffd_peer *peer, int *fds, unsigned int count)
{
	const enum uffd_type type = peer->message.type;

	if (!peer->serving && type == UFFD_REGISTER)
		peer_register(peer, fds, count);
	else if (count || !peer->serving)
		peer_refuse(peer, -EPROTO, "a message came that should not");
	else if (type == UFFD_WRITTEN)
		peer_written(peer);
	else if (type == UFFD_PING)
		peer_send(peer, peer->socket.fd, &(struct uffd_message) { .type = UFFD_PONG });
	else
		peer_refuse(peer, -EPROTO, "a message came that should not");
	for (unsigned int i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct uffd_peer *peer =
		(struct uffd_peer *)((char *)source - offsetof(struct uffd_peer, socket));
	unsigned int most = WRITTEN_MOST, count;
	int fds[UFFD_FDS_MAX], got;

	(void)events;
	while (most-- && !atomic_load(&peer->stop)) {
		got = uffd_receive(source->fd, &peer->message, fds, &count, peer->buf);
		if (got == -EAGAIN)
			return;
		if (got > 0) {
			peer_take(peer, fds, count);
		} else if (got == -EPROTO) {
			peer_refuse(peer, got, "it speaks another protocol");
		} else {
			peer_end(peer);
		}
	}
}

/* The client's signal handler asks, one chunk at a time. */
static void fetches_ready(struct loop_source *source, uint32_t events)
{
	struct uffd_peer *peer =
		(struct uffd_peer *)((char *)source - offsetof(struct uffd_peer, fetches));
	int fds[UFFD_FDS_MAX], got;
	unsigned int count;

	(void)events;
	got = uffd_receive(source->fd, &peer->message, fds, &count, peer->buf);
	if (got == -EAGAIN)
		return;
	rights_close(fds, count);
	if (got <= 0 || count || peer->message.type != UFFD_FETCH ||
	    fill_fetch(&peer->filler, peer->message.range.offset)) {
		if (got)
			peer_refuse(peer, -EPROTO, "it asks for what is not there, or twice at a time");
		peer_end(peer);
	}
}

static void greeting_over(struct loop_timer *timer)
{
	struct uffd_peer *peer =
		(struct uffd_peer *)((char *)timer - offsetof(struct uffd_peer, greeting));

	peer_refuse(peer, -ETIMEDOUT, "it does not say what its memory is");
}

/* --- its life ----------------------------------------------------------------------------- */

static void peer_close(struct uffd_peer *peer)
{
	struct filler *filler = &peer->filler;

	if (peer->socket.added)
		loop_remove(peer->loop, &peer->socket);
	if (peer->fetches.added)
		loop_remove(peer->loop, &peer->fetches);
	loop_timer_cancel(peer->loop, &peer->greeting);
	backend_channel_close(peer->channel);
	filler_close(filler);
	pusher_close(&peer->pusher);
	if (filler->shared)
		munmap(filler->shared, peer->mapped);
	if (filler->uffd >= 0)
		close(filler->uffd);
	if (peer->memfd >= 0)
		close(peer->memfd);
	if (peer->fetches.fd >= 0)
		close(peer->fetches.fd);
}

static int peer_open(struct uffd_peer *peer, struct error *error)
{
	struct uffd_message *m = &peer->message;
	int code;

	peer->socket.ready = socket_ready;
	peer->greeting.fire = greeting_over;
	code = loop_add(peer->loop, &peer->socket, EPOLLIN);
	if (!code)
		code = loop_timer_set(peer->loop, &peer->greeting, loop_now() + GREETING_NS);
	if (code)
		return error_set(error, code, "cannot wait for client %u: %s", peer->number,
				 strerror(-code));
	m->type = UFFD_HELLO;
	m->hello = peer->context->hello;
	peer_send(peer, peer->socket.fd, m);
	return 0;
}

/* What it cost: each improvement is there to make one of these smaller, or larger. */
static void peer_farewell(const struct uffd_peer *peer)
{
	const struct fill_counts *n = &peer->filler.counts;

	log_info("client %u is gone: %" PRIu64 " faults, by %" PRIu64 " reads; %" PRIu64 " requests for them, %" PRIu64 " in the background, up to %" PRIu64 " at a time; bytes: %" PRIu64 " copied, %" PRIu64 " mapped, %" PRIu64 " zeroes, %" PRIu64 " poisoned, %" PRIu64 " written back",
		 peer->number, n->faults, n->reads, n->demands, n->background, n->most, n->copied,
		 n->mapped, n->zeroes, n->poisoned, peer->pusher.pushed);
}

static void *peer_run(void *data)
{
	struct uffd_peer *peer = data;
	struct error error = { 0 };
	int code = backend_channel_open(peer->context->backend, peer->loop, &peer->channel, &error);

	if (!code) {
		code = peer_open(peer, &error);
		while (!code && !atomic_load(&peer->stop))
			code = loop_once(peer->loop, UINT64_MAX);
		peer_close(peer);
	}
	if (code)
		log_error("client %u: %s", peer->number, error.text[0] ? error.text : strerror(-code));
	/* Now the client sees that nobody serves it. */
	shutdown(peer->socket.fd, SHUT_RDWR);
	peer_farewell(peer);
	atomic_store(&peer->ended, true);
	return NULL;
}

int uffd_peer_start(const struct peer_context *context, int socket, unsigned int number,
		    struct uffd_peer **out, struct error *error)
{
	struct uffd_peer *peer = calloc(1, sizeof(*peer));
	int code = peer ? loop_new(&peer->loop) : -ENOMEM;

	if (code) {
		close(socket);
		free(peer);
		return error_set(error, code, "cannot serve a client: %s", strerror(-code));
	}
	peer->context = context;
	peer->number = number;
	peer->socket.fd = socket;
	peer->fetches.fd = peer->memfd = peer->filler.uffd = -1;
	peer->owner = (struct fill_owner) { peer_failed, peer_fetched, peer_gone };
	code = -pthread_create(&peer->thread, NULL, peer_run, peer);
	if (code) {
		close(socket);
		loop_free(peer->loop);
		free(peer);
		return error_set(error, code, "cannot start a thread: %s", strerror(-code));
	}
	*out = peer;
	return 0;
}

bool uffd_peer_ended(const struct uffd_peer *peer)
{
	return atomic_load(&peer->ended);
}

void uffd_peer_stop(struct uffd_peer *peer)
{
	peer_end(peer);
	pthread_join(peer->thread, NULL);
	close(peer->socket.fd);
	loop_free(peer->loop);
	free(peer);
}
