/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a receiver, and a hub, tell of what has come.
 */
#ifndef R3MAP_SYNC_TELL_H
#define R3MAP_SYNC_TELL_H

#include <stdbool.h>

#include "sync/message.h"

struct error;
struct region;

/* A line on stdout: the hash that both ends agree on, and the name; or JSON, with who sent it. */
void tell_committed(const struct region *region, const unsigned char root[SYNC_ROOT],
		    const char *peer, bool json);
/* In the log: @name is gone, or could not be removed. */
void tell_removed(const char *address, const char *name, const struct error *error);

#endif
