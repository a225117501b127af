/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The chunk map of a managed device: which chunks of the region are local, which are on their
 * way, and which have been written and are not at the backend yet.
 *
 *	             a bio needs it, or the helper claims it
 *	  remote ───────────────────────────────────────────► busy
 *	    ▲                                                  │ │
 *	    └──────────────────── it failed ───────────────────┘ │ filled, or written as a whole
 *	                                                         ▼
 *	                                                       local
 *
 * A chunk that is busy has one owner: a FETCH request, a claim of the helper, or a bio that
 * writes all of it. Only the owner touches its bytes in the store. A chunk that is claimed and not
 * busy is claimed loosely: the helper reads it into memory of its own, nobody touches its bytes in
 * the store, and a bio that writes all of it may take it; others wait for it as for one that is
 * busy. When the helper has read it, its claim becomes a firm one, if it still has it. A local
 * chunk stays local, but while all bios of the device are held: then the helper may drop it, and it
 * is remote again.
 *
 * Dirty: set after the bytes of a write are in the store and before its bio ends. Taken: the helper
 * pushes it; while it does, the chunk is not given out a second time, and a write makes it dirty
 * again.
 *
 * The map knows nothing of bios but the chunk that one waits for; managed.c does the rest.
 */
#ifndef R3MAP_CHUNK_H
#define R3MAP_CHUNK_H

#include <linux/list.h>
#include <linux/r3map.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct netlink_ext_ack;
struct r3map_request;

#define R3MAP_CHUNK_BUCKETS 64

struct r3map_chunks {
	u64 size;			/* constant: bytes of the region */
	u32 shift;			/* constant: log2 of the bytes of a chunk */
	unsigned long nr;		/* constant: chunks; the last may be shorter */

	/* One bit for each chunk. */
	unsigned long *local;		/* changed under @lock, read without */
	unsigned long *dirty;		/* likewise, with atomic operations */

	spinlock_t lock;		/* a leaf; guards the rest */
	unsigned long *busy;		/* one has its owner, see above */
	unsigned long *claimed;		/* by the helper: firmly if busy, too, else loosely */
	unsigned long *taken;
	unsigned long nr_local;
	unsigned long nr_dirty;
	unsigned long nr_claimed;
	unsigned long nr_taken;
	unsigned long nr_again;		/* taken, and dirty again */
	u32 nr_waiters;
	bool unflushed;			/* pushed, and the backend was not flushed since */
	struct list_head waiters;	/* requests that wait for a chunk */
	struct hlist_head buckets[R3MAP_CHUNK_BUCKETS];	/* the same, by chunk */
};

/* A range of chunks: from @first up to, not including, @end. */
struct r3map_chunk_range {
	unsigned long first, end;
};

/* Context: sleeps. Undone by r3map_chunks_exit(), also after a failure. */
int r3map_chunks_init(struct r3map_chunks *chunks, u64 size, u32 chunk);
void r3map_chunks_exit(struct r3map_chunks *chunks);
/* Bytes of its tables. */
u64 r3map_chunks_memory(const struct r3map_chunks *chunks);

/* The chunks that @length bytes (> 0) at @offset touch. */
static inline struct r3map_chunk_range
r3map_chunks_touched(const struct r3map_chunks *chunks, u64 offset, u64 length)
{
	return (struct r3map_chunk_range) {
		offset >> chunks->shift, ((offset + length - 1) >> chunks->shift) + 1,
	};
}

/* The chunks that lie within these bytes as a whole; the last one of the region may be short. */
struct r3map_chunk_range r3map_chunks_covered(const struct r3map_chunks *chunks, u64 offset,
					      u64 length);

/* Bytes from the start of @range to its end. */
u64 r3map_chunks_bytes(const struct r3map_chunks *chunks, struct r3map_chunk_range range);

/* Is all of @range local? If so, its bytes can be read in the store. Context: any, no lock. */
bool r3map_chunks_are_local(const struct r3map_chunks *chunks, struct r3map_chunk_range range);

/* A write of @range is in the store. Context: any, no lock. */
void r3map_chunks_dirty(struct r3map_chunks *chunks, struct r3map_chunk_range range);

/* @chunk is to be woken for; the owner of @request gives it away. Context: the lock is held. */
void r3map_chunks_wait(struct r3map_chunks *chunks, struct r3map_request *request,
		       unsigned long chunk);

/*
 * The owner of @range, all busy, is done with it: local, or remote again. Those who wait for it
 * are moved to @woken and are the caller's. Context: the lock is held.
 */
void r3map_chunks_settle(struct r3map_chunks *chunks, struct r3map_chunk_range range, bool local,
			 struct list_head *woken);
/*
 * Moves one who waits, or who has been woken before and is on a list of his own, to the list @to.
 * Context: the lock is held.
 */
void r3map_chunks_unwait(struct r3map_chunks *chunks, struct r3map_request *request,
			 struct list_head *to);

/* What a call of the helper asks about, in chunks and bytes. */
struct r3map_chunk_query {
	struct r3map_chunk_range range;
	u64 max;			/* bytes */
	bool loose;			/* the claims are to be loose */
	unsigned long next;		/* out: where it stopped */
	u32 nr;				/* out: extents used */
	struct r3map_extent *extents;	/* R3MAP_MAX_EXTENTS of them */
};

/*
 * CHUNK_CLAIM, CHUNK_FIRM, DIRTY_TAKE and CHUNK_GET. Context: any; a bounded piece of work, hence
 * next.
 */
void r3map_chunks_claim(struct r3map_chunks *chunks, struct r3map_chunk_query *query);
void r3map_chunks_firm(struct r3map_chunks *chunks, struct r3map_chunk_query *query);
void r3map_chunks_take(struct r3map_chunks *chunks, struct r3map_chunk_query *query);
void r3map_chunks_get(struct r3map_chunks *chunks, struct r3map_chunk_query *query);

/*
 * Takes back r3map_chunks_claim() of @extents, as far as nobody has taken them away since. @woken
 * gets who has waited for them.
 */
void r3map_chunks_unclaim(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
			  struct list_head *woken);
/* Takes back r3map_chunks_firm() of @extents. @woken gets who has waited for them meanwhile. */
void r3map_chunks_loosen(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
			 struct list_head *woken);

/* Does somebody fetch, fill or write @chunk, which is not local? Context: the lock is held. */
static inline bool r3map_chunks_is_pending(const struct r3map_chunks *chunks, unsigned long chunk)
{
	lockdep_assert_held(&chunks->lock);
	return test_bit(chunk, chunks->busy) || test_bit(chunk, chunks->claimed);
}

/*
 * @chunk, which is not local nor busy, is the caller's now; a loose claim of it ends. Context: the
 * lock is held.
 */
void r3map_chunks_own(struct r3map_chunks *chunks, unsigned long chunk);

/**
 * r3map_chunks_fill - CHUNK_FILL: claims end, for better or worse
 * @woken: gets who waited for these chunks
 * Return: 0, or -EINVAL with text in @extack when nothing was changed.
 */
int r3map_chunks_fill(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
		      bool filled, struct list_head *woken, struct netlink_ext_ack *extack);
/* DIRTY_DONE, likewise. */
int r3map_chunks_done(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
		      bool pushed, struct netlink_ext_ack *extack);

/*
 * CHUNK_DROP, likewise: @extents become remote. Context: no bio is let in, so nobody reads them,
 * and none of them was ever written.
 */
int r3map_chunks_drop(struct r3map_chunks *chunks, const struct r3map_extent *extents, u32 nr,
		      struct netlink_ext_ack *extack);
/*
 * The same of those whose bit is set in @words words of @bits, from @first, a multiple of 64, on.
 * A page at most: the lock is held meanwhile. -EBUSY: up to the first word with one that is
 * claimed.
 */
int r3map_chunks_drop_bits(struct r3map_chunks *chunks, unsigned long first,
			   const unsigned long *bits, unsigned long words,
			   struct netlink_ext_ack *extack);

/* The helper is gone: claims end, what was taken is dirty. @woken as above. */
void r3map_chunks_abandon(struct r3map_chunks *chunks, struct list_head *woken);

/*
 * What was local, and dirty, in an earlier life: the chunks of @local, a bitmap; and of those the
 * ones in @range. Context: sleeps; nobody else has @chunks yet.
 */
void r3map_chunks_load(struct r3map_chunks *chunks, const unsigned long *local);
void r3map_chunks_dirty_local(struct r3map_chunks *chunks, struct r3map_chunk_range range);

/* The backend has for good what was pushed. Context: any. */
void r3map_chunks_flushed(struct r3map_chunks *chunks);
/* Does it have everything for good? Context: any. */
bool r3map_chunks_are_flushed(struct r3map_chunks *chunks);
/* Is anything dirty or taken? Context: any. */
bool r3map_chunks_are_dirty(struct r3map_chunks *chunks);
/* Bytes that are local, and dirty or taken. Context: any. */
void r3map_chunks_count(struct r3map_chunks *chunks, u64 *local, u64 *dirty);

#endif
