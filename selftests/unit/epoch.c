// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bitmaps of what was written, against a map of bytes; and messages of a migration that carry them.
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
#include <sys/socket.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "migrate/dirty.h"
#include "migrate/link.h"
#include "migrate/message.h"

#define GRAIN	4096u

/* Byte by byte, what @dirty says. */
static bool map_is(const struct dirty *dirty, const unsigned char *map, uint64_t grains)
{
	for (uint64_t i = 0; i < grains; i++)
		if (dirty_any(dirty, i * dirty->grain, 1) != map[i])
			return false;
	return true;
}

static void bitmaps_agree_with_a_map(void **state)
{
	static unsigned char map[1000], folded[1000];
	struct r3map_extent runs[7];

	(void)state;
	srandom(1);
	for (unsigned int round = 0; round < 400; round++) {
		uint64_t grains = 1 + (uint64_t)random() % 700, size = grains * GRAIN - (random() % 2 ? 512 : 0);
		uint64_t at = 0, bytes = 0, end = 0;
		uint32_t larger = GRAIN << random() % 8;
		struct dirty dirty, other;
		unsigned int got;

		assert_int_equal(dirty_init(&dirty, size, GRAIN), 0);
		memset(map, 0, sizeof(map));
		memset(folded, 0, sizeof(folded));
		for (unsigned int n = (unsigned int)random() % 20; n; n--) {
			uint64_t offset = (uint64_t)random() % size, most = size - offset;
			uint64_t length = 1 + (uint64_t)random() % (most < 40 * GRAIN ? most : 40 * GRAIN);

			assert_true(dirty_set(&dirty, offset, length));
			for (uint64_t i = offset / GRAIN; i <= (offset + length - 1) / GRAIN; i++) {
				map[i] = 1;
				folded[i * GRAIN / larger] = 1;
			}
		}
		assert_true(map_is(&dirty, map, grains));
		/* Its runs, a few at a time: ascending, none touches the next, and all of it. */
		do {
			got = dirty_runs(&dirty, &at, grains, runs, 7);
			for (unsigned int i = 0; i < got; i++) {
				assert_true(!end || runs[i].offset > end);
				end = runs[i].offset + runs[i].length;
				assert_true(end <= size);
				bytes += runs[i].length;
				for (uint64_t j = runs[i].offset / GRAIN; j * GRAIN < end; j++)
					map[j]++;
			}
		} while (got);
		for (uint64_t i = 0; i < grains; i++)
			assert_true(map[i] == 0 || map[i] == 2);
		assert_int_equal(bytes, dirty_bytes(&dirty));
		assert_int_equal(dirty_init(&other, size, larger), 0);
		dirty_convert(&other, &dirty);
		assert_true(map_is(&other, folded, (size + larger - 1) / larger));
		/* And back: what was dirty in part is dirty as a whole. */
		dirty_clear(&dirty);
		dirty_convert(&dirty, &other);
		for (uint64_t i = 0; i < grains; i++)
			map[i] = folded[i * GRAIN / larger];
		assert_true(map_is(&dirty, map, grains));
		dirty_free(&dirty);
		dirty_free(&other);
	}
}

static void what_is_beyond_is_refused(void **state)
{
	struct dirty dirty;
	uint64_t *words;

	(void)state;
	assert_int_equal(dirty_init(&dirty, 100 * GRAIN, GRAIN), 0);
	assert_false(dirty_set(&dirty, 100 * GRAIN, 1));
	assert_false(dirty_set(&dirty, 99 * GRAIN, GRAIN + 1));
	assert_false(dirty_set(&dirty, UINT64_MAX, 2));
	assert_false(dirty_set(&dirty, 4096, UINT64_MAX));
	assert_false(dirty_set(&dirty, 0, 0));
	assert_null(dirty_words(&dirty, 1, 2));
	assert_null(dirty_words(&dirty, UINT64_MAX, 2));
	assert_int_equal(dirty_bytes(&dirty), 0);
	/* Bits of the last word that no grain has do not count. */
	words = dirty_words(&dirty, 0, 2);
	assert_ptr_equal(words, dirty.word);
	words[0] = ~0ull;
	words[1] = ~0ull;
	dirty_cut(&dirty);
	assert_int_equal(dirty_bytes(&dirty), 100 * GRAIN);
	dirty_free(&dirty);
}

/* Through a socket: few runs, many, and both in one region; from memory, and from a file. */
static void lists_arrive(void **state)
{
	static struct link from, to;
	struct error error = { 0 };
	struct dirty sent, got;
	int ends[2], size = 4 << 20;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	from.stream.fd = ends[0];
	to.stream.fd = ends[1];
	for (unsigned int round = 0; round < 24; round++) {
		assert_int_equal((round < 12 ? dirty_init : dirty_init_file)(&sent, (20000ull << 6) * GRAIN - 512, GRAIN), 0);
		assert_int_equal(dirty_init(&got, sent.size, GRAIN), 0);
		assert_int_equal(dirty_bytes(&sent), 0);
		for (uint64_t i = 0; round % 12 && i < sent.words; i++) {
			/* From a bit in 100 words to all of them; the second half of the region is full. */
			if (i % (round % 6 ? 100u >> (round % 6) : 1u) == 0)
				sent.word[i] = round % 12 > 5 && i > sent.words / 2 ? ~0ull : 1ull << i % 64;
		}
		if (round % 12 == 11)
			dirty_fill(&sent);
		assert_int_equal(link_send_dirty(&from, &sent, loop_now() + 1000000000, &error), 0);
		assert_int_equal(link_receive_dirty(&to, &got, loop_now() + 1000000000, &error), 0);
		assert_int_equal(dirty_bytes(&sent), dirty_bytes(&got));
		assert_memory_equal(sent.word, got.word, sent.words * sizeof(uint64_t));
		dirty_free(&sent);
		dirty_free(&got);
	}
	close(ends[0]);
	close(ends[1]);
}

static void a_message_holds_as_many_as_it_says(void **state)
{
	static char buf[MIGRATE_HEADER + MIGRATE_PAYLOAD_MAX];
	static struct r3map_extent list[MIGRATE_EXTENTS_MAX];
	static struct r3map_extent room[MIGRATE_EXTENTS_MAX];
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

/* It becomes a word of a command that people are told to type. */
static void where_a_region_goes_on_is_one_word(void **state)
{
	static const char *const bad[] = {
		"nbd://a/'; reboot '", "nbd://a b/", "$(reboot)", "`x`", "a\nb", "a\tb", "\033[2J",
	};
	struct migrate_message m = { .type = MIGRATE_COMMIT }, back;
	char buf[MIGRATE_HEADER + MIGRATE_URI_MAX + 1];
	uint32_t length;

	(void)state;
	strcpy(m.commit.uri, "nbds+unix:///x?socket=/run/a%20b,c_d-e~f.sock&g=[::1]");
	assert_int_equal(migrate_encode(&m, buf), MIGRATE_HEADER + strlen(m.commit.uri));
	assert_true(migrate_decode_header(buf, &back, &length));
	assert_true(migrate_decode(buf + MIGRATE_HEADER, length, &back, NULL));
	assert_string_equal(back.commit.uri, m.commit.uri);
	assert_true(migrate_decode(buf + MIGRATE_HEADER, 0, &back, NULL));
	assert_string_equal(back.commit.uri, "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(migrate_decode(bad[i], (uint32_t)strlen(bad[i]), &back, NULL));
	assert_false(migrate_decode("nbd://a/\0b", 10, &back, NULL));
	memset(buf, 'a', sizeof(buf));
	assert_true(migrate_decode(buf, MIGRATE_URI_MAX, &back, NULL));
	assert_false(migrate_decode(buf, MIGRATE_URI_MAX + 1, &back, NULL));
}

static void what_is_no_message_is_none(void **state)
{
	char buf[MIGRATE_HEADER + 64];
	struct migrate_message m = { .type = MIGRATE_TAKE, .take = { .received = 3 } }, back;
	uint32_t length;

	(void)state;
	assert_int_equal(migrate_encode(&m, buf), MIGRATE_HEADER + 8);
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
		assert_int_equal(migrate_decode(buf + MIGRATE_HEADER, i, &back, NULL), i == 8);
	assert_int_equal(back.take.received, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bitmaps_agree_with_a_map),
		cmocka_unit_test(what_is_beyond_is_refused),
		cmocka_unit_test(lists_arrive),
		cmocka_unit_test(a_message_holds_as_many_as_it_says),
		cmocka_unit_test(where_a_region_goes_on_is_one_word),
		cmocka_unit_test(what_is_no_message_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
