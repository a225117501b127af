// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Holes, as lseek() tells them: see holes.h.
 *
 * Others may write, punch and cut off the file between two calls. So every step goes forward or
 * ends the search, and a hole is only told of what one call has said to be none of the data.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "extents.h"
#include "holes.h"
#include "../lib/loop.h"

#define BELIEVED_NS	5000000000ull

/* The first byte from @at on that is data, UINT64_MAX: unknown. */
static uint64_t data_seek(int fd, uint64_t at)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);
	struct stat stat;

	if (data >= 0)
		return (uint64_t)data;
	/* None up to the end of the file, which may be before what is asked by now. */
	if (errno == ENXIO && fstat(fd, &stat) == 0 && (uint64_t)stat.st_size > at)
		return (uint64_t)stat.st_size;
	return UINT64_MAX;
}

/* The end of the data that begins at @at, as far as is remembered; else 0. */
static uint64_t seen_end(const struct holes_seen *seen, uint64_t at, uint64_t made)
{
	if (!seen || at < seen->from || at >= seen->to || made != seen->made ||
	    loop_now() >= seen->until)
		return 0;
	return seen->to;
}

int holes_find(int fd, const struct backend_io *io, struct holes_seen *seen, uint64_t made)
{
	uint64_t end = io->offset + io->length;
	uint64_t at = io->offset;
	uint64_t data;
	off_t hole;

	while (at < end) {
		data = seen_end(seen, at, made);
		if (data) {
			if (!extents_add(io, &at, data - at, 0))
				return 0;
			continue;
		}
		data = data_seek(fd, at);
		if (data == UINT64_MAX)
			break;
		if (data > at &&
		    !extents_add(io, &at, data - at, BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO))
			return 0;
		hole = lseek(fd, (off_t)at, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole <= at)
			break;
		if (seen)
			*seen = (struct holes_seen) {
				at, (uint64_t)hole, loop_now() + BELIEVED_NS, made,
			};
		if (!extents_add(io, &at, (uint64_t)hole - at, 0))
			return 0;
	}
	extents_add(io, &at, end - at, 0);
	return 0;
}
