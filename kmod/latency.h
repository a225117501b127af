/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long things take: a histogram by powers of two, with the sum and the longest.
 *
 * It is noted without a lock, in the memory of this CPU or under a lock of the caller's; whoever
 * reads adds up, and may see one that is noted just now in a part of the numbers.
 */
#ifndef R3MAP_LATENCY_H
#define R3MAP_LATENCY_H

#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/r3map.h>
#include <linux/types.h>

struct sk_buff;

struct r3map_latency {
	u64 sum;			/* ns */
	u64 longest;			/* ns */
	u64 bucket[R3MAP_LATENCY_BUCKETS];
};

static inline unsigned int r3map_latency_bucket(u64 ns)
{
	return min_t(unsigned int, fls64(ns >> R3MAP_LATENCY_SHIFT), R3MAP_LATENCY_BUCKETS - 1);
}

/* Context: nobody else writes to @latency at this moment. */
static inline void r3map_latency_note(struct r3map_latency *latency, u64 ns)
{
	latency->sum += ns;
	if (ns > latency->longest)
		latency->longest = ns;
	latency->bucket[r3map_latency_bucket(ns)]++;
}

/* Context: any; @latency is not that of an interrupt, too. */
void r3map_latency_note_cpu(struct r3map_latency __percpu *latency, u64 ns);

/* Adds what is in @from, or in all CPUs' of it. */
void r3map_latency_add(struct r3map_latency *to, const struct r3map_latency *from);
void r3map_latency_add_cpus(struct r3map_latency *to, const struct r3map_latency __percpu *from);

/* Bytes of one as an attribute. */
size_t r3map_latency_size(void);
/* Puts @latency as attribute @kind, unless nothing was noted. 0 or -EMSGSIZE. */
int r3map_latency_put(struct sk_buff *skb, enum r3map_a_latency kind,
		      const struct r3map_latency *latency);

#endif
