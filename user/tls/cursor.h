/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A place in the pieces of a caller, for what is copied out of them or into them.
 */
#ifndef R3MAP_TLS_CURSOR_H
#define R3MAP_TLS_CURSOR_H

#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

struct cursor {
	const struct iovec *iov;	/* the first that is not used up, once advanced */
	int count;		/* of pieces left; 0: the end */
	size_t skip;		/* bytes of iov[0] */
};

static inline void cursor_advance(struct cursor *at, size_t length)
{
	length += at->skip;
	while (at->count && length >= at->iov->iov_len) {
		length -= at->iov->iov_len;
		at->iov++;
		at->count--;
	}
	at->skip = at->count ? length : 0;
}

/* @iov without empty pieces before its first byte. */
static inline struct cursor cursor_start(const struct iovec *iov, int count)
{
	struct cursor at = { iov, count, 0 };

	cursor_advance(&at, 0);
	return at;
}

static inline char *cursor_at(const struct cursor *at)
{
	return (char *)at->iov->iov_base + at->skip;
}

/* Bytes of the piece that it stands in; there is one. */
static inline size_t cursor_piece(const struct cursor *at)
{
	return at->iov->iov_len - at->skip;
}

/* Bytes from here to the end. */
static inline size_t cursor_left(const struct cursor *at)
{
	size_t sum = 0;
	int i;

	for (i = 0; i < at->count; i++)
		sum += at->iov[i].iov_len;
	return sum - at->skip;
}

/* Copies the next @length bytes, or as many as there are, out of the pieces. Returns how many. */
static inline size_t cursor_take(struct cursor *at, void *to, size_t length)
{
	size_t done = 0, part;

	while (at->count && done < length) {
		part = cursor_piece(at);
		if (part > length - done)
			part = length - done;
		memcpy((char *)to + done, cursor_at(at), part);
		cursor_advance(at, part);
		done += part;
	}
	return done;
}

/* Copies @length bytes, or as many as there is room for, into the pieces. Returns how many. */
static inline size_t cursor_put(struct cursor *at, const void *from, size_t length)
{
	size_t done = 0, part;

	while (at->count && done < length) {
		part = cursor_piece(at);
		if (part > length - done)
			part = length - done;
		memcpy(cursor_at(at), (const char *)from + done, part);
		cursor_advance(at, part);
		done += part;
	}
	return done;
}

#endif
