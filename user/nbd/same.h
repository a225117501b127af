/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether an export is still the one that was opened.
 */
#ifndef R3MAP_NBD_SAME_H
#define R3MAP_NBD_SAME_H

#include "handshake.h"

struct error;

/*
 * A further connection must offer what the first one did, for that is what the region promises:
 * the same size and flags, limits and headers at least as good. Returns 0, or -ESTALE with one
 * sentence that says what is different. Pure.
 */
int nbd_export_same(const struct nbd_export *was, const struct nbd_export *is,
		     struct error *error);

#endif
