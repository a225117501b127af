/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernels 6.1 to 7.x behind one set of names: the only file with version checks.
 *
 * The source is written for the newest kernel. Each block names the upstream change that made
 * the older name go away and is to be deleted together with its oldest kernel.
 */
#ifndef R3MAP_COMPAT_H
#define R3MAP_COMPAT_H

#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/uio.h>
#include <linux/version.h>
#include <net/genetlink.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "r3map needs Linux 6.1 or newer"
#endif

/* v7.1-rc1, "folio_batch: rename pagevec.h to folio_batch.h" */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#include <linux/pagevec.h>
#else
#include <linux/folio_batch.h>
#endif

/* v6.5-rc1, 05bdb9965305 "block: replace fmode_t with a block-specific type" */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
typedef fmode_t blk_mode_t;
#define R3MAP_OPEN_ARGS		struct block_device *bdev, blk_mode_t mode
#define R3MAP_OPEN_DISK		(bdev->bd_disk)
#define R3MAP_RELEASE_ARGS	struct gendisk *disk, blk_mode_t mode
#else
#define R3MAP_OPEN_ARGS		struct gendisk *disk, blk_mode_t mode
#define R3MAP_OPEN_DISK		(disk)
#define R3MAP_RELEASE_ARGS	struct gendisk *disk
#endif

/*
 * v6.9-rc1, 74fa8f9c553f "block: pass a queue_limits argument to blk_alloc_disk", and
 * v6.11-rc1, 1122c0c1cc71 "block: move cache control settings out of queue->flags": the features
 * became part of the limits. Older kernels get the same facts by setters after the allocation.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
typedef u32 blk_features_t;
#define BLK_FEAT_WRITE_CACHE	(1u << 0)
#define BLK_FEAT_FUA		(1u << 1)
#define BLK_FEAT_ROTATIONAL	(1u << 2)
#define BLK_FEAT_IO_STAT	(1u << 3)
#define BLK_FEAT_NOWAIT		(1u << 4)
#endif

static inline struct gendisk *r3map_compat_alloc_disk(struct queue_limits *lim,
						      blk_features_t features)
{
	struct gendisk *disk;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	lim->features = features;
	lim->max_user_sectors = lim->max_hw_sectors;
	disk = blk_alloc_disk(lim, NUMA_NO_NODE);
#else
	struct request_queue *q;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	lim->max_user_sectors = lim->max_hw_sectors;
	disk = blk_alloc_disk(lim, NUMA_NO_NODE);
	if (IS_ERR(disk))
		return disk;
	q = disk->queue;
#else
	disk = blk_alloc_disk(NUMA_NO_NODE);
	if (!disk)
		return ERR_PTR(-ENOMEM);
	q = disk->queue;
	blk_queue_logical_block_size(q, lim->logical_block_size);
	blk_queue_physical_block_size(q, lim->physical_block_size);
	blk_queue_io_min(q, lim->io_min);
	blk_queue_io_opt(q, lim->io_opt);
	blk_queue_max_hw_sectors(q, lim->max_hw_sectors);
	q->limits.max_sectors = lim->max_hw_sectors;
	blk_queue_max_segments(q, lim->max_segments);
	blk_queue_max_segment_size(q, lim->max_segment_size);
	blk_queue_max_discard_sectors(q, lim->max_hw_discard_sectors);
	q->limits.discard_granularity = lim->discard_granularity;
	blk_queue_max_write_zeroes_sectors(q, lim->max_write_zeroes_sectors);
#endif
	blk_queue_write_cache(q, features & BLK_FEAT_WRITE_CACHE, features & BLK_FEAT_FUA);
	if (!(features & BLK_FEAT_ROTATIONAL))
		blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	if (features & BLK_FEAT_NOWAIT)
		blk_queue_flag_set(QUEUE_FLAG_NOWAIT, q);
	if (features & BLK_FEAT_IO_STAT)
		blk_queue_flag_set(QUEUE_FLAG_IO_STAT, q);
#endif
	return disk;
}

/*
 * v6.8-rc1, 6ae654392bb5 "fs: move kiocb_start_write() into vfs_iocb_iter_write()" and its series:
 * vfs_iter_write() holds off a freeze of the file system itself.
 */
static inline ssize_t r3map_compat_iter_write(struct file *file, struct iov_iter *iter, loff_t *at)
{
	ssize_t n;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	file_start_write(file);
#endif
	n = vfs_iter_write(file, iter, at, 0);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	file_end_write(file);
#endif
	return n;
}

/* v6.8-rc1, "bdev: rename freeze and thaw helpers". */
static inline int r3map_compat_freeze(struct block_device *bdev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	return freeze_bdev(bdev);
#else
	return bdev_freeze(bdev);
#endif
}

static inline void r3map_compat_thaw(struct block_device *bdev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	thaw_bdev(bdev);
#else
	bdev_thaw(bdev);
#endif
}

/*
 * v6.8-rc1, cd4d7263d58a "genetlink: add CAP_NET_ADMIN test for multicast bind", in the stable
 * series since 6.1.69 and 6.6.7. Without it anybody may listen to the events.
 */
#ifdef GENL_MCAST_CAP_SYS_ADMIN
#define R3MAP_MCGRP_FLAGS .flags = GENL_MCAST_CAP_SYS_ADMIN,
#else
#define R3MAP_MCGRP_FLAGS
#endif

#endif
