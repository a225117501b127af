// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A region and its tables. See region.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "mount/track.h"
#include "sync/region.h"

#define ZEROES	65536u		/* bytes that are written at a time where there can be no hole */

static int region_look(struct region *region, uint64_t most, struct error *error)
{
	struct stat status;
	uint64_t size;

	if (fstat(region->fd, &status) < 0)
		return error_set(error, -errno, "cannot look at it: %s", strerror(errno));
	region->mode = status.st_mode & 0777;
	region->device = S_ISBLK(status.st_mode);
	size = (uint64_t)status.st_size;
	if (region->device && ioctl(region->fd, BLKGETSIZE64, &size) < 0)
		return error_set(error, -errno, "cannot ask for its size: %s", strerror(errno));
	if (!region->device && !S_ISREG(status.st_mode))
		return error_set(error, -EINVAL, "it is neither a file nor a block device");
	if (region_set_size(region, size < most ? size : most))
		return error_set(error, -ENOMEM,
				 "out of memory for its hashes: give a larger --chunk-size");
	return 0;
}

int region_new(int fd, const char *name, const struct hashing *hashing, uint64_t most,
	       struct region **made, struct error *error)
{
	struct region *region = calloc(1, sizeof(*region));
	int code;

	if (!region)
		return error_set(error, -ENOMEM, "out of memory");
	region->fd = fd;
	region->hashing = hashing;
	region->name = strdup(name);
	code = region->name ? region_look(region, most, error) :
			      error_set(error, -ENOMEM, "out of memory");
	region->users = 1;
	if (code) {
		region->fd = -1;
		region_put(region);
		return code;
	}
	*made = region;
	return 0;
}

struct region *region_get(struct region *region)
{
	region->users++;
	return region;
}

void region_put(struct region *region)
{
	if (--region->users)
		return;
	track_close(region->track);
	if (region->fd >= 0)
		close(region->fd);
	free(region->fast);
	free(region->strong);
	free(region->name);
	free(region);
}

uint64_t region_memory(const struct hashing *hashing, uint64_t size)
{
	return region_chunks(size, hashing->chunk) * (SYNC_ROOT + hashing->bytes);
}

/* realloc() for @count of @bytes, with a limit. */
static unsigned char *grow(unsigned char *table, uint64_t count, uint32_t bytes)
{
	if (count > PTRDIFF_MAX / bytes)
		return NULL;
	return realloc(table, count * bytes);
}

static int tables_grow(struct region *region, uint64_t room)
{
	unsigned char *table;

	table = grow(region->strong, room, SYNC_ROOT);
	if (!table)
		return -ENOMEM;
	region->strong = table;
	table = grow(region->fast, room, region->hashing->bytes);
	if (!table)
		return -ENOMEM;
	region->fast = table;
	region->room = room;
	return 0;
}

int region_tail_zero(struct region *region)
{
	unsigned char fast[SYNC_HASH_MAX], strong[SYNC_ROOT];
	uint32_t length = (uint32_t)(region->size % region->hashing->chunk);
	void *zeroes;

	if (!length)
		return 0;
	zeroes = calloc(1, length);
	if (!zeroes)
		return -ENOMEM;
	hashing_both(region->hashing, zeroes, length, fast, strong);
	region_note(region, region->chunks - 1, fast, strong);
	free(zeroes);
	return 0;
}

int region_set_size(struct region *region, uint64_t size)
{
	uint64_t chunks = region_chunks(size, region->hashing->chunk);
	const uint64_t before = region->chunks, bytes = region->size;
	int code = 0;

	if (chunks > region->room)
		code = tables_grow(region, chunks);
	if (code)
		return code;
	region->size = size;
	region->chunks = chunks;
	for (uint64_t i = before; i < chunks; i++)
		region_note(region, i, NULL, NULL);
	if (chunks > before)
		code = region_tail_zero(region);
	if (code) {
		region->size = bytes;
		region->chunks = before;
	}
	return code;
}

bool region_edge(const struct region *region, uint64_t before, uint64_t *index)
{
	uint64_t smaller = before < region->size ? before : region->size;

	*index = smaller / region->hashing->chunk;
	return before != region->size && smaller % region->hashing->chunk;
}

void region_note(struct region *region, uint64_t index, const unsigned char *fast,
		 const unsigned char *strong)
{
	memcpy(region_fast(region, index), fast ? fast : region->hashing->zero,
	       region->hashing->bytes);
	memcpy(region_strong(region, index), strong ? strong : region->hashing->zero_strong,
	       SYNC_ROOT);
}

void region_group(const struct region *region, uint64_t group, unsigned char *out)
{
	uint64_t first = group * SYNC_GROUP, count = region->chunks - first;

	if (count > SYNC_GROUP)
		count = SYNC_GROUP;
	hashing_fast(region->hashing, region_fast(region, first), count * region->hashing->bytes,
		     out);
}

void region_root(const struct region *region, unsigned char root[SYNC_ROOT])
{
	hashing_root(region->hashing, region->size, region->strong, region->chunks, root);
}

int region_read(int fd, uint64_t offset, void *data, size_t length)
{
	char *at = data;
	ssize_t got;

	while (length) {
		got = pread(fd, at, length, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got) {
			memset(at, 0, length);
			return 0;
		}
		at += got;
		offset += (uint64_t)got;
		length -= (size_t)got;
	}
	return 0;
}

int region_write(int fd, uint64_t offset, const void *data, size_t length)
{
	const char *at = data;
	ssize_t done;

	while (length) {
		done = pwrite(fd, at, length, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		at += done;
		offset += (uint64_t)done;
		length -= (size_t)done;
	}
	return 0;
}

int region_zero(int fd, uint64_t offset, uint64_t length)
{
	static const char zeroes[ZEROES];
	int code = 0;

	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		       (off_t)length) ||
	    !fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		       (off_t)length))
		return 0;
	while (length && !code) {
		size_t part = length < ZEROES ? length : ZEROES;

		code = region_write(fd, offset, zeroes, part);
		offset += part;
		length -= part;
	}
	return code;
}

uint64_t region_data(int fd, uint64_t offset)
{
	off_t data = lseek(fd, (off_t)offset, SEEK_DATA);

	if (data >= 0)
		return (uint64_t)data;
	return errno == ENXIO ? UINT64_MAX : offset;
}

uint64_t region_hole(int fd, uint64_t offset)
{
	off_t hole = lseek(fd, (off_t)offset, SEEK_HOLE);

	return hole > (off_t)offset ? (uint64_t)hole : UINT64_MAX;
}
