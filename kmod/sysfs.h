/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /sys/block/r3mapN/r3map/: see Documentation/ABI/testing/sysfs-block-r3map.
 */
#ifndef R3MAP_SYSFS_H
#define R3MAP_SYSFS_H

struct attribute_group;

extern const struct attribute_group *r3map_sysfs_groups[];

#endif
