// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hashing a region. See scan.h.
 *
 * A few parts at a time are with the pool, so that the scan of a large region leaves threads to others. Holes
 * are not read: lseek() is asked where a part begins, since some file systems look at each page up
 * to the answer, and what it says of a hole is remembered.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/dirty.h"
#include "sync/pool.h"
#include "sync/region.h"
#include "sync/scan.h"

#define PART_BYTES	(2u << 20)
#define PART_CHUNKS	(PART_BYTES / SYNC_CHUNK_MIN)
#define PARTS		4u		/* with the pool for each of its threads, at most */

struct part {
	struct pool_job job;
	struct scan *scan;
	uint64_t first, end;		/* chunks */
	uint64_t hashed;
	int code;
	bool changed[PART_CHUNKS];
};

/* Are there any among chunks @first to @end that may have changed? */
static bool is_wanted(const struct scan *scan, uint64_t first, uint64_t end)
{
	const uint32_t chunk = scan->region->hashing->chunk;

	return !scan->only || dirty_any(scan->only, first * chunk, (end - first) * chunk);
}

static uint64_t part_chunks(const struct scan *scan)
{
	return PART_BYTES / scan->region->hashing->chunk;
}

/* Is all of [@from, @to) in a hole? */
static bool is_hole(struct scan *scan, uint64_t from, uint64_t to)
{
	uint64_t data;

	if (from >= atomic_load(&scan->hole) && to <= atomic_load(&scan->data))
		return true;
	data = region_data(scan->region->fd, from);
	if (data < to)
		return false;
	/* Others may set it meanwhile: any hole will do, but not the beginning of one with the end of another. */
	if (data == UINT64_MAX && !atomic_load(&scan->data)) {
		atomic_store(&scan->hole, from);
		atomic_store(&scan->data, data);
	}
	return true;
}

/* Hashes one chunk into the tables. Returns 0 or a negative errno, and *@changed. */
static int chunk_look(struct scan *scan, uint64_t index, bool hole, char *scratch, bool *changed)
{
	struct region *region = scan->region;
	const struct hashing *hashing = region->hashing;
	const uint32_t length = region_length(region, index);
	unsigned char fast[SYNC_HASH_MAX], strong[SYNC_ROOT];
	int code;

	if (hole && length == hashing->chunk) {
		*changed = scan->fresh ||
			   memcmp(region_fast(region, index), hashing->zero, hashing->bytes) != 0;
		if (*changed)
			region_note(region, index, NULL, NULL);
		return 0;
	}
	code = region_read(region->fd, index * hashing->chunk, scratch, length);
	if (code)
		return code;
	if (hashing->one) {
		hashing_both(hashing, scratch, length, fast, strong);
		*changed = scan->fresh || memcmp(region_strong(region, index), strong, SYNC_ROOT) != 0;
	} else {
		hashing_fast(hashing, scratch, length, fast);
		*changed = scan->fresh || memcmp(region_fast(region, index), fast, hashing->bytes) != 0;
		if (*changed)
			hashing_strong(hashing, scratch, length, strong);
	}
	if (*changed)
		region_note(region, index, fast, strong);
	return 0;
}

static void part_run(struct pool_job *job, void *scratch)
{
	struct part *part = (struct part *)job;
	struct scan *scan = part->scan;
	const uint32_t chunk = scan->region->hashing->chunk;
	bool hole = is_hole(scan, part->first * chunk, part->end * chunk);

	for (uint64_t i = part->first; i < part->end && !part->code; i++) {
		if (!is_wanted(scan, i, i + 1))
			continue;
		part->code = chunk_look(scan, i, hole, scratch, &part->changed[i - part->first]);
		part->hashed++;
	}
}

static void scan_go_on(struct scan *scan);

static void part_done(struct pool_job *job)
{
	struct part *part = (struct part *)job;
	struct scan *scan = part->scan;

	if (part->code && !scan->code)
		scan->code = part->code;
	for (uint64_t i = part->first; i < part->end && !scan->code; i++)
		if (part->changed[i - part->first])
			scan->changed(scan, i);
	scan->hashed += part->hashed;
	free(part);
	scan->flying--;
	scan_go_on(scan);
}

static void part_drop(struct pool_job *job)
{
	free((struct part *)job);
}

static void scan_go_on(struct scan *scan)
{
	while (!scan->code && scan->next < scan->end && scan->flying < PARTS * scan->pool->threads) {
		uint64_t end = scan->end - scan->next > part_chunks(scan) ?
			       scan->next + part_chunks(scan) : scan->end;
		struct part *part;

		if (!is_wanted(scan, scan->next, end)) {
			scan->next = end;
			continue;
		}
		part = calloc(1, sizeof(*part));
		if (!part) {
			scan->code = -ENOMEM;
			break;
		}
		part->job.run = part_run;
		part->job.done = part_done;
		part->job.drop = part_drop;
		part->scan = scan;
		part->first = scan->next;
		part->end = scan->next = end;
		scan->flying++;
		pool_submit(scan->pool, &part->job);
	}
	if (!scan->flying)
		scan->done(scan, scan->code);
}

void scan_start(struct scan *scan, struct pool *pool)
{
	scan->pool = pool;
	scan->next = scan->first;
	scan->flying = 0;
	scan->code = 0;
	scan->hashed = 0;
	atomic_store(&scan->data, 0);
	atomic_store(&scan->hole, UINT64_MAX);
	scan_go_on(scan);
}

void scan_stop(struct scan *scan)
{
	if (!scan->code)
		scan->code = -ECANCELED;
}
