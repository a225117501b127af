// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client's life. See client.h.
 *
 * Two kinds of threads: those of the program, which sync one at a time, and the watcher. The
 * watcher reads all that the handler says, and asks for a sign of life; the lock guards what both
 * look at. Once lost, always lost: the watcher then makes what is not here raise SIGBUS, and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/rights.h"
#include "lib/unix.h"
#include "uffd/client.h"
#include "uffd/kernel.h"
#include "uffd/place.h"
#include "uffd/signals.h"
#include "uffd/socket.h"

#define GREETING_MS	10000u		/* that connecting may take */
#define SCAN_REGIONS	512u		/* of one PAGEMAP_SCAN */
#define WATCH_MOST	64u		/* messages before the watcher looks whether it is to end */
#define PAGEMAP_ENTRIES	512u		/* read at once */

struct uffd_client {
	struct uffd_hello hello;
	struct uffd_region regions[UFFD_REGIONS_MAX];
	unsigned int count;
	uint32_t timeout;		/* ms */
	enum uffd_way way;
	int socket, uffd, memfd, pagemap;	/* each may be -1 */
	int nothing;			/* of place_nothing() */
	int asking;			/* the handler's end of trap.socket, until it has it */
	struct trap *trap;		/* or NULL: userfaultfd */
	int lost, stop;			/* eventfds */
	pthread_t watcher;
	bool watching;

	pthread_mutex_t syncing;	/* one sync at a time; before the next one */
	pthread_mutex_t lock;		/* guards the next four */
	pthread_cond_t told;
	bool is_lost;
	bool is_synced;
	struct error outcome;

	struct uffd_message out, in;	/* syncing's; the watcher's */
	struct uffd_extent found[UFFD_EXTENTS_MAX];	/* syncing's */
	char out_buf[UFFD_MESSAGE_MAX], in_buf[UFFD_MESSAGE_MAX];
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- memory ------------------------------------------------------------------------------- */

static int region_map(struct uffd_client *client, struct uffd_region *region, struct error *error)
{
	const int prot = client->trap ? PROT_NONE : PROT_READ | PROT_WRITE;
	int flags = MAP_NORESERVE;
	void *map;

	if (client->memfd >= 0)
		flags |= MAP_SHARED;
	else
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	if (client->hello.flags & UFFD_HUGE)
		flags = (flags | MAP_HUGETLB) & ~MAP_NORESERVE;
	map = mmap(NULL, region->length, prot, flags, client->memfd,
		   client->memfd >= 0 ? (off_t)region->offset : 0);
	if (map == MAP_FAILED)
		return error_set(error, -errno, "cannot map %" PRIu64 " bytes%s: %s", region->length,
				 client->hello.flags & UFFD_HUGE ?
				 " of huge pages (sysctl vm.nr_hugepages)" : "", strerror(errno));
	region->address = (uint64_t)(uintptr_t)map;
	/* A child has no handler: it had better have nothing than zeroes. */
	madvise(map, region->length, MADV_DONTFORK);
	/* Huge by itself, one page that is asked for would bring 512. */
	madvise(map, region->length, MADV_NOHUGEPAGE);
	return 0;
}

static int regions_map(struct uffd_client *client, const struct uffd_client_options *options,
		       struct error *error)
{
	const uint64_t size = uffd_round(client->hello.size, client->hello.page);
	const struct uffd_slice whole = { 0, 0 };
	int code = 0;

	if (options->count > UFFD_REGIONS_MAX)
		return error_set(error, -E2BIG, "at most %u slices can be mapped", UFFD_REGIONS_MAX);
	if (options->signals || client->hello.flags & UFFD_SHARED) {
		client->memfd = place_file(size, error);
		if (client->memfd < 0)
			return client->memfd;
	}
	for (unsigned int i = 0; !code && i < (options->count ? options->count : 1); i++) {
		const struct uffd_slice *slice = options->count ? &options->slices[i] : &whole;
		struct uffd_region *region = &client->regions[i];

		if (slice->offset >= size || slice->length > size - slice->offset ||
		    (slice->offset | slice->length) & (client->hello.page - 1))
			return error_set(error, -EINVAL,
					 "%" PRIu64 " bytes at %" PRIu64 " are not whole pages of %u bytes within the %" PRIu64 " of the region",
					 slice->length, slice->offset, client->hello.page, size);
		region->offset = slice->offset;
		region->length = slice->length ? slice->length : size - slice->offset;
		code = region_map(client, region, error);
		client->count += !code;
	}
	return code;
}

/* --- userfaultfd -------------------------------------------------------------------------- */

static int region_register(struct uffd_client *client, const struct uffd_region *region)
{
	struct uffdio_register reg = {
		.range = { .start = region->address, .len = region->length },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_writeprotect wp = {
		.range = reg.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	if (client->hello.flags & UFFD_SHARED)
		reg.mode |= UFFDIO_REGISTER_MODE_MINOR;
	if (client->hello.flags & UFFD_DIRTY)
		reg.mode |= UFFDIO_REGISTER_MODE_WP;
	if (ioctl(client->uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	/* What is absent is protected as well: it stays so when the kernel takes a page away. */
	if (client->hello.flags & UFFD_DIRTY && ioctl(client->uffd, UFFDIO_WRITEPROTECT, &wp))
		return -errno;
	return 0;
}

static int faults_open(struct uffd_client *client, struct error *error)
{
	const uint32_t flags = client->hello.flags;
	uint64_t features = 0;
	int code = 0;

	if (flags & UFFD_SHARED)
		features |= UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
	if (flags & UFFD_HUGE)
		features |= UFFD_FEATURE_MISSING_HUGETLBFS;
	if (flags & UFFD_POISONS)
		features |= UFFD_FEATURE_POISON;
	if (flags & UFFD_DIRTY)
		features |= UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED |
			    UFFD_FEATURE_WP_ASYNC;
	client->uffd = uffd_new(features, &client->way, error);
	if (client->uffd < 0)
		return client->uffd;
	if (flags & UFFD_DIRTY) {
		client->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		if (client->pagemap < 0)
			return error_set(error, -errno, "cannot open /proc/self/pagemap: %s",
					 strerror(errno));
	}
	for (unsigned int i = 0; !code && i < client->count; i++)
		code = region_register(client, &client->regions[i]);
	return code ? error_set(error, code, "the kernel does not take the memory: %s", strerror(-code)) : 0;
}

static int trap_make(struct uffd_client *client, struct error *error)
{
	int ends[2];

	if (client->hello.flags & UFFD_HUGE)
		return error_set(error, -EINVAL, "huge pages are for userfaultfd only");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
	client->asking = ends[1];
	client->trap->socket = ends[0];
	client->trap->page = client->hello.page;
	client->trap->nothing = client->nothing;
	client->trap->watch = client->hello.flags & UFFD_DIRTY;
	client->trap->count = client->count;
	memcpy(client->trap->regions, client->regions, sizeof(client->regions));
	return trap_open(client->trap, uffd_round(client->hello.size, client->hello.page), error);
}

/* --- the watcher -------------------------------------------------------------------------- */

/* Poisons absent ones. False: that is not to be had. What the program has unmapped is its own. */
static bool pages_poison(struct uffd_client *client, uint64_t address, uint64_t length)
{
	int code;

	if (!(client->hello.flags & UFFD_POISONS) || client->uffd < 0)
		return false;
	code = uffd_poison(client->uffd, address, length, client->hello.page,
			   client->hello.flags & UFFD_DIRTY);
	return !code || code == -ENOENT;
}

/* Nobody will bring these pages. False: there are too many mappings. */
static bool pages_forbid(struct uffd_client *client, uint64_t address, uint64_t length)
{
	int code;

	if (pages_poison(client, address, length))
		return true;
	code = place_forbid(client->nothing, address, length);
	if (client->uffd >= 0)
		uffd_wake(client->uffd, address, length);
	return !code;
}

/* /proc/self/pagemap, many entries at a time. */
struct pagemap {
	int fd;
	uint64_t system;		/* bytes of a page */
	uint64_t there;			/* bits of an entry: any of them says that it is here */
	uint64_t first, count;		/* of what is in @entries */
	uint64_t entries[PAGEMAP_ENTRIES];
};

static bool page_is_here(struct pagemap *map, uint64_t address)
{
	const uint64_t number = address / map->system;
	ssize_t got;

	if (number - map->first >= map->count) {
		got = pread(map->fd, map->entries, sizeof(map->entries), (off_t)(number * 8));
		map->first = number;
		map->count = got > 0 ? (uint64_t)got / 8 : 0;
		if (!map->count)
			return false;
	}
	return map->entries[number - map->first] & map->there;
}

/*
 * What of a region is not here raises SIGBUS. POISON passes over what is there; without it, the
 * kernel is asked which pages the process has: present, or swapped out. Of shared memory it says
 * the latter of none but absent pages that are write-protected. Where holes are so many that the
 * process would have too many mappings, all of the region raises SIGBUS: nobody waits for ever.
 */
static void region_forbid(struct uffd_client *client, const struct uffd_region *region)
{
	const uint64_t page = client->hello.page;
	struct pagemap map = {
		.system = (uint64_t)sysconf(_SC_PAGESIZE),
		.there = client->memfd >= 0 ? 1ull << 63 : 3ull << 62,
	};
	uint64_t absent = 0;		/* bytes up to @at */
	bool fine = true;

	if (pages_poison(client, region->address, region->length))
		return;
	map.fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (uint64_t at = 0; fine && at <= region->length; at += page) {
		if (at < region->length && !page_is_here(&map, region->address + at)) {
			absent += page;
			continue;
		}
		fine = !absent || pages_forbid(client, region->address + at - absent, absent);
		absent = 0;
	}
	if (map.fd >= 0)
		close(map.fd);
	if (!fine)
		pages_forbid(client, region->address, region->length);
}

static void client_lose(struct uffd_client *client)
{
	const uint64_t one = 1;
	ssize_t put;

	/* Whoever waits for it in a handler of SIGSEGV hears of it by this. */
	if (client->trap)
		shutdown(client->trap->socket, SHUT_RDWR);
	else
		for (unsigned int i = 0; i < client->count; i++)
			region_forbid(client, &client->regions[i]);
	pthread_mutex_lock(&client->lock);
	client->is_lost = true;
	pthread_cond_broadcast(&client->told);
	pthread_mutex_unlock(&client->lock);
	put = write(client->lost, &one, sizeof(one));
	(void)put;
}

/* False: it cannot be told to who touches it, but by losing all. */
static bool range_failed(struct uffd_client *client, uint64_t offset, uint64_t length)
{
	bool fine = true;

	for (unsigned int i = 0; i < client->count; i++) {
		const struct uffd_region *region = &client->regions[i];

		if (offset - region->offset < region->length &&
		    length <= region->length - (offset - region->offset) &&
		    !((offset | length) & (client->hello.page - 1)))
			fine = pages_forbid(client, region->address + (offset - region->offset),
					    length);
	}
	return fine;
}

static void sync_over(struct uffd_client *client, const struct uffd_message *m)
{
	pthread_mutex_lock(&client->lock);
	client->is_synced = true;
	client->outcome.code = m->outcome.code;
	memcpy(client->outcome.text, m->outcome.text, sizeof(m->outcome.text));
	pthread_cond_broadcast(&client->told);
	pthread_mutex_unlock(&client->lock);
}

/* What is there. False: the handler is gone, or out of its mind. */
static bool watch_read(struct uffd_client *client)
{
	struct uffd_message *m = &client->in;
	int fds[UFFD_FDS_MAX], got;
	unsigned int count;
	bool fine = true;

	for (unsigned int most = WATCH_MOST; fine && most; most--) {
		got = uffd_receive(client->socket, m, fds, &count, client->in_buf);
		rights_close(fds, count);
		if (got == -EAGAIN)
			return true;
		if (got <= 0 || count)
			return false;
		if (m->type == UFFD_FAILED)
			fine = range_failed(client, m->range.offset, m->range.length);
		else if (m->type == UFFD_SYNCED)
			sync_over(client, m);
		else if (m->type != UFFD_PONG)
			return false;
	}
	return fine;
}

static void *watch(void *data)
{
	struct uffd_client *client = data;
	struct pollfd fds[2] = {
		{ .fd = client->socket, .events = POLLIN },
		{ .fd = client->stop, .events = POLLIN },
	};
	const struct uffd_message ping = { .type = UFFD_PING };
	const uint32_t third = client->timeout / 3;
	bool asked = false;
	int ready;

	/* A third of the time without a word: then it is asked, and has the rest for its answer. */
	for (;;) {
		ready = poll(fds, 2, (int)(asked ? client->timeout - third : third));
		if (ready < 0)
			continue;
		if (fds[1].revents)
			return NULL;
		if (fds[0].revents) {
			asked = false;
			if (!watch_read(client))
				break;
		} else if (asked) {
			break;
		} else {
			asked = true;
			uffd_send(client->socket, &ping, NULL, 0, client->in_buf);
		}
	}
	client_lose(client);
	return NULL;
}

static int watch_start(struct uffd_client *client, struct error *error)
{
	sigset_t all, before;
	int code;

	/* Signals are the program's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = -pthread_create(&client->watcher, NULL, watch, client);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	client->watching = !code;
	return code ? error_set(error, code, "cannot start a thread: %s", strerror(-code)) : 0;
}

/* --- sync --------------------------------------------------------------------------------- */

/*
 * Sends the extents that were gathered; those of a look that broke off, too, with the next one: the
 * kernel does not tell them again. Waits while the handler is busy, as long as it lives.
 */
static int written_send(struct uffd_client *client, bool more, struct error *error)
{
	struct pollfd fds[2] = {
		{ .fd = client->socket, .events = POLLOUT },
		{ .fd = client->lost, .events = POLLIN },
	};
	int code;

	client->out.type = UFFD_WRITTEN;
	client->out.written.more = more;
	while ((code = uffd_send(client->socket, &client->out, NULL, 0, client->out_buf)) ==
	       -EAGAIN)
		if (poll(fds, 2, -1) > 0 && fds[1].revents)
			break;
	client->out.written.count = 0;
	return code ? error_set(error, code, "the handler is lost: %s", strerror(-code)) : 0;
}

static int written_add(struct uffd_client *client, uint64_t offset, uint64_t length,
		       struct error *error)
{
	struct uffd_extent *list = client->out.written.list;
	unsigned int *used = &client->out.written.count;
	int code;

	if (*used && list[*used - 1].offset + list[*used - 1].length == offset) {
		list[*used - 1].length += length;
		return 0;
	}
	if (*used == UFFD_EXTENTS_MAX) {
		code = written_send(client, true, error);
		if (code)
			return code;
	}
	list[(*used)++] = (struct uffd_extent) { offset, length };
	return 0;
}

/*
 * What was written since the last look, by the kernel's own account, which begins anew with that.
 */
static int region_scan(struct uffd_client *client, const struct uffd_region *region,
		       struct error *error)
{
	struct page_region found[SCAN_REGIONS];
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = region->address, .end = region->address + region->length,
		.vec = (uint64_t)(uintptr_t)found, .vec_len = SCAN_REGIONS,
		.category_mask = PAGE_IS_WRITTEN, .return_mask = PAGE_IS_WRITTEN,
	};
	int got, code = 0;

	while (!code && scan.start < scan.end) {
		got = ioctl(client->pagemap, PAGEMAP_SCAN, &scan);
		if (got < 0)
			return error_set(error, -errno, "cannot ask which pages were written: %s",
					 strerror(errno));
		for (int i = 0; i < got && !code; i++)
			code = written_add(client,
					   region->offset + (found[i].start - region->address),
					   found[i].end - found[i].start, error);
		scan.start = scan.walk_end;
	}
	return code;
}

static int trap_scan(struct uffd_client *client, unsigned int n, struct error *error)
{
	struct uffd_extent *found = client->found;
	uint64_t from = client->regions[n].offset;
	const uint64_t end = from + client->regions[n].length;
	int code = 0;

	while (!code && from < end) {
		unsigned int got = trap_take(client->trap, n, &from, found);

		for (unsigned int i = 0; i < got && !code; i++)
			code = written_add(client, found[i].offset, found[i].length, error);
	}
	return code;
}

static int sync_wait(struct uffd_client *client, struct error *error)
{
	int code;

	pthread_mutex_lock(&client->lock);
	while (!client->is_synced && !client->is_lost)
		pthread_cond_wait(&client->told, &client->lock);
	if (!client->is_synced)
		code = error_set(error, -EIO, "the handler is lost, and what was written with it");
	else if (client->outcome.code)
		code = error_set(error, client->outcome.code, "what was written is not at the backend: %s",
				 client->outcome.text);
	else
		code = 0;
	pthread_mutex_unlock(&client->lock);
	return code;
}

int uffd_client_sync(struct uffd_client *client, struct error *error)
{
	int code = 0;

	if (!uffd_client_pushes(client))
		return 0;
	pthread_mutex_lock(&client->syncing);
	pthread_mutex_lock(&client->lock);
	client->is_synced = false;
	pthread_mutex_unlock(&client->lock);
	for (unsigned int i = 0; i < client->count && !code; i++)
		code = client->trap ? trap_scan(client, i, error) :
				      region_scan(client, &client->regions[i], error);
	if (!code)
		code = written_send(client, false, error);
	if (!code)
		code = sync_wait(client, error);
	pthread_mutex_unlock(&client->syncing);
	return code;
}

/* --- its life ----------------------------------------------------------------------------- */

static int client_register(struct uffd_client *client, uint64_t deadline, struct error *error)
{
	struct uffd_message *m = &client->out;
	int fds[UFFD_FDS_MAX] = { client->uffd, client->memfd }, code;

	if (client->trap) {
		fds[0] = client->memfd;
		fds[1] = client->asking;
	}
	m->type = UFFD_REGISTER;
	m->regions.mode = client->trap ? UFFD_MODE_SIGNALS : UFFD_MODE_FAULTS;
	m->regions.count = client->count;
	memcpy(m->regions.list, client->regions, sizeof(m->regions.list));
	code = uffd_regions_check(m, &client->hello, error);
	if (code)
		return code;
	code = uffd_send(client->socket, m, fds, uffd_descriptors(m, &client->hello),
			 client->out_buf);
	if (code)
		return error_set(error, code, "cannot tell the handler: %s", strerror(-code));
	if (client->asking >= 0)
		close(client->asking);
	client->asking = -1;
	m->written.count = 0;
	return uffd_await(client->socket, UFFD_READY, deadline, &client->in, client->in_buf, error);
}

static int client_connect(struct uffd_client *client, const char *path,
			  const struct uffd_client_options *options, struct error *error)
{
	const uint64_t deadline = now_ns() + GREETING_MS * 1000000ull;
	int code;

	client->socket = unix_connect(path, SOCK_SEQPACKET, error);
	if (client->socket < 0)
		return client->socket;
	client->nothing = place_nothing(error);
	if (client->nothing < 0)
		return client->nothing;
	code = uffd_await(client->socket, UFFD_HELLO, deadline, &client->in, client->in_buf, error);
	if (code)
		return code;
	client->hello = client->in.hello;
	code = regions_map(client, options, error);
	if (!code)
		code = client->trap ? trap_make(client, error) : faults_open(client, error);
	if (!code)
		code = client_register(client, deadline, error);
	return code;
}

int uffd_client_open(const char *path, const struct uffd_client_options *options,
		     struct uffd_client **out, struct error *error)
{
	struct uffd_client *client = calloc(1, sizeof(*client));
	int code = 0;

	if (!client)
		return error_set(error, -ENOMEM, "out of memory");
	client->socket = client->uffd = client->memfd = client->pagemap = client->asking = -1;
	client->nothing = -1;
	client->timeout = options->timeout;
	pthread_mutex_init(&client->syncing, NULL);
	pthread_mutex_init(&client->lock, NULL);
	pthread_cond_init(&client->told, NULL);
	client->lost = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	client->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->lost < 0 || client->stop < 0)
		code = error_set(error, -errno, "cannot make an eventfd: %s", strerror(errno));
	if (!code && options->signals) {
		client->trap = calloc(1, sizeof(*client->trap));
		if (client->trap)
			client->trap->socket = -1;
		else
			code = error_set(error, -ENOMEM, "out of memory");
	}
	if (!code)
		code = client_connect(client, path, options, error);
	if (!code)
		code = watch_start(client, error);
	if (code) {
		uffd_client_close(client);
		return code;
	}
	*out = client;
	return 0;
}

void *uffd_client_memory(const struct uffd_client *client, unsigned int n, uint64_t *length)
{
	*length = n < client->count ? client->regions[n].length : 0;
	return n < client->count ? (void *)(uintptr_t)client->regions[n].address : NULL;
}

int uffd_client_lost(const struct uffd_client *client)
{
	return client->lost;
}

bool uffd_client_kernel(const struct uffd_client *client)
{
	return !client->trap && client->way != UFFD_WAY_USER;
}

bool uffd_client_pushes(const struct uffd_client *client)
{
	return client->hello.flags & UFFD_DIRTY;
}

void uffd_client_close(struct uffd_client *client)
{
	const int fds[] = {
		client->socket, client->uffd, client->memfd, client->pagemap, client->asking,
		client->trap ? client->trap->socket : -1, client->lost, client->stop,
		client->nothing,
	};
	const uint64_t one = 1;
	ssize_t put;

	if (client->watching) {
		put = write(client->stop, &one, sizeof(one));
		(void)put;
		pthread_join(client->watcher, NULL);
	}
	/* The memory first: what is still on its way finds none. */
	for (unsigned int i = 0; i < client->count; i++)
		munmap((void *)(uintptr_t)client->regions[i].address, client->regions[i].length);
	if (client->trap)
		trap_close(client->trap);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_mutex_destroy(&client->syncing);
	pthread_mutex_destroy(&client->lock);
	pthread_cond_destroy(&client->told);
	free(client->trap);
	free(client);
}
