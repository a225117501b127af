/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A migration in words.
 */
#ifndef R3MAP_SHOW_MIGRATION_H
#define R3MAP_SHOW_MIGRATION_H

#include <stdint.h>

struct cJSON;

/*
 * Prints what @helper, which may be NULL, tells of migrations of a region of @size bytes: a leecher's own, a
 * seeder's leechers. What it does not tell is left out.
 */
void migration_print(const struct cJSON *helper, uint64_t size);

#endif
