/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the helper of a managed device tells through its door (door.h) of what it does in the
 * background, and is told of it.
 */
#ifndef R3MAP_MOUNT_TELL_H
#define R3MAP_MOUNT_TELL_H

#include <stdbool.h>

#include "mount/door.h"

struct cJSON;
struct error;
struct latency;
struct managed;
struct reach;

/* Adds what the pull does. False: no memory. */
bool tell_pull(struct cJSON *object, const struct managed *managed);
/* Adds what is wrong now, and since how many ms. False: no memory. */
bool tell_trouble(struct cJSON *object, const struct managed *managed, const struct reach *reach);
/* Adds what was @noted to @latency as @kind, unless it is nothing. False: no memory. */
bool tell_kind(struct cJSON *latency, const char *kind, const struct latency *noted);
/* Adds "pulls" and "pushes" to @latency, by kind what latency_json() makes. False: no memory. */
bool tell_latency(struct cJSON *latency, const struct managed *managed);
/* Answers DOOR_SHOW with @json, which is freed; NULL: there was no memory for it. @door may be NULL. */
void tell_shown(struct door *door, char *json);
/* DOOR_PULL or DOOR_RATE with @argument: does it. 0 or a negative errno with a sentence. */
int tell_change(struct managed *managed, enum door_word word, const char *argument,
		struct error *error);

#endif
