// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The picture of latencies. See latency.h.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/latency.h"
#include "show/latency.h"

#define SCALE_EVERY	10		/* buckets between two numbers of the scale: a factor of 1024 */

#define COLUMNS_BEFORE	60		/* characters of a line before its row */

static const char shades[] = ".:-=+*#%@";

char *latency_time(uint64_t ns, char text[LATENCY_TIME])
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	unsigned int unit = 0;

	while (unit < 3 && value >= 1000) {
		value /= 1000;
		unit++;
	}
	snprintf(text, LATENCY_TIME, unit && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

void latency_row(const struct latency_view *view, char row[R3MAP_LATENCY_BUCKETS + 1])
{
	const uint64_t last = sizeof(shades) - 2;
	uint64_t most = 1;

	for (unsigned int i = 0; i < R3MAP_LATENCY_BUCKETS; i++)
		if (view->bucket[i] > most)
			most = view->bucket[i];
	for (unsigned int i = 0; i < R3MAP_LATENCY_BUCKETS; i++)
		row[i] = !view->bucket[i] ? ' ' :
			 shades[(uint64_t)((double)view->bucket[i] / (double)most * (double)last)];
	row[R3MAP_LATENCY_BUCKETS] = '\0';
}

/* Each number stands where its bucket begins. */
static void print_scale(void)
{
	char text[LATENCY_TIME];

	printf("%*s", COLUMNS_BEFORE + 1, "");
	for (unsigned int i = 1; i < R3MAP_LATENCY_BUCKETS; i += SCALE_EVERY) {
		latency_time(latency_bucket_start(i), text);
		printf(i + SCALE_EVERY < R3MAP_LATENCY_BUCKETS ? "%-*s" : "%.*s", SCALE_EVERY, text);
	}
	putchar('\n');
}

static void print_kind(const char *kind, const struct latency_view *view)
{
	char row[R3MAP_LATENCY_BUCKETS + 1], text[4][LATENCY_TIME];

	latency_row(view, row);
	printf("  %-10s%10" PRIu64 "%9s%9s%9s%9s [%s]\n", kind, view->count,
	       latency_time(latency_percentile(view, 50), text[0]),
	       latency_time(latency_percentile(view, 90), text[1]),
	       latency_time(latency_percentile(view, 99), text[2]),
	       latency_time(view->longest, text[3]), row);
}

int latency_print(const cJSON *object)
{
	struct latency_view view;
	uint32_t one_in = 1;
	const cJSON *kind;

	printf("  %-10s%10s%9s%9s%9s%9s\n", "", "timed", "p50", "p90", "p99", "longest");
	cJSON_ArrayForEach(kind, object) {
		if (!latency_parse(kind, &view))
			return -EBADMSG;
		if (!view.count)
			continue;
		print_kind(kind->string, &view);
		if (view.one_in > one_in)
			one_in = view.one_in;
	}
	print_scale();
	if (one_in > 1)
		printf("  of the hits one in %" PRIu32 " is timed\n", one_in);
	return 0;
}
