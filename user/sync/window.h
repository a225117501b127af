/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A window on a file: bytes that are looked at where the page cache has them, without a copy. Others may write to them
 * at any time, and cut the file off.
 *
 * Any thread, each with windows of its own. The first one takes SIGBUS for the process, and leaves to what was there
 * before whatever is not of a window.
 */
#ifndef R3MAP_SYNC_WINDOW_H
#define R3MAP_SYNC_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window {
	const char *data;		/* of the bytes that were asked for */
	char *map;			/* the pages, and bytes of them */
	size_t mapped;
};

/* @length bytes of @fd, not 0, from @offset on. 0 or a negative errno: some files have none. */
int window_open(struct window *window, int fd, uint64_t offset, size_t length);
void window_close(struct window *window);
/*
 * Calls look(@data), which may read the window, and must neither allocate nor lock: where a byte cannot be read it does
 * not return. False: that is so. The file is shorter than the window, or its disk fails.
 */
bool window_look(const struct window *window, void (*look)(void *data), void *data);

#endif
