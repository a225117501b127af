/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a helper tells of its device, by its door (mount/door.h), as JSON.
 */
#ifndef R3MAP_SHOW_HELPER_H
#define R3MAP_SHOW_HELPER_H

#include <stdint.h>

struct cJSON;
struct error;

/* All that the helper of /dev/@disk tells; to be freed. NULL: with a sentence, and code, as of door_ask_disk(). */
struct cJSON *helper_ask(const char *disk, struct error *error);
/* A number of @object, which may be NULL; 0 if it has none. */
uint64_t helper_number(const struct cJSON *object, const char *name);
/* A text of it; "" if it has none. */
const char *helper_text(const struct cJSON *object, const char *name);

#endif
