// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Filling a client's memory. See fill.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOG_PREFIX "uffd: "
#include "lib/error.h"
#include "lib/log.h"
#include "uffd/fill.h"
#include "uffd/improve.h"
#include "uffd/kernel.h"

#define ROUNDS		16u		/* reads of events before others get their turn */

/* Bytes on their way: within one region. */
struct fill {
	struct backend_io io;
	struct filler *filler;
	struct fill *next, **before;	/* free ones by next; those under way by both */
	struct loop_timer timer;
	uint64_t offset;		/* in the backend */
	uint64_t length;		/* bytes, whole pages */
	uint64_t address;		/* in the client */
	bool demand;			/* somebody waits for it */
	struct pace_mark asked;		/* if nobody does */
	bool given_up;			/* it took too long, and counts no more */
	bool submitting;
	char *buffer;			/* private memory: of buffer_size bytes, or NULL */
	size_t buffer_size;
};

static bool improved(const struct filler *filler, uint32_t bit)
{
	return filler->settings->improve & bit;
}

/* --- the client's memory ------------------------------------------------------------------ */

static const struct uffd_region *region_at(const struct filler *filler, uint64_t address)
{
	for (unsigned int i = 0; i < filler->region_count; i++)
		if (address - filler->regions[i].address < filler->regions[i].length)
			return &filler->regions[i];
	return NULL;
}

const struct uffd_region *fill_region(const struct filler *filler, uint64_t offset)
{
	for (unsigned int i = 0; i < filler->region_count; i++)
		if (offset - filler->regions[i].offset < filler->regions[i].length)
			return &filler->regions[i];
	return NULL;
}

static void gone_run(struct loop_task *task)
{
	struct filler *filler = (struct filler *)((char *)task - offsetof(struct filler, gone));

	filler->owner->gone(filler->owner);
}

static void filler_gone(struct filler *filler)
{
	if (filler->is_gone)
		return;
	filler->is_gone = true;
	loop_task_queue(filler->loop, &filler->gone);
}

/* What an operation on the client's memory came to: parts that it has unmapped need nothing. */
static bool given(struct filler *filler, int code)
{
	if (!code || code == -ENOENT)
		return true;
	if (code == -ESRCH)
		filler_gone(filler);
	return false;
}

static bool is_zero(const char *bytes, uint64_t length)
{
	return !*bytes && !memcmp(bytes, bytes + 1, length - 1);
}

/* Gives bytes to the client. */
static int fill_give(struct fill *fill, const void *bytes)
{
	struct filler *filler = fill->filler;
	const uint32_t page = filler->settings->page;

	if (filler->uffd < 0)
		return 0;
	if (filler->shared) {
		filler->counts.mapped += fill->length;
		return uffd_continue(filler->uffd, fill->address, fill->length, page,
				     filler->protect);
	}
	if (!improved(filler, IMPROVE_HUGE) && is_zero(bytes, fill->length)) {
		filler->counts.zeroes += fill->length;
		return uffd_zero(filler->uffd, fill->address, fill->length, page);
	}
	filler->counts.copied += fill->length;
	return uffd_copy(filler->uffd, fill->address, bytes, fill->length, page, false);
}

/* These bytes, at @address in the client, cannot be had. */
static void refuse(struct filler *filler, uint64_t address, uint64_t offset, uint64_t length,
		   int code)
{
	if (filler->uffd < 0)
		return;
	log_warn("%" PRIu64 " bytes at %" PRIu64 " cannot be had: %s", length, offset,
		 strerror(-code));
	if (improved(filler, IMPROVE_POISON)) {
		filler->counts.poisoned += length;
		given(filler, uffd_poison(filler->uffd, address, length, filler->settings->page,
					  filler->protect));
	} else {
		filler->owner->failed(filler->owner, offset, length, code);
	}
}

/* --- one fill ----------------------------------------------------------------------------- */

static void faults_resume(struct filler *filler);

static struct fill *fill_take(struct filler *filler)
{
	struct fill *fill = filler->fills;

	if (fill)
		filler->fills = fill->next;
	else
		fill = calloc(1, sizeof(*fill));
	if (!fill)
		return NULL;
	fill->filler = filler;
	fill->next = filler->under_way;
	fill->before = &filler->under_way;
	if (fill->next)
		fill->next->before = &fill->next;
	filler->under_way = fill;
	if (++filler->flying > filler->counts.most)
		filler->counts.most = filler->flying;
	return fill;
}

static void fill_put(struct fill *fill)
{
	struct filler *filler = fill->filler;

	*fill->before = fill->next;
	if (fill->next)
		fill->next->before = fill->before;
	fill->next = filler->fills;
	filler->fills = fill;
	filler->flying--;
}

/* A part of private memory goes by a buffer, which is kept for the next one. */
static bool fill_buffer(struct fill *fill)
{
	void *buffer;

	if (fill->buffer_size >= fill->length)
		return true;
	free(fill->buffer);
	fill->buffer_size = 0;
	fill->buffer = NULL;
	if (posix_memalign(&buffer, fill->filler->settings->page, fill->length))
		return false;
	fill->buffer = buffer;
	fill->buffer_size = fill->length;
	return true;
}

static bool fill_has(const struct fill *fill, uint64_t offset)
{
	return offset - fill->offset < fill->length;
}

/* The end of a fill that has failed, or else nobody waits any longer. */
static void fill_failed(struct fill *fill, int error)
{
	struct filler *filler = fill->filler;
	const uint32_t page = filler->settings->page;
	const bool fetched = fill_has(fill, filler->fetching);

	if (fill->length > page) {
		/* Perhaps of one page only: all who wait ask again, and get it page by page. */
		bits_set(&filler->single, fill->offset, fill->offset + fill->length);
		if (filler->uffd >= 0)
			given(filler, uffd_wake(filler->uffd, fill->address, fill->length));
		if (fetched) {
			uint64_t offset = filler->fetching & ~(uint64_t)(page - 1);

			fill_start(filler, fill_region(filler, offset), offset, offset + page, true);
		}
		return;
	}
	refuse(filler, fill->address, fill->offset, fill->length, error);
	if (fetched) {
		filler->fetching = UINT64_MAX;
		filler->owner->fetched(filler->owner, fill->offset, fill->length, error);
	}
}

static void fill_end(struct fill *fill, const char *bytes, int error)
{
	struct filler *filler = fill->filler;
	const uint64_t offset = fill->offset, length = fill->length;

	loop_timer_cancel(filler->loop, &fill->timer);
	/* In the background, late ones count: a backend that hangs is not given more and more. */
	if (!fill->demand)
		populate_ended(&filler->populate, &fill->asked, !error);
	else if (!fill->given_up)
		filler->demands--;
	if (!fill->given_up || filler->shared)
		bits_clear(&filler->busy, offset, offset + length);
	if (!fill->given_up && !filler->is_gone && error != -ECANCELED) {
		if (!error) {
			error = fill_give(fill, bytes);
			error = given(filler, error) ? 0 : error;
		}
		if (error) {
			fill_failed(fill, error);
		} else {
			bits_set(&filler->filled, offset, offset + length);
			if (fill_has(fill, filler->fetching)) {
				filler->fetching = UINT64_MAX;
				filler->owner->fetched(filler->owner, offset, length, 0);
			}
		}
	}
	fill_put(fill);
	populate_kick(&filler->populate);
}

static void fill_done(struct backend_io *io, int error)
{
	struct fill *fill = io->owner;
	struct filler *filler = fill->filler;
	const bool waited = !fill->submitting;
	char *bytes = io->buf;

	/* Behind the end of the backend the last page is zeroes. */
	if (!error)
		memset(bytes + io->length, 0, fill->length - io->length);
	fill_end(fill, bytes, error);
	if (waited && error != -ECANCELED)
		faults_resume(filler);
}

/*
 * The backend takes too long. What it answers later is dropped: private memory may be asked for
 * anew meanwhile, page by page. Shared memory may not: the answer will be written there, whatever
 * has been since.
 */
static void fill_late(struct loop_timer *timer)
{
	struct fill *fill = (struct fill *)((char *)timer - offsetof(struct fill, timer));
	struct filler *filler = fill->filler;
	const uint64_t page = filler->settings->page;

	fill->given_up = true;
	if (fill->demand)
		filler->demands--;
	if (!filler->shared)
		bits_clear(&filler->busy, fill->offset, fill->offset + fill->length);
	if (!filler->shared && fill->length > page) {
		bits_set(&filler->single, fill->offset, fill->offset + fill->length);
		given(filler, uffd_wake(filler->uffd, fill->address, fill->length));
	} else {
		refuse(filler, fill->address, fill->offset, fill->length, -ETIMEDOUT);
	}
	if (fill_has(fill, filler->fetching)) {
		const uint64_t offset = filler->fetching & ~(page - 1);

		filler->fetching = UINT64_MAX;
		filler->owner->fetched(filler->owner, offset, page, -ETIMEDOUT);
	}
	faults_resume(filler);
}

static void fill_submit(struct fill *fill)
{
	struct filler *filler = fill->filler;
	const uint64_t left = filler->backend->info.size - fill->offset;
	const uint32_t length = (uint32_t)(fill->length < left ? fill->length : left);
	char *bytes = NULL;

	/* Bytes of a backend that has them in memory are given from there. */
	if (!filler->shared && length == fill->length)
		bytes = backend_map(filler->backend, fill->offset, length);
	if (bytes) {
		fill_end(fill, bytes, 0);
		return;
	}
	if (!filler->shared && !fill_buffer(fill)) {
		fill_end(fill, NULL, -ENOMEM);
		return;
	}
	/* All pages with one call, not with a fault each; where that is not known, by these. */
	if (filler->shared && fill->length > filler->settings->page)
		madvise(filler->shared + fill->offset, fill->length, MADV_POPULATE_WRITE);
	fill->io = (struct backend_io) {
		.op = BACKEND_READ,
		.offset = fill->offset,
		.length = length,
		.buf = filler->shared ? (char *)filler->shared + fill->offset : fill->buffer,
		.done = fill_done,
		.owner = fill,
	};
	fill->timer.fire = fill_late;
	if (filler->backend->info.waits &&
	    loop_timer_set(filler->loop, &fill->timer, loop_now() + filler->settings->timeout)) {
		fill_end(fill, NULL, -ENOMEM);
		return;
	}
	fill->submitting = true;
	backend_submit(filler->channel, &fill->io);
	/* A fill that is done is kept for the next one: the flag may be written. */
	fill->submitting = false;
}

void fill_start(struct filler *filler, const struct uffd_region *region, uint64_t from,
		uint64_t to, bool demand)
{
	struct fill *fill = fill_take(filler);

	if (!fill) {
		log_error("out of memory: a client waits in vain");
		filler_gone(filler);
		return;
	}
	fill->offset = from;
	fill->length = to - from;
	fill->address = region->address + (from - region->offset);
	fill->demand = demand;
	fill->given_up = false;
	if (demand) {
		filler->demands++;
		filler->counts.demands++;
	} else {
		fill->asked = populate_asked(&filler->populate);
		filler->counts.background++;
	}
	bits_clear(&filler->filled, from, to);
	bits_set(&filler->busy, from, to);
	fill_submit(fill);
}

/* --- what is asked for -------------------------------------------------------------------- */

uint64_t fill_free(const struct filler *filler, uint64_t at, uint64_t to)
{
	bool filled, busy;
	uint64_t a = bits_run(&filler->filled, at, to, &filled);
	uint64_t b = bits_run(&filler->busy, at, to, &busy);

	if (filled || busy)
		return 0;
	return a < b ? a : b;
}

uint64_t fill_taken(const struct filler *filler, uint64_t at, uint64_t to)
{
	bool is;
	uint64_t run = bits_run(&filler->filled, at, to, &is);

	if (!is)
		run = bits_run(&filler->busy, at, to, &is);
	return is ? run : 0;
}

/* The part of the chunk around the page of @offset that can be fetched with it. */
static void around(const struct filler *filler, const struct uffd_region *region, uint64_t offset,
		   uint64_t *from, uint64_t *to)
{
	const uint32_t page = filler->settings->page, chunk = filler->settings->chunk;
	const uint64_t start = offset & ~(uint64_t)(chunk - 1);
	uint64_t low = start > region->offset ? start : region->offset;
	uint64_t high = start + chunk, end = region->offset + region->length;

	*from = offset & ~(uint64_t)(page - 1);
	*to = *from + page;
	if (bits_has(&filler->single, *from))
		return;
	if (high > end)
		high = end;
	if (*to < high)
		*to += fill_free(filler, *to, high);
	while (*from > low && fill_free(filler, *from - page, *from))
		*from -= page;
}

/* A reader goes on where the last fault's bytes ended: the background follows him. */
static void follow(struct filler *filler, uint64_t from, uint64_t to)
{
	if (filler->missed == from)
		populate_follow(&filler->populate, to);
	filler->missed = to;
}

/* Is what is on its way here for this page of shared memory no longer waited for? */
static bool is_late(const struct filler *filler, uint64_t offset)
{
	const struct fill *fill;

	for (fill = filler->shared ? filler->under_way : NULL; fill; fill = fill->next)
		if (fill->given_up && fill_has(fill, offset))
			return true;
	return false;
}

static void demand(struct filler *filler, const struct uffd_region *region, uint64_t offset)
{
	const uint64_t page = filler->settings->page, start = offset & ~(page - 1);
	uint64_t from, to;

	/* Whoever waits is woken when that comes, if it still is to be given. */
	if (bits_has(&filler->busy, start) && !is_late(filler, start))
		return;
	if (bits_has(&filler->busy, start)) {
		refuse(filler, region->address + (start - region->offset), start, page, -ETIMEDOUT);
		if (filler->uffd < 0) {
			filler->fetching = UINT64_MAX;
			filler->owner->fetched(filler->owner, start, page, -ETIMEDOUT);
		}
		return;
	}
	if (bits_has(&filler->filled, start)) {
		/*
		 * The event is older than the fill; or the page is mapped no longer: the client has
		 * given it back, or the kernel has taken it. It may have been written before: it is
		 * not protected, which means just that, and the file has what was written.
		 */
		if (filler->uffd < 0) {
			filler->fetching = UINT64_MAX;
			filler->owner->fetched(filler->owner, start, page, 0);
			return;
		}
		if (filler->shared &&
		    given(filler,
			  uffd_continue(filler->uffd, region->address + (start - region->offset),
					page, page, false)))
			return;
		fill_start(filler, region, start, start + page, true);
		return;
	}
	around(filler, region, start, &from, &to);
	follow(filler, from, to);
	fill_start(filler, region, from, to, true);
}

int fill_fetch(struct filler *filler, uint64_t offset)
{
	const struct uffd_region *region = fill_region(filler, offset);

	if (!region)
		return -EINVAL;
	if (filler->fetching != UINT64_MAX)
		return -EBUSY;
	filler->fetching = offset;
	filler->counts.faults++;
	demand(filler, region, offset);
	backend_kick(filler->channel);
	return 0;
}

/* --- faults ------------------------------------------------------------------------------- */

static bool faults_full(const struct filler *filler)
{
	return filler->demands >=
	       (improved(filler, IMPROVE_IN_FLIGHT) ? filler->settings->in_flight : 1);
}

static void fault_take(struct filler *filler, uint64_t address)
{
	const struct uffd_region *region = region_at(filler, address);

	if (region)
		demand(filler, region, region->offset + (address - region->address));
}

/* The faults that were read and not begun. False: there are too many under way again. */
static bool waiting_begin(struct filler *filler)
{
	unsigned int i = 0;

	while (i < filler->waiting_used && !faults_full(filler))
		fault_take(filler, filler->waiting[i++]);
	filler->waiting_used -= i;
	memmove(filler->waiting, filler->waiting + i,
		filler->waiting_used * sizeof(filler->waiting[0]));
	return !filler->waiting_used && !faults_full(filler);
}

static void faults_pause(struct filler *filler)
{
	if (!filler->paused)
		loop_remove(filler->loop, &filler->events);
	filler->paused = true;
}

/* 0: there are none. */
static unsigned int faults_read(struct filler *filler)
{
	const unsigned int most = improved(filler, IMPROVE_EVENTS) ? FILL_EVENTS : 1;
	struct uffd_msg events[FILL_EVENTS];
	ssize_t got = read(filler->uffd, events, most * sizeof(events[0]));

	if (got <= 0) {
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			filler_gone(filler);
		return 0;
	}
	filler->waiting_used = 0;
	for (unsigned int i = 0; i < (size_t)got / sizeof(events[0]); i++) {
		if (events[i].event == UFFD_EVENT_PAGEFAULT) {
			filler->waiting[filler->waiting_used++] = events[i].arg.pagefault.address;
			continue;
		}
		/* It has agreed on more than it should: of a fork, a descriptor comes. */
		if (events[i].event == UFFD_EVENT_FORK)
			close((int)events[i].arg.fork.ufd);
		log_warn("a client is let go: its userfaultfd tells of more than faults");
		filler_gone(filler);
	}
	filler->counts.reads++;
	filler->counts.faults += filler->waiting_used;
	return filler->waiting_used;
}

static void faults_ready(struct loop_source *source, uint32_t ready)
{
	struct filler *filler = (struct filler *)((char *)source - offsetof(struct filler, events));
	unsigned int rounds = improved(filler, IMPROVE_EVENTS) ? ROUNDS : 1;

	/* The flag is the client's as well: without it, a read would wait. */
	if (ready & EPOLLERR) {
		log_warn("a client is let go: its userfaultfd is no longer O_NONBLOCK");
		filler_gone(filler);
	}
	while (rounds-- && !filler->is_gone && faults_read(filler)) {
		if (!waiting_begin(filler)) {
			faults_pause(filler);
			break;
		}
	}
	backend_kick(filler->channel);
}

/* Something is done: more may be begun. */
static void faults_resume(struct filler *filler)
{
	if (!filler->paused || !waiting_begin(filler))
		return;
	filler->paused = false;
	if (loop_add(filler->loop, &filler->events, EPOLLIN))
		filler_gone(filler);
}

/* --- its life ----------------------------------------------------------------------------- */

static int filler_bits(struct filler *filler, struct error *error)
{
	int code = bits_new(&filler->filled, filler->size, filler->settings->page, error);

	if (!code)
		code = bits_new(&filler->busy, filler->size, filler->settings->page, error);
	if (!code)
		code = bits_new(&filler->single, filler->size, filler->settings->page, error);
	return code;
}

int filler_open(struct filler *filler, struct error *error)
{
	int code;

	filler->size = uffd_round(filler->backend->info.size, filler->settings->page);
	filler->fetching = UINT64_MAX;
	filler->missed = UINT64_MAX;
	filler->gone.run = gone_run;
	code = filler_bits(filler, error);
	if (!code && improved(filler, IMPROVE_POPULATE))
		code = populate_open(&filler->populate, filler, error);
	if (code)
		return code;
	filler->events = (struct loop_source) { .fd = filler->uffd, .ready = faults_ready };
	if (filler->uffd < 0)
		return 0;
	code = loop_add(filler->loop, &filler->events, EPOLLIN);
	filler->paused = code;
	return code ? error_set(error, code, "cannot wait for faults: %s", strerror(-code)) : 0;
}

void filler_close(struct filler *filler)
{
	struct fill *fill;

	if (filler->events.added)
		loop_remove(filler->loop, &filler->events);
	populate_close(&filler->populate);
	loop_task_cancel(filler->loop, &filler->gone);
	while ((fill = filler->fills)) {
		filler->fills = fill->next;
		free(fill->buffer);
		free(fill);
	}
	bits_free(&filler->filled);
	bits_free(&filler->busy);
	bits_free(&filler->single);
}
