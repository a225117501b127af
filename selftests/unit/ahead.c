// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is read ahead of readers: nothing for who reads without a pattern; a window that doubles for who
 * comes through it, shrinks for who leaves something out, and ends with the region; several at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mount/ahead.h"

#define K	1024ull
#define CHUNK	(4 * K)
#define SIZE	(1024 * 1024 * K)

static struct ahead ahead;

static int begin(void **state)
{
	(void)state;
	ahead_init(&ahead, SIZE, CHUNK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	ahead_exit(&ahead);
	return 0;
}

/* All that is to be read ahead now, which begins at @from, is @bytes, and none of it was there. */
static void expect_ahead(uint64_t from, uint64_t bytes)
{
	struct ahead_part part;
	uint64_t at = from;

	while (ahead_take(&ahead, 256 * K, &part)) {
		assert_int_equal(part.piece.offset, at);
		assert_true(part.piece.end > at && part.piece.end - at <= 256 * K);
		assert_false(part.piece.zero);
		ahead_took(&ahead, &part, part.piece.end - at);
		at = part.piece.end;
	}
	assert_int_equal(at - from, bytes);
}

static void a_window_doubles_while_it_is_right(void **state)
{
	uint64_t at = 40 * K, window = AHEAD_FIRST, bytes = 0;

	(void)state;
	assert_false(ahead_missed(&ahead, at, CHUNK));
	expect_ahead(0, 0);
	at += CHUNK;
	for (unsigned int i = 0; i < 20; i++) {
		assert_true(ahead_missed(&ahead, at, CHUNK));
		assert_int_equal(ahead.used, bytes);
		at += CHUNK;
		expect_ahead(at, window);
		bytes += window;
		assert_int_equal(ahead.bytes, bytes);
		at += window;
		window = window * 2 < AHEAD_MOST ? window * 2 : AHEAD_MOST;
	}
	assert_int_equal(window, AHEAD_MOST);
}

static void no_pattern_costs_nothing(void **state)
{
	(void)state;
	/* Each chunk of a part of the region once, none right behind another that was missed. */
	for (unsigned int i = 0; i < 4096; i++) {
		uint64_t chunk = (uint64_t)((i * 2654435761u) % 4096) * 2;

		assert_false(ahead_missed(&ahead, chunk * CHUNK, CHUNK));
	}
	expect_ahead(0, 0);
	assert_int_equal(ahead.bytes, 0);
}

/* Comes through windows until the next one is of @window bytes. Where that ends. */
static uint64_t come_to(uint64_t at, uint64_t window)
{
	uint64_t next = AHEAD_FIRST;

	ahead_missed(&ahead, at, CHUNK);
	at += CHUNK;
	do {
		ahead_missed(&ahead, at, CHUNK);
		at += CHUNK;
		expect_ahead(at, next);
		at += next;
		next *= 2;
	} while (next <= window);
	return at;
}

static void it_shrinks_when_it_is_wrong(void **state)
{
	uint64_t at = come_to(0, 1024 * K), used = ahead.used;

	(void)state;
	/* He leaves something out: nothing is read until he goes on from there, and then half as much. */
	at += 16 * K;
	assert_false(ahead_missed(&ahead, at, CHUNK));
	assert_true(ahead_missed(&ahead, at + CHUNK, CHUNK));
	assert_int_equal(ahead.used, used);
	expect_ahead(at + 2 * CHUNK, 512 * K);
	at += 2 * CHUNK + 512 * K;
	for (unsigned int i = 0; i < 8; i++) {
		at += CHUNK;
		assert_false(ahead_missed(&ahead, at, CHUNK));
		at += CHUNK;
	}
	/* It does not shrink to nothing. */
	assert_true(ahead_missed(&ahead, at, CHUNK));
	expect_ahead(at + CHUNK, AHEAD_FIRST);
}

static void who_is_faster_is_not_read_for(void **state)
{
	(void)state;
	ahead_missed(&ahead, 0, CHUNK);
	assert_true(ahead_missed(&ahead, CHUNK, CHUNK));
	/* The window is [8K, 72K), and he is at 24K by himself. */
	assert_true(ahead_missed(&ahead, 16 * K, 2 * CHUNK));
	expect_ahead(24 * K, 48 * K);
	assert_true(ahead_missed(&ahead, 72 * K, CHUNK));
	assert_int_equal(ahead.used, 48 * K);
	/* He is through all of the next one before any of it was taken. */
	assert_false(ahead_missed(&ahead, 76 * K, 128 * K));
	expect_ahead(0, 0);
}

static void readers_do_not_disturb_each_other(void **state)
{
	const uint64_t far = 64 * 1024 * K;
	uint64_t at = 0, window = AHEAD_FIRST;

	(void)state;
	for (unsigned int r = 0; r < AHEAD_STREAMS; r++)
		assert_false(ahead_missed(&ahead, r * far, CHUNK));
	at = CHUNK;
	for (unsigned int i = 0; i < 6; i++) {
		for (unsigned int r = 0; r < AHEAD_STREAMS; r++) {
			assert_true(ahead_missed(&ahead, r * far + at, CHUNK));
			expect_ahead(r * far + at + CHUNK, window);
		}
		at += CHUNK + window;
		window *= 2;
	}
	/* One more, and the one that was silent for longest is forgotten, its window with it. */
	assert_false(ahead_missed(&ahead, AHEAD_STREAMS * far, CHUNK));
	assert_false(ahead_missed(&ahead, at, CHUNK));
	assert_true(ahead_missed(&ahead, at + CHUNK, CHUNK));
	expect_ahead(at + 2 * CHUNK, AHEAD_FIRST);
}

static void it_ends_with_the_region(void **state)
{
	(void)state;
	ahead_missed(&ahead, SIZE - 32 * K, CHUNK);
	assert_true(ahead_missed(&ahead, SIZE - 28 * K, CHUNK));
	expect_ahead(SIZE - 24 * K, 24 * K);
	ahead_missed(&ahead, SIZE - 200 * K, CHUNK);
	/* Up to the last byte, so nothing is left. */
	assert_false(ahead_missed(&ahead, SIZE - 196 * K, 196 * K));
	expect_ahead(0, 0);
}

static void chunks_may_be_larger_than_the_first_window(void **state)
{
	const uint64_t chunk = 1024 * K;

	(void)state;
	ahead_exit(&ahead);
	ahead_init(&ahead, SIZE, (uint32_t)chunk);
	ahead_missed(&ahead, 0, chunk);
	assert_true(ahead_missed(&ahead, chunk, chunk));
	expect_ahead(2 * chunk, chunk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_window_doubles_while_it_is_right, begin, end),
		cmocka_unit_test_setup_teardown(no_pattern_costs_nothing, begin, end),
		cmocka_unit_test_setup_teardown(it_shrinks_when_it_is_wrong, begin, end),
		cmocka_unit_test_setup_teardown(who_is_faster_is_not_read_for, begin, end),
		cmocka_unit_test_setup_teardown(readers_do_not_disturb_each_other, begin, end),
		cmocka_unit_test_setup_teardown(it_ends_with_the_region, begin, end),
		cmocka_unit_test_setup_teardown(chunks_may_be_larger_than_the_first_window, begin, end),
	};

	return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
