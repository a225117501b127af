// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pull and push of a managed mount, put together. See managed.h.
 */
#include <stdlib.h>
#include <string.h>

#include "mount/managed.h"

int managed_start(struct managed *managed, struct loop *loop, struct backend_channel *channel,
		  struct error *error)
{
	int err;

	managed->loop = loop;
	managed->channel = channel;
	err = push_new(managed, &managed->push, error);
	if (!err && managed->options->pull_workers)
		err = pull_new(managed, &managed->pull, error);
	return err;
}

void managed_halt(struct managed *managed)
{
	if (managed->pull)
		pull_halt(managed->pull);
	if (managed->push)
		push_halt(managed->push);
}

void managed_stop(struct managed *managed)
{
	pull_free(managed->pull);
	push_free(managed->push);
	managed->pull = NULL;
	managed->push = NULL;
}

void managed_flush(struct managed *managed, struct managed_flush *flush)
{
	push_flush(managed->push, flush);
}

bool chunk_news_add(struct chunk_news *news, uint64_t offset, uint64_t length)
{
	news->extent[news->count++] =
		(struct r3map_extent) { .offset = offset, .length = length };
	return news->count == R3MAP_MAX_EXTENTS;
}

static int extent_compare(const void *a, const void *b)
{
	const struct r3map_extent *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

void chunk_news_order(struct chunk_news *news)
{
	unsigned int used = 0;

	qsort(news->extent, news->count, sizeof(news->extent[0]), extent_compare);
	for (unsigned int i = 1; i < news->count; i++) {
		struct r3map_extent *last = &news->extent[used];

		if (last->offset + last->length == news->extent[i].offset)
			last->length += news->extent[i].length;
		else
			news->extent[++used] = news->extent[i];
	}
	if (news->count)
		news->count = used + 1;
}
