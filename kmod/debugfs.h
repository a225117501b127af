/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /sys/kernel/debug/r3map/r3mapN/requests: what is on its way, and for how long.
 */
#ifndef R3MAP_DEBUGFS_H
#define R3MAP_DEBUGFS_H

struct r3map_device;

void r3map_debugfs_init(void);
void r3map_debugfs_exit(void);

/* Context: sleeps. Failure is not one: debugfs is for people. */
void r3map_debugfs_add(struct r3map_device *dev);
void r3map_debugfs_remove(struct r3map_device *dev);

#endif
