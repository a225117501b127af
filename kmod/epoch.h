/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dirty epochs: which grains of a device were written since somebody began to watch. A migration
 * opens one; several may be open at once, and each is a bitmap of its own. A bio that writes sets
 * its bits in every open epoch when its bytes are in place and before it ends.
 *
 *	a bio that writes			EPOCH_OPEN, EPOCH_TAKE
 *	bytes in place				publishes the epoch | clears a bit
 *	smp_mb()				smp_mb() | test_and_clear_bit(), a full barrier
 *	looks for epochs, and at the bit	the helper reads the bytes
 *
 * So either the bio sees the epoch, and the bit clear, and sets it; or the helper sees its bytes.
 */
#ifndef R3MAP_EPOCH_H
#define R3MAP_EPOCH_H

#include <linux/mutex.h>
#include <linux/r3map.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct netlink_ext_ack;

struct r3map_epoch {
	struct rcu_head rcu;
	u64 number;			/* constant: what it is called by; never used again */
	u32 shift;			/* constant: log2 of the bytes of a grain */
	unsigned long nr;		/* constant: grains */
	unsigned long *dirty;		/* a bit a grain; no lock */
};

/* All of a device. */
struct r3map_epochs {
	struct mutex *lock;		/* constant: that of the device */
	struct r3map_epoch __rcu *open[R3MAP_MAX_EPOCHS];	/* changed under @lock */
	unsigned int nr;		/* of them; likewise, read without */
};

/* What EPOCH_TAKE asks about. */
struct r3map_epoch_query {
	u64 offset;			/* bytes; out: where it stopped */
	u64 end;			/* bytes */
	u32 nr;				/* out: extents used */
	struct r3map_extent *extents;	/* R3MAP_EPOCH_EXTENTS of them */
};

/**
 * r3map_epoch_open - begin to watch @size bytes
 * @grain: the least bytes of a grain, a power of two
 * Context: dev->lock is held; may sleep.
 * Return: the epoch, or an ERR_PTR.
 */
struct r3map_epoch *r3map_epoch_open(struct r3map_epochs *epochs, u64 size, u32 grain,
				     struct netlink_ext_ack *extack);
/* The epoch called @number, or NULL. Context: dev->lock is held, and for as long as it is used. */
struct r3map_epoch *r3map_epoch_find(struct r3map_epochs *epochs, u64 number);
/* Nobody watches @epoch any more; it is gone. Context: dev->lock is held. */
void r3map_epoch_close(struct r3map_epochs *epochs, struct r3map_epoch *epoch);
/* The same for all of them. */
void r3map_epochs_close(struct r3map_epochs *epochs);

/* These bytes were written; what is beyond the end is left out. Context: any. */
void r3map_epochs_mark(struct r3map_epochs *epochs, u64 offset, u64 length);

/*
 * Clears what is dirty from @query->offset on, and tells it. What ends with the region is cut by
 * the caller. Context: dev->lock is held; may sleep.
 */
void r3map_epoch_take(struct r3map_epoch *epoch, struct r3map_epoch_query *query);
/*
 * The same as words of 64 grains, in the memory of the task that asks, which has to be there.
 * @first: the first word; @nr: at most so many. @still: no bio writes now, and none can begin to.
 * Context: dev->lock is held; may sleep.
 * Return: how many were copied, to the end of the region at most.
 */
unsigned long r3map_epoch_copy(struct r3map_epoch *epoch, unsigned long first, unsigned long nr,
			       u64 __user *to, bool keep, bool still);
/* What was taken is dirty again. */
void r3map_epoch_untake(struct r3map_epoch *epoch, const struct r3map_epoch_query *query);
/* Bytes that are dirty, the last grain taken as a whole. Context: dev->lock is held; may sleep. */
u64 r3map_epoch_dirty(const struct r3map_epoch *epoch);
/* Bytes of all tables. Context: dev->lock is held. */
u64 r3map_epochs_memory(const struct r3map_epochs *epochs);

#endif
