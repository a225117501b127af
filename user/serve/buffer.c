// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Payload buffers: see buffer.h.
 */
#include <stdlib.h>

#include "serve/buffer.h"

#define KEPT_MAX	(16u << 20)	/* bytes of free buffers that a thread keeps */

/* Powers of two, so that a buffer is less than twice as large as what was counted for it. */
static size_t class_size(unsigned int class)
{
	return (size_t)4096 << class;
}

/* BUFFER_CLASSES: larger than any class, not kept. */
static unsigned int class_of(size_t length)
{
	unsigned int class = 0;

	while (class < BUFFER_CLASSES && length > class_size(class))
		class++;
	return class;
}

void *buffer_take(struct buffer_pool *pool, size_t length)
{
	unsigned int class = class_of(length);
	void *buffer;

	if (class == BUFFER_CLASSES)
		return malloc(length);
	buffer = pool->free[class];
	if (!buffer)
		return malloc(class_size(class));
	pool->free[class] = *(void **)buffer;
	pool->kept -= class_size(class);
	return buffer;
}

void buffer_give(struct buffer_pool *pool, void *buffer, size_t length)
{
	unsigned int class = class_of(length);

	if (!buffer)
		return;
	if (class == BUFFER_CLASSES || pool->kept + class_size(class) > KEPT_MAX) {
		free(buffer);
		return;
	}
	*(void **)buffer = pool->free[class];
	pool->free[class] = buffer;
	pool->kept += class_size(class);
}

void buffer_pool_empty(struct buffer_pool *pool)
{
	unsigned int class;

	for (class = 0; class < BUFFER_CLASSES; class++) {
		while (pool->free[class]) {
			void *buffer = pool->free[class];

			pool->free[class] = *(void **)buffer;
			free(buffer);
		}
	}
	pool->kept = 0;
}
