/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A region that is sent or received: a file or a block device, and the hashes of its chunks.
 *
 * The tables belong to the loop's thread; while a scan is on they are its jobs'. Data is read and
 * written through the page cache: what others have written there, through mmap as well, is seen
 * without msync.
 */
#ifndef R3MAP_SYNC_REGION_H
#define R3MAP_SYNC_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include "sync/hash.h"

struct error;
struct track;

struct region {
	unsigned int users;		/* whoever keeps a pointer to it */
	char *name;			/* by which both ends know it */
	int fd;				/* the region's from here on */
	bool device;			/* nobody changes its size */
	uint32_t mode;			/* permission bits */
	uint64_t size;			/* bytes */
	const struct hashing *hashing;
	uint64_t chunks;		/* of @size */
	uint64_t room;			/* of the tables */
	unsigned char *fast, *strong;	/* a hash for each; for SYNC_SHA256 they are one */

	void *data;			/* the owner's */

	/* For those who send it, see sending.h. */
	bool live;			/* others write to it: what was read to be sent is what it has */
	bool known;			/* the tables mean something */
	bool settled;			/* what they say may be committed */
	struct track *track;		/* the region's: what tells of writes to it; NULL: nobody does */
	uint64_t version;		/* grows when it is to be committed anew */
	struct sending_stream *streams;	/* on which it is being sent */
};

/*
 * @fd: open; the region's, if it succeeds. Size and kind are as they are now, but it is @most bytes at most: what is
 * behind them is not looked at. Returns 0, or a negative errno with a sentence that says nothing of the name.
 */
int region_new(int fd, const char *name, const struct hashing *hashing, uint64_t most,
	       struct region **region, struct error *error);
/* One user more, one less: the last one closes it. */
struct region *region_get(struct region *region);
void region_put(struct region *region);

/* Bytes of memory that the tables of a region of @size take. */
uint64_t region_memory(const struct hashing *hashing, uint64_t size);
/*
 * The tables are for @size bytes from now on, and new chunks are zeroes in them. 0 or -ENOMEM, and nothing
 * has changed.
 */
int region_set_size(struct region *region, uint64_t size);
/* Has a chunk changed by that alone, that it was cut, or is not cut any more? It had @before bytes. */
bool region_edge(const struct region *region, uint64_t before, uint64_t *index);

static inline uint64_t region_chunks(uint64_t size, uint32_t chunk)
{
	return size / chunk + (size % chunk != 0);
}

/* Bytes of chunk @index. */
static inline uint32_t region_length(const struct region *region, uint64_t index)
{
	uint64_t left = region->size - index * region->hashing->chunk;

	return left < region->hashing->chunk ? (uint32_t)left : region->hashing->chunk;
}

static inline unsigned char *region_fast(const struct region *region, uint64_t index)
{
	return region->fast + index * region->hashing->bytes;
}

static inline unsigned char *region_strong(const struct region *region, uint64_t index)
{
	return region->strong + index * SYNC_ROOT;
}

/* Notes the hashes of a chunk. NULL: it is zeroes. */
void region_note(struct region *region, uint64_t index, const unsigned char *fast,
		 const unsigned char *strong);
/* The last chunk, which is not a whole one, is zeroes. 0 or -ENOMEM. */
int region_tail_zero(struct region *region);
/* The hash of a group: of the hashes of its chunks. */
void region_group(const struct region *region, uint64_t group, unsigned char *out);
void region_root(const struct region *region, unsigned char root[SYNC_ROOT]);

/*
 * These are for any thread, and touch no table. Each returns 0 or a negative errno.
 *
 * What a file does not have any more, because it was cut off, is read as zeroes.
 */
int region_read(int fd, uint64_t offset, void *data, size_t length);
int region_write(int fd, uint64_t offset, const void *data, size_t length);
/* Zeroes, as a hole where that can be. */
int region_zero(int fd, uint64_t offset, uint64_t length);
/* Where data may begin, from @offset on: what is before it are zeroes. UINT64_MAX: there is none. */
uint64_t region_data(int fd, uint64_t offset);
/* The end of the data that begins at @offset. */
uint64_t region_hole(int fd, uint64_t offset);

#endif
