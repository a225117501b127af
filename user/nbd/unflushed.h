/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether writes that a server has acknowledged may have been lost with it.
 *
 * A server may keep what it acknowledged in memory until it is told to flush. If it ends before
 * that, the data is gone, and the FLUSH that comes over the next connection succeeds without it.
 * NBD has no way to tell such a server from one that only lost the connection. So this counts
 * writes, and what a flush covered; after a connection was lost with some uncovered, the next
 * flush is to fail, once.
 *
 * One for all connections to an export, since a flush on one covers what was written on all. Any
 * thread.
 */
#ifndef R3MAP_NBD_UNFLUSHED_H
#define R3MAP_NBD_UNFLUSHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct nbd_unflushed {		/* zero-initialise */
	_Atomic uint64_t written;	/* acknowledged writes that were not FUA */
	_Atomic uint64_t flushed;	/* of them, how many a flush has covered */
	_Atomic bool lost;		/* a flush has to tell */
};

/* A write was acknowledged, without FUA. */
static inline void nbd_unflushed_written(struct nbd_unflushed *unflushed)
{
	atomic_fetch_add(&unflushed->written, 1);
}

/* What a flush that is sent now is going to cover, for nbd_unflushed_flushed(). */
static inline uint64_t nbd_unflushed_mark(struct nbd_unflushed *unflushed)
{
	return atomic_load(&unflushed->written);
}

/* The flush that was sent at @mark was acknowledged. */
static inline void nbd_unflushed_flushed(struct nbd_unflushed *unflushed, uint64_t mark)
{
	uint64_t before = atomic_load(&unflushed->flushed);

	while (before < mark &&
	       !atomic_compare_exchange_weak(&unflushed->flushed, &before, mark))
		;
}

/* A connection was lost. */
static inline void nbd_unflushed_connection_lost(struct nbd_unflushed *unflushed)
{
	uint64_t written = atomic_load(&unflushed->written);

	if (atomic_load(&unflushed->flushed) < written) {
		atomic_store(&unflushed->lost, true);
		/* Told once: what is lost is not lost again. */
		nbd_unflushed_flushed(unflushed, written);
	}
}

/* Whether a flush must fail. True once. */
static inline bool nbd_unflushed_tell(struct nbd_unflushed *unflushed)
{
	return atomic_load_explicit(&unflushed->lost, memory_order_relaxed) &&
	       atomic_exchange(&unflushed->lost, false);
}

#endif
