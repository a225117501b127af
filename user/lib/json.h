/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cJSON lacks: 64-bit numbers without loss, and printing with a check.
 */
#ifndef R3MAP_JSON_H
#define R3MAP_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* Adds a member; cJSON's own numbers are doubles and lose bits beyond 2^53. False: no memory. */
bool json_add_u64(cJSON *object, const char *name, uint64_t value);

/*
 * Prints @json, which it frees and which may be NULL (no memory), on stdout with a newline; on
 * one line if @line. Returns 0 or a negative errno.
 */
int json_print(cJSON *json, bool line);

#endif
