// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How far long work has come, in words; and the picture of a chunk map.
 */
#include <linux/r3map.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/progress.h"
#include "show/picture.h"

#define M	(1ull << 20)
#define SECOND	1000000000ull	/* ns */

static void assert_line(uint64_t done, uint64_t total, uint64_t rate, const char *want)
{
	char text[PROGRESS_TEXT];

	assert_string_equal(progress_format(done, total, rate, text), want);
}

static void a_line_says_it_all(void **state)
{
	(void)state;
	assert_line(115 * M, 256 * M, 31 * M, " 44% [########            ] 115M of 256M, 31M/s, 5 s left");
	assert_line(0, 256 * M, 0, "  0% [                    ] 0B of 256M");
	assert_line(256 * M, 256 * M, 31 * M, "100% [####################] 256M of 256M");
	/* Not all of it is not 100 %. */
	assert_line(256 * M - 1, 256 * M, 0, " 99% [################### ] 256M of 256M");
	assert_line(0, 0, 0, "100% [####################] 0B of 0B");
	assert_line(M, 1ull << 40, M, "  0% [                    ] 1.0M of 1.0T, 1.0M/s, days left");
	assert_line(M, 10ull << 30, M, "  0% [                    ] 1.0M of 10G, 1.0M/s, 3 h left");
	assert_line(0, 600 * M, M, "  0% [                    ] 0B of 600M, 1.0M/s, 10 min left");
	assert_line(UINT64_MAX, UINT64_MAX, 1, "100% [####################] 16E of 16E");
}

static void a_rate_is_of_late(void **state)
{
	struct progress progress;
	FILE *to = tmpfile();
	char line[PROGRESS_TEXT];

	(void)state;
	assert_non_null(to);
	progress_init(&progress, to);
	progress_show(&progress, 10 * M, 100 * M, SECOND, "");
	progress_show(&progress, 20 * M, 100 * M, 2 * SECOND, "; more");
	progress_end(&progress);
	rewind(to);
	assert_non_null(fgets(line, sizeof(line), to));
	assert_string_equal(line, " 10% [##                  ] 10M of 100M\n");
	assert_non_null(fgets(line, sizeof(line), to));
	assert_string_equal(line, " 20% [####                ] 20M of 100M, 10M/s, 8 s left; more\n");
	assert_null(fgets(line, sizeof(line), to));
	fclose(to);
}

static void assert_picture(const struct picture *picture, const char *want)
{
	for (unsigned int i = 0; i < picture->cells; i++)
		assert_int_equal(picture_cell(picture, i), want[i]);
}

static void a_picture_is_drawn(void **state)
{
	struct picture picture;

	(void)state;
	/* Ten cells of 100 bytes; the last one that is there has 50. */
	assert_int_equal(picture_init(&picture, 950, 10), 0);
	assert_int_equal(picture_scale(&picture), 95);
	picture_free(&picture);
	assert_int_equal(picture_init(&picture, 1000, 10), 0);
	assert_picture(&picture, "..........");
	picture_add(&picture, 0, 250, R3MAP_EXTENT_LOCAL);
	picture_add(&picture, 250, 50, 0);
	picture_add(&picture, 300, 100, R3MAP_EXTENT_BUSY);
	picture_add(&picture, 450, 550, R3MAP_EXTENT_LOCAL);
	picture_add(&picture, 710, 1, R3MAP_EXTENT_LOCAL | R3MAP_EXTENT_DIRTY);
	assert_picture(&picture, "##-.-##*##");
	picture_free(&picture);
}

static void a_picture_has_no_more_than_there_is(void **state)
{
	struct picture picture;

	(void)state;
	assert_int_equal(picture_init(&picture, 3, 8), 0);
	picture_add(&picture, 0, 3, R3MAP_EXTENT_LOCAL);
	assert_picture(&picture, "###     ");
	picture_free(&picture);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_it_all),
		cmocka_unit_test(a_rate_is_of_late),
		cmocka_unit_test(a_picture_is_drawn),
		cmocka_unit_test(a_picture_has_no_more_than_there_is),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
