// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The store of a managed mount: what is absent is told from what is not, chunk by chunk, and looking
 * makes nothing present.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lib/error.h"
#include "mount/store.h"

#define CHUNK	65536u
#define CHUNKS	8u
#define SIZE	(CHUNKS * CHUNK - 1536u)	/* the last chunk is short */

static struct store store;

static int setup(void **state)
{
	struct error error = { 0 };

	(void)state;
	return store_new(&store, SIZE, &error);
}

static int teardown(void **state)
{
	(void)state;
	store_close(&store);
	return 0;
}

static uint64_t store_bytes(void)
{
	struct stat st;

	assert_int_equal(fstat(store.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* From chunk @first to the end: @count chunks are alike, @absent. */
static void assert_run(uint32_t first, uint32_t count, bool absent)
{
	uint64_t offset = (uint64_t)first * CHUNK, end = (uint64_t)(first + count) * CHUNK;
	uint64_t before = store_bytes();
	uint32_t length = (uint32_t)(SIZE - offset);

	if (end > SIZE)
		end = SIZE;
	assert_int_equal(store_run(&store, offset, &length, CHUNK), absent);
	assert_int_equal(length, end - offset);
	assert_int_equal(store_bytes(), before);
}

static void an_empty_store_is_one_run(void **state)
{
	(void)state;
	assert_run(0, CHUNKS, true);
	assert_run(CHUNKS - 1, 1, true);
}

static void one_byte_makes_a_chunk_present(void **state)
{
	(void)state;
	store.bytes[3 * CHUNK - 1] = 1;		/* in chunk 2 */
	store.bytes[3 * CHUNK] = 1;
	store.bytes[SIZE - 1] = 1;
	assert_run(0, 2, true);
	assert_run(1, 1, true);
	assert_run(2, 2, false);
	assert_run(4, 3, true);
	assert_run(7, 1, false);
}

static void what_is_punched_is_absent(void **state)
{
	(void)state;
	memset(store.bytes, 1, SIZE);
	assert_run(0, CHUNKS, false);
	assert_int_equal(store_punch(&store, 2 * CHUNK, 2 * CHUNK), 0);
	assert_run(0, 2, false);
	assert_run(2, 2, true);
	/* Half of a chunk is not. */
	assert_int_equal(store_punch(&store, 5 * CHUNK, CHUNK / 2), 0);
	assert_run(4, 4, false);
	assert_int_equal(store_punch(&store, 7 * CHUNK, SIZE - 7 * CHUNK), 0);
	assert_run(4, 3, false);
	assert_run(7, 1, true);
}

static void zeroes_are_trimmed(void **state)
{
	(void)state;
	memset(store.bytes, 0, 2 * CHUNK);
	store.bytes[CHUNK + 17] = 1;
	store_trim(&store, 0, CHUNK);
	store_trim(&store, CHUNK, CHUNK);
	assert_run(0, 1, true);
	assert_run(1, 1, false);
	assert_int_equal(store.bytes[CHUNK + 17], 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_store_is_one_run, setup, teardown),
		cmocka_unit_test_setup_teardown(one_byte_makes_a_chunk_present, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_punched_is_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(zeroes_are_trimmed, setup, teardown),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
