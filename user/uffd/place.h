/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of a client: made, and taken away where it cannot be filled.
 */
#ifndef R3MAP_UFFD_PLACE_H
#define R3MAP_UFFD_PLACE_H

#include <stdint.h>

struct error;

/*
 * A memfd of @size bytes whose size cannot change. The descriptor, or a negative errno with a
 * sentence.
 */
int place_file(uint64_t size, struct error *error);
/* A file without bytes, for place_forbid(). As above. */
int place_nothing(struct error *error);
/*
 * From now on an access to these pages raises SIGBUS, where there is no POISON for it. @nothing: of
 * place_nothing(), made before: there may be no descriptor left when it is needed. Safe in a signal
 * handler. 0 or a negative errno: -ENOMEM: the process has too many mappings.
 */
int place_forbid(int nothing, uint64_t address, uint64_t length);

#endif
