/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a regular file has data and where it has holes.
 */
#ifndef R3MAP_BACKEND_HOLES_H
#define R3MAP_BACKEND_HOLES_H

#include "backend.h"

/*
 * Data that was found, for a while. tmpfs looks at every page until it finds a hole, 60 ns each, up
 * to the end of the file, whatever was asked. One thread's; zero at first.
 */
struct holes_seen {
	uint64_t from, to;	/* bytes: data, unless somebody has punched it meanwhile */
	uint64_t until;		/* loop_now() when that is no longer believed */
	uint64_t made;
};

/*
 * Answers EXTENTS of the file @fd. May block. Returns 0, for where the file system does not tell,
 * and behind the end of a file that was cut off, all is data. @seen: NULL, or remembers data from
 * call to call; what others punch is then told as data for up to 5 s, what was counted by
 * @made, of holes that this process made in the file, is not. Holes are never remembered.
 */
int holes_find(int fd, const struct backend_io *io, struct holes_seen *seen, uint64_t made);

#endif
