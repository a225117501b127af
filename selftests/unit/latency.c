// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Histograms of latencies: what is in which bucket, what percentiles say, the way through JSON, and
 * the picture.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"
#include "lib/latency.h"
#include "show/latency.h"

static void buckets_are_powers_of_two(void **state)
{
	static struct latency latency;
	struct latency_view view;

	(void)state;
	assert_int_equal(latency_bucket_start(0), 0);
	assert_int_equal(latency_bucket_start(1), 128);
	assert_int_equal(latency_bucket_start(2), 256);
	assert_int_equal(latency_bucket_start(R3MAP_LATENCY_BUCKETS - 1), 128ULL << 30);
	assert_true(latency_bucket_start(R3MAP_LATENCY_BUCKETS) == UINT64_MAX);
	latency_note(&latency, 0);
	latency_note(&latency, 127);
	latency_note(&latency, 128);
	latency_note(&latency, 255);
	latency_note(&latency, 256);
	latency_note(&latency, (128ULL << 30) - 1);
	latency_note(&latency, 128ULL << 30);
	latency_note(&latency, UINT64_MAX / 4);
	latency_look(&latency, &view);
	assert_int_equal(view.bucket[0], 2);
	assert_int_equal(view.bucket[1], 2);
	assert_int_equal(view.bucket[2], 1);
	assert_int_equal(view.bucket[R3MAP_LATENCY_BUCKETS - 2], 1);
	assert_int_equal(view.bucket[R3MAP_LATENCY_BUCKETS - 1], 2);
	assert_int_equal(view.count, 8);
	assert_int_equal(latency_count(&latency), 8);
	assert_true(view.longest == UINT64_MAX / 4);
	assert_true(view.sum == 127 + 128 + 255 + 256 + (256ULL << 30) - 1 + UINT64_MAX / 4);
}

static void percentiles_are_the_ends_of_buckets(void **state)
{
	static struct latency latency;
	struct latency_view view;

	(void)state;
	latency_look(&latency, &view);
	assert_int_equal(latency_percentile(&view, 50), 0);
	for (unsigned int i = 0; i < 90; i++)
		latency_note(&latency, 1000);
	for (unsigned int i = 0; i < 10; i++)
		latency_note(&latency, 9000);
	latency_look(&latency, &view);
	assert_int_equal(latency_percentile(&view, 50), 1024);
	assert_int_equal(latency_percentile(&view, 90), 1024);
	/* Its bucket ends at 16384, but nothing took that long. */
	assert_int_equal(latency_percentile(&view, 91), 9000);
	assert_int_equal(latency_percentile(&view, 99), 9000);
	assert_int_equal(latency_percentile(&view, 100), 9000);
}

static void json_is_a_way_there_and_back(void **state)
{
	static struct latency latency;
	struct latency_view view, again;
	cJSON *json;
	char *text;

	(void)state;
	latency_note(&latency, 5);
	latency_note(&latency, 70000000);
	latency_note(&latency, 70000001);
	latency_look(&latency, &view);
	view.one_in = 16;
	json = latency_json(&view);
	assert_non_null(json);
	memset(&again, 0xff, sizeof(again));
	assert_true(latency_parse(json, &again));
	assert_memory_equal(&view, &again, sizeof(view));
	text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	json = cJSON_Parse(text);
	cJSON_free(text);
	memset(&again, 0xff, sizeof(again));
	assert_true(latency_parse(json, &again));
	assert_memory_equal(&view, &again, sizeof(view));
	cJSON_DeleteItemFromObject(json, "sum_ns");
	assert_false(latency_parse(json, &again));
	cJSON_Delete(json);
	json = cJSON_Parse("{\"one_in\":1,\"sum_ns\":-1,\"longest_ns\":0,\"buckets\":[]}");
	assert_false(latency_parse(json, &again));
	cJSON_Delete(json);
	assert_false(latency_parse(NULL, &again));
}

static void a_row_is_drawn(void **state)
{
	char row[R3MAP_LATENCY_BUCKETS + 1], text[LATENCY_TIME];
	struct latency_view view = { 0 };

	(void)state;
	view.bucket[1] = 1;
	view.bucket[2] = 500;
	view.bucket[3] = 1000;
	latency_row(&view, row);
	assert_string_equal(row, " .+@                            ");
	assert_string_equal(latency_time(0, text), "0 ns");
	assert_string_equal(latency_time(999, text), "999 ns");
	assert_string_equal(latency_time(1500, text), "1.5 us");
	assert_string_equal(latency_time(33000000, text), "33 ms");
	assert_string_equal(latency_time(137438953472, text), "137 s");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_powers_of_two),
		cmocka_unit_test(percentiles_are_the_ends_of_buckets),
		cmocka_unit_test(json_is_a_way_there_and_back),
		cmocka_unit_test(a_row_is_drawn),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
