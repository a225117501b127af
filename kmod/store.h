/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The store of a managed device: the file, a memfd or a regular one, that holds the region's bytes
 * at their own offsets, shared with the helper.
 *
 * Two ways in. The quick one copies from and to pages that are in memory, in the context of whoever
 * submitted the bio. It never waits for I/O: what is submitted there goes nowhere until
 * submit_bio() has returned. The other goes through the file system, may sleep, and is for a work
 * item.
 */
#ifndef R3MAP_STORE_H
#define R3MAP_STORE_H

#include <linux/types.h>

struct bio;
struct file;
struct netlink_ext_ack;

struct r3map_store {
	struct file *file;		/* a reference */
	gfp_t gfp;			/* of its mapping, to be given back */
	bool memory;			/* a memfd or on tmpfs: pages need no file system */
};

/**
 * r3map_store_init - take the file that is descriptor @fd of the calling process
 * @size: bytes that it must have at least
 * Context: the process that has @fd; sleeps.
 * Return: 0, or a negative errno with text in @extack. Undone by r3map_store_exit().
 */
int r3map_store_init(struct r3map_store *store, int fd, u64 size, struct netlink_ext_ack *extack);
void r3map_store_exit(struct r3map_store *store);
/* Is @file a memfd or a regular file, open for both ways? */
bool r3map_store_usable(const struct file *file);
/*
 * Another struct file of the same, or an ERR_PTR: what a helper does to the flags of its own is its
 * affair. Context: sleeps.
 */
struct file *r3map_store_reopen(const struct file *file);

/*
 * The bytes at @offset into @bio, or those of @bio to there, if the pages are at hand. False: they
 * are not; some may have been copied. Context: does not sleep for I/O.
 */
bool r3map_store_read_now(struct r3map_store *store, struct bio *bio, u64 offset);
bool r3map_store_write_now(struct r3map_store *store, struct bio *bio, u64 offset);

/*
 * The same, however long it takes; 0 or a negative errno. Context: a work item; no I/O recursion.
 */
int r3map_store_read(struct r3map_store *store, struct bio *bio, u64 offset);
int r3map_store_write(struct r3map_store *store, struct bio *bio, u64 offset);
/* Makes a hole. */
int r3map_store_zero(struct r3map_store *store, u64 offset, u64 length);
/* Makes what was written durable. */
int r3map_store_sync(struct r3map_store *store);

#endif
