/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long things take: a histogram by powers of two, the same as the module's
 * (R3MAP_LATENCY_SHIFT), with the sum and the longest.
 */
#ifndef R3MAP_LIB_LATENCY_H
#define R3MAP_LIB_LATENCY_H

#include <linux/r3map.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cJSON;

/* One thread notes, any may look. */
struct latency {
	_Atomic uint64_t sum, longest;	/* ns */
	_Atomic uint64_t bucket[R3MAP_LATENCY_BUCKETS];
};

/* What was noted, at one moment. */
struct latency_view {
	uint64_t count, sum, longest;
	uint64_t bucket[R3MAP_LATENCY_BUCKETS];
	uint32_t one_in;		/* of so many one was noted; 1: all */
};

void latency_note(struct latency *latency, uint64_t ns);
/* How many were noted. */
uint64_t latency_count(const struct latency *latency);
void latency_look(const struct latency *latency, struct latency_view *view);

/* Where bucket @bucket begins, in ns; that of the one behind the last: UINT64_MAX. */
uint64_t latency_bucket_start(unsigned int bucket);
/*
 * No fewer than @percent of all took this long at most, in ns: the end of a bucket, or the longest
 * if that is less. 0 if there were none.
 */
uint64_t latency_percentile(const struct latency_view *view, unsigned int percent);

/* As an object, the buckets that are not empty by where they begin. NULL: no memory. */
struct cJSON *latency_json(const struct latency_view *view);
/* The way back. False: it is something else. */
bool latency_parse(const struct cJSON *object, struct latency_view *view);

#endif
