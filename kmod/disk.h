/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gendisk of a device: its limits, its birth and its end.
 */
#ifndef R3MAP_DISK_H
#define R3MAP_DISK_H

#include <linux/types.h>

struct r3map_device;

/*
 * Makes /dev/r3mapN with all limits, without looking for partitions. On success dev->disk is set
 * and the disk has a reference to @dev. Context: dev->lock is held; sleeps.
 */
int r3map_disk_add(struct r3map_device *dev);

/* Removes the disk, if there is one. Context: no lock is held; sleeps until openers were told. */
void r3map_disk_remove(struct r3map_device *dev);

/* Looks for partitions, which reads from the device. Context: no lock is held; waits for I/O. */
void r3map_disk_scan(struct r3map_device *dev);

/* Context: dev->lock is held. */
void r3map_disk_resize(struct r3map_device *dev, u64 size);
void r3map_disk_set_read_only(struct r3map_device *dev, bool read_only);

#endif
