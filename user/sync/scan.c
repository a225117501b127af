// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hashing a region. See scan.h.
 *
 * A few parts at a time are with the pool, so that the scan of a large region leaves threads to others. Holes
 * are not read: lseek() is asked where a part begins, since some file systems look at each page up
 * to the answer, and what it says of a hole is remembered. Files are hashed where the page cache has them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/dirty.h"
#include "sync/pool.h"
#include "sync/region.h"
#include "sync/scan.h"
#include "sync/window.h"

#define PART_BYTES	(2u << 20)
#define PART_CHUNKS	(PART_BYTES / SYNC_CHUNK_MIN)
#define PARTS		4u		/* with the pool for each of its threads, at most */
#define WINDOW_MIN	(64u << 10)	/* bytes: less is read sooner than mapped */

struct part {
	struct pool_job job;
	struct scan *scan;
	uint64_t first, end;		/* chunks */
	bool hole;			/* all of it */
	struct window window;		/* data NULL: it is read */
	char *scratch;			/* the thread's */
	uint64_t next;			/* the first that is not done */
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

/* Chunk @index of @part, from the window or read. 0 or a negative errno. */
static int chunk_data(const struct part *part, uint64_t index, uint32_t length, const char **data)
{
	const struct region *region = part->scan->region;

	*data = part->scratch;
	if (!part->window.data)
		return region_read(region->fd, index * region->hashing->chunk, part->scratch, length);
	*data = part->window.data + (index - part->first) * region->hashing->chunk;
	return 0;
}

/* Hashes one chunk into the tables. Returns 0 or a negative errno, and *@changed. */
static int chunk_look(const struct part *part, uint64_t index, bool *changed)
{
	const struct scan *scan = part->scan;
	struct region *region = scan->region;
	const struct hashing *hashing = region->hashing;
	const uint32_t length = region_length(region, index);
	unsigned char fast[SYNC_HASH_MAX], strong[SYNC_ROOT];
	const char *data;
	int code;

	if (part->hole && length == hashing->chunk) {
		*changed = scan->fresh ||
			   memcmp(region_fast(region, index), hashing->zero, hashing->bytes) != 0;
		if (*changed)
			region_note(region, index, NULL, NULL);
		return 0;
	}
	code = chunk_data(part, index, length, &data);
	if (code)
		return code;
	if (hashing->one) {
		hashing_both(hashing, data, length, fast, strong);
		*changed = scan->fresh || memcmp(region_strong(region, index), strong, SYNC_ROOT) != 0;
	} else {
		hashing_fast(hashing, data, length, fast);
		*changed = scan->fresh || memcmp(region_fast(region, index), fast, hashing->bytes) != 0;
		if (*changed)
			hashing_strong(hashing, data, length, strong);
	}
	if (*changed)
		region_note(region, index, fast, strong);
	return 0;
}

static void part_look(void *data)
{
	struct part *part = data;

	for (; part->next < part->end && !part->code; part->next++) {
		if (!is_wanted(part->scan, part->next, part->next + 1))
			continue;
		part->code = chunk_look(part, part->next, &part->changed[part->next - part->first]);
		part->hashed++;
	}
}

/* Opens the window, where there can be one: the library with SHA-256 allocates, which a look at a window must not. */
static void part_window(struct part *part)
{
	const struct region *region = part->scan->region;
	const uint64_t from = part->first * region->hashing->chunk;
	uint64_t to = part->end * region->hashing->chunk;

	part->window.data = NULL;
	if (to > region->size)
		to = region->size;
	if (region->device || part->hole || region->hashing->hash == SYNC_SHA256 ||
	    to - from < WINDOW_MIN || window_open(&part->window, region->fd, from, to - from))
		return;
	if (!part->scan->only)		/* page faults read ahead less than a whole part */
		posix_fadvise(region->fd, (off_t)from, (off_t)(to - from), POSIX_FADV_WILLNEED);
}

static void part_run(struct pool_job *job, void *scratch)
{
	struct part *part = (struct part *)job;
	const uint32_t chunk = part->scan->region->hashing->chunk;
	bool whole;

	part->scratch = scratch;
	part->next = part->first;
	part->hole = is_hole(part->scan, part->first * chunk, part->end * chunk);
	part_window(part);
	if (part->window.data) {
		whole = window_look(&part->window, part_look, part);
		window_close(&part->window);
		part->window.data = NULL;
		if (whole)
			return;
	}
	part_look(part);
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
