// SPDX-License-Identifier: GPL-2.0-only
/*
 * The chunk map. See chunk.h.
 */
#include <linux/bitmap.h>
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/sched.h>

#include "chunk.h"
#include "request.h"

#define CHUNK_SCAN	((unsigned long)R3MAP_CHUNKS_MESSAGE)

static unsigned long *chunks_bits(const struct r3map_chunks *chunks)
{
	return kvcalloc(BITS_TO_LONGS(chunks->nr), sizeof(long), GFP_KERNEL);
}

int r3map_chunks_init(struct r3map_chunks *chunks, u64 size, u32 chunk)
{
	u32 i;

	chunks->size = size;
	chunks->shift = ilog2(chunk);
	chunks->nr = DIV_ROUND_UP_ULL(size, chunk);
	spin_lock_init(&chunks->lock);
	INIT_LIST_HEAD(&chunks->waiters);
	for (i = 0; i < R3MAP_CHUNK_BUCKETS; i++)
		INIT_HLIST_HEAD(&chunks->buckets[i]);
	chunks->local = chunks_bits(chunks);
	chunks->dirty = chunks_bits(chunks);
	chunks->busy = chunks_bits(chunks);
	chunks->claimed = chunks_bits(chunks);
	chunks->taken = chunks_bits(chunks);
	if (!chunks->local || !chunks->dirty || !chunks->busy || !chunks->claimed ||
	    !chunks->taken)
		return -ENOMEM;
	return 0;
}

void r3map_chunks_exit(struct r3map_chunks *chunks)
{
	kvfree(chunks->taken);
	kvfree(chunks->claimed);
	kvfree(chunks->busy);
	kvfree(chunks->dirty);
	kvfree(chunks->local);
}

u64 r3map_chunks_memory(const struct r3map_chunks *chunks)
{
	return 5 * BITS_TO_LONGS(chunks->nr) * sizeof(long);
}

struct r3map_chunk_range r3map_chunks_covered(const struct r3map_chunks *chunks, u64 offset,
					      u64 length)
{
	u64 mask = (1ull << chunks->shift) - 1, end = offset + length;
	struct r3map_chunk_range range = {
		.first = (offset + mask) >> chunks->shift,
		.end = end == chunks->size ? chunks->nr : end >> chunks->shift,
	};

	if (range.end < range.first)
		range.end = range.first;
	return range;
}

u64 r3map_chunks_bytes(const struct r3map_chunks *chunks, struct r3map_chunk_range range)
{
	u64 end = min((u64)range.end << chunks->shift, chunks->size);

	return range.end > range.first ? end - ((u64)range.first << chunks->shift) : 0;
}

bool r3map_chunks_are_local(const struct r3map_chunks *chunks, struct r3map_chunk_range range)
{
	if (find_next_zero_bit(chunks->local, range.end, range.first) < range.end)
		return false;
	/* The bits before the bytes; pairs with r3map_chunks_settle(). */
	smp_rmb();
	return true;
}

static void chunks_dirty_one(struct r3map_chunks *chunks, unsigned long chunk)
{
	lockdep_assert_held(&chunks->lock);
	if (test_and_set_bit(chunk, chunks->dirty))
		return;
	chunks->nr_dirty++;
	if (test_bit(chunk, chunks->taken))
		chunks->nr_again++;
}

void r3map_chunks_dirty(struct r3map_chunks *chunks, struct r3map_chunk_range range)
{
	unsigned long chunk;

	/*
	 * The bytes before the bit is looked at; pairs with chunks_take_one(): either the bit is
	 * seen clear here and set again, or who cleared it sees the bytes.
	 */
	smp_mb();
	chunk = find_next_zero_bit(chunks->dirty, range.end, range.first);
	if (likely(chunk >= range.end))
		return;
	spin_lock(&chunks->lock);
	for (; chunk < range.end; chunk++)
		chunks_dirty_one(chunks, chunk);
	spin_unlock(&chunks->lock);
}

/* --- who waits ---------------------------------------------------------------------------- */

static struct hlist_head *chunks_bucket(struct r3map_chunks *chunks, unsigned long chunk)
{
	return &chunks->buckets[hash_long(chunk, ilog2(R3MAP_CHUNK_BUCKETS))];
}

void r3map_chunks_wait(struct r3map_chunks *chunks, struct r3map_request *request,
		       unsigned long chunk)
{
	lockdep_assert_held(&chunks->lock);
	request->chunk = chunk;
	list_add_tail(&request->node, &chunks->waiters);
	hlist_add_head(&request->bucket, chunks_bucket(chunks, chunk));
	chunks->nr_waiters++;
}

void r3map_chunks_unwait(struct r3map_chunks *chunks, struct r3map_request *request,
			 struct list_head *to)
{
	lockdep_assert_held(&chunks->lock);
	if (!hlist_unhashed(&request->bucket)) {
		hlist_del_init(&request->bucket);
		chunks->nr_waiters--;
	}
	list_move_tail(&request->node, to);
}

static void chunks_wake(struct r3map_chunks *chunks, struct r3map_chunk_range range,
			struct list_head *woken)
{
	struct r3map_request *request, *next;
	struct hlist_node *after;
	unsigned long chunk;

	if (list_empty(&chunks->waiters))
		return;
	if (range.end - range.first > R3MAP_CHUNK_BUCKETS) {
		list_for_each_entry_safe(request, next, &chunks->waiters, node)
			if (request->chunk >= range.first && request->chunk < range.end)
				r3map_chunks_unwait(chunks, request, woken);
		return;
	}
	for (chunk = range.first; chunk < range.end; chunk++)
		hlist_for_each_entry_safe(request, after, chunks_bucket(chunks, chunk), bucket)
			if (request->chunk == chunk)
				r3map_chunks_unwait(chunks, request, woken);
}

void r3map_chunks_settle(struct r3map_chunks *chunks, struct r3map_chunk_range range, bool local,
			 struct list_head *woken)
{
	unsigned long nr = range.end - range.first;

	lockdep_assert_held(&chunks->lock);
	if (local) {
		/* The bytes before the bits; pairs with r3map_chunks_are_local(). */
		smp_wmb();
		bitmap_set(chunks->local, range.first, nr);
		chunks->nr_local += nr;
	}
	bitmap_clear(chunks->busy, range.first, nr);
	chunks_wake(chunks, range, woken);
}

/* --- what the helper asks ----------------------------------------------------------------- */

/* The end of the part of @query that one call looks at. */
static unsigned long query_end(const struct r3map_chunk_query *query)
{
	return min(query->range.end, query->range.first + CHUNK_SCAN);
}

/* Room for chunk @chunk, next to the last extent or in a new one? */
static bool query_add(const struct r3map_chunks *chunks, struct r3map_chunk_query *query,
		      unsigned long chunk, u32 flags)
{
	struct r3map_chunk_range one = { chunk, chunk + 1 };
	u64 offset = (u64)chunk << chunks->shift, length = r3map_chunks_bytes(chunks, one);
	struct r3map_extent *last = query->nr ? &query->extents[query->nr - 1] : NULL;

	if (last && last->offset + last->length == offset && last->flags == flags) {
		last->length += length;
		return true;
	}
	if (query->nr == R3MAP_MAX_EXTENTS)
		return false;
	query->extents[query->nr++] = (struct r3map_extent) {
		.offset = offset, .length = length, .flags = flags,
	};
	return true;
}

/* How many of the chunks are asked for: at least one. */
static unsigned long query_most(const struct r3map_chunks *chunks,
				const struct r3map_chunk_query *query)
{
	return max_t(u64, query->max >> chunks->shift, 1);
}

void r3map_chunks_claim(struct r3map_chunks *chunks, struct r3map_chunk_query *query)
{
	unsigned long end = query_end(query), most = query_most(chunks, query), at;

	spin_lock(&chunks->lock);
	for (at = query->range.first; most; at++) {
		at = find_next_zero_bit(chunks->local, end, at);
		if (at >= end)
			break;
		if (r3map_chunks_is_pending(chunks, at))
			continue;
		if (!query_add(chunks, query, at, 0))
			break;
		if (!query->loose)
			__set_bit(at, chunks->busy);
		__set_bit(at, chunks->claimed);
		chunks->nr_claimed++;
		most--;
	}
	spin_unlock(&chunks->lock);
	query->next = min(at, end);
}

void r3map_chunks_unclaim(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
			  struct list_head *woken)
{
	struct r3map_chunk_range range;
	unsigned long chunk;
	u32 i;

	spin_lock(&chunks->lock);
	for (i = 0; i < nr; i++) {
		range = r3map_chunks_touched(chunks, extents[i].offset, extents[i].length);
		chunk = range.first;
		for_each_set_bit_from(chunk, chunks->claimed, range.end) {
			__clear_bit(chunk, chunks->claimed);
			chunks->nr_claimed--;
			r3map_chunks_settle(chunks, (struct r3map_chunk_range) { chunk, chunk + 1 },
					    false, woken);
		}
	}
	spin_unlock(&chunks->lock);
}

void r3map_chunks_firm(struct r3map_chunks *chunks, struct r3map_chunk_query *query)
{
	unsigned long end = query_end(query), at;

	spin_lock(&chunks->lock);
	for (at = query->range.first;; at++) {
		at = find_next_bit(chunks->claimed, end, at);
		if (at >= end)
			break;
		if (test_bit(at, chunks->busy))
			continue;
		if (!query_add(chunks, query, at, 0))
			break;
		__set_bit(at, chunks->busy);
	}
	spin_unlock(&chunks->lock);
	query->next = min(at, end);
}

void r3map_chunks_loosen(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
			 struct list_head *woken)
{
	struct r3map_chunk_range range;
	u32 i;

	spin_lock(&chunks->lock);
	for (i = 0; i < nr; i++) {
		range = r3map_chunks_touched(chunks, extents[i].offset, extents[i].length);
		bitmap_clear(chunks->busy, range.first, range.end - range.first);
		chunks_wake(chunks, range, woken);
	}
	spin_unlock(&chunks->lock);
}

void r3map_chunks_own(struct r3map_chunks *chunks, unsigned long chunk)
{
	lockdep_assert_held(&chunks->lock);
	WARN_ON_ONCE(test_bit(chunk, chunks->local) || test_bit(chunk, chunks->busy));
	__set_bit(chunk, chunks->busy);
	if (!test_bit(chunk, chunks->claimed))
		return;
	__clear_bit(chunk, chunks->claimed);
	chunks->nr_claimed--;
}

static void chunks_take_one(struct r3map_chunks *chunks, unsigned long chunk)
{
	__set_bit(chunk, chunks->taken);
	chunks->nr_taken++;
	/* The bit before the bytes: this is a full barrier; pairs with r3map_chunks_dirty(). */
	if (test_and_clear_bit(chunk, chunks->dirty))
		chunks->nr_dirty--;
}

/* It is at the backend, or, if not, dirty as before. */
static void chunks_untake_one(struct r3map_chunks *chunks, unsigned long chunk, bool pushed)
{
	lockdep_assert_held(&chunks->lock);
	if (test_bit(chunk, chunks->dirty))
		chunks->nr_again--;
	__clear_bit(chunk, chunks->taken);
	chunks->nr_taken--;
	if (!pushed)
		chunks_dirty_one(chunks, chunk);
}

void r3map_chunks_take(struct r3map_chunks *chunks, struct r3map_chunk_query *query)
{
	unsigned long end = query_end(query), most = query_most(chunks, query), at;

	spin_lock(&chunks->lock);
	for (at = query->range.first; most; at++) {
		at = find_next_bit(chunks->dirty, end, at);
		if (at >= end)
			break;
		/*
		 * Not while an older state of it is on its way: the two might arrive in either
		 * order.
		 */
		if (test_bit(at, chunks->taken))
			continue;
		if (!query_add(chunks, query, at, 0))
			break;
		chunks_take_one(chunks, at);
		most--;
	}
	spin_unlock(&chunks->lock);
	query->next = min(at, end);
}

static u32 chunks_flags(const struct r3map_chunks *chunks, unsigned long chunk)
{
	return (test_bit(chunk, chunks->local) ? R3MAP_EXTENT_LOCAL : 0) |
	       (r3map_chunks_is_pending(chunks, chunk) ? R3MAP_EXTENT_BUSY : 0) |
	       (test_bit(chunk, chunks->dirty) || test_bit(chunk, chunks->taken) ?
		R3MAP_EXTENT_DIRTY : 0);
}

void r3map_chunks_get(struct r3map_chunks *chunks, struct r3map_chunk_query *query)
{
	unsigned long end = query_end(query), at = query->range.first;

	spin_lock(&chunks->lock);
	while (at < end && query_add(chunks, query, at, chunks_flags(chunks, at)))
		at++;
	spin_unlock(&chunks->lock);
	query->next = at;
}

/* Are these whole chunks of the region, in ascending order, and all in @bits, if not NULL? */
static int extents_check(const struct r3map_chunks *chunks, const struct r3map_extent *extents,
			 u32 nr, const unsigned long *bits, struct netlink_ext_ack *extack)
{
	u64 mask = (1ull << chunks->shift) - 1, at = 0, most = CHUNK_SCAN;
	struct r3map_chunk_range range;
	u32 i;

	lockdep_assert_held(&chunks->lock);
	for (i = 0; i < nr; i++) {
		const struct r3map_extent *e = &extents[i];

		if (e->flags || e->reserved) {
			NL_SET_ERR_MSG(extack, "FLAGS and RESERVED of EXTENTS must be 0");
			return -EINVAL;
		}
		if (!e->length || e->offset < at || e->offset >= chunks->size ||
		    e->length > chunks->size - e->offset || (e->offset & mask) ||
		    ((e->length & mask) && e->offset + e->length != chunks->size)) {
			NL_SET_ERR_MSG(extack, "EXTENTS are not whole chunks in ascending order");
			return -EINVAL;
		}
		at = e->offset + e->length;
		range = r3map_chunks_touched(chunks, e->offset, e->length);
		if (range.end - range.first > most) {
			NL_SET_ERR_MSG(extack, "EXTENTS are too many chunks for one message");
			return -E2BIG;
		}
		most -= range.end - range.first;
		if (bits && find_next_zero_bit(bits, range.end, range.first) < range.end) {
			NL_SET_ERR_MSG(extack, "not all of EXTENTS was claimed or taken");
			return -EINVAL;
		}
	}
	return 0;
}

int r3map_chunks_fill(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
		      bool filled, struct list_head *woken, struct netlink_ext_ack *extack)
{
	int err;
	u32 i;

	spin_lock(&chunks->lock);
	err = extents_check(chunks, extents, nr, chunks->claimed, extack);
	/* What is claimed loosely may not be in the store. */
	if (!err && filled)
		err = extents_check(chunks, extents, nr, chunks->busy, extack);
	for (i = 0; !err && i < nr; i++) {
		struct r3map_chunk_range range =
			r3map_chunks_touched(chunks, extents[i].offset, extents[i].length);

		bitmap_clear(chunks->claimed, range.first, range.end - range.first);
		chunks->nr_claimed -= range.end - range.first;
		r3map_chunks_settle(chunks, range, filled, woken);
	}
	spin_unlock(&chunks->lock);
	return err;
}

int r3map_chunks_done(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
		      bool pushed, struct netlink_ext_ack *extack)
{
	unsigned long chunk;
	int err;
	u32 i;

	spin_lock(&chunks->lock);
	err = extents_check(chunks, extents, nr, chunks->taken, extack);
	for (i = 0; !err && i < nr; i++) {
		struct r3map_chunk_range range =
			r3map_chunks_touched(chunks, extents[i].offset, extents[i].length);

		for (chunk = range.first; chunk < range.end; chunk++)
			chunks_untake_one(chunks, chunk, pushed);
		if (pushed)
			chunks->unflushed = true;
	}
	spin_unlock(&chunks->lock);
	return err;
}

int r3map_chunks_drop(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
		      struct netlink_ext_ack *extack)
{
	struct r3map_chunk_range range;
	unsigned long chunk;
	int err;
	u32 i;

	spin_lock(&chunks->lock);
	err = extents_check(chunks, extents, nr, NULL, extack);
	for (i = 0; !err && i < nr; i++) {
		range = r3map_chunks_touched(chunks, extents[i].offset, extents[i].length);
		if (find_next_bit(chunks->busy, range.end, range.first) < range.end ||
		    find_next_bit(chunks->claimed, range.end, range.first) < range.end) {
			NL_SET_ERR_MSG(extack, "some of EXTENTS are claimed");
			err = -EBUSY;
		}
	}
	for (i = 0; !err && i < nr; i++) {
		range = r3map_chunks_touched(chunks, extents[i].offset, extents[i].length);
		chunk = range.first;
		for_each_set_bit_from(chunk, chunks->local, range.end)
			chunks->nr_local--;
		bitmap_clear(chunks->local, range.first, range.end - range.first);
	}
	spin_unlock(&chunks->lock);
	return err;
}

int r3map_chunks_drop_bits(struct r3map_chunks *chunks, unsigned long first,
			   const unsigned long *bits, unsigned long words,
			   struct netlink_ext_ack *extack)
{
	unsigned long *local = chunks->local + BIT_WORD(first);
	const unsigned long *busy = chunks->busy + BIT_WORD(first);
	const unsigned long *loose = chunks->claimed + BIT_WORD(first);
	unsigned long i;

	spin_lock(&chunks->lock);
	for (i = 0; i < words; i++) {
		if (!bits[i])
			continue;
		if (bits[i] & (busy[i] | loose[i]))
			break;
		chunks->nr_local -= hweight_long(local[i] & bits[i]);
		local[i] &= ~bits[i];
	}
	spin_unlock(&chunks->lock);
	if (i == words)
		return 0;
	NL_SET_ERR_MSG(extack, "some of what BITMAP says is claimed");
	return -EBUSY;
}

/* One bounded piece of r3map_chunks_abandon(): from @first on; where it stopped. */
static unsigned long chunks_abandon_some(struct r3map_chunks *chunks, unsigned long first,
					 struct list_head *woken)
{
	struct r3map_chunk_range run = { first, first };
	unsigned long end = min(first + CHUNK_SCAN, chunks->nr), at;

	lockdep_assert_held(&chunks->lock);
	for (;;) {
		run.first = find_next_bit(chunks->claimed, end, run.end);
		if (run.first >= end)
			break;
		run.end = find_next_zero_bit(chunks->claimed, end, run.first);
		bitmap_clear(chunks->claimed, run.first, run.end - run.first);
		chunks->nr_claimed -= run.end - run.first;
		r3map_chunks_settle(chunks, run, false, woken);
	}
	at = first;
	for_each_set_bit_from(at, chunks->taken, end)
		chunks_untake_one(chunks, at, false);
	return end;
}

void r3map_chunks_abandon(struct r3map_chunks *chunks, struct list_head *woken)
{
	unsigned long at = 0;

	spin_lock(&chunks->lock);
	while (at < chunks->nr && (chunks->nr_claimed || chunks->nr_taken)) {
		at = chunks_abandon_some(chunks, at, woken);
		if (need_resched()) {
			spin_unlock(&chunks->lock);
			cond_resched();
			spin_lock(&chunks->lock);
		}
	}
	WARN_ON_ONCE(chunks->nr_claimed || chunks->nr_taken);
	spin_unlock(&chunks->lock);
}

/* Bytes of @nr chunks; the last of the region, which may be short, is among them if @last. */
static u64 chunks_sum(const struct r3map_chunks *chunks, unsigned long nr, bool last)
{
	u64 bytes = (u64)nr << chunks->shift;

	return last ? bytes - (((u64)chunks->nr << chunks->shift) - chunks->size) : bytes;
}

void r3map_chunks_count(struct r3map_chunks *chunks, u64 *local, u64 *dirty)
{
	unsigned long last = chunks->nr - 1;

	spin_lock(&chunks->lock);
	*local = chunks_sum(chunks, chunks->nr_local, test_bit(last, chunks->local));
	*dirty = chunks_sum(chunks, chunks->nr_dirty + chunks->nr_taken - chunks->nr_again,
			    test_bit(last, chunks->dirty) || test_bit(last, chunks->taken));
	spin_unlock(&chunks->lock);
}

bool r3map_chunks_are_dirty(struct r3map_chunks *chunks)
{
	u64 local, dirty;

	r3map_chunks_count(chunks, &local, &dirty);
	return dirty;
}

void r3map_chunks_flushed(struct r3map_chunks *chunks)
{
	spin_lock(&chunks->lock);
	chunks->unflushed = false;
	spin_unlock(&chunks->lock);
}

bool r3map_chunks_are_flushed(struct r3map_chunks *chunks)
{
	bool flushed;

	spin_lock(&chunks->lock);
	flushed = !chunks->unflushed && !chunks->nr_dirty && !chunks->nr_taken;
	spin_unlock(&chunks->lock);
	return flushed;
}

void r3map_chunks_load(struct r3map_chunks *chunks, const unsigned long *local)
{
	bitmap_copy(chunks->local, local, chunks->nr);
	chunks->nr_local = bitmap_weight(chunks->local, chunks->nr);
}

void r3map_chunks_dirty_local(struct r3map_chunks *chunks, struct r3map_chunk_range range)
{
	unsigned long chunk = range.first;

	spin_lock(&chunks->lock);
	for_each_set_bit_from(chunk, chunks->local, range.end)
		chunks_dirty_one(chunks, chunk);
	spin_unlock(&chunks->lock);
}
