/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mem:SIZE?name=NAME, a region that several processes of this host have in common.
 */
#ifndef R3MAP_BACKEND_SHARED_H
#define R3MAP_BACKEND_SHARED_H

#include "backend.h"

/* @rest: "SIZE?name=NAME"; without SIZE one that is there. As backend_ops.open. */
int shared_open(const char *rest, struct backend **backend, struct error *error);

#endif
