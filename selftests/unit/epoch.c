// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lists of what was written, added up and merged: against a map of bytes; and messages of a migration that
 * carry them.
 */
#include <linux/r3map.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/message.h"
#include "nl/epoch.h"

#define BYTES	512u

static void lists_agree_with_a_map(void **state)
{
	unsigned char map[BYTES], told[BYTES];

	(void)state;
	srandom(1);
	for (unsigned int round = 0; round < 3000; round++) {
		struct epoch_extents list = { 0 };
		uint64_t bytes = 0, end = 0;

		memset(map, 0, sizeof(map));
		memset(told, 0, sizeof(told));
		for (unsigned int n = (unsigned int)random() % 8; n; n--) {
			struct r3map_extent more[4];
			unsigned int count = (unsigned int)random() % 5;

			for (unsigned int i = 0; i < count; i++) {
				more[i].offset = (uint64_t)random() % (BYTES - 1);
				more[i].length = 1 + (uint64_t)random() % (BYTES - more[i].offset);
				if (more[i].length > 60)
					more[i].length = 60;
				memset(map + more[i].offset, 1, more[i].length);
			}
			assert_int_equal(epoch_extents_add(&list, more, count), 0);
		}
		for (unsigned int i = 0; i < list.count; i++) {
			/* Ascending, and none touches the next. */
			assert_true(!i || list.extent[i].offset > end);
			end = list.extent[i].offset + list.extent[i].length;
			assert_true(end <= BYTES);
			memset(told + list.extent[i].offset, 1, list.extent[i].length);
			bytes += list.extent[i].length;
		}
		assert_memory_equal(map, told, BYTES);
		assert_int_equal(bytes, list.bytes);
		free(list.extent);
	}
}

static void a_message_holds_as_many_as_it_says(void **state)
{
	static char buf[MIGRATE_HEADER + MIGRATE_PAYLOAD_MAX];
	static struct r3map_extent list[MIGRATE_EXTENTS_MAX], room[MIGRATE_EXTENTS_MAX];
	struct migrate_message m = { .type = MIGRATE_EXTENTS, .more = true }, back = { 0 };
	uint32_t length;

	(void)state;
	for (unsigned int i = 0; i < MIGRATE_EXTENTS_MAX; i++)
		list[i] = (struct r3map_extent) { .offset = (uint64_t)i << 40, .length = i + 1 };
	m.extents.list = list;
	m.extents.count = MIGRATE_EXTENTS_MAX;
	assert_int_equal(migrate_encode(&m, buf), sizeof(buf));
	assert_true(migrate_decode_header(buf, &back, &length));
	assert_int_equal(length, MIGRATE_PAYLOAD_MAX);
	assert_true(back.more);
	assert_true(migrate_decode(buf + MIGRATE_HEADER, length, &back, room));
	assert_int_equal(back.extents.count, MIGRATE_EXTENTS_MAX);
	for (unsigned int i = 0; i < MIGRATE_EXTENTS_MAX; i++) {
		assert_int_equal(room[i].offset, list[i].offset);
		assert_int_equal(room[i].length, list[i].length);
	}
}

static void what_is_no_message_is_none(void **state)
{
	char buf[MIGRATE_HEADER + 64];
	struct migrate_message m = { .type = MIGRATE_TAKE, .received = 3 }, back;
	uint32_t length;

	(void)state;
	assert_int_equal(migrate_encode(&m, buf), MIGRATE_HEADER + 4);
	for (unsigned int i = 0; i < 4; i++) {	/* the magic */
		buf[i] ^= 1;
		assert_false(migrate_decode_header(buf, &back, &length));
		buf[i] ^= 1;
	}
	buf[7] = MIGRATE_MORE;			/* of what is no list */
	assert_false(migrate_decode_header(buf, &back, &length));
	buf[7] = 0;
	buf[8] = 1;				/* longer than any is */
	assert_false(migrate_decode_header(buf, &back, &length));
	buf[8] = 0;
	assert_true(migrate_decode_header(buf, &back, &length));
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(migrate_decode(buf + MIGRATE_HEADER, i, &back, NULL), i == 4);
	assert_int_equal(back.received, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_agree_with_a_map),
		cmocka_unit_test(a_message_holds_as_many_as_it_says),
		cmocka_unit_test(what_is_no_message_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
