// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whose store it is. See mapfile.h.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <linux/r3map.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "mount/mapfile.h"

#define BLOCK		4096u		/* bytes: that the file is written in */
#define VERSION		1u
#define REGIONS		32768u		/* as many, or less: each costs the first write to it a flush */
#define PATH_ROOM	4096u

static const char magic[8] = { 'r', '3', 'm', 'a', 'p', 'm', 'a', 'p' };

/* The first block of the file; numbers are little-endian. */
struct header {
	char magic[8];
	uint32_t version;
	uint32_t chunk;
	uint64_t size;
	uint64_t region;
	char backend[R3MAP_MAX_BACKEND];
	char reserved[BLOCK - 32 - R3MAP_MAX_BACKEND];
};

_Static_assert(sizeof(struct header) == BLOCK, "bitmaps follow at the second block");

/* A bitmap of @bits takes whole words of the module, and whole blocks. */
static uint64_t bitmap_bytes(uint64_t bits)
{
	uint64_t bytes = (bits + 63) / 64 * 8;

	return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

static int header_read(const struct mapfile *mapfile, struct header *header)
{
	ssize_t n = pread(mapfile->fd, header, sizeof(*header), 0);

	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(*header) && !memcmp(header->magic, magic, sizeof(magic)) &&
	       le32toh(header->version) == VERSION && !header->backend[R3MAP_MAX_BACKEND - 1] ?
	       0 : -EINVAL;
}

/* What was found must be what is wanted. */
static int mapfile_check(struct mapfile *mapfile, const char *path, uint64_t size,
			 const char *backend, struct error *error)
{
	struct header header;
	struct stat st;
	int err = header_read(mapfile, &header);

	if (err)
		return error_set(error, err, "%s.map is not the map of a store: give another --store",
				 path);
	if (strcmp(header.backend, backend))
		return error_set(error, -EINVAL, "%s is a store of %s: give another --store, or remove it and %s.map",
				 path, header.backend, path);
	if (le64toh(header.size) != size)
		return error_set(error, -EINVAL, "%s is a store of %" PRIu64 " bytes, and %s has %" PRIu64 " now: remove it and %s.map",
				 path, le64toh(header.size), backend, size, path);
	if (fstat(mapfile->store, &st) < 0 || (uint64_t)st.st_size < size)
		return error_set(error, -EINVAL, "%s is shorter than its map says: remove it and %s.map",
				 path, path);
	mapfile->found = true;
	mapfile->chunk = le32toh(header.chunk);
	mapfile->region = le64toh(header.region);
	return 0;
}

int mapfile_open(struct mapfile *mapfile, const char *path, uint64_t size, const char *backend,
		 struct error *error)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char map[PATH_ROOM];
	struct stat store, st;

	if ((size_t)snprintf(map, sizeof(map), "%s.map", path) >= sizeof(map))
		return error_set(error, -ENAMETOOLONG, "the name of the --store is too long");
	mapfile->fd = open(map, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (mapfile->fd < 0)
		return error_set(error, -errno, "cannot open %s: %s", map, strerror(errno));
	/* Of the open file, which the module keeps open: it outlives this process. */
	if (fcntl(mapfile->fd, F_OFD_SETLK, &lock) < 0)
		return error_set(error, -errno, "%s is in use by another mount", path);
	mapfile->store = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (mapfile->store < 0)
		return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
	if (fstat(mapfile->store, &store) < 0 || fstat(mapfile->fd, &st) < 0)
		return error_set(error, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISREG(store.st_mode) || !S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "%s and %s must be regular files", path, map);
	if (st.st_size)
		return mapfile_check(mapfile, path, size, backend, error);
	/* An empty map is one that was never finished; bytes without a map are somebody's. */
	if (store.st_size && store.st_blocks)
		return error_set(error, -EEXIST, "%s is there and is no store of r3map: give another --store",
				 path);
	return 0;
}

/* The names are on disk, too. */
static int folder_sync(const char *path)
{
	char copy[PATH_ROOM];
	int fd, err;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int mapfile_make(struct mapfile *mapfile, const char *path, uint64_t size, uint32_t chunk,
		 const char *backend, struct error *error)
{
	struct header header = {
		.version = htole32(VERSION),
		.chunk = htole32(chunk),
		.size = htole64(size),
	};
	uint64_t region = chunk, bytes;
	int err;

	while ((size + region - 1) / region > REGIONS)
		region *= 2;
	bytes = BLOCK + bitmap_bytes((size + region - 1) / region) +
		bitmap_bytes((size + chunk - 1) / chunk);
	header.region = htole64(region);
	memcpy(header.magic, magic, sizeof(magic));
	strncpy(header.backend, backend, sizeof(header.backend) - 1);
	mapfile->chunk = chunk;
	mapfile->region = region;
	if (ftruncate(mapfile->store, (off_t)size) < 0)
		return error_set(error, -errno, "cannot make a store of %" PRIu64 " bytes at %s: %s",
				 size, path, strerror(errno));
	/* The map has all its blocks at once: an intent must not fail for want of space. */
	err = posix_fallocate(mapfile->fd, 0, (off_t)bytes);
	if (!err && fsync(mapfile->store) < 0)
		err = errno;
	if (!err && fsync(mapfile->fd) < 0)
		err = errno;
	/* The header last: without it there is no store. */
	if (!err && pwrite(mapfile->fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		err = EIO;
	if (!err && fsync(mapfile->fd) < 0)
		err = errno;
	if (!err)
		err = -folder_sync(path);
	if (err)
		return error_set(error, -err, "cannot write %s.map: %s", path, strerror(err));
	return 0;
}

void mapfile_close(struct mapfile *mapfile)
{
	if (mapfile->fd >= 0)
		close(mapfile->fd);
	if (mapfile->store >= 0)
		close(mapfile->store);
	mapfile->fd = -1;
	mapfile->store = -1;
}
