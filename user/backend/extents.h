/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a backend fills in the answer to BACKEND_EXTENTS.
 */
#ifndef R3MAP_BACKEND_EXTENTS_H
#define R3MAP_BACKEND_EXTENTS_H

#include "backend.h"

/*
 * Says that the next @length bytes are of the kind @flags. @at: where they begin, io->offset at
 * first; moved behind what was taken. Clips to the range asked, merges with the extent before, and
 * takes nothing that has no room. Returns whether more is wanted.
 */
bool extents_add(const struct backend_io *io, uint64_t *at, uint64_t length, uint32_t flags);

#endif
