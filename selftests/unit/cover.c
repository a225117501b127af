// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pieces of a READ: against a map of bytes, in random order, and at its limit.
 */
#include "drive.h"

#include "nbd/cover.h"

static void in_order_is_one_piece(void **state)
{
	struct nbd_cover cover = { 0 };
	uint32_t at;

	(void)state;
	assert_false(nbd_cover_whole(&cover, 100));
	for (at = 0; at < 1000; at += 10) {
		assert_false(nbd_cover_whole(&cover, 1000));
		assert_int_equal(nbd_cover_add(&cover, at, at + 10), 0);
		assert_int_equal(cover.used, 1);
	}
	assert_true(nbd_cover_whole(&cover, 1000));
	assert_false(nbd_cover_whole(&cover, 1001));
}

static void the_room_is_bounded(void **state)
{
	struct nbd_cover cover = { 0 };
	uint32_t i;

	(void)state;
	for (i = 0; i < NBD_COVER_PIECES; i++)
		assert_int_equal(nbd_cover_add(&cover, 1000 - 20 * i, 1010 - 20 * i), 0);
	assert_int_equal(nbd_cover_add(&cover, 2000, 2001), -ENOSPC);
	assert_int_equal(nbd_cover_add(&cover, 1000, 1001), -EEXIST);
	assert_int_equal(nbd_cover_add(&cover, 990, 1000), 0);	/* closes a gap */
	assert_int_equal(nbd_cover_add(&cover, 2000, 2001), 0);
	assert_int_equal(nbd_cover_add(&cover, UINT32_MAX - 1, UINT32_MAX), -ENOSPC);
}

/* Whatever is added, it is refused if and only if the map of bytes says so. */
static void it_agrees_with_a_map(void **state)
{
	unsigned char map[64];
	unsigned int round, i, n, full = 0;

	(void)state;
	srandom(1);
	for (round = 0; round < 20000; round++) {
		struct nbd_cover cover = { 0 };

		memset(map, 0, sizeof(map));
		for (n = 0; n < 60; n++) {
			uint32_t from = (uint32_t)random() % sizeof(map);
			uint32_t to = from + 1 + (uint32_t)random() % 4;
			int code, taken = 0;

			if (to > sizeof(map))
				to = sizeof(map);
			for (i = from; i < to; i++)
				taken |= map[i];
			code = nbd_cover_add(&cover, from, to);
			if (code == -ENOSPC) {
				assert_false(taken);
				full++;
				continue;
			}
			assert_int_equal(code, taken ? -EEXIST : 0);
			if (!code)
				memset(map + from, 1, to - from);
			assert_int_equal(nbd_cover_whole(&cover, sizeof(map)),
					 !memchr(map, 0, sizeof(map)));
		}
	}
	assert_true(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_is_one_piece),
		cmocka_unit_test(the_room_is_bounded),
		cmocka_unit_test(it_agrees_with_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
