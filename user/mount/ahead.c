// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What readers will ask for next. See ahead.h.
 */
#include <string.h>

#include "mount/ahead.h"

void ahead_init(struct ahead *ahead, uint64_t size, uint32_t chunk)
{
	memset(ahead, 0, sizeof(*ahead));
	ahead->size = size;
	ahead->first = chunk > AHEAD_FIRST ? chunk : AHEAD_FIRST;
	pthread_mutex_init(&ahead->lock, NULL);
}

void ahead_exit(struct ahead *ahead)
{
	pthread_mutex_destroy(&ahead->lock);
}

/* Whose miss is one at @offset? NULL: nobody's who is known. */
static struct ahead_stream *stream_find(struct ahead *ahead, uint64_t offset)
{
	for (unsigned int i = 0; i < AHEAD_STREAMS; i++) {
		struct ahead_stream *s = &ahead->stream[i];

		/* Right behind what he had; in a window that is not here yet; or a little behind it. */
		if (s->born && offset + s->window >= s->next && offset <= s->next + s->window)
			return s;
	}
	return NULL;
}

/* A new one, in place of the one that was silent for longest. */
static void stream_begin(struct ahead *ahead, uint64_t end)
{
	struct ahead_stream *oldest = &ahead->stream[0];

	for (unsigned int i = 1; i < AHEAD_STREAMS; i++)
		if (ahead->stream[i].heard < oldest->heard)
			oldest = &ahead->stream[i];
	*oldest = (struct ahead_stream) {
		.born = ahead->misses, .heard = ahead->misses, .next = end,
	};
}

static void window_open(struct ahead *ahead, struct ahead_stream *s, uint64_t end)
{
	if (!s->window)
		s->window = ahead->first;
	else if (s->window * 2 <= AHEAD_MOST)
		s->window *= 2;
	/* What is left of the last one is behind this miss, and comes first. */
	if (s->from == s->to)
		s->from = end;
	s->to = s->window < ahead->size - end ? end + s->window : ahead->size;
	s->next = s->to;
	atomic_fetch_add(&ahead->used, s->read);
	s->read = 0;
}

/* He has left something out. */
static void window_shrink(const struct ahead *ahead, struct ahead_stream *s, uint64_t end)
{
	/* The next one is twice this. */
	s->window = s->window / 4 >= ahead->first / 2 ? s->window / 4 : 0;
	s->from = s->to;
	s->next = end;
	s->read = 0;
}

bool ahead_missed(struct ahead *ahead, uint64_t offset, uint64_t length)
{
	const uint64_t end = offset + length;
	struct ahead_stream *s;
	bool more;

	pthread_mutex_lock(&ahead->lock);
	ahead->misses++;
	s = stream_find(ahead, offset);
	if (!s) {
		stream_begin(ahead, end);
	} else {
		s->heard = ahead->misses;
		if (offset == s->next)
			window_open(ahead, s, end);
		else if (offset > s->next)
			window_shrink(ahead, s, end);
		else if (end > s->from && s->from < s->to)	/* he was faster: it goes on behind him */
			s->from = end < s->to ? end : s->to;
	}
	more = s && s->from < s->to;
	pthread_mutex_unlock(&ahead->lock);
	return more;
}

bool ahead_take(struct ahead *ahead, uint64_t most, struct ahead_part *part)
{
	struct ahead_stream *first = NULL;

	pthread_mutex_lock(&ahead->lock);
	for (unsigned int i = 0; i < AHEAD_STREAMS; i++) {
		struct ahead_stream *s = &ahead->stream[i];

		if (s->from < s->to && (!first || s->heard < first->heard))
			first = s;
	}
	if (first) {
		part->piece.offset = first->from;
		part->piece.end = most < first->to - first->from ? first->from + most : first->to;
		part->piece.zero = false;
		part->stream = first->born;
		first->from = part->piece.end;
	}
	pthread_mutex_unlock(&ahead->lock);
	return first;
}

void ahead_took(struct ahead *ahead, const struct ahead_part *part, uint64_t bytes)
{
	pthread_mutex_lock(&ahead->lock);
	atomic_fetch_add(&ahead->bytes, bytes);
	for (unsigned int i = 0; i < AHEAD_STREAMS; i++)
		if (ahead->stream[i].born == part->stream)
			ahead->stream[i].read += bytes;
	pthread_mutex_unlock(&ahead->lock);
}
