/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hashing a region, by the threads of a pool: into its tables, and telling what is not as it was there.
 */
#ifndef R3MAP_SYNC_SCAN_H
#define R3MAP_SYNC_SCAN_H

#include <stdbool.h>
#include <stdint.h>

struct dirty;
struct pool;
struct region;

/* Embedded by its user, who sets the first members, and leaves it and the region alone. */
struct scan {
	struct region *region;
	uint64_t first, end;		/* chunks */
	bool fresh;			/* what the tables have means nothing: everything has changed */
	const struct dirty *only;	/* NULL; or what may have changed: all else is not read */
	/* In the loop, for chunks in any order; the tables have their new hashes. */
	void (*changed)(struct scan *scan, uint64_t chunk);
	/* In the loop, at the end: 0, or a negative errno, with which it ended early. */
	void (*done)(struct scan *scan, int code);

	/* The scan's. */
	struct pool *pool;
	uint64_t next;
	unsigned int flying;
	int code;
	_Atomic uint64_t data;		/* bytes: there is no data between ... */
	_Atomic uint64_t hole;		/* ... the first and this offset; hole >= data: nothing is known */
	uint64_t hashed;		/* chunks, so far */
};

/* done() may come before it returns. */
void scan_start(struct scan *scan, struct pool *pool);
/* Ends it soon, with -ECANCELED; done() is called as ever. */
void scan_stop(struct scan *scan);

#endif
