// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The store of a managed mount. See store.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/file.h"
#include "lib/error.h"
#include "mount/store.h"

#define PAGE	4096u

int store_map(struct store *store, int fd, uint64_t size, struct error *error)
{
	store->fd = fd;
	store->size = size;
	store->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (store->bytes == MAP_FAILED) {
		store->bytes = NULL;
		return error_set(error, -errno, "cannot map a store of %" PRIu64 " bytes: %s", size,
				 strerror(errno));
	}
	return 0;
}

int store_new(struct store *store, uint64_t size, struct error *error)
{
	int fd = memfd_create("r3map-store", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	store->fd = fd;
	if (fd < 0)
		return error_set(error, -errno, "cannot make a memfd for the store: %s",
				 strerror(errno));
	if (ftruncate(fd, (off_t)size) < 0)
		return error_set(error, -errno, "cannot make a store of %" PRIu64 " bytes: %s", size,
				 strerror(errno));
	/* Whoever gets hold of it cannot cut the ground from under the mapping. */
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	return store_map(store, fd, size, error);
}

int store_make(struct store *store, const char *path, uint64_t size, struct error *error)
{
	struct stat stat;

	store->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->fd < 0)
		return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
	if (fstat(store->fd, &stat) < 0 || !S_ISREG(stat.st_mode) || stat.st_size)
		return error_set(error, -EEXIST, "%s is there and not an empty file: name another one, or remove it",
				 path);
	if (ftruncate(store->fd, (off_t)size) < 0)
		return error_set(error, -errno, "cannot make a store of %" PRIu64 " bytes: %s", size,
				 strerror(errno));
	return store_map(store, store->fd, size, error);
}

void store_close(struct store *store)
{
	if (store->bytes)
		munmap(store->bytes, store->size);
	if (store->fd >= 0)
		close(store->fd);
	store->bytes = NULL;
	store->fd = -1;
}

int store_backend(const struct store *store, const char *device, struct backend **backend,
		  struct error *error)
{
	int fd = fcntl(store->fd, F_DUPFD_CLOEXEC, 0);
	char *name = NULL;
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return error_set(error, -errno, "cannot read the store of %s: %s", device, strerror(errno));
	if (asprintf(&name, "store of %s", device) < 0)
		name = NULL;
	*backend = name ? file_reader_new(fd, &stat, name) : NULL;
	if (*backend)
		return 0;
	free(name);
	close(fd);
	return error_set(error, -ENOMEM, "out of memory");
}

void store_unlock(const struct store *store)
{
	munlock(store->bytes, store->size);
}

int store_prepare(const struct store *store, uint64_t offset, uint64_t length)
{
	return fallocate(store->fd, 0, (off_t)offset, (off_t)length) < 0 ? -errno : 0;
}

int store_read(const struct store *store, uint64_t offset, void *bytes, uint32_t length)
{
	uint8_t *to = bytes;
	ssize_t got;

	for (; length; length -= (uint32_t)got, offset += (uint64_t)got, to += got) {
		got = pread(store->fd, to, length, (off_t)offset);
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got <= 0)	/* an end before the end: somebody has cut it */
			return got ? -errno : -EIO;
	}
	return 0;
}

int store_write(const struct store *store, uint64_t offset, const void *bytes, uint32_t length)
{
	const uint8_t *from = bytes;
	int err = store_prepare(store, offset, length);
	ssize_t put;

	if (err)
		return err;
	for (; length; length -= (uint32_t)put, offset += (uint64_t)put, from += put) {
		put = pwrite(store->fd, from, length, (off_t)offset);
		if (put < 0 && errno == EINTR)
			put = 0;
		else if (put < 0)
			return -errno;
	}
	return 0;
}

int store_punch(const struct store *store, uint64_t offset, uint64_t length)
{
	/* Of a page that is punched in part the memory stays, and the last one may be short. */
	if (offset + length == store->size)
		length += -store->size & (PAGE - 1);
	return fallocate(store->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)length) < 0 ? -errno : 0;
}

/* Where there is data from @offset on, or the end of the store. */
static uint64_t store_data(const struct store *store, uint64_t offset)
{
	off_t data = lseek(store->fd, (off_t)offset, SEEK_DATA);

	if (data < 0)	/* if it cannot be told, all of it may be */
		return errno == ENXIO ? store->size : offset;
	return (uint64_t)data;
}

bool store_run(const struct store *store, uint64_t offset, uint32_t *length, uint32_t chunk)
{
	const uint64_t end = offset + *length;
	uint64_t data = store_data(store, offset), at;

	if (data >= end)
		return true;
	/* Whole chunks before the first one that has data. */
	at = offset + (data - offset) / chunk * chunk;
	if (at > offset) {
		*length = (uint32_t)(at - offset);
		return true;
	}
	for (at = offset + chunk; at < end; at += chunk)
		if (store_data(store, at) >= (at + chunk < end ? at + chunk : end))
			break;
	if (at < end)
		*length = (uint32_t)(at - offset);
	return false;
}

static bool store_is_zero(const struct store *store, uint64_t offset, uint64_t length)
{
	const uint8_t *at = store->bytes + offset;

	/* The first 16 bytes by hand, all others against those before them. */
	for (uint64_t i = 0; i < 16 && i < length; i++)
		if (at[i])
			return false;
	return length <= 16 || !memcmp(at, at + 16, length - 16);
}

void store_trim(const struct store *store, uint64_t offset, uint64_t length)
{
	if (store_is_zero(store, offset, length))
		store_punch(store, offset, length);
}
