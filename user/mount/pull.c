// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The background pull of a managed mount. See managed.h.
 *
 * It takes one range after the other, in the order that order.h gives, and all of the region in the end.
 * A range goes piece by piece: the backend tells which pieces are data and which are zeroes (looks.h);
 * chunks of data are claimed as the pace (pace.h) allows, read into the store and filled; chunks of
 * zeroes are claimed and filled at once. What a bio asks for meanwhile is fetched beside it, and is
 * passed over here. When two bios in a row miss chunks that follow each other, somebody reads there, and
 * the pull goes on from there. The very first read does not wait for what the backend tells: TCP begins
 * slowly, and a round trip in which nothing comes is one that it begins later. What is read ahead of readers
 * (ahead.h) comes before all of that, also when the pull is paused.
 *
 * Chunks are claimed loosely, and read into memory of the pull's own, so that who writes all of one need not
 * wait for it; when they have come, what nobody has written is copied to the store.
 *
 * Each round does a bounded piece of work and comes back as a task, so that requests of the module
 * are served in between.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define LOG_PREFIX "pull: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "mount/hooks.h"
#include "mount/looks.h"
#include "mount/managed.h"
#include "mount/order.h"
#include "mount/pace.h"

#define HOLD_NS		20000000ULL	/* that the pull waits for the first read of a ready device */
#define HOLD_MOST	1000000000ULL	/* and for one to be ready */
#define HOLD_READ	1000000ULL	/* and once it has come, to let that pass */
#define STEPS_ROUND	8u		/* of one round */
#define AHEAD_PART	(1u << 20)	/* bytes of what is read ahead, between two readers */
#define CLAIM_DIRECT	(256u << 10)	/* bytes of one claim from a backend that never waits */
#define RETRY_FIRST	1000000000ULL	/* ns until a pass that left something is followed by another */
#define RETRY_MOST	30000000000ULL
#define READ_LEAST	(64u << 10)	/* bytes of one read, if there are so many next to each other */
#define LOOSE_BYTES	(8u << 20)	/* of memory for what is on its way; more of it goes to the store at once */
#define FOLLOW_GAP	(2u << 20)	/* bytes between two misses of one reader, at most */
#define FOLLOW_AHEAD	(32u << 20)	/* bytes that the pull may be before it already */
#define FOLLOW_BEHIND	(2u << 20)	/* and behind it: it is there soon */

/* Chunks on their way, next to each other. */
struct pull_worker {
	struct backend_io io;
	struct pull *pull;
	struct pull_worker *next;	/* free ones */
	struct pace_mark asked;
	uint64_t claimed;		/* ns */
	bool loose;			/* that is how they are claimed; the bytes are not in the store */
	int error;			/* of reading them */
};

struct pull {
	struct managed *managed;
	struct loop_task task;
	struct loop_timer retry;
	uint64_t retry_in;		/* ns */

	struct pull_worker *workers;
	struct pull_worker *free;
	struct pull_worker *arrived;	/* whose loose claims are to become firm */
	unsigned int busy;		/* workers that have something on its way */
	bool full;			/* as many as the pace allows, when it last could have begun more */

	struct order *order;
	struct pace pace;
	uint64_t holds;			/* ns: until then it waits for somebody to read; 0: no more */
	struct loop_timer paced;	/* the rate limit allows more, or it holds no longer */
	uint64_t missed;		/* where the last bio's misses ended */

	struct looks *looks;
	struct piece piece;		/* what is being pulled now */
	bool guessed;			/* the first of them was, if it had to be */
	struct ahead_part ahead;	/* what comes before that */
	uint32_t unit;			/* bytes of a read, at most: whole chunks */
	uint64_t fetching;		/* bytes on their way beside the pull: somebody has missed them */
	uint32_t fetched;		/* and that have come, less than a unit */

	/* Memory for loose claims: NULL: there are none. */
	uint8_t *memory;
	size_t memory_bytes;
	uint8_t **spare;		/* units of it that no worker has */
	unsigned int spares;

	struct chunk_extents claimed;	/* not yet given to a worker */
	bool loose;			/* how they are claimed */
	unsigned int claim;		/* the next of them */
	uint64_t claimed_at;		/* ns */

	struct chunk_extents firm;	/* of one that has arrived */
	struct chunk_news filled;
	struct chunk_news failed;
	uint64_t pulled;		/* bytes */
	bool first_told;
	bool told_error;
	bool all;			/* everything is local */
	bool over;			/* that, or the device is gone */
};

static void pull_again(struct pull *pull)
{
	if (!pull->over)
		loop_task_queue(pull->managed->loop, &pull->task);
}

/* What the mount waits for before it is ready is there, or will not come. */
static void pull_first_told(struct pull *pull)
{
	if (pull->first_told)
		return;
	pull->first_told = true;
	sem_post(&pull->managed->first);
}

/* The device is gone, or this helper is to end. */
static void pull_give_up(struct pull *pull, const struct error *error)
{
	if (!pull->over)
		managed_broke(pull->managed, error);
	pull->over = true;
	pull->claimed.count = 0;
	pull_first_told(pull);
}

static void pull_tell(struct pull *pull, struct chunk_news *news, int code)
{
	struct error error = { 0 };

	if (!news->count)
		return;
	chunk_news_order(news);
	if (chunks_fill(&pull->managed->chunks, news->extent, news->count, code, &error))
		pull_give_up(pull, &error);
	for (unsigned int i = 0; !code && i < news->count; i++)
		pull->pulled += news->extent[i].length;
	if (pull->pulled >= pull->managed->options->pull_first)
		pull_first_told(pull);
	news->count = 0;
}

static void pull_tell_all(struct pull *pull)
{
	pull_tell(pull, &pull->filled, 0);
	pull_tell(pull, &pull->failed, -EIO);
}

static void pull_failed(struct pull *pull, const char *what, uint64_t offset, uint64_t length,
			int code)
{
	if (!pull->told_error)
		log_warn("cannot %s %" PRIu64 " bytes at %" PRIu64 ": %s; trying again later", what,
			 length, offset, strerror(-code));
	pull->told_error = true;
	trouble_note(&pull->managed->pull_trouble, code);
	if (chunk_news_add(&pull->failed, offset, length))
		pull_tell(pull, &pull->failed, -EIO);
}

/* Earlier than it would have. */
static void hold_until(struct pull *pull, uint64_t until)
{
	if (pull->holds > until)
		pull->holds = until;
}

/*
 * What a device is attached for is read at once, and would wait behind whatever the pull has asked for by
 * then: the transport below begins slowly, so each 14 KiB are a round trip at first.
 */
static bool pull_holds(struct pull *pull)
{
	uint64_t ready, now;

	if (!pull->holds)
		return false;
	ready = atomic_load(&pull->managed->ready);
	if (ready)
		hold_until(pull, ready + HOLD_NS);
	now = loop_now();
	if (now < pull->holds) {
		loop_timer_set(pull->managed->loop, &pull->paced, pull->holds);
		return true;
	}
	pull->holds = 0;
	pace_begin(&pull->pace, now, (double)pull->fetching / pull->unit);
	return false;
}

/* Claimed chunks are in the store. */
static void pull_filled(struct pull *pull, uint64_t offset, uint64_t length)
{
	store_trim(&pull->managed->store, offset, length);
	if (chunk_news_add(&pull->filled, offset, length))
		pull_tell(pull, &pull->filled, 0);
}

static void worker_done(struct backend_io *io, int error)
{
	struct pull_worker *worker = (struct pull_worker *)io;	/* its first member */
	struct pull *pull = worker->pull;
	struct pull_worker **list = worker->loose ? &pull->arrived : &pull->free;

	pace_arrived(&pull->pace, &worker->asked, loop_now(), pull->full);
	worker->error = error;
	worker->next = *list;
	*list = worker;
	pull->busy--;
	if (pull->over)
		return;
	if (!error)
		latency_note(&pull->managed->pulls, loop_now() - worker->claimed);
	if (error && !worker->loose)
		pull_failed(pull, "read", io->offset, io->length, error);
	else if (!worker->loose)
		pull_filled(pull, io->offset, io->length);
	pull_again(pull);
}

/* A part of what @worker has read, claimed firmly now. */
static void worker_store(struct pull_worker *worker, const struct r3map_extent *extent)
{
	const struct backend_io *io = &worker->io;
	struct pull *pull = worker->pull;
	int err = worker->error;

	if (err)
		return pull_failed(pull, "read", extent->offset, extent->length, err);
	err = store_write(&pull->managed->store, extent->offset,
			  (uint8_t *)io->buf + (extent->offset - io->offset), (uint32_t)extent->length);
	if (err)
		return pull_failed(pull, "store", extent->offset, extent->length, err);
	pull_filled(pull, extent->offset, extent->length);
}

/* What has arrived goes to the store, but for what somebody has written meanwhile. */
static void pull_store(struct pull *pull)
{
	struct pull_worker *worker;
	struct error error = { 0 };

	while ((worker = pull->arrived)) {
		const uint64_t end = worker->io.offset + worker->io.length;
		uint64_t at = worker->io.offset;

		while (!pull->over && at < end) {
			if (chunks_firm(&pull->managed->chunks, at, end - at, &pull->firm, &error)) {
				pull_give_up(pull, &error);
				break;
			}
			for (unsigned int i = 0; i < pull->firm.count && !pull->over; i++)
				worker_store(worker, &pull->firm.extent[i]);
			at = pull->firm.next;
		}
		pull->arrived = worker->next;
		pull->spare[pull->spares++] = worker->io.buf;
		worker->next = pull->free;
		pull->free = worker;
	}
}

/* Claimed chunks to one free worker. */
static void pull_read(struct pull *pull, uint64_t offset, uint32_t length)
{
	struct pull_worker *worker = pull->free;
	struct managed *m = pull->managed;
	int err = pull->loose ? 0 : store_prepare(&m->store, offset, length);

	if (err)
		return pull_failed(pull, "make room in the store for", offset, length, err);
	pull->free = worker->next;
	worker->loose = pull->loose;
	pull->busy++;
	worker->asked = pace_asked(&pull->pace, loop_now());
	worker->claimed = pull->claimed_at;
	pace_spend(&pull->pace, length);
	worker->io.op = BACKEND_READ;
	worker->io.flags = 0;
	worker->io.offset = offset;
	worker->io.length = length;
	worker->io.buf = pull->loose ? pull->spare[--pull->spares] : m->store.bytes + offset;
	backend_submit(m->channel, &worker->io);
}

/* Claimed chunks go to free workers. True if all of them did. */
static bool pull_spread(struct pull *pull)
{
	while (pull->claim < pull->claimed.count) {
		struct r3map_extent *extent = &pull->claimed.extent[pull->claim];
		uint32_t length = pull->unit;

		if (!pull->free || (pull->loose && !pull->spares))
			return false;
		if (extent->length < length)
			length = (uint32_t)extent->length;
		pull_read(pull, extent->offset, length);
		extent->offset += length;
		extent->length -= length;
		if (!extent->length)
			pull->claim++;
	}
	return true;
}

/* Claimed chunks that are zeroes. What a failed write or an earlier helper has left there goes. */
static void pull_zero(struct pull *pull)
{
	for (; pull->claim < pull->claimed.count; pull->claim++) {
		const struct r3map_extent *extent = &pull->claimed.extent[pull->claim];
		int err = store_punch(&pull->managed->store, extent->offset, extent->length);

		if (err)
			pull_failed(pull, "clear in the store", extent->offset,
				    extent->length, err);
		else if (chunk_news_add(&pull->filled, extent->offset, extent->length))
			pull_tell(pull, &pull->filled, 0);
	}
}

/* Claims more of @piece: of data, as much as so many workers read. */
static void pull_claim(struct pull *pull, struct piece *piece, uint32_t workers)
{
	struct managed *m = pull->managed;
	uint64_t left = piece->end - piece->offset, max = left;
	uint64_t idle = (uint64_t)workers * pull->unit;
	struct error error = { 0 };

	if (!m->backend->info.waits && idle > CLAIM_DIRECT)
		idle = CLAIM_DIRECT;
	pull->loose = !piece->zero && pull->spares;
	if (pull->loose && idle > (uint64_t)pull->spares * pull->unit)
		idle = (uint64_t)pull->spares * pull->unit;
	if (!piece->zero && idle < max)
		max = idle;
	pull->claim = 0;
	pull->claimed_at = loop_now();
	if (chunks_claim(&m->chunks, piece->offset, left, max, pull->loose, &pull->claimed, &error))
		return pull_give_up(pull, &error);
	piece->offset = pull->claimed.next;
}

/* How many reads may begin now? 0: it is tried again when that may be otherwise. */
static uint32_t pull_room(struct pull *pull)
{
	const uint32_t window = pace_window(&pull->pace);
	uint64_t wait;

	pull->full = pull->busy >= window;
	if (pull->full)
		return 0;
	wait = pace_wait(&pull->pace, loop_now());
	if (!wait)
		return window - pull->busy;
	loop_timer_set(pull->managed->loop, &pull->paced, wait);
	return 0;
}

/* Is anything left to be read ahead? */
static bool ahead_next(struct pull *pull)
{
	return pull->ahead.piece.offset < pull->ahead.piece.end ||
	       ahead_take(&pull->managed->ahead, AHEAD_PART, &pull->ahead);
}

/* Claims more of it. False: not now. */
static bool pull_ahead(struct pull *pull)
{
	const uint32_t room = pull_room(pull);
	uint64_t bytes = 0;

	if (!room)
		return false;
	pull_claim(pull, &pull->ahead.piece, room);
	for (unsigned int i = 0; i < pull->claimed.count; i++)
		bytes += pull->claimed.extent[i].length;
	ahead_took(&pull->managed->ahead, &pull->ahead, bytes);
	return true;
}

/* --- pieces ------------------------------------------------------------------------------- */

/* Something comes before what is left of this range; that comes with the whole region in the end. */
static void pull_drop_range(struct pull *pull)
{
	pull->piece.end = pull->piece.offset;
	looks_drop(pull->looks);
}

static void pull_answered(void *data)
{
	pull_again(data);
}

/* Does somebody read where the pull is not? */
static void pull_follow(struct pull *pull)
{
	uint64_t missed = atomic_exchange(&pull->managed->missed, UINT64_MAX), before = pull->missed;
	uint64_t at = pull->piece.offset;

	if (missed == UINT64_MAX)
		return;
	if (atomic_load(&pull->managed->ready))	/* before, the kernel looked for partitions */
		hold_until(pull, loop_now() + HOLD_READ);
	pull->missed = missed;
	if (missed <= before || missed - before > FOLLOW_GAP)
		return;
	if (at >= missed ? at - missed < FOLLOW_AHEAD : missed - at < FOLLOW_BEHIND)
		return;
	if (at < missed && missed < pull->piece.end) {	/* it is known what lies there */
		pull->piece.offset = missed;
		order_again(pull->order);
		return;
	}
	order_follow(pull->order, missed);
	pull_drop_range(pull);
}

static void pull_retry(struct loop_timer *timer)
{
	struct pull *pull = (struct pull *)((char *)timer - offsetof(struct pull, retry));

	order_all(pull->order);
	pull_again(pull);
}

static void pull_paced(struct loop_timer *timer)
{
	pull_again((struct pull *)((char *)timer - offsetof(struct pull, paced)));
}

/* All of the region was looked at, and nothing is under way. */
static void pull_pass_over(struct pull *pull)
{
	struct managed *m = pull->managed;
	struct error error = { 0 };
	uint64_t local;

	if (chunks_local(&m->chunks, &local, &error))
		return pull_give_up(pull, &error);
	if (!pull->told_error || local >= m->size)
		trouble_over(&m->pull_trouble);
	if (local >= m->size) {
		if (m->owned) {		/* of that one only who moves it knows */
			eventfd_write(m->all_local, 1);
		} else {
			log_info("everything is local");
			hooks_all_local(m->hooks);
		}
		pull->all = true;
		pull->over = true;
		if (pull->memory)	/* none of it is in use */
			madvise(pull->memory, pull->memory_bytes, MADV_DONTNEED_LOCKED);
		pull_first_told(pull);
		return;
	}
	/* Some failed, or are on their way for somebody else and may fail. */
	pull->told_error = false;
	loop_timer_set(m->loop, &pull->retry, loop_now() + pull->retry_in);
	pull->retry_in = pull->retry_in * 2 < RETRY_MOST ? pull->retry_in * 2 : RETRY_MOST;
}

/* What is local is not what it was, and what the backend said may be out of date. */
static void pull_anew(struct pull *pull)
{
	if (pull->over && !pull->all)
		return;
	pull->all = false;
	pull->over = false;
	pull->piece.end = pull->piece.offset;
	loop_timer_cancel(pull->managed->loop, &pull->retry);
	pull->retry_in = RETRY_FIRST;
	looks_drop(pull->looks);
}

/* Chunks have been dropped. */
static void pull_dropped(struct pull *pull)
{
	struct ranges *only;

	if (!atomic_exchange(&pull->managed->again, false))
		return;
	pull_anew(pull);
	only = atomic_exchange(&pull->managed->only, NULL);
	if (only)
		order_only(pull->order, only);
	else
		order_all(pull->order);
}

/* One step. False: nothing more can be done now. */
static bool pull_step(struct pull *pull)
{
	uint32_t room = 0;

	/* What has been claimed goes on: somebody may wait for it. */
	if (!pull_spread(pull) || atomic_load(&pull->managed->resting))
		return false;
	pull_dropped(pull);
	if (pull_holds(pull))
		return false;
	if (ahead_next(pull))
		return pull_ahead(pull);
	if (atomic_load(&pull->managed->pull_paused))
		return false;
	if (pull->piece.offset < pull->piece.end) {
		if (!pull->piece.zero) {
			room = pull_room(pull);
			if (!room)
				return false;
		}
		pull_claim(pull, &pull->piece, room);
		if (pull->piece.zero)
			pull_zero(pull);
		return true;
	}
	switch (looks_next(pull->looks, &pull->piece)) {
	case LOOKS_PIECE:
		pull->guessed = true;
		return true;
	case LOOKS_WAIT:
		if (pull->guessed)
			return false;
		pull->guessed = true;
		return looks_guess(pull->looks, pull->unit, &pull->piece);
	case LOOKS_NONE:
		break;
	}
	if (!pull->busy && !pull->arrived && !pull->retry.deadline)
		pull_pass_over(pull);
	return false;
}

void pull_missed(struct pull *pull, uint32_t length)
{
	pull->fetching += length;
	/* One that has yet to begin counts them then; one that rests learns nothing from them. */
	if (!pull->busy)
		return;
	pace_beside_asked(&pull->pace, (double)length / pull->unit);
	if (pull->full)
		pull_again(pull);
}

void pull_fetched(struct pull *pull, uint32_t length)
{
	pull->fetching -= length;
	pull->fetched += length;
	pace_beside_arrived(&pull->pace, pull->fetched / pull->unit);
	pull->fetched %= pull->unit;
}

static void pull_round(struct loop_task *task)
{
	struct pull *pull = (struct pull *)((char *)task - offsetof(struct pull, task));
	unsigned int steps = 0;

	pull_store(pull);
	pull_tell_all(pull);
	pull_follow(pull);
	while (!pull->over && steps < STEPS_ROUND && pull_step(pull))
		steps++;
	pull_tell_all(pull);
	backend_kick(pull->managed->channel);
	if (steps == STEPS_ROUND)
		pull_again(pull);
}

/* A program has written more of the order. */
static void pull_more(void *data)
{
	struct pull *pull = data;

	if (!pull->over && looks_yield(pull->looks))
		pull->piece.end = pull->piece.offset;
	pull_again(pull);
}

/*
 * Memory for what is claimed loosely, if that is of use: of a backend that answers at once nobody waits for a
 * chunk, and large chunks are seldom written as a whole. It is there when it is used.
 */
static int pull_memory(struct pull *pull, uint32_t workers)
{
	unsigned int count = LOOSE_BYTES / pull->unit;

	if (!pull->managed->backend->info.waits || pull->managed->chunk > READ_LEAST)
		return 0;
	if (count > workers)
		count = workers;
	pull->spare = calloc(count, sizeof(*pull->spare));
	if (!pull->spare)
		return -ENOMEM;
	pull->memory_bytes = (size_t)count * pull->unit;
	pull->memory = mmap(NULL, pull->memory_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pull->memory == MAP_FAILED) {
		pull->memory = NULL;
		return -ENOMEM;
	}
	/* The first of them are enough for a path that is short. */
	madvise(pull->memory, pull->memory_bytes, MADV_NOHUGEPAGE);
	while (pull->spares < count) {
		pull->spare[pull->spares] = pull->memory + (size_t)(count - 1 - pull->spares) * pull->unit;
		pull->spares++;
	}
	return 0;
}

int pull_new(struct managed *managed, struct pull **out, struct error *error)
{
	const uint32_t workers = managed->options->pull_workers;
	struct pull *pull = calloc(1, sizeof(*pull));
	int err;

	if (!pull)
		return error_set(error, -ENOMEM, "out of memory");
	*out = pull;
	pull->managed = managed;
	pull->task.run = pull_round;
	pull->retry.fire = pull_retry;
	pull->retry_in = RETRY_FIRST;
	pull->unit = managed->chunk > READ_LEAST ? managed->chunk : READ_LEAST;
	if (pull->unit > managed->max_io)
		pull->unit = managed->max_io & ~(managed->chunk - 1);
	pull->workers = calloc(workers, sizeof(*pull->workers));
	if (!pull->workers || pull_memory(pull, workers))
		return error_set(error, -ENOMEM, "out of memory for %" PRIu32 " pull workers: give fewer",
				 workers);
	for (uint32_t i = workers; i-- > 0;) {
		pull->workers[i].io.done = worker_done;
		pull->workers[i].pull = pull;
		pull->workers[i].next = pull->free;
		pull->free = &pull->workers[i];
	}
	pull->paced.fire = pull_paced;
	pull->missed = UINT64_MAX;
	pace_init(&pull->pace, workers, managed->options->pull_rate, loop_now());
	/* Who waits for the first bytes to be pulled is in a hurry himself; a local one has no queue. */
	if (!managed->options->pull_first && managed->backend->info.waits && !managed->owned)
		pull->holds = loop_now() + HOLD_MOST;
	err = order_open(managed->options->order, managed->size, managed->loop, pull_more, pull,
			 &pull->order, error);
	if (err)
		return err;
	pull->looks = looks_new(managed->channel, pull->order, managed->size, managed->chunk,
				pull_answered, pull);
	if (!pull->looks)
		return error_set(error, -ENOMEM, "out of memory");
	pull_again(pull);
	return 0;
}

void pull_changed(struct pull *pull)
{
	/* Until it goes on it claims nothing, and asks the backend nothing. */
	if (atomic_exchange(&pull->managed->rest_wanted, false)) {
		pull_anew(pull);
		sem_post(&pull->managed->rested);
	}
	if (pull->all)
		pull_dropped(pull);
	if (atomic_load(&pull->managed->pull_rate) != pull->pace.rate)
		pace_set_rate(&pull->pace, atomic_load(&pull->managed->pull_rate), loop_now());
	pull_again(pull);
}

void pull_halt(struct pull *pull)
{
	pull->over = true;
}

void pull_free(struct pull *pull)
{
	if (!pull)
		return;
	loop_task_cancel(pull->managed->loop, &pull->task);
	loop_timer_cancel(pull->managed->loop, &pull->retry);
	loop_timer_cancel(pull->managed->loop, &pull->paced);
	looks_free(pull->looks);
	order_close(pull->order);
	if (pull->memory)
		munmap(pull->memory, pull->memory_bytes);
	free(pull->spare);
	free(pull->workers);
	free(pull);
}
