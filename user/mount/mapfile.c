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

static uint64_t map_bytes(uint64_t size, uint32_t chunk, uint64_t region)
{
	return BLOCK + bitmap_bytes((size + region - 1) / region) +
	       bitmap_bytes((size + chunk - 1) / chunk);
}

/* The header is the last that is written: while there is none, nobody has put anything in the store. */
static bool header_is_blank(const struct header *header)
{
	const char *bytes = (const char *)header;

	return !bytes[0] && !memcmp(bytes, bytes + 1, sizeof(*header) - 1);
}

static bool header_is_sane(const struct header *header)
{
	return !memcmp(header->magic, magic, sizeof(magic)) &&
	       le32toh(header->version) == VERSION && !header->backend[R3MAP_MAX_BACKEND - 1];
}

static bool is_power_of_2(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* Can the module make sense of what the header says about a map of @bytes bytes? */
static bool mapfile_is_whole(const struct header *header, uint64_t bytes)
{
	const uint64_t size = le64toh(header->size), region = le64toh(header->region);
	const uint32_t chunk = le32toh(header->chunk);

	return size && is_power_of_2(chunk) && chunk >= R3MAP_MIN_CHUNK &&
	       chunk <= R3MAP_MAX_CHUNK && is_power_of_2(region) && region >= chunk &&
	       (size - 1) / region < REGIONS && bytes >= map_bytes(size, chunk, region);
}

/* The store that was found must be the one that is wanted. */
static int mapfile_check(struct mapfile *mapfile, const struct header *header, const char *path,
			 uint64_t size, const char *backend, struct error *error)
{
	struct stat store, map;

	if (strcmp(header->backend, backend))
		return error_set(error, -EINVAL, "%s is a store of %s: give another --store, or remove it and %s.map",
				 path, header->backend, path);
	if (fstat(mapfile->store, &store) < 0 || fstat(mapfile->fd, &map) < 0)
		return error_set(error, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (!mapfile_is_whole(header, (uint64_t)map.st_size))
		return error_set(error, -EUCLEAN, "%s.map is damaged, so nobody knows what %s has: remove both; what was not pushed is lost",
				 path, path);
	if (le64toh(header->size) != size)
		return error_set(error, -EINVAL, "%s is a store of %" PRIu64 " bytes, and %s has %" PRIu64 " now: remove it and %s.map",
				 path, le64toh(header->size), backend, size, path);
	if ((uint64_t)store.st_size != size)
		return error_set(error, -EUCLEAN, "%s has %jd bytes, and its map says %" PRIu64 ": put the right file there, or remove both",
				 path, (intmax_t)store.st_size, size);
	mapfile->found = true;
	mapfile->chunk = le32toh(header->chunk);
	mapfile->region = le64toh(header->region);
	return 0;
}

/* Opens @path, or makes it; *@made: it was not there. A descriptor or a negative errno. */
static int file_open(const char *path, bool *made)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	*made = fd >= 0;
	if (fd < 0 && errno == EEXIST)
		fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int mapfile_lock(struct mapfile *mapfile, const char *path, struct error *error)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	/* Of the open file, which the module keeps open: it outlives this process. */
	if (fcntl(mapfile->fd, F_OFD_SETLK, &lock) < 0)
		return errno == EAGAIN || errno == EACCES ?
		       error_set(error, -errno, "%s is in use by another mount", path) :
		       error_set(error, -errno, "cannot lock %s.map: %s", path, strerror(errno));
	if (fstat(mapfile->fd, &st) < 0)
		return error_set(error, -errno, "cannot look at %s.map: %s", path, strerror(errno));
	/* Its maker has given up, and taken the name away: what is put in it nobody would find. */
	if (!st.st_nlink)
		return error_set(error, -EAGAIN, "%s is in use by another mount", path);
	return 0;
}

/* Both files are open: are they a store, or may they become one? */
static int mapfile_look(struct mapfile *mapfile, const char *path, uint64_t size,
			const char *backend, struct error *error)
{
	struct header header = { 0 };
	struct stat store, st;
	ssize_t n;

	if (fstat(mapfile->store, &store) < 0 || fstat(mapfile->fd, &st) < 0)
		return error_set(error, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISREG(store.st_mode) || !S_ISREG(st.st_mode))
		return error_set(error, -EINVAL, "%s and %s.map must be regular files", path, path);
	n = pread(mapfile->fd, &header, sizeof(header), 0);
	if (n < 0)
		return error_set(error, -errno, "cannot read %s.map: %s", path, strerror(errno));
	/* A map that was never finished is none; bytes without a map are somebody's. */
	if (header_is_blank(&header))
		return store.st_size && store.st_blocks ?
		       error_set(error, -EEXIST, "%s is there and is no store of r3map: give another --store",
				 path) : 0;
	if (n != (ssize_t)sizeof(header) || !header_is_sane(&header))
		return error_set(error, -EINVAL, "%s.map is not the map of a store: give another --store",
				 path);
	return mapfile_check(mapfile, &header, path, size, backend, error);
}

int mapfile_open(struct mapfile *mapfile, const char *path, uint64_t size, const char *backend,
		 struct error *error)
{
	char map[PATH_ROOM];
	int err;

	if ((size_t)snprintf(map, sizeof(map), "%s.map", path) >= sizeof(map))
		return error_set(error, -ENAMETOOLONG, "the name of the --store is too long");
	mapfile->path = path;
	mapfile->fd = file_open(map, &mapfile->made);
	if (mapfile->fd < 0)
		return error_set(error, mapfile->fd, "cannot open %s: %s", map,
				 strerror(-mapfile->fd));
	err = mapfile_lock(mapfile, path, error);
	if (err)
		return err;
	mapfile->store = file_open(path, &mapfile->store_made);
	if (mapfile->store < 0)
		err = error_set(error, mapfile->store, "cannot open %s: %s", path,
				strerror(-mapfile->store));
	return err ? err : mapfile_look(mapfile, path, size, backend, error);
}

int mapfile_is_dirty(const struct mapfile *mapfile, uint64_t size, bool *dirty, struct error *error)
{
	const uint64_t end = BLOCK + bitmap_bytes((size + mapfile->region - 1) / mapfile->region);
	uint64_t words[BLOCK / sizeof(uint64_t)];

	*dirty = false;
	for (uint64_t at = BLOCK; at < end; at += BLOCK) {
		if (pread(mapfile->fd, words, BLOCK, (off_t)at) != (ssize_t)BLOCK)
			return error_set(error, -EIO, "cannot read %s.map", mapfile->path);
		for (unsigned int i = 0; i < BLOCK / sizeof(uint64_t); i++)
			*dirty |= words[i];
	}
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

/* Room for a chunk, and no more: what pull and push, and the module, will ask of the file system. */
static int store_try(const struct mapfile *mapfile, uint64_t size)
{
	const off_t length = size < BLOCK ? (off_t)size : BLOCK;

	if (fallocate(mapfile->store, 0, 0, length) < 0 ||
	    fallocate(mapfile->store, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length) < 0)
		return -errno;
	return 0;
}

/* The map, with all its blocks: an intent must not fail for want of space. */
static int mapfile_write(const struct mapfile *mapfile, const struct header *header, uint64_t bytes,
			 const char *path)
{
	int err = ftruncate(mapfile->fd, 0) < 0 ? -errno : 0;

	if (!err)
		err = -posix_fallocate(mapfile->fd, 0, (off_t)bytes);
	if (!err && (fsync(mapfile->store) < 0 || fsync(mapfile->fd) < 0))
		err = -errno;
	/* The header last: without it there is no store. */
	if (!err && pwrite(mapfile->fd, header, sizeof(*header), 0) != (ssize_t)sizeof(*header))
		err = -EIO;
	if (!err && fsync(mapfile->fd) < 0)
		err = -errno;
	return err ? err : folder_sync(path);
}

int mapfile_make(struct mapfile *mapfile, const char *path, uint64_t size, uint32_t chunk,
		 const char *backend, struct error *error)
{
	struct header header = {
		.version = htole32(VERSION),
		.chunk = htole32(chunk),
		.size = htole64(size),
	};
	uint64_t region = chunk;
	int err;

	while ((size + region - 1) / region > REGIONS)
		region *= 2;
	header.region = htole64(region);
	memcpy(header.magic, magic, sizeof(magic));
	strncpy(header.backend, backend, sizeof(header.backend) - 1);
	mapfile->chunk = chunk;
	mapfile->region = region;
	if (ftruncate(mapfile->store, (off_t)size) < 0)
		return error_set(error, -errno, "cannot make a store of %" PRIu64 " bytes at %s: %s",
				 size, path, strerror(errno));
	err = store_try(mapfile, size);
	if (err == -EOPNOTSUPP)
		return error_set(error, err, "the file system of %s has no holes in files: give a --store on another one",
				 path);
	if (!err)
		err = mapfile_write(mapfile, &header, map_bytes(size, chunk, region), path);
	if (err)
		return error_set(error, err, "cannot make the store %s: %s", path, strerror(-err));
	mapfile->made = false;
	mapfile->store_made = false;
	return 0;
}

void mapfile_close(struct mapfile *mapfile)
{
	char map[PATH_ROOM];

	/* While they are locked. */
	if (mapfile->store_made)
		unlink(mapfile->path);
	if (mapfile->made) {
		snprintf(map, sizeof(map), "%s.map", mapfile->path);
		unlink(map);
	}
	if (mapfile->fd >= 0)
		close(mapfile->fd);
	if (mapfile->store >= 0)
		close(mapfile->store);
	mapfile->fd = -1;
	mapfile->store = -1;
	mapfile->made = false;
	mapfile->store_made = false;
}
