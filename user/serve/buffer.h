/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Payload buffers of one thread, by size class, kept for the next request: a buffer that was just
 * used is still in the CPU's cache, and malloc() of large ones would map and unmap each time.
 *
 * One thread's; no locks.
 */
#ifndef R3MAP_SERVE_BUFFER_H
#define R3MAP_SERVE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#define BUFFER_CLASSES	11

struct buffer_pool {
	void *free[BUFFER_CLASSES];	/* lists, linked through the buffers themselves */
	size_t kept;			/* bytes in them */
};

/* At least @length bytes, not cleared; NULL: out of memory. */
void *buffer_take(struct buffer_pool *pool, size_t length);
/* @length as it was for buffer_take(). */
void buffer_give(struct buffer_pool *pool, void *buffer, size_t length);
void buffer_pool_empty(struct buffer_pool *pool);

#endif
