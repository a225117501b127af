// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading and writing the map file. See mapfile.h.
 */
#include <linux/bitmap.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/sched/mm.h>

#include "chunk.h"
#include "mapfile.h"
#include "store.h"

#define MAP_BLOCK	4096u		/* bytes: written at once; the helper's part is one */
#define SAVE_SECONDS	5
#define MAX_REGIONS	524288ul

static size_t map_bytes(unsigned long nr)
{
	return BITS_TO_LONGS(nr) * sizeof(long);
}

/* Where the bits of chunks begin in the file: behind those of regions, in blocks. */
static loff_t map_present(const struct r3map_mapfile *mapfile)
{
	return MAP_BLOCK + round_up(map_bytes(mapfile->nr), MAP_BLOCK);
}

static int map_read(const struct r3map_mapfile *mapfile, void *to, size_t bytes, loff_t at)
{
	ssize_t n;

	for (; bytes; to += n, bytes -= n) {
		n = kernel_read(mapfile->file, to, bytes, &at);
		if (n <= 0)
			return n ?: -EIO;
	}
	return 0;
}

static int map_write(const struct r3map_mapfile *mapfile, const void *from, size_t bytes,
		     loff_t at)
{
	ssize_t n;

	for (; bytes; from += n, bytes -= n) {
		n = kernel_write(mapfile->file, from, bytes, &at);
		if (n <= 0)
			return n ?: -EIO;
	}
	return 0;
}

static int map_sync(const struct r3map_mapfile *mapfile)
{
	return vfs_fsync(mapfile->file, 1);
}

/* --- intents ------------------------------------------------------------------------------ */

bool r3map_mapfile_intends(const struct r3map_mapfile *mapfile, u64 offset, u64 length)
{
	unsigned long first = offset >> mapfile->shift;
	unsigned long end = ((offset + length - 1) >> mapfile->shift) + 1;

	return find_next_zero_bit(mapfile->intent, end, first) >= end;
}

/* The blocks of the file that have the regions from @first up to @end, and those beside them. */
static int intent_write(struct r3map_mapfile *mapfile, unsigned long first, unsigned long end)
{
	size_t at = round_down(first / 8, MAP_BLOCK), bytes = map_bytes(mapfile->nr), n;
	size_t stop = min(round_up(DIV_ROUND_UP(end, 8), MAP_BLOCK), bytes);
	int err = 0;

	lockdep_assert_held(&mapfile->lock);
	/* Whatever others want by now goes with it. */
	for (; !err && at < stop; at += n) {
		void *writing = (void *)mapfile->writing + at;

		n = min_t(size_t, stop - at, MAP_BLOCK);
		memcpy(writing, (void *)mapfile->wanted + at, n);
		err = map_write(mapfile, writing, n, MAP_BLOCK + at);
	}
	return err ?: map_sync(mapfile);
}

int r3map_mapfile_intend(struct r3map_mapfile *mapfile, u64 offset, u64 length)
{
	unsigned long first = offset >> mapfile->shift, at;
	unsigned long end = ((offset + length - 1) >> mapfile->shift) + 1;
	unsigned int noio;
	int err = 0;

	for (at = first; at < end; at++)
		set_bit(at, mapfile->wanted);
	noio = memalloc_noio_save();
	mutex_lock(&mapfile->lock);
	if (!r3map_mapfile_intends(mapfile, offset, length))
		err = intent_write(mapfile, first, end);
	if (!err)
		bitmap_or(mapfile->intent, mapfile->intent, mapfile->writing, mapfile->nr);
	else
		bitmap_copy(mapfile->writing, mapfile->intent, mapfile->nr);
	mutex_unlock(&mapfile->lock);
	memalloc_noio_restore(noio);
	return err;
}

int r3map_mapfile_clear(struct r3map_mapfile *mapfile)
{
	size_t bytes = map_bytes(mapfile->nr);
	unsigned int noio = memalloc_noio_save();
	int err;

	mutex_lock(&mapfile->lock);
	memset(mapfile->wanted, 0, bytes);
	memset(mapfile->writing, 0, bytes);
	memset(mapfile->intent, 0, bytes);
	err = map_write(mapfile, mapfile->writing, bytes, MAP_BLOCK) ?: map_sync(mapfile);
	mutex_unlock(&mapfile->lock);
	memalloc_noio_restore(noio);
	return err;
}

/* --- presence ----------------------------------------------------------------------------- */

/* What has become present is written; it is on disk, but for the bits. */
static int present_write(struct r3map_mapfile *mapfile)
{
	size_t bytes = map_bytes(mapfile->chunks->nr), at, n;
	int err;

	lockdep_assert_held(&mapfile->lock);
	for (at = 0; at < bytes; at += n) {
		void *snapshot = (void *)mapfile->snapshot + at;

		n = min_t(size_t, bytes - at, MAP_BLOCK);
		if (!memcmp(snapshot, (void *)mapfile->present + at, n))
			continue;
		err = map_write(mapfile, snapshot, n, map_present(mapfile) + at);
		if (err)
			return err;
	}
	err = map_sync(mapfile);
	if (!err)
		memcpy(mapfile->present, mapfile->snapshot, bytes);
	return err;
}

static int mapfile_save(struct r3map_mapfile *mapfile, bool always)
{
	size_t bytes = map_bytes(mapfile->chunks->nr);
	unsigned int noio = memalloc_noio_save();
	bool changed;
	int err;

	mutex_lock(&mapfile->lock);
	/* Bits are only ever set. */
	memcpy(mapfile->snapshot, mapfile->chunks->local, bytes);
	/* The bits before the bytes; pairs with r3map_chunks_settle(). */
	smp_rmb();
	changed = memcmp(mapfile->snapshot, mapfile->present, bytes);
	/* A disk that has failed tells so once, and of pages that it has dropped never again. */
	if (!mapfile->error && (always || changed))
		mapfile->error = r3map_store_sync(mapfile->store);
	err = mapfile->error;
	if (!err && changed)
		err = present_write(mapfile);
	mutex_unlock(&mapfile->lock);
	memalloc_noio_restore(noio);
	return err;
}

int r3map_mapfile_save(struct r3map_mapfile *mapfile)
{
	return mapfile_save(mapfile, true);
}

static void mapfile_save_work(struct work_struct *work)
{
	struct r3map_mapfile *mapfile = container_of(to_delayed_work(work), struct r3map_mapfile,
						     save);

	/* What cannot be saved now is tried again, and fetched again if it comes to that. */
	mapfile_save(mapfile, false);
	queue_delayed_work(mapfile->workqueue, &mapfile->save, SAVE_SECONDS * HZ);
}

/* --- making ------------------------------------------------------------------------------- */

static int mapfile_open(struct r3map_mapfile *mapfile, int fd, struct netlink_ext_ack *extack)
{
	mapfile->held = fget(fd);
	if (!mapfile->held) {
		NL_SET_ERR_MSG(extack, "MAP is not an open file");
		return -EBADF;
	}
	if (!r3map_store_usable(mapfile->held)) {
		NL_SET_ERR_MSG(extack, "MAP is not a regular file, open for both ways");
		return -EINVAL;
	}
	if (file_inode(mapfile->held) == file_inode(mapfile->store->file)) {
		NL_SET_ERR_MSG(extack, "MAP and STORE are the same file");
		return -EINVAL;
	}
	if (i_size_read(file_inode(mapfile->held)) <
	    map_present(mapfile) + map_bytes(mapfile->chunks->nr)) {
		NL_SET_ERR_MSG(extack, "MAP is too short for this many chunks and regions");
		return -EINVAL;
	}
	mapfile->file = r3map_store_reopen(mapfile->held);
	if (IS_ERR(mapfile->file)) {
		int err = PTR_ERR(mapfile->file);

		mapfile->file = NULL;
		NL_SET_ERR_MSG(extack, "MAP cannot be opened again");
		return err;
	}
	return 0;
}

/* From the file to the tables, and to the chunk map. */
static int mapfile_load(struct r3map_mapfile *mapfile, struct netlink_ext_ack *extack)
{
	struct r3map_chunks *chunks = mapfile->chunks;
	unsigned long region, first, end;
	int err;

	err = map_read(mapfile, mapfile->intent, map_bytes(mapfile->nr), MAP_BLOCK) ?:
	      map_read(mapfile, mapfile->present, map_bytes(chunks->nr), map_present(mapfile));
	if (err) {
		NL_SET_ERR_MSG(extack, "MAP cannot be read");
		return err;
	}
	/* Bits behind the last mean nothing. */
	bitmap_clear(mapfile->intent, mapfile->nr, map_bytes(mapfile->nr) * 8 - mapfile->nr);
	bitmap_clear(mapfile->present, chunks->nr, map_bytes(chunks->nr) * 8 - chunks->nr);
	memcpy(mapfile->wanted, mapfile->intent, map_bytes(mapfile->nr));
	r3map_chunks_load(chunks, mapfile->present);
	for_each_set_bit(region, mapfile->intent, mapfile->nr) {
		first = region << (mapfile->shift - chunks->shift);
		end = min(first + (1ul << (mapfile->shift - chunks->shift)), chunks->nr);
		r3map_chunks_dirty_local(chunks, (struct r3map_chunk_range) { first, end });
		cond_resched();
	}
	return 0;
}

int r3map_mapfile_init(struct r3map_mapfile *mapfile, int fd, u64 region,
		       struct r3map_store *store, struct r3map_chunks *chunks,
		       struct workqueue_struct *workqueue, struct netlink_ext_ack *extack)
{
	int err;

	mutex_init(&mapfile->lock);
	INIT_DELAYED_WORK(&mapfile->save, mapfile_save_work);
	mapfile->workqueue = workqueue;
	mapfile->store = store;
	mapfile->chunks = chunks;
	/* The bits have the same order in the file as here. */
	if (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN)) {
		NL_SET_ERR_MSG(extack, "MAP is not for machines of this byte order");
		return -EOPNOTSUPP;
	}
	if (!is_power_of_2(region) || region >> chunks->shift == 0 ||
	    (chunks->size - 1) >> ilog2(region) >= MAX_REGIONS) {
		NL_SET_ERR_MSG(extack,
			       "MAP_REGION is no power of two, less than CHUNK or too small for SIZE");
		return -EINVAL;
	}
	mapfile->shift = ilog2(region);
	mapfile->nr = ((chunks->size - 1) >> mapfile->shift) + 1;
	err = mapfile_open(mapfile, fd, extack);
	if (err)
		return err;
	mapfile->wanted = kvzalloc(map_bytes(mapfile->nr), GFP_KERNEL);
	mapfile->intent = kvzalloc(map_bytes(mapfile->nr), GFP_KERNEL);
	mapfile->writing = kvzalloc(map_bytes(mapfile->nr), GFP_KERNEL);
	mapfile->present = kvzalloc(map_bytes(chunks->nr), GFP_KERNEL);
	mapfile->snapshot = kvzalloc(map_bytes(chunks->nr), GFP_KERNEL);
	if (!mapfile->wanted || !mapfile->intent || !mapfile->writing || !mapfile->present ||
	    !mapfile->snapshot)
		return -ENOMEM;
	err = mapfile_load(mapfile, extack);
	if (!err)
		queue_delayed_work(workqueue, &mapfile->save, SAVE_SECONDS * HZ);
	return err;
}

void r3map_mapfile_exit(struct r3map_mapfile *mapfile)
{
	cancel_delayed_work_sync(&mapfile->save);
	kvfree(mapfile->snapshot);
	kvfree(mapfile->present);
	kvfree(mapfile->writing);
	kvfree(mapfile->intent);
	kvfree(mapfile->wanted);
	if (mapfile->file)
		fput(mapfile->file);
	if (mapfile->held)
		fput(mapfile->held);
}

u64 r3map_mapfile_memory(const struct r3map_mapfile *mapfile)
{
	return sizeof(*mapfile) + 3 * map_bytes(mapfile->nr) + 2 * map_bytes(mapfile->chunks->nr);
}
