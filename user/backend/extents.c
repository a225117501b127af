// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A list of extents that grows: see extents.h.
 */
#include "extents.h"

bool extents_add(const struct backend_io *io, uint64_t *at, uint64_t length, uint32_t flags)
{
	struct backend_extents *extents = io->extents;
	uint32_t room = io->flags & BACKEND_ONE ? 1 : extents->room;
	uint64_t left = io->offset + io->length - *at;
	struct backend_extent *last = extents->used ? &extents->extent[extents->used - 1] : NULL;

	if (length > left)
		length = left;
	if (!length)
		return left;
	if (last && last->flags == flags)
		last->length += length;
	else if (extents->used < room)
		extents->extent[extents->used++] = (struct backend_extent) { length, flags };
	else
		return false;
	*at += length;
	return length < left;
}
