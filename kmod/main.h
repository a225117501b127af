/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all files of the module share: its work queues and its version.
 */
#ifndef R3MAP_MAIN_H
#define R3MAP_MAIN_H

#define R3MAP_VERSION "0.2.0"

struct workqueue_struct;

/* For what bios wait for: retries, timeouts, the end of parking. Nothing on it waits for I/O. */
extern struct workqueue_struct *r3map_workqueue;
/* For what may wait for I/O or for user space: looking for partitions, removing, releasing. */
extern struct workqueue_struct *r3map_slow_workqueue;
/* For submitting bios that were held: it may wait for requests to be free. */
extern struct workqueue_struct *r3map_hold_workqueue;

#endif
