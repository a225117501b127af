// SPDX-License-Identifier: GPL-2.0-only
/*
 * Histograms of latencies. See latency.h.
 */
#include <linux/percpu.h>
#include <linux/string.h>
#include <net/netlink.h>

#include "latency.h"

void r3map_latency_note_cpu(struct r3map_latency __percpu *latency, u64 ns)
{
	u64 longest = this_cpu_read(latency->longest);

	this_cpu_add(latency->sum, ns);
	this_cpu_inc(latency->bucket[r3map_latency_bucket(ns)]);
	/* On another CPU meanwhile: then that one's is looked at, and never becomes less. */
	while (unlikely(ns > longest)) {
		u64 before = this_cpu_cmpxchg(latency->longest, longest, ns);

		if (before == longest)
			break;
		longest = before;
	}
}

void r3map_latency_add(struct r3map_latency *to, const struct r3map_latency *from)
{
	unsigned int i;

	to->sum += from->sum;
	to->longest = max(to->longest, from->longest);
	for (i = 0; i < R3MAP_LATENCY_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

void r3map_latency_add_cpus(struct r3map_latency *to, const struct r3map_latency __percpu *from)
{
	int cpu;

	for_each_possible_cpu(cpu)
		r3map_latency_add(to, per_cpu_ptr(from, cpu));
}

size_t r3map_latency_size(void)
{
	return nla_total_size(0) + 2 * nla_total_size_64bit(sizeof(u64)) +
	       nla_total_size(R3MAP_LATENCY_BUCKETS * sizeof(u64));
}

int r3map_latency_put(struct sk_buff *skb, enum r3map_a_latency kind,
		      const struct r3map_latency *latency)
{
	struct nlattr *nest;

	if (!memchr_inv(latency->bucket, 0, sizeof(latency->bucket)))
		return 0;
	nest = nla_nest_start(skb, kind);
	if (!nest ||
	    nla_put_u64_64bit(skb, R3MAP_A_HISTOGRAM_SUM, latency->sum, R3MAP_A_HISTOGRAM_PAD) ||
	    nla_put_u64_64bit(skb, R3MAP_A_HISTOGRAM_LONGEST, latency->longest,
			      R3MAP_A_HISTOGRAM_PAD) ||
	    nla_put(skb, R3MAP_A_HISTOGRAM_BUCKETS, sizeof(latency->bucket), latency->bucket))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}
