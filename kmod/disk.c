// SPDX-License-Identifier: GPL-2.0-only
/*
 * The disk: limits first, then the gendisk, announced once, with everything final.
 */
#include <linux/blkdev.h>

#include "bio.h"
#include "compat.h"
#include "device.h"
#include "disk.h"
#include "sysfs.h"

static int disk_open(R3MAP_OPEN_ARGS)
{
	return r3map_device_open(R3MAP_OPEN_DISK->private_data);
}

static void disk_release(R3MAP_RELEASE_ARGS)
{
	r3map_device_release(disk->private_data);
}

static void disk_free(struct gendisk *disk)
{
	r3map_device_put(disk->private_data);
}

static const struct block_device_operations disk_fops = {
	.owner = THIS_MODULE,
	.submit_bio = r3map_bio_submit,
	.open = disk_open,
	.release = disk_release,
	.free_disk = disk_free,
};

/* Sectors of one discard or the like: a bounded piece of work for a chunk map. */
static u32 disk_most(const struct r3map_params *p, u32 bytes)
{
	u64 most = p->chunk ? (u64)p->chunk * R3MAP_CHUNKS_MESSAGE : U32_MAX;

	return min_t(u64, bytes, most) >> SECTOR_SHIFT;
}

static struct gendisk *disk_alloc(const struct r3map_device *dev)
{
	const struct r3map_params *p = &dev->params;
	struct queue_limits lim = {
		.logical_block_size = p->logical_block,
		.physical_block_size = p->physical_block,
		.io_min = p->io_min,
		.io_opt = p->io_opt,
		.max_hw_sectors = p->max_io >> SECTOR_SHIFT,
		/* A request is copied segment by segment: their number and size do not matter. */
		.max_segments = USHRT_MAX,
		.max_segment_size = UINT_MAX,
	};
	blk_features_t features = BLK_FEAT_NOWAIT | BLK_FEAT_IO_STAT;

	if (dev->flags & R3MAP_DEVICE_DISCARD) {
		lim.max_hw_discard_sectors = disk_most(p, p->max_discard);
		lim.discard_granularity = p->discard_granularity;
	}
	if (dev->flags & R3MAP_DEVICE_WRITE_ZEROES)
		lim.max_write_zeroes_sectors = disk_most(p, p->max_zeroes);
	if (dev->flags & R3MAP_DEVICE_WRITE_CACHE)
		features |= BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA;
	if (dev->flags & R3MAP_DEVICE_ROTATIONAL)
		features |= BLK_FEAT_ROTATIONAL;
	return r3map_compat_alloc_disk(&lim, features);
}

int r3map_disk_add(struct r3map_device *dev)
{
	struct gendisk *disk;
	int err;

	lockdep_assert_held(&dev->lock);
	disk = disk_alloc(dev);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	disk->fops = &disk_fops;
	disk->private_data = r3map_device_get(dev);
	snprintf(disk->disk_name, sizeof(disk->disk_name), "r3map%u", dev->index);
	set_capacity(disk, dev->size >> SECTOR_SHIFT);
	set_disk_ro(disk, dev->flags & R3MAP_DEVICE_READ_ONLY);
	/* Nothing may be read before somebody serves it; r3map_disk_scan() comes later. */
	set_bit(GD_SUPPRESS_PART_SCAN, &disk->state);

	err = device_add_disk(NULL, disk, r3map_sysfs_groups);
	if (err) {
		put_disk(disk);
		/* disk_free() is only called for a disk that was added. */
		r3map_device_put(dev);
		return err;
	}
	dev->disk = disk;
	return 0;
}

void r3map_disk_remove(struct r3map_device *dev)
{
	if (!dev->disk)
		return;
	del_gendisk(dev->disk);
	put_disk(dev->disk);
}

void r3map_disk_scan(struct r3map_device *dev)
{
	struct gendisk *disk = dev->disk;

	/* Then the bit stays, and nobody else can have them looked for, either. */
	if (dev->flags & R3MAP_DEVICE_NO_PART_SCAN)
		return;
	mutex_lock(&disk->open_mutex);
	if (test_and_clear_bit(GD_SUPPRESS_PART_SCAN, &disk->state))
		bdev_disk_changed(disk, false);
	mutex_unlock(&disk->open_mutex);
}

void r3map_disk_resize(struct r3map_device *dev, u64 size)
{
	lockdep_assert_held(&dev->lock);
	set_capacity_and_notify(dev->disk, size >> SECTOR_SHIFT);
}

void r3map_disk_set_read_only(struct r3map_device *dev, bool read_only)
{
	lockdep_assert_held(&dev->lock);
	set_disk_ro(dev->disk, read_only);
}
