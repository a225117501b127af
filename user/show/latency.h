/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Latencies as a small picture: a line for each kind, in it a character for each power of two.
 */
#ifndef R3MAP_SHOW_LATENCY_H
#define R3MAP_SHOW_LATENCY_H

#include <stdint.h>
#include <linux/r3map.h>

struct cJSON;
struct latency_view;

#define LATENCY_TIME	16		/* bytes that are enough for latency_time() */

/* "640 ns", "1.5 us", "33 ms", "2.1 s": two digits of it at least. Returns @text. */
char *latency_time(uint64_t ns, char text[LATENCY_TIME]);
/* The row of characters: ' ' none, '.' the first, then more and more, '@' the most. */
void latency_row(const struct latency_view *view, char row[R3MAP_LATENCY_BUCKETS + 1]);
/* Prints @object, by kind what latency_json() makes. 0 or -EBADMSG. */
int latency_print(const struct cJSON *object);

#endif
