/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store of a managed mount: a memfd that has the region's bytes at their own offsets, shared
 * with the module. What is absent in it costs nothing, and reads as zeroes.
 *
 * Any thread may use it: nothing in here changes once it is open.
 */
#ifndef R3MAP_MOUNT_STORE_H
#define R3MAP_MOUNT_STORE_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct error;

struct store {
	int fd;
	uint64_t size;			/* bytes */
	uint8_t *bytes;			/* all of it, mapped */
};

/*
 * A new one. 0 or a negative errno with a sentence; undone by store_close(), also after a
 * failure.
 */
int store_new(struct store *store, uint64_t size, struct error *error);
/* The same in the file @path, which is made, or is there and empty. */
int store_make(struct store *store, const char *path, uint64_t size, struct error *error);
/* The one that @fd, which becomes its, is. */
int store_map(struct store *store, int fd, uint64_t size, struct error *error);
void store_close(struct store *store);

/*
 * A backend that reads the store of @device, which has to have all of the region, while the module writes to it. 0 or
 * a negative errno with a sentence; it is to be closed before the device's number is used again, but not before
 * anything else.
 */
int store_backend(const struct store *store, const char *device, struct backend **backend,
		  struct error *error);

/* Memory that the system may swap, whatever was locked before. */
void store_unlock(const struct store *store);

/*
 * Makes room for @length bytes at @offset, so that writing them to the mapping cannot fail. 0, or
 * -ENOSPC or another negative errno.
 */
int store_prepare(const struct store *store, uint64_t offset, uint64_t length);
/*
 * Copies out, or in, by a system call: what is absent stays so when it is read, and what does not
 * fit is an error, in no case a signal. 0 or a negative errno; store_write() that fails for lack of
 * room has changed nothing.
 */
int store_read(const struct store *store, uint64_t offset, void *bytes, uint32_t length);
int store_write(const struct store *store, uint64_t offset, const void *bytes, uint32_t length);
/* Makes them absent. */
int store_punch(const struct store *store, uint64_t offset, uint64_t length);
/*
 * Is the chunk at @offset absent? Those behind it that are alike are left in *@length, which is
 * whole chunks of @chunk bytes or ends with the region. For what nobody writes meanwhile, or where
 * being late does no harm.
 */
bool store_run(const struct store *store, uint64_t offset, uint32_t *length, uint32_t chunk);
/* Zeroes that the backend has as data cost nothing here: makes them absent if they all are zero. */
void store_trim(const struct store *store, uint64_t offset, uint64_t length);

#endif
