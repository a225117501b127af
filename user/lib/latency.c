// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Histograms of latencies. See latency.h.
 */
#include <string.h>

#include "lib/json.h"
#include "lib/latency.h"
#include "lib/size.h"

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int bucket = 0;

	ns >>= R3MAP_LATENCY_SHIFT;
	if (ns)
		bucket = 64 - (unsigned int)__builtin_clzll(ns);
	return bucket < R3MAP_LATENCY_BUCKETS ? bucket : R3MAP_LATENCY_BUCKETS - 1;
}

/* There is one writer, so this need not be one step. */
static void count(_Atomic uint64_t *number, uint64_t more)
{
	uint64_t now = atomic_load_explicit(number, memory_order_relaxed);

	atomic_store_explicit(number, now + more, memory_order_relaxed);
}

void latency_note(struct latency *latency, uint64_t ns)
{
	count(&latency->sum, ns);
	count(&latency->bucket[bucket_of(ns)], 1);
	if (ns > atomic_load_explicit(&latency->longest, memory_order_relaxed))
		atomic_store_explicit(&latency->longest, ns, memory_order_relaxed);
}

uint64_t latency_count(const struct latency *latency)
{
	uint64_t number = 0;

	for (unsigned int i = 0; i < R3MAP_LATENCY_BUCKETS; i++)
		number += atomic_load_explicit(&latency->bucket[i], memory_order_relaxed);
	return number;
}

void latency_look(const struct latency *latency, struct latency_view *view)
{
	*view = (struct latency_view) {
		.sum = atomic_load_explicit(&latency->sum, memory_order_relaxed),
		.longest = atomic_load_explicit(&latency->longest, memory_order_relaxed),
		.one_in = 1,
	};
	for (unsigned int i = 0; i < R3MAP_LATENCY_BUCKETS; i++) {
		view->bucket[i] = atomic_load_explicit(&latency->bucket[i], memory_order_relaxed);
		view->count += view->bucket[i];
	}
}

uint64_t latency_bucket_start(unsigned int bucket)
{
	if (!bucket)
		return 0;
	return bucket < R3MAP_LATENCY_BUCKETS ? 1ULL << (R3MAP_LATENCY_SHIFT + bucket - 1) :
						UINT64_MAX;
}

uint64_t latency_percentile(const struct latency_view *view, unsigned int percent)
{
	uint64_t want = (view->count * percent + 99) / 100, seen = 0, end;

	for (unsigned int i = 0; i < R3MAP_LATENCY_BUCKETS; i++) {
		seen += view->bucket[i];
		if (!seen || seen < want)
			continue;
		end = latency_bucket_start(i + 1);
		return end < view->longest ? end : view->longest;
	}
	return 0;
}

static bool json_buckets(cJSON *object, const struct latency_view *view)
{
	cJSON *array = cJSON_AddArrayToObject(object, "buckets"), *bucket;

	for (unsigned int i = 0; array && i < R3MAP_LATENCY_BUCKETS; i++) {
		if (!view->bucket[i])
			continue;
		bucket = cJSON_CreateObject();
		if (!cJSON_AddItemToArray(array, bucket) ||
		    !json_add_u64(bucket, "from_ns", latency_bucket_start(i)) ||
		    !json_add_u64(bucket, "count", view->bucket[i]))
			return false;
	}
	return array;
}

cJSON *latency_json(const struct latency_view *view)
{
	cJSON *object = cJSON_CreateObject();

	if (object && json_add_u64(object, "count", view->count) &&
	    json_add_u64(object, "one_in", view->one_in) &&
	    json_add_u64(object, "sum_ns", view->sum) &&
	    json_add_u64(object, "p50_ns", latency_percentile(view, 50)) &&
	    json_add_u64(object, "p90_ns", latency_percentile(view, 90)) &&
	    json_add_u64(object, "p99_ns", latency_percentile(view, 99)) &&
	    json_add_u64(object, "longest_ns", view->longest) && json_buckets(object, view))
		return object;
	cJSON_Delete(object);
	return NULL;
}

static bool parse_number(const cJSON *object, const char *name, uint64_t *number)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	/* As json_add_u64() has made it, before it was printed and read again. */
	if (cJSON_IsRaw(item))
		return !number_parse(item->valuestring, 0, UINT64_MAX, number, NULL);
	/* Up to 2^53 ns, a quarter of a year, a double has all of it. */
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble >= 0x1p63)
		return false;
	*number = (uint64_t)item->valuedouble;
	return true;
}

bool latency_parse(const cJSON *object, struct latency_view *view)
{
	const cJSON *buckets = cJSON_GetObjectItemCaseSensitive(object, "buckets"), *bucket;
	uint64_t from, number, one_in;

	memset(view, 0, sizeof(*view));
	if (!cJSON_IsArray(buckets) || !parse_number(object, "one_in", &one_in) ||
	    !parse_number(object, "sum_ns", &view->sum) ||
	    !parse_number(object, "longest_ns", &view->longest))
		return false;
	view->one_in = (uint32_t)one_in;
	cJSON_ArrayForEach(bucket, buckets) {
		if (!parse_number(bucket, "from_ns", &from) ||
		    !parse_number(bucket, "count", &number))
			return false;
		view->bucket[bucket_of(from)] += number;
		view->count += number;
	}
	return true;
}
