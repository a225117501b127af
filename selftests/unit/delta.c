// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Delta synchronisation without a connection: hashes against known answers and each other, tables of a region as
 * it grows and shrinks against a hash of all its bytes, scans that find what has changed, and messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "sync/blake2s.h"
#include "sync/crc32c.h"
#include "sync/hash.h"
#include "sync/pool.h"
#include "sync/region.h"
#include "sync/scan.h"

#define CHUNK	SYNC_CHUNK_MIN

/* --- hashes --------------------------------------------------------------------------------- */

static void hex_is(const unsigned char *hash, unsigned int bytes, const char *hex)
{
	char text[2 * SYNC_ROOT + 1];

	for (unsigned int i = 0; i < bytes; i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
	assert_string_equal(text, hex);
}

static void hashes_are_as_published(void **state)
{
	unsigned char hash[SYNC_HASH_MAX];
	struct hashing hashing;

	(void)state;
	assert_int_equal(hashing_init(&hashing, SYNC_XXH3, CHUNK, NULL), 0);
	hashing_fast(&hashing, "", 0, hash);
	hex_is(hash, hashing.bytes, "99aa06d3014798d86001c324468d497f");
	assert_int_equal(hashing_init(&hashing, SYNC_SHA256, CHUNK, NULL), 0);
	hashing_fast(&hashing, "abc", 3, hash);
	hex_is(hash, hashing.bytes, "ba7816bf8f01cfea414140de5dae2223");
	assert_int_equal(hashing_init(&hashing, SYNC_CRC32C, CHUNK, NULL), 0);
	hashing_fast(&hashing, "123456789", 9, hash);
	hex_is(hash, hashing.bytes, "e3069283");
}

/* What hashlib.blake2s() of Python has for a tree with leaves of 4096 bytes, two levels, and 32 inner bytes. */
static void blake2s_is_as_published(void **state)
{
	unsigned char hash[BLAKE2S_BYTES], *data = malloc(100000);

	(void)state;
	for (unsigned int i = 0; i < 100000; i++)
		data[i] = (unsigned char)(i * 7 + 1);
	blake2s("", 0, hash);
	hex_is(hash, sizeof(hash), "f516be67ca647aaa6b225e5844e35af8e4a7073cd445f0a41b3ba2a5d0584aa4");
	blake2s("abc", 3, hash);
	hex_is(hash, sizeof(hash), "b7eec3bc9d9e142289d22ff44d28e23e708f1f34a19f1420a774dc02eccf600e");
	blake2s(data, 100000, hash);
	hex_is(hash, sizeof(hash), "dfef9a9dec99b47babf49d81b885bd665df14a4e29b895086dcf82fa7f4d025a");
	free(data);
}

static void blake2s_has_two_ways_to_one_result(void **state)
{
	const size_t most = 40 * BLAKE2S_LEAF;
	unsigned char one[BLAKE2S_BYTES], other[BLAKE2S_BYTES], *data = malloc(most);

	(void)state;
	for (size_t i = 0; i < most; i++)
		data[i] = (unsigned char)(i * 13 + i / BLAKE2S_LEAF);
	/* As many leaves as each width has lanes, fewer, and more; with and without a rest. */
	for (size_t length = 0; length <= most; length += BLAKE2S_LEAF / 2) {
		blake2s(data, length, one);
		blake2s_plain(data, length, other);
		assert_memory_equal(one, other, BLAKE2S_BYTES);
	}
	free(data);
}

static void crc32c_has_two_ways_to_one_result(void **state)
{
	unsigned char data[300];

	(void)state;
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7 + 1);
	for (unsigned int from = 0; from < 9; from++)
		for (unsigned int length = 0; length + from <= sizeof(data); length++)
			assert_int_equal(crc32c(data + from, length), crc32c_plain(data + from, length));
}

static void a_chunk_of_zeroes_is_known(void **state)
{
	static const unsigned char zeroes[CHUNK];
	unsigned char hash[SYNC_HASH_MAX], strong[SYNC_ROOT];
	struct hashing hashing;

	(void)state;
	for (unsigned int h = SYNC_XXH3; h <= SYNC_BLAKE2; h++) {
		assert_int_equal(hashing_init(&hashing, h, CHUNK, NULL), 0);
		assert_int_equal(hashing.bytes, sync_hash_bytes(h));
		hashing_both(&hashing, zeroes, CHUNK, hash, strong);
		assert_memory_equal(hash, hashing.zero, hashing.bytes);
		assert_memory_equal(strong, hashing.zero_strong, SYNC_ROOT);
	}
	assert_true(bytes_zero(zeroes, CHUNK) && bytes_zero(zeroes, 1));
	assert_false(bytes_zero("\0\0\1", 3) || bytes_zero("\1", 1));
}

/* --- regions -------------------------------------------------------------------------------- */

struct test {
	struct loop *loop;
	struct pool *pool;
	struct hashing hashing;
	struct region *region;
	struct scan scan;
	unsigned int changed[64];	/* times that each chunk was told of */
	int code;			/* 1: the scan goes on */
};

static int set_up(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	int fd = memfd_create("delta", MFD_CLOEXEC);

	*state = t;
	return !t || fd < 0 || loop_new(&t->loop) || pool_new(t->loop, 3, &t->pool, NULL) ||
	       hashing_init(&t->hashing, SYNC_XXH3, CHUNK, NULL) ||
	       region_new(fd, "delta", &t->hashing, UINT64_MAX, &t->region, NULL);
}

static int tear_down(void **state)
{
	struct test *t = *state;

	pool_free(t->pool);
	region_put(t->region);
	loop_free(t->loop);
	free(t);
	return 0;
}

static void test_changed(struct scan *scan, uint64_t chunk)
{
	struct test *t = (struct test *)((char *)scan - offsetof(struct test, scan));

	t->changed[chunk]++;
}

static void test_done(struct scan *scan, int code)
{
	struct test *t = (struct test *)((char *)scan - offsetof(struct test, scan));

	assert_int_equal(t->code, 1);
	t->code = code;
}

/* Returns how many chunks have changed. */
static unsigned int scan(struct test *t, bool fresh)
{
	unsigned int count = 0;

	memset(t->changed, 0, sizeof(t->changed));
	t->code = 1;
	t->scan = (struct scan) {
		.region = t->region, .end = t->region->chunks, .fresh = fresh,
		.changed = test_changed, .done = test_done,
	};
	scan_start(&t->scan, t->pool);
	while (t->code == 1)
		assert_int_equal(loop_once(t->loop, UINT64_MAX), 0);
	assert_int_equal(t->code, 0);
	for (unsigned int i = 0; i < 64; i++) {
		assert_true(t->changed[i] <= 1);
		count += t->changed[i];
	}
	return count;
}

/* The root of the tables is that of the bytes. */
static void tables_are_right(struct test *t)
{
	unsigned char root[SYNC_ROOT], again[SYNC_ROOT];
	unsigned char *strong = malloc((t->region->chunks + 1) * SYNC_ROOT);
	unsigned char fast[SYNC_HASH_MAX];
	char data[CHUNK];

	for (uint64_t i = 0; i < t->region->chunks; i++) {
		uint32_t length = region_length(t->region, i);

		assert_int_equal(pread(t->region->fd, data, length, (off_t)(i * CHUNK)), length);
		hashing_both(&t->hashing, data, length, fast, strong + i * SYNC_ROOT);
		assert_memory_equal(fast, region_fast(t->region, i), t->hashing.bytes);
	}
	hashing_root(&t->hashing, t->region->size, strong, t->region->chunks, again);
	region_root(t->region, root);
	assert_memory_equal(root, again, SYNC_ROOT);
	free(strong);
}

static void scans_find_what_has_changed(void **state)
{
	struct test *t = *state;
	char *data = malloc(20 * CHUNK);

	for (unsigned int i = 0; i < 20 * CHUNK; i++)
		data[i] = (char)(i * 31 + i / CHUNK + 1);
	assert_int_equal(region_write(t->region->fd, 0, data, 20 * CHUNK - 100), 0);
	assert_int_equal(ftruncate(t->region->fd, 40 * CHUNK + 5), 0);
	assert_int_equal(region_set_size(t->region, 40 * CHUNK + 5), 0);
	assert_int_equal(scan(t, true), 41);
	tables_are_right(t);
	assert_int_equal(scan(t, false), 0);
	/* One byte each: the first, one in the hole, the last. */
	assert_int_equal(region_write(t->region->fd, 0, "x", 1), 0);
	assert_int_equal(region_write(t->region->fd, 33 * CHUNK + 7, "x", 1), 0);
	assert_int_equal(region_write(t->region->fd, 40 * CHUNK + 4, "x", 1), 0);
	assert_int_equal(scan(t, false), 3);
	assert_true(t->changed[0] && t->changed[33] && t->changed[40]);
	tables_are_right(t);
	/* And back to a hole. */
	assert_int_equal(region_zero(t->region->fd, 33 * CHUNK, CHUNK), 0);
	assert_int_equal(scan(t, false), 1);
	assert_true(t->changed[33]);
	tables_are_right(t);
	free(data);
}

static void tables_follow_the_size(void **state)
{
	static const uint64_t sizes[] = { 5 * CHUNK, 5 * CHUNK + 1, 9 * CHUNK - 1, 9 * CHUNK, 3 * CHUNK + 7,
					  3 * CHUNK + 6, 3 * CHUNK, 1, 0, 2 * CHUNK + 9, 30 * CHUNK };
	struct test *t = *state;

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t before = t->region->size, edge, last;
		unsigned char fast[SYNC_HASH_MAX], strong[SYNC_ROOT];
		char data[CHUNK];

		assert_int_equal(ftruncate(t->region->fd, (off_t)sizes[i]), 0);
		assert_int_equal(region_set_size(t->region, sizes[i]), 0);
		if (region_edge(t->region, before, &edge)) {
			uint32_t length = region_length(t->region, edge);

			assert_int_equal(region_read(t->region->fd, edge * CHUNK, data, length), 0);
			hashing_both(&t->hashing, data, length, fast, strong);
			region_note(t->region, edge, fast, strong);
		}
		tables_are_right(t);
		if (!sizes[i])
			continue;
		/* The last byte is something, for the next size to make a difference. */
		last = sizes[i] - 1;
		assert_int_equal(region_write(t->region->fd, last, "y", 1), 0);
		assert_int_equal(scan(t, false), 1);
		assert_true(t->changed[last / CHUNK]);
		tables_are_right(t);
	}
}

static void a_file_that_was_cut_off_has_zeroes(void **state)
{
	struct test *t = *state;

	assert_int_equal(region_write(t->region->fd, 0, "abc", 3), 0);
	assert_int_equal(region_set_size(t->region, 4 * CHUNK + 1), 0);
	assert_int_equal(scan(t, true), 5);
	assert_int_equal(ftruncate(t->region->fd, 4 * CHUNK + 1), 0);
	tables_are_right(t);
	/* As much as is not read but mapped, also when that ends in the midst of a page. */
	assert_int_equal(region_set_size(t->region, 60 * CHUNK + 1), 0);
	assert_int_equal(scan(t, true), 61);
	assert_int_equal(ftruncate(t->region->fd, 60 * CHUNK + 1), 0);
	tables_are_right(t);
}

static void groups_tell_their_chunks_apart(void **state)
{
	unsigned char before[3][SYNC_HASH_MAX], after[SYNC_HASH_MAX];
	struct test *t = *state;

	assert_int_equal(ftruncate(t->region->fd, (2 * SYNC_GROUP + 3) * CHUNK), 0);
	assert_int_equal(region_set_size(t->region, (2 * SYNC_GROUP + 3) * CHUNK), 0);
	for (unsigned int i = 0; i < 3; i++)
		region_group(t->region, i, before[i]);
	assert_memory_equal(before[0], before[1], t->hashing.bytes);
	assert_memory_not_equal(before[0], before[2], t->hashing.bytes);
	assert_int_equal(region_write(t->region->fd, (2 * SYNC_GROUP - 1) * CHUNK, "x", 1), 0);
	scan(t, false);
	for (unsigned int i = 0; i < 3; i++) {
		region_group(t->region, i, after);
		if (i == 1)
			assert_memory_not_equal(before[i], after, t->hashing.bytes);
		else
			assert_memory_equal(before[i], after, t->hashing.bytes);
	}
}

/* --- messages ------------------------------------------------------------------------------- */

static struct sync_message m, back;

/* Writes and takes @m, with @data behind it. */
static bool round_trip(const void *data)
{
	size_t used = sync_encoded(&m), all = used + (m.type == SYNC_DATA ? m.data.length : 0);
	char *buf = malloc(all);
	uint32_t length;
	bool fine;

	sync_encode(&m, buf);
	if (all > used)
		memcpy(buf + used, data, all - used);
	memset(&back, 0, sizeof(back));
	fine = sync_decode_header(buf, &back, &length) && length == all - SYNC_HEADER &&
	       sync_decode(buf + SYNC_HEADER, length, &back);
	if (fine && m.type == SYNC_DATA)
		assert_memory_equal(back.data.bytes, data, m.data.length);
	assert_int_equal(sync_cost(&m), sync_cost_of((uint32_t)all));
	free(buf);
	return fine;
}

static void messages_come_back(void **state)
{
	(void)state;
	m = (struct sync_message) { .type = SYNC_OPEN, .stream = 7 };
	m.open.kind = SYNC_DEVICE;
	m.open.mode = 0640;
	m.open.size = 1ull << 40;
	strcpy(m.open.name, "a/b.img");
	assert_true(round_trip(NULL));
	assert_int_equal(back.stream, 7);
	assert_int_equal(back.open.size, 1ull << 40);
	assert_string_equal(back.open.name, "a/b.img");
	m = (struct sync_message) { .type = SYNC_DATA, .stream = 1, .data = { 65536, NULL, 5 } };
	assert_true(round_trip("12345"));
	assert_int_equal(back.data.offset, 65536);
	m = (struct sync_message) { .type = SYNC_WANT, .stream = 1 };
	m.want.list = SYNC_STRONG;
	for (m.want.count = 0; m.want.count < SYNC_RANGES_MAX; m.want.count++)
		m.want.range[m.want.count] = (struct sync_range) { 2 * m.want.count, 1 };
	assert_true(round_trip(NULL));
	assert_int_equal(back.want.count, SYNC_RANGES_MAX);
	assert_int_equal(back.want.range[9].first, 18);
	/* What is of a stream is of none without its number, and the other way round. */
	m.stream = 0;
	assert_false(round_trip(NULL));
	m = (struct sync_message) { .type = SYNC_ROUND, .stream = 1 };
	assert_false(round_trip(NULL));
}

static void names_lead_nowhere_else(void **state)
{
	static const char *const good[] = { "a", "a/b", "...", "..a", ".a", "a/..b/c", "a b", "\xff" };
	static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b",
					   "a/../b" };
	char name[SYNC_NAME_MAX + 2];

	(void)state;
	for (unsigned int i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(sync_name_valid(good[i]));
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(sync_name_valid(bad[i]));
	memset(name, 'x', sizeof(name));
	name[255] = '\0';
	assert_true(sync_name_valid(name));
	name[255] = 'x';
	name[256] = '\0';
	assert_false(sync_name_valid(name));
	for (unsigned int i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '/' : 'x';
	name[SYNC_NAME_MAX] = '\0';
	assert_true(sync_name_valid(name));
	strcpy(name + SYNC_NAME_MAX - 1, "xx");
	assert_false(sync_name_valid(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_as_published),
		cmocka_unit_test(blake2s_is_as_published),
		cmocka_unit_test(blake2s_has_two_ways_to_one_result),
		cmocka_unit_test(crc32c_has_two_ways_to_one_result),
		cmocka_unit_test(a_chunk_of_zeroes_is_known),
		/* Before other scans: cmocka takes SIGBUS at the beginning of each test, and they do so once. */
		cmocka_unit_test_setup_teardown(a_file_that_was_cut_off_has_zeroes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(scans_find_what_has_changed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tables_follow_the_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(groups_tell_their_chunks_apart, set_up, tear_down),
		cmocka_unit_test(messages_come_back),
		cmocka_unit_test(names_lead_nowhere_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
