/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /dev/r3mapN, or another block device, as a file: devtmpfs makes it. Only where there is no
 * devtmpfs is it made here.
 */
#ifndef R3MAP_MOUNT_NODE_H
#define R3MAP_MOUNT_NODE_H

#include <stdint.h>

struct error;

#define NODE_PATH	32	/* bytes that are enough for the path */

/* Returns @path. */
char *node_path(uint32_t index, char path[NODE_PATH]);
/*
 * The device is there: waits until its node @path is, a bounded time. 0, or a negative errno with
 * a sentence. A node that had to be made is remembered for node_forget().
 */
int node_wait(const char *path, struct error *error);
/* Removes the node that node_wait() made, if it made one. */
void node_forget(void);

#endif
