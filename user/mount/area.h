/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for payload: whole pages, present before use, in huge pages if it is large enough for one.
 */
#ifndef R3MAP_MOUNT_AREA_H
#define R3MAP_MOUNT_AREA_H

#include <stdbool.h>
#include <stddef.h>

/*
 * @size: bytes, rounded up to pages. @pinned: the kernel will pin it, so a child must not get a
 * copy. Returns zeroed memory, to be given to area_free(), or NULL.
 */
void *area_alloc(size_t size, bool pinned);
/* @area may be NULL. @size: as given to area_alloc(). */
void area_free(void *area, size_t size);

#endif
