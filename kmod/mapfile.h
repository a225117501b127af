/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The map file of a store that outlives its mount: which chunks of it are whole, and where somebody
 * may have written. Two bitmaps on disk, behind a page that is the helper's:
 *
 *	intent	a bit for a region: what was written there may not be at the backend. On disk
 *		before the first byte of the first write to the region is in the store.
 *	present	a bit for a chunk: all of its bytes were on disk before the bit was.
 *
 * After a crash a chunk that is present and lies in a region of intent is dirty; others are as the
 * backend has them, or are fetched again. Nothing that is not whole is ever served, and nothing
 * that is dirty is ever taken for clean.
 *
 * The idea of a bitmap of intents is that of software RAID (drivers/md/md-bitmap.c).
 */
#ifndef R3MAP_MAPFILE_H
#define R3MAP_MAPFILE_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct file;
struct netlink_ext_ack;
struct r3map_chunks;
struct r3map_store;

struct r3map_mapfile {
	struct file *file;		/* constant: what is read and written */
	struct file *held;		/* constant: the helper's, with its lock */
	struct r3map_store *store;	/* constant */
	struct r3map_chunks *chunks;	/* constant */
	u32 shift;			/* constant: log2 of the bytes of a region */
	unsigned long nr;		/* constant: regions */

	unsigned long *wanted;		/* regions that are about to be written; atomic */
	unsigned long *intent;		/* regions on disk; changed under @lock, read without */

	struct mutex lock;		/* who writes to the file; no other is taken under it */
	unsigned long *writing;		/* @lock: intents on their way */
	unsigned long *present;		/* @lock: chunks on disk */
	unsigned long *snapshot;	/* @lock: chunks that will be */
	int error;			/* @lock: the store could not be saved once */
	struct delayed_work save;	/* from time to time */
	struct workqueue_struct *workqueue; /* constant: of @save */
};

/**
 * r3map_mapfile_init - read the map file that descriptor @fd of this process is
 * @region: bytes of a region, a power of two, at least a chunk
 * @store, @chunks: complete, and nobody else's yet; what is present and dirty is set in @chunks
 * @workqueue: for what this does on its own
 *
 * As long as this is in use, so is the helper's open file, and with it the lock that the helper has
 * on it: the file is not given to another mount, whatever becomes of the helper.
 *
 * Context: sleeps. Return: 0, or a negative errno with text in @extack; undone by
 * r3map_mapfile_exit() also then.
 */
int r3map_mapfile_init(struct r3map_mapfile *mapfile, int fd, u64 region,
		       struct r3map_store *store, struct r3map_chunks *chunks,
		       struct workqueue_struct *workqueue, struct netlink_ext_ack *extack);
void r3map_mapfile_exit(struct r3map_mapfile *mapfile);

/* May @length bytes (> 0) at @offset be written? Context: any, no lock. */
bool r3map_mapfile_intends(const struct r3map_mapfile *mapfile, u64 offset, u64 length);
/* They may when this returns 0. Context: sleeps, for a disk. */
int r3map_mapfile_intend(struct r3map_mapfile *mapfile, u64 offset, u64 length);

/* What is in the store is on disk, and that it is there. Context: sleeps, for a disk. */
int r3map_mapfile_save(struct r3map_mapfile *mapfile);
/* Nothing is dirty, nobody writes any more, and the backend has it for good: no intents. Same. */
int r3map_mapfile_clear(struct r3map_mapfile *mapfile);

/* Bytes of its tables. */
u64 r3map_mapfile_memory(const struct r3map_mapfile *mapfile);

#endif
