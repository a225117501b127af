/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A part of a backend as people write it.
 */
#ifndef R3MAP_UFFD_SLICE_H
#define R3MAP_UFFD_SLICE_H

struct error;
struct uffd_slice;

/* "OFFSET+LENGTH" or "OFFSET", sizes with units. 0, or a negative errno with a sentence. */
int uffd_slice_parse(const char *text, struct uffd_slice *slice, struct error *error);

#endif
