// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bios of managed devices. See managed.h.
 *
 * A request here is owned by whoever works on it, waits in the chunk map, or is stalled: short of
 * memory for its fetch or in the store, or waiting for a claim whose helper is gone. All that wait
 * are looked at by r3map_managed_expire(), so that no wait is without a bound.
 */
#include <linux/blkdev.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "device.h"
#include "main.h"
#include "managed.h"
#include "mapfile.h"
#include "queue.h"
#include "request.h"

#define MANAGED_RETRY_MS 5

static bool managed_writes(const struct r3map_request *request)
{
	return request->op != R3MAP_OP_READ;
}

/* May these bytes be written at once, as far as the map file goes? */
static bool managed_intends(const struct r3map_managed *m, u64 offset, u64 length)
{
	return !m->mapfile || r3map_mapfile_intends(m->mapfile, offset, length);
}

/* The chunks that belong to the bytes of @request. */
static struct r3map_chunk_range managed_range(const struct r3map_managed *m,
					      const struct r3map_request *request)
{
	return r3map_chunks_touched(&m->chunks, request->offset, request->length);
}

/* --- missing chunks ----------------------------------------------------------------------- */

static void managed_stall(struct r3map_managed *m, struct list_head *requests, unsigned int ms)
{
	if (list_empty(requests))
		return;
	spin_lock(&m->chunks.lock);
	list_splice_tail_init(requests, &m->stalled);
	spin_unlock(&m->chunks.lock);
	mod_delayed_work(r3map_workqueue, &m->look, msecs_to_jiffies(ms));
	r3map_device_arm(m->dev);
}

void r3map_managed_stall(struct r3map_managed *m, struct list_head *requests)
{
	managed_stall(m, requests, 0);
}

/* Can @request do without any of @range? */
static bool managed_spares(const struct r3map_managed *m, const struct r3map_request *request,
			   struct r3map_chunk_range range)
{
	struct r3map_chunk_range touched = managed_range(m, request), covered = {};

	if (managed_writes(request))
		covered = r3map_chunks_covered(&m->chunks, request->offset, request->length);
	return range.first < touched.first || range.end > touched.end ||
	       (range.first < covered.end && range.end > covered.first);
}

/*
 * The fetch of @range has failed, and @woken waited for a part of it. Those who need all of it
 * fail with it, its issuer among them. The others ask again for what they need: it may be well.
 */
static void managed_fetch_failed(struct r3map_managed *m, struct r3map_chunk_range range,
				 struct list_head *woken, blk_status_t status)
{
	struct r3map_request *request, *next;
	LIST_HEAD(again);

	list_for_each_entry_safe(request, next, woken, node) {
		if (managed_spares(m, request, range))
			list_move_tail(&request->node, &again);
		else
			r3map_managed_add(m, R3MAP_A_COUNTER_ERRORS, 1);
	}
	r3map_request_end_list(m->dev, woken, status);
	r3map_managed_stall(m, &again);
}

/* The fetch of @range has ended, or could not be made: wake who waits. */
static void managed_settle(struct r3map_managed *m, struct r3map_chunk_range range,
			   blk_status_t status)
{
	LIST_HEAD(woken);

	spin_lock(&m->chunks.lock);
	r3map_chunks_settle(&m->chunks, range, !status, &woken);
	spin_unlock(&m->chunks.lock);
	if (likely(!status))
		r3map_managed_run(m, &woken);
	else if (status == BLK_STS_RESOURCE)
		managed_stall(m, &woken, MANAGED_RETRY_MS);
	else
		managed_fetch_failed(m, range, &woken, status);
}

void r3map_managed_fetched(struct r3map_managed *m, struct r3map_request *fetch,
			   blk_status_t status)
{
	struct r3map_chunk_range range = managed_range(m, fetch);

	mempool_free(fetch, m->fetches);
	managed_settle(m, range, status == BLK_STS_RESOURCE ? BLK_STS_IOERR : status);
}

/* Asks the helper for @range, which is busy and the caller's. */
static void managed_fetch(struct r3map_managed *m, struct r3map_chunk_range range)
{
	struct r3map_device *dev = m->dev;
	struct r3map_request *fetch;

	fetch = r3map_request_new_fetch(m->fetches, (u64)range.first << m->chunks.shift,
					r3map_chunks_bytes(&m->chunks, range));
	if (unlikely(!fetch))
		managed_settle(m, range, BLK_STS_RESOURCE);
	else
		r3map_queue_submit(&dev->queues[raw_smp_processor_id() % dev->params.queues],
				   fetch);
}

/* The chunks from @first on that one fetch takes: free, and none of those in @covered. */
static struct r3map_chunk_range managed_run_of(struct r3map_managed *m, unsigned long first,
					       unsigned long end,
					       struct r3map_chunk_range covered)
{
	unsigned long most = max(m->dev->params.max_io >> m->chunks.shift, 1u);
	struct r3map_chunk_range run = { first, first + 1 };

	lockdep_assert_held(&m->chunks.lock);
	while (run.end < end && run.end - run.first < most &&
	       !test_bit(run.end, m->chunks.local) &&
	       !r3map_chunks_is_pending(&m->chunks, run.end) &&
	       !(run.end >= covered.first && run.end < covered.end))
		run.end++;
	bitmap_set(m->chunks.busy, run.first, run.end - run.first);
	return run;
}

/*
 * Makes sure that @request can be served: what it reads, or writes in part, is local, and what it
 * writes as a whole is local or its own. Otherwise it waits, and false is returned: it may be gone.
 */
static bool managed_acquire(struct r3map_managed *m, struct r3map_request *request)
{
	struct r3map_chunk_range range = managed_range(m, request), covered = {}, run;
	struct r3map_chunks *chunks = &m->chunks;
	bool waits = false, asked = false;
	unsigned long at;

	if (managed_writes(request))
		covered = r3map_chunks_covered(chunks, request->offset, request->length);
	spin_lock(&chunks->lock);
	/* Everything that is missing is asked for before anything of it is waited for. */
	for (at = range.first;; at++) {
		at = find_next_zero_bit(chunks->local, range.end, at);
		if (at >= range.end)
			break;
		if (at >= covered.first && at < covered.end && !test_bit(at, chunks->busy))
			continue;
		if (!waits) {
			request->waited = true;
			r3map_chunks_wait(chunks, request, at);
		}
		waits = true;
		if (r3map_chunks_is_pending(chunks, at))
			continue;
		/* Before the lock is let go: then somebody else may have it already. */
		if (!asked)
			request->demanded = true;
		asked = true;
		run = managed_run_of(m, at, range.end, covered);
		spin_unlock(&chunks->lock);
		managed_fetch(m, run);
		at = run.end - 1;
		spin_lock(&chunks->lock);
	}
	if (!waits) {
		for (at = range.first;; at++) {
			at = find_next_zero_bit(chunks->local, range.end, at);
			if (at >= range.end)
				break;
			r3map_chunks_own(chunks, at);
			request->owner = true;
		}
	}
	spin_unlock(&chunks->lock);
	if (waits)
		r3map_device_arm(m->dev);
	return !waits;
}

/* --- serving ------------------------------------------------------------------------------ */

static void managed_step(struct r3map_managed *m, struct r3map_request *request,
			 struct list_head *woken);
static void managed_flush(struct r3map_managed *m, struct r3map_request *request,
			  struct list_head *woken);

static void managed_end(struct r3map_managed *m, struct r3map_request *request,
			blk_status_t status)
{
	if (unlikely(status))
		r3map_managed_add(m, R3MAP_A_COUNTER_ERRORS, 1);
	r3map_request_end(m->dev, request, status);
}

/* @request, a writer, owned the chunks of its range that were not local. */
static void managed_disown(struct r3map_managed *m, struct r3map_request *request, bool local,
			   struct list_head *woken)
{
	struct r3map_chunk_range range = managed_range(m, request);
	struct r3map_chunk_range run = { range.first, range.first };

	request->owner = false;
	spin_lock(&m->chunks.lock);
	for (;;) {
		run.first = find_next_zero_bit(m->chunks.local, range.end, run.end);
		if (run.first >= range.end)
			break;
		run.end = find_next_bit(m->chunks.local, range.end, run.first);
		r3map_chunks_settle(&m->chunks, run, local, woken);
	}
	spin_unlock(&m->chunks.lock);
}

/* Is this hit one of those that are timed? A look at the clock is a part of what a hit costs. */
static bool managed_samples(const struct r3map_managed *m)
{
	return !(this_cpu_read(m->counter[R3MAP_A_COUNTER_HITS]) % R3MAP_LATENCY_SAMPLE);
}

static void managed_note(struct r3map_managed *m, enum r3map_a_latency kind, u64 begun)
{
	r3map_latency_note_cpu(&m->latency[kind], ktime_get_ns() - begun);
}

/* How long @request took. A write of chunks that were not there, as a whole, is none of these. */
static void managed_note_done(struct r3map_managed *m, const struct r3map_request *request)
{
	if (request->demanded) {
		r3map_managed_add(m, R3MAP_A_COUNTER_DEMANDS, 1);
		managed_note(m, R3MAP_A_LATENCY_DEMANDS, request->begun);
	} else if (request->waited) {
		r3map_managed_add(m, R3MAP_A_COUNTER_COALESCED, 1);
		managed_note(m, R3MAP_A_LATENCY_COALESCED, request->begun);
	} else if (request->sampled) {
		managed_note(m, R3MAP_A_LATENCY_HITS, request->begun);
	}
}

static void managed_count_done(struct r3map_managed *m, const struct r3map_request *request)
{
	r3map_managed_add(m, r3map_op_counter(request->op), 1);
	if (request->op == R3MAP_OP_READ)
		r3map_managed_add(m, R3MAP_A_COUNTER_READ_BYTES, request->bio->bi_iter.bi_size);
	else if (request->op == R3MAP_OP_WRITE)
		r3map_managed_add(m, R3MAP_A_COUNTER_WRITE_BYTES, request->bio->bi_iter.bi_size);
}

static void managed_dirty(struct r3map_managed *m, const struct r3map_request *request, int err)
{
	struct r3map_chunk_range range = managed_range(m, request);
	unsigned long at;

	if (likely(!err)) {
		r3map_chunks_dirty(&m->chunks, range);
		return;
	}
	/* Nobody knows how far it came. What is its own stays remote, and is no loss. */
	for (at = range.first; at < range.end; at++)
		if (test_bit(at, m->chunks.local))
			r3map_chunks_dirty(&m->chunks, (struct r3map_chunk_range) { at, at + 1 });
}

/* The bytes of @request were moved, or could not be. */
static void managed_moved(struct r3map_managed *m, struct r3map_request *request, int err,
			  struct list_head *woken)
{
	if (managed_writes(request)) {
		managed_dirty(m, request, err);
		if (request->owner)
			managed_disown(m, request, !err, woken);
	}
	/* Memory that is short now comes back; the request's timeout bounds how long it waits. */
	if (unlikely(err == -ENOMEM)) {
		LIST_HEAD(again);

		list_add(&request->node, &again);
		managed_stall(m, &again, MANAGED_RETRY_MS);
		return;
	}
	if (unlikely(err)) {
		managed_end(m, request, errno_to_blk_status(err));
		return;
	}
	managed_count_done(m, request);
	managed_note_done(m, request);
	if (managed_writes(request) && (request->bio->bi_opf & REQ_FUA) &&
	    m->flush != R3MAP_FLUSH_LOCAL) {
		request->op = R3MAP_OP_FLUSH;
		request->saved = false;
		request->since = jiffies;
		managed_step(m, request, woken);
	} else {
		managed_end(m, request, BLK_STS_OK);
	}
}

/* A flush that needs no helper is done. */
static void managed_flushed(struct r3map_managed *m, struct r3map_request *request, int err,
			    struct list_head *woken)
{
	if (unlikely(err)) {
		managed_end(m, request, errno_to_blk_status(err));
		return;
	}
	managed_count_done(m, request);
	if (request->flush_first) {
		r3map_request_next_stage(request);
		managed_step(m, request, woken);
	} else {
		managed_end(m, request, BLK_STS_OK);
	}
}

int r3map_managed_save(struct r3map_managed *m)
{
	return m->mapfile ? r3map_mapfile_save(m->mapfile) : r3map_store_sync(&m->store);
}

/* The store is on disk: that was it, or the helper does the rest. */
static void managed_saved(struct r3map_managed *m, struct r3map_request *request, int err,
			  struct list_head *woken)
{
	if (err || m->flush == R3MAP_FLUSH_DURABLE) {
		managed_flushed(m, request, err, woken);
		return;
	}
	request->saved = true;
	managed_flush(m, request, woken);
}

/* Moves the bytes of @request, and sleeps for that. */
static int managed_move(struct r3map_managed *m, struct r3map_request *request)
{
	struct r3map_store *store = &m->store;
	int err = 0;

	if (managed_writes(request) && !managed_intends(m, request->offset, request->length))
		err = r3map_mapfile_intend(m->mapfile, request->offset, request->length);
	if (err)
		return err;
	switch (request->op) {
	case R3MAP_OP_READ:
		return r3map_store_read(store, request->bio, request->offset);
	case R3MAP_OP_WRITE:
		return r3map_store_write(store, request->bio, request->offset);
	default:
		return r3map_store_zero(store, request->offset, request->length);
	}
}

static void managed_work(struct work_struct *work)
{
	struct r3map_request *request = container_of(work, struct r3map_request, work);
	struct r3map_device *dev = request->bio->bi_bdev->bd_disk->private_data;
	struct r3map_managed *m = dev->managed;
	LIST_HEAD(woken);

	if (request->op == R3MAP_OP_FLUSH)
		managed_saved(m, request, r3map_managed_save(m), &woken);
	else
		managed_moved(m, request, managed_move(m, request), &woken);
	r3map_managed_run(m, &woken);
	r3map_device_put(dev);
}

/* To a work item, which may sleep. */
static void managed_defer(struct r3map_managed *m, struct r3map_request *request,
			  struct list_head *woken)
{
	if (request->bio->bi_opf & REQ_NOWAIT) {
		r3map_managed_add(m, R3MAP_A_COUNTER_WOULD_BLOCK, 1);
		if (request->owner)
			managed_disown(m, request, false, woken);
		r3map_request_end(m->dev, request, BLK_STS_AGAIN);
		return;
	}
	/* The bio keeps the device only until it ends, and the work goes on with those it wakes. */
	r3map_device_get(m->dev);
	INIT_WORK(&request->work, managed_work);
	queue_work(m->workqueue, &request->work);
}

static void managed_flush(struct r3map_managed *m, struct r3map_request *request,
			  struct list_head *woken)
{
	switch (m->flush) {
	case R3MAP_FLUSH_LOCAL:
		managed_flushed(m, request, 0, woken);
		break;
	case R3MAP_FLUSH_DURABLE:
		managed_defer(m, request, woken);
		break;
	default:
		/*
		 * What is pushed must be on the disk of the store before: after a crash it is the
		 * store that is believed.
		 */
		if (m->mapfile && !request->saved) {
			managed_defer(m, request, woken);
			break;
		}
		/* All of them in one queue: that of the thread which pushes. */
		r3map_queue_submit(&m->dev->queues[0], request);
	}
}

/*
 * A discard is a hint: chunks at its ends that are not local are left out rather than fetched.
 * False if nothing is left of it.
 */
static bool managed_trim(struct r3map_managed *m, struct r3map_request *request)
{
	struct r3map_chunk_range range = managed_range(m, request), covered, first, last;
	u64 end = request->offset + request->length;

	covered = r3map_chunks_covered(&m->chunks, request->offset, request->length);
	first = (struct r3map_chunk_range) { range.first, range.first + 1 };
	last = (struct r3map_chunk_range) { range.end - 1, range.end };
	if (covered.end < range.end && !r3map_chunks_are_local(&m->chunks, last))
		end = (u64)last.first << m->chunks.shift;
	if (covered.first > range.first && !r3map_chunks_are_local(&m->chunks, first))
		request->offset = (u64)first.end << m->chunks.shift;
	if (request->offset >= end)
		return false;
	request->length = end - request->offset;
	return true;
}

/* As far as @request comes now. Its owner gives it away. */
static void managed_step(struct r3map_managed *m, struct r3map_request *request,
			 struct list_head *woken)
{
	bool local, moved = false;

	if (request->op == R3MAP_OP_FLUSH) {
		managed_flush(m, request, woken);
		return;
	}
	if (request->op == R3MAP_OP_DISCARD && !managed_trim(m, request)) {
		managed_count_done(m, request);
		managed_end(m, request, BLK_STS_OK);
		return;
	}
	local = r3map_chunks_are_local(&m->chunks, managed_range(m, request));
	if (!request->counted) {
		request->counted = true;
		request->sampled = local && managed_samples(m);
		r3map_managed_add(m, local ? R3MAP_A_COUNTER_HITS : R3MAP_A_COUNTER_MISSES, 1);
	}
	if (unlikely(!local)) {
		if (request->bio->bi_opf & REQ_NOWAIT) {
			managed_defer(m, request, woken);
			return;
		}
		if (!managed_acquire(m, request))
			return;
	}
	if (request->op == R3MAP_OP_READ)
		moved = r3map_store_read_now(&m->store, request->bio, request->offset);
	else if (request->op == R3MAP_OP_WRITE &&
		 managed_intends(m, request->offset, request->length))
		moved = r3map_store_write_now(&m->store, request->bio, request->offset);
	if (!moved && request->op == R3MAP_OP_WRITE && !request->owner)
		managed_dirty(m, request, 0);
	if (likely(moved))
		managed_moved(m, request, 0, woken);
	else
		managed_defer(m, request, woken);
}

bool r3map_managed_try(struct r3map_managed *m, struct bio *bio)
{
	u64 offset = bio->bi_iter.bi_sector << SECTOR_SHIFT;
	u32 length = bio->bi_iter.bi_size;
	struct r3map_chunk_range range;
	unsigned long start = jiffies;
	bool write = op_is_write(bio_op(bio));
	u64 begun = 0;

	if (unlikely(!bio_has_data(bio)) || (bio->bi_opf & (REQ_PREFLUSH | REQ_FUA)))
		return false;
	range = r3map_chunks_touched(&m->chunks, offset, length);
	if (unlikely(!r3map_chunks_are_local(&m->chunks, range)))
		return false;
	if (write && unlikely(!managed_intends(m, offset, length)))
		return false;
	if (unlikely(managed_samples(m)))
		begun = ktime_get_ns();
	if (write) {
		bool moved = r3map_store_write_now(&m->store, bio, offset);

		/* Also when only a part of it was, and nothing more may come. */
		r3map_chunks_dirty(&m->chunks, range);
		if (unlikely(!moved))
			return false;
	} else if (unlikely(!r3map_store_read_now(&m->store, bio, offset))) {
		return false;
	}
	if (write) {
		r3map_epochs_mark(&m->dev->epochs, offset, length);
		r3map_hold_leave(&m->dev->held);
	}
	r3map_hold_served(&m->dev->held);
	if (unlikely(begun))
		managed_note(m, R3MAP_A_LATENCY_HITS, begun);
	r3map_managed_add(m, R3MAP_A_COUNTER_HITS, 1);
	r3map_managed_add(m, write ? R3MAP_A_COUNTER_WRITES : R3MAP_A_COUNTER_READS, 1);
	r3map_managed_add(m, write ? R3MAP_A_COUNTER_WRITE_BYTES : R3MAP_A_COUNTER_READ_BYTES,
			  length);
	if (blk_queue_io_stat(bdev_get_queue(bio->bi_bdev))) {
		bio_start_io_acct(bio);
		bio_end_io_acct(bio, start);
	}
	bio_endio(bio);
	return true;
}

void r3map_managed_run(struct r3map_managed *m, struct list_head *woken)
{
	struct r3map_request *request;

	/* Each step may wake more. */
	while (!list_empty(woken)) {
		request = list_first_entry(woken, struct r3map_request, node);
		list_del(&request->node);
		managed_step(m, request, woken);
	}
}

void r3map_managed_submit(struct r3map_managed *m, struct r3map_request *request)
{
	LIST_HEAD(woken);

	managed_step(m, request, &woken);
	r3map_managed_run(m, &woken);
}

/* --- the helper comes and goes, and time passes ------------------------------------------- */

static void managed_look(struct work_struct *work)
{
	struct r3map_managed *m = container_of(to_delayed_work(work), struct r3map_managed, look);
	LIST_HEAD(stalled);

	spin_lock(&m->chunks.lock);
	list_splice_init(&m->stalled, &stalled);
	spin_unlock(&m->chunks.lock);
	r3map_managed_run(m, &stalled);
}

void r3map_managed_serve(struct r3map_managed *m)
{
	struct r3map_request *request;

	lockdep_assert_held(&m->dev->lock);
	spin_lock(&m->chunks.lock);
	m->timed = true;
	list_for_each_entry(request, &m->chunks.waiters, node)
		request->since = jiffies;
	list_for_each_entry(request, &m->stalled, node)
		request->since = jiffies;
	spin_unlock(&m->chunks.lock);
}

void r3map_managed_abandon(struct r3map_managed *m)
{
	LIST_HEAD(woken);

	lockdep_assert_held(&m->dev->lock);
	spin_lock(&m->chunks.lock);
	m->timed = false;
	spin_unlock(&m->chunks.lock);
	r3map_chunks_abandon(&m->chunks, &woken);
	/* They ask for their chunks themselves now: of the next helper, or they fail. */
	r3map_managed_stall(m, &woken);
}

void r3map_managed_fail(struct r3map_managed *m)
{
	r3map_managed_abandon(m);
	spin_lock(&m->chunks.lock);
	m->timed = true;
	spin_unlock(&m->chunks.lock);
	r3map_device_arm(m->dev);
}

static void managed_expire_list(struct r3map_managed *m, struct list_head *list,
				unsigned long before, struct list_head *expired)
{
	struct r3map_request *request, *next;

	lockdep_assert_held(&m->chunks.lock);
	/* Not sorted: some have waited before. */
	list_for_each_entry_safe(request, next, list, node) {
		if (!time_before(request->since, before))
			continue;
		r3map_chunks_unwait(&m->chunks, request, expired);
		r3map_managed_add(m, R3MAP_A_COUNTER_TIMEOUTS, 1);
		r3map_managed_add(m, R3MAP_A_COUNTER_ERRORS, 1);
	}
}

bool r3map_managed_expire(struct r3map_managed *m, unsigned long timeout)
{
	unsigned long before = jiffies - timeout;
	LIST_HEAD(expired);
	bool busy;

	spin_lock(&m->chunks.lock);
	if (m->timed) {
		managed_expire_list(m, &m->chunks.waiters, before, &expired);
		managed_expire_list(m, &m->stalled, before, &expired);
	}
	busy = !list_empty(&m->chunks.waiters) || !list_empty(&m->stalled);
	spin_unlock(&m->chunks.lock);
	r3map_request_end_list(m->dev, &expired, BLK_STS_TIMEOUT);
	return busy;
}

/* --- making ------------------------------------------------------------------------------- */

static int managed_mapfile(struct r3map_managed *m, const struct r3map_device_config *config,
			   struct netlink_ext_ack *extack)
{
	if (config->map < 0)
		return 0;
	m->mapfile = kzalloc(sizeof(*m->mapfile), GFP_KERNEL);
	if (!m->mapfile)
		return -ENOMEM;
	return r3map_mapfile_init(m->mapfile, config->map, config->map_region, &m->store,
				  &m->chunks, m->workqueue, extack);
}

struct r3map_managed *r3map_managed_new(struct r3map_device *dev,
					const struct r3map_device_config *config,
					struct netlink_ext_ack *extack)
{
	struct r3map_managed *m = kzalloc(sizeof(*m), GFP_KERNEL);
	int err = -ENOMEM;

	if (!m)
		return ERR_PTR(-ENOMEM);
	m->dev = dev;
	m->flush = config->params.flush;
	m->pushed = jiffies;
	INIT_LIST_HEAD(&m->stalled);
	INIT_DELAYED_WORK(&m->look, managed_look);
	m->counter = __alloc_percpu(__R3MAP_A_COUNTER_MAX * sizeof(u64), sizeof(u64));
	m->latency = __alloc_percpu((R3MAP_A_LATENCY_COALESCED + 1) * sizeof(*m->latency),
				    sizeof(u64));
	m->fetches = r3map_request_pool_new();
	m->workqueue = alloc_workqueue("r3map-store", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!m->counter || !m->latency || !m->fetches || !m->workqueue)
		goto err_free;
	err = r3map_store_init(&m->store, config->store, dev->size, extack) ?:
	      r3map_chunks_init(&m->chunks, dev->size, config->params.chunk) ?:
	      managed_mapfile(m, config, extack);
	if (err)
		goto err_free;
	return m;

err_free:
	r3map_managed_free(m);
	return ERR_PTR(err);
}

void r3map_managed_free(struct r3map_managed *m)
{
	if (!m)
		return;
	cancel_delayed_work_sync(&m->look);
	if (m->mapfile)
		r3map_mapfile_exit(m->mapfile);
	kfree(m->mapfile);
	if (m->workqueue)
		destroy_workqueue(m->workqueue);
	r3map_store_exit(&m->store);
	r3map_chunks_exit(&m->chunks);
	mempool_destroy(m->fetches);
	free_percpu(m->latency);
	free_percpu(m->counter);
	kfree(m);
}

bool r3map_managed_is_settled(struct r3map_managed *m)
{
	return m->mapfile ? r3map_chunks_are_flushed(&m->chunks) :
			    !r3map_chunks_are_dirty(&m->chunks);
}

void r3map_managed_end(struct r3map_managed *m)
{
	if (!m->mapfile)
		return;
	/* What cannot be saved, or is not at the backend, is pushed by the next one. */
	if (!r3map_mapfile_save(m->mapfile) && r3map_chunks_are_flushed(&m->chunks))
		r3map_mapfile_clear(m->mapfile);
}

u64 r3map_managed_memory(const struct r3map_managed *m)
{
	return sizeof(*m) + r3map_chunks_memory(&m->chunks) +
	       (m->mapfile ? r3map_mapfile_memory(m->mapfile) : 0);
}

void r3map_managed_count(const struct r3map_managed *m, u64 *counter)
{
	int cpu, i;

	for_each_possible_cpu(cpu)
		for (i = 0; i < __R3MAP_A_COUNTER_MAX; i++)
			counter[i] += per_cpu_ptr(m->counter, cpu)[i];
}
