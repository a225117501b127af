// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty epochs. See epoch.h.
 */
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "epoch.h"

#define EPOCH_GRAINS	BIT(24)	/* at most, unless a grain would be larger than a bio */
#define EPOCH_SCAN	BIT(20)	/* grains between two chances for others */
#define EPOCH_COPY	512	/* words that are copied as one */

static atomic64_t epoch_number;

static void epoch_free(struct rcu_head *rcu)
{
	struct r3map_epoch *epoch = container_of(rcu, struct r3map_epoch, rcu);

	kvfree(epoch->dirty);
	kfree(epoch);
}

static struct r3map_epoch *epoch_new(u64 size, u32 grain)
{
	struct r3map_epoch *epoch = kzalloc(sizeof(*epoch), GFP_NOIO);
	u64 nr;

	if (!epoch)
		return NULL;
	epoch->shift = ilog2(grain);
	while ((nr = ((size - 1) >> epoch->shift) + 1) > EPOCH_GRAINS && epoch->shift < 31)
		epoch->shift++;
	if (nr > R3MAP_MAX_CHUNKS) {
		kfree(epoch);
		return NULL;
	}
	epoch->nr = nr;
	epoch->dirty = kvcalloc(BITS_TO_LONGS(epoch->nr), sizeof(long), GFP_NOIO);
	if (!epoch->dirty) {
		kfree(epoch);
		return NULL;
	}
	epoch->number = atomic64_inc_return(&epoch_number);
	return epoch;
}

static struct r3map_epoch *epoch_at(const struct r3map_epochs *epochs, unsigned int i)
{
	return rcu_dereference_protected(epochs->open[i], lockdep_is_held(epochs->lock));
}

struct r3map_epoch *r3map_epoch_open(struct r3map_epochs *epochs, u64 size, u32 grain,
				     struct netlink_ext_ack *extack)
{
	struct r3map_epoch *epoch;
	unsigned int i = 0;

	while (i < R3MAP_MAX_EPOCHS && epoch_at(epochs, i))
		i++;
	if (i == R3MAP_MAX_EPOCHS) {
		NL_SET_ERR_MSG(extack, "the device has as many epochs as it can have");
		return ERR_PTR(-EBUSY);
	}
	epoch = epoch_new(size, grain);
	if (!epoch)
		return ERR_PTR(-ENOMEM);
	rcu_assign_pointer(epochs->open[i], epoch);
	WRITE_ONCE(epochs->nr, epochs->nr + 1);
	/* The epoch before the bytes that are read from now on; see epoch.h. */
	smp_mb();
	return epoch;
}

struct r3map_epoch *r3map_epoch_find(struct r3map_epochs *epochs, u64 number)
{
	struct r3map_epoch *epoch;
	unsigned int i;

	for (i = 0; i < R3MAP_MAX_EPOCHS; i++) {
		epoch = epoch_at(epochs, i);
		if (epoch && epoch->number == number)
			return epoch;
	}
	return NULL;
}

void r3map_epoch_close(struct r3map_epochs *epochs, struct r3map_epoch *epoch)
{
	unsigned int i;

	for (i = 0; i < R3MAP_MAX_EPOCHS; i++) {
		if (epoch_at(epochs, i) != epoch)
			continue;
		RCU_INIT_POINTER(epochs->open[i], NULL);
		WRITE_ONCE(epochs->nr, epochs->nr - 1);
		call_rcu(&epoch->rcu, epoch_free);
	}
}

void r3map_epochs_close(struct r3map_epochs *epochs)
{
	struct r3map_epoch *epoch;
	unsigned int i;

	for (i = 0; i < R3MAP_MAX_EPOCHS; i++) {
		epoch = epoch_at(epochs, i);
		if (epoch)
			r3map_epoch_close(epochs, epoch);
	}
}

static void epoch_mark(struct r3map_epoch *epoch, u64 offset, u64 length)
{
	unsigned long at = offset >> epoch->shift;
	u64 last = (offset + length - 1) >> epoch->shift;

	/* Most of what is written is written again: a look is cheaper than a locked operation. */
	for (; at <= last && at < epoch->nr; at++)
		if (!test_bit(at, epoch->dirty))
			set_bit(at, epoch->dirty);
}

void r3map_epochs_mark(struct r3map_epochs *epochs, u64 offset, u64 length)
{
	struct r3map_epoch *epoch;
	unsigned int i;

	/* The bytes before the look for epochs, and for bits; see epoch.h. */
	smp_mb();
	if (likely(!READ_ONCE(epochs->nr)) || !length)
		return;
	rcu_read_lock();
	for (i = 0; i < R3MAP_MAX_EPOCHS; i++) {
		epoch = rcu_dereference(epochs->open[i]);
		if (epoch)
			epoch_mark(epoch, offset, length);
	}
	rcu_read_unlock();
}

void r3map_epoch_take(struct r3map_epoch *epoch, struct r3map_epoch_query *query)
{
	unsigned long at = query->offset >> epoch->shift, end, first;
	unsigned long rest = EPOCH_SCAN;

	end = min_t(u64, ((query->end - 1) >> epoch->shift) + 1, epoch->nr);
	while (at < end && query->nr < R3MAP_EPOCH_EXTENTS) {
		first = find_next_bit(epoch->dirty, min(end, at + EPOCH_SCAN), at);
		at = first;
		while (at < end && rest && test_and_clear_bit(at, epoch->dirty)) {
			at++;
			rest--;
		}
		if (at > first)
			query->extents[query->nr++] = (struct r3map_extent) {
				.offset = (u64)first << epoch->shift,
				.length = (u64)(at - first) << epoch->shift,
			};
		if (!rest)
			break;
		cond_resched();
	}
	query->offset = min((u64)at << epoch->shift, query->end);
}

/* Words that others may set bits in: each is taken as one, and a look is cheaper than that. */
static void epoch_collect(unsigned long *from, unsigned long nr, unsigned long *to)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		to[i] = READ_ONCE(from[i]) ? xchg(&from[i], 0) : 0;
	/* Each xchg() is a full barrier; if there was none, nothing is dirty. */
}

static void epoch_put_back(unsigned long *to, unsigned long nr, const unsigned long *from)
{
	unsigned long bit;

	for_each_set_bit(bit, from, nr * BITS_PER_LONG)
		set_bit(bit, to);
}

unsigned long r3map_epoch_copy(struct r3map_epoch *epoch, unsigned long first, unsigned long nr,
			       u64 __user *to, bool keep, bool still)
{
	unsigned long *words = epoch->dirty + first, done = 0, some;
	unsigned long *taken = NULL;

	BUILD_BUG_ON(sizeof(long) != sizeof(*to));
	nr = min(nr, BITS_TO_LONGS(epoch->nr) - first);
	if (!keep && !still) {
		taken = kmalloc_array(EPOCH_COPY, sizeof(*taken), GFP_NOIO);
		if (!taken)
			return 0;
	}
	while (done < nr) {
		unsigned long *from = taken ?: words + done;

		some = min_t(unsigned long, EPOCH_COPY, nr - done);
		if (taken)
			epoch_collect(words + done, some, taken);
		/* Without faults: the handlers of commands wait for nothing. */
		if (copy_to_user_nofault(to + done, from, some * sizeof(*to))) {
			if (taken)
				epoch_put_back(words + done, some, taken);
			break;
		}
		if (!keep && still)
			memset(from, 0, some * sizeof(*from));
		done += some;
		cond_resched();
	}
	kfree(taken);
	return done;
}

void r3map_epoch_untake(struct r3map_epoch *epoch, const struct r3map_epoch_query *query)
{
	u32 i;

	for (i = 0; i < query->nr; i++)
		epoch_mark(epoch, query->extents[i].offset, query->extents[i].length);
}

u64 r3map_epoch_dirty(const struct r3map_epoch *epoch)
{
	unsigned long at, weight = 0;

	for (at = 0; at < epoch->nr; at += EPOCH_SCAN) {
		weight += bitmap_weight(epoch->dirty + BIT_WORD(at),
					min(EPOCH_SCAN, epoch->nr - at));
		cond_resched();
	}
	return (u64)weight << epoch->shift;
}

u64 r3map_epochs_memory(const struct r3map_epochs *epochs)
{
	const struct r3map_epoch *epoch;
	unsigned int i;
	u64 bytes = 0;

	for (i = 0; i < R3MAP_MAX_EPOCHS; i++) {
		epoch = epoch_at(epochs, i);
		if (epoch)
			bytes += sizeof(*epoch) + BITS_TO_LONGS(epoch->nr) * sizeof(long);
	}
	return bytes;
}
