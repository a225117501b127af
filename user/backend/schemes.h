/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backends that there are. For backend.c, which lists them; everybody else opens by name.
 */
#ifndef R3MAP_BACKEND_SCHEMES_H
#define R3MAP_BACKEND_SCHEMES_H

#include "backend.h"

extern const struct backend_ops backend_mem;
extern const struct backend_ops backend_null;
extern const struct backend_ops backend_file;
extern const struct backend_ops backend_nbd;
extern const struct backend_ops backend_nbds;
extern const struct backend_ops backend_nbd_unix;
extern const struct backend_ops backend_nbds_unix;
extern const struct backend_ops backend_nbd_vsock;
extern const struct backend_ops backend_nbds_vsock;
extern const struct backend_ops backend_nbd_listen;
extern const struct backend_ops backend_nbds_listen;
extern const struct backend_ops backend_delay;
extern const struct backend_ops backend_fault;

#endif
