// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mem: and null:, and what backend.c refuses before any backend sees it.
 */
#include "drive.h"

#include <pthread.h>
#include <stdatomic.h>

#include "backend/extents.h"
#include "backend/pages.h"

#define M	(1ull << 20)

static size_t resident(void)
{
	unsigned long all, here;
	FILE *in = fopen("/proc/self/statm", "r");

	assert_non_null(in);
	assert_int_equal(fscanf(in, "%lu %lu", &all, &here), 2);
	fclose(in);
	return here * (size_t)sysconf(_SC_PAGESIZE);
}

static void specs_are_checked(void **state)
{
	(void)state;
	refuses("", -EINVAL, "mem:, null:, file:, nbd:, nbds:, nbd+unix:");
	refuses("64M", -EINVAL, "is not a backend");
	refuses("memo:64M", -EINVAL, "is not a backend");
	refuses("me:64M", -EINVAL, "is not a backend");
	refuses("nbds://h:0/x", -EINVAL, "not a port");
	refuses("nbds+unix:///x", -EINVAL, "socket is missing");
	refuses("mem:", -EINVAL, "not a size");
	refuses("mem:0", -EINVAL, "at least 1 byte");
	refuses("mem:64Q", -EINVAL, "units");
	refuses("mem:-1", -EINVAL, "not a size");
	refuses("mem:8E", -EINVAL, "less than 8E");
	refuses("mem:16E", -ERANGE, "too large");
	refuses("mem:7E", -ENOMEM, "smaller");
	refuses("null:x", -EINVAL, "null:x");
}

static void names_are_canonical(void **state)
{
	struct drive drive;

	(void)state;
	drive_open(&drive, "mem:65536K");
	assert_string_equal(drive.backend->name, "mem:64M");
	assert_int_equal(drive.backend->info.size, 64 * M);
	drive_close(&drive);
	drive_open(&drive, "null:1000000T");
	assert_string_equal(drive.backend->name, "null:1000000T");
	drive_close(&drive);
}

static void bytes_are_kept(void **state)
{
	char buf[5000], back[5000];
	struct drive drive;
	size_t i;

	(void)state;
	drive_open(&drive, "mem:1000003");
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (char)(i * 7 + i / 256);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 1000003 - 5000, buf, 5000, 0), 0);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 1000003 - 5000, back, 5000, 0), 0);
	assert_memory_equal(buf, back, 5000);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 990000, back, 5000, 0), 0);
	assert_true(is_filled(back, 5000, 0));
	assert_int_equal(drive_do(&drive, BACKEND_FLUSH, 0, NULL, 0, 0), 0);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 7, buf, 1, BACKEND_FUA), 0);
	drive_close(&drive);
}

/* Every pair of edges within three pages: what is inside is zero, what is outside is kept. */
static void discard_and_zero_are_exact(void **state)
{
	static const uint32_t edges[] = { 0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 12287, 12288 };
	static const struct {
		enum backend_op op;
		uint32_t flags;
	} ways[] = {
		{ BACKEND_DISCARD, 0 },
		{ BACKEND_WRITE_ZEROES, 0 },
		{ BACKEND_WRITE_ZEROES, BACKEND_NO_UNMAP },
	};
	const size_t count = sizeof(edges) / sizeof(edges[0]);
	static char buf[16384];
	struct drive drive;
	size_t from, to, way;

	(void)state;
	drive_open(&drive, "mem:16K");
	for (way = 0; way < 3; way++) {
		for (from = 0; from < count; from++) {
			for (to = from + 1; to < count; to++) {
				uint32_t a = edges[from], b = edges[to];

				memset(buf, 'x', sizeof(buf));
				drive_do(&drive, BACKEND_WRITE, 0, buf, 16384, 0);
				assert_int_equal(drive_do(&drive, ways[way].op, a, NULL, b - a,
							  ways[way].flags), 0);
				drive_do(&drive, BACKEND_READ, 0, buf, 16384, 0);
				assert_true(is_filled(buf, a, 'x'));
				assert_true(is_filled(buf + a, b - a, 0));
				assert_true(is_filled(buf + b, 16384 - b, 'x'));
			}
		}
	}
	drive_close(&drive);
}

static void what_is_absent_costs_nothing(void **state)
{
	static char buf[1 << 20];
	size_t before, after;
	struct drive drive;
	uint64_t at;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip();		/* its own tables grow with every byte that is looked at */
#endif
	memset(buf, 1, sizeof(buf));
	drive_open(&drive, "mem:16G");
	before = resident();
	for (at = 0; at < 64 * M; at += M) {
		drive_do(&drive, BACKEND_READ, at, buf, M, 0);
		assert_true(is_filled(buf, M, 0));
	}
	assert_true(resident() < before + 16 * M);
	memset(buf, 1, sizeof(buf));
	for (at = 0; at < 64 * M; at += M)
		drive_do(&drive, BACKEND_WRITE, at, buf, M, 0);
	assert_true(resident() >= before + 48 * M);
	assert_int_equal(drive_do(&drive, BACKEND_DISCARD, 0, NULL, 64 * M, 0), 0);
	after = resident();
	assert_true(after < before + 16 * M);
	drive_close(&drive);
}

/* A region of 1 TiB, or of less where valgrind leaves no address space for it. Returns its size. */
static uint64_t open_vast(struct drive *drive)
{
	struct backend *backend;
	bool fits = !backend_open("mem:1T", &backend, NULL);

	if (fits)
		backend_close(backend);
	drive_open(drive, fits ? "mem:1T" : "mem:16G");
	return fits ? 1ull << 40 : 16ull << 30;
}

static void extents_are_pages_written(void **state)
{
	static char buf[300000];
	struct drive drive;
	uint64_t size;

	(void)state;
	drive_open(&drive, "mem:1000000");	/* 244 pages and 576 bytes */
	assert_true(drive.backend->info.can_extents && drive.backend->info.can_fast_zero);
	drive_extents(&drive, 0, 1000000, ROOM, 0);
	assert_string_equal(drive_found_text(), "h1000000");
	drive_do(&drive, BACKEND_READ, 0, buf, 300000, 0);
	drive_do(&drive, BACKEND_WRITE, 4095, buf, 2, 0);		/* pages 0, 1 */
	drive_do(&drive, BACKEND_WRITE, 63 * 4096, buf, 2 * 4096, 0);	/* across words */
	drive_do(&drive, BACKEND_WRITE, 127 * 4096, buf, 1, 0);		/* a word's last */
	drive_do(&drive, BACKEND_WRITE, 999999, buf, 1, 0);
	drive_extents(&drive, 0, 1000000, ROOM, 0);
	assert_string_equal(drive_found_text(),
			    "d8192 h249856 d8192 h253952 d4096 h475136 d576");
	drive_extents(&drive, 8191, 249858, ROOM, 0);
	assert_string_equal(drive_found_text(), "d1 h249856 d1");
	drive_extents(&drive, 0, 1000000, 1, 0);
	assert_string_equal(drive_found_text(), "d8192");
	drive_extents(&drive, 0, 1000000, ROOM, BACKEND_ONE);
	assert_string_equal(drive_found_text(), "d8192");
	drive_extents(&drive, 8192, 1000000 - 8192, 2, 0);
	assert_string_equal(drive_found_text(), "h249856 d8192");
	drive_extents(&drive, 999999, 1, 1, 0);
	assert_string_equal(drive_found_text(), "d1");

	/* Whole words, and the end of the region, which counts as a page's end. */
	drive_do(&drive, BACKEND_WRITE, 4096, buf, 300000, 0);
	drive_extents(&drive, 4096, 300000, ROOM, 0);
	assert_string_equal(drive_found_text(), "d300000");
	drive_do(&drive, BACKEND_DISCARD, 64 * 4096, NULL, 1000000 - 64 * 4096, 0);
	drive_extents(&drive, 0, 1000000, ROOM, 0);
	assert_string_equal(drive_found_text(), "d262144 h737856");
	drive_do(&drive, BACKEND_DISCARD, 1, NULL, 8191, 0);	/* page 0 keeps a byte */
	drive_extents(&drive, 0, 12288, ROOM, 0);
	assert_string_equal(drive_found_text(), "d4096 h4096 d4096");
	drive_do(&drive, BACKEND_WRITE_ZEROES, 4096, NULL, 4096, BACKEND_NO_UNMAP);
	drive_extents(&drive, 0, 12288, ROOM, 0);
	assert_string_equal(drive_found_text(), "d12288");
	assert_int_equal(drive_do(&drive, BACKEND_WRITE_ZEROES, 0, NULL, 8192, BACKEND_FAST_ZERO),
			 0);
	drive_extents(&drive, 0, 12288, ROOM, 0);
	assert_string_equal(drive_found_text(), "h8192 d4096");
	assert_int_equal(drive_do(&drive, BACKEND_CACHE, 0, NULL, 1000000, 0), 0);
	drive_close(&drive);

	drive_open(&drive, "mem:1");
	drive_extents(&drive, 0, 1, 1, 0);
	assert_string_equal(drive_found_text(), "h1");
	drive_do(&drive, BACKEND_WRITE, 0, buf, 1, 0);
	drive_extents(&drive, 0, 1, ROOM, 0);
	assert_string_equal(drive_found_text(), "d1");
	drive_do(&drive, BACKEND_DISCARD, 0, NULL, 1, 0);
	drive_extents(&drive, 0, 1, ROOM, 0);
	assert_string_equal(drive_found_text(), "h1");
	drive_close(&drive);

	size = open_vast(&drive);		/* far away bits, long runs */
	drive_do(&drive, BACKEND_WRITE, size - 1, buf, 1, 0);
	drive_do(&drive, BACKEND_WRITE, size / 2, buf, 1, 0);
	drive_extents(&drive, size - 0xffffffff, 0xffffffff, ROOM, 0);
	assert_string_equal(drive_found_text(), "h4294963199 d4096");
	drive_extents(&drive, size / 2 - 2 * M, 1u << 31, ROOM, 0);
	assert_string_equal(drive_found_text(), "h2097152 d4096 h2145382400");
	drive_close(&drive);
}

static void extents_follow_a_model(void **state)
{
	struct drive drive;

	(void)state;
	drive_open(&drive, "mem:811000");	/* 197 pages and 4088 bytes */
	drive_model(&drive, 199, 811000 - 198 * 4096, true, 4000);
	drive_close(&drive);
	drive_open(&drive, "mem:4097");
	drive_model(&drive, 2, 1, true, 500);
	drive_close(&drive);
}

/* A region that two threads write and discard in, on channels of their own. */
#define FIGHT_PAGES	8
#define FIGHT_ROUNDS	20000

struct fighter {
	struct backend *backend;
	pthread_barrier_t *barrier;
	pthread_t thread;
	bool writes;
};

static void *fight(void *argument)
{
	struct fighter *fighter = argument;
	struct drive drive = { .backend = fighter->backend };
	static const char buf[4096] = { 1 };
	unsigned int round, page;

	loop_new(&drive.loop);
	backend_channel_open(drive.backend, drive.loop, &drive.channel, NULL);
	for (round = 0; round < FIGHT_ROUNDS; round++) {
		page = round % FIGHT_PAGES;
		if (!page)
			pthread_barrier_wait(fighter->barrier);
		drive_do(&drive, fighter->writes ? BACKEND_WRITE : BACKEND_DISCARD, page * 4096,
			 fighter->writes ? (void *)(uintptr_t)buf : NULL, 4096, 0);
		if (page == FIGHT_PAGES - 1)
			pthread_barrier_wait(fighter->barrier);
	}
	backend_channel_close(drive.channel);
	loop_free(drive.loop);
	return NULL;
}

/* Whatever wins: no page with a byte in it may be told to be a hole. */
static void writes_beside_discards(void **state)
{
	struct fighter fighters[2] = { { .writes = true }, { .writes = false } };
	pthread_barrier_t barrier;
	unsigned int round, page, kept = 0, i;
	struct drive drive;
	const char *bytes;

	(void)state;
	assert_int_equal(pthread_barrier_init(&barrier, NULL, 3), 0);
	drive_open(&drive, "mem:32K");
	for (i = 0; i < 2; i++) {
		fighters[i].backend = drive.backend;
		fighters[i].barrier = &barrier;
		assert_int_equal(pthread_create(&fighters[i].thread, NULL, fight, &fighters[i]), 0);
	}
	for (round = 0; round < FIGHT_ROUNDS / FIGHT_PAGES; round++) {
		pthread_barrier_wait(&barrier);
		drive_extents(&drive, 0, 32768, ROOM, 0);	/* while they run */
		pthread_barrier_wait(&barrier);
		for (page = 0; page < FIGHT_PAGES; page++) {
			bytes = backend_map(drive.backend, page * 4096, 4096);
			kept += bytes[0];
			drive_extents(&drive, page * 4096, 4096, 1, 0);
			if (bytes[0])
				assert_string_equal(drive_found_text(), "d4096");
		}
	}
	for (i = 0; i < 2; i++)
		pthread_join(fighters[i].thread, NULL);
	print_message("%u of %u pages kept what was written\n", kept, FIGHT_ROUNDS);
	pthread_barrier_destroy(&barrier);
	drive_close(&drive);
}

/* Several threads set bits of the same words: none is lost. */
static struct pages shared_pages;

static void *mark_every_fourth(void *argument)
{
	uint64_t page;

	for (page = (uintptr_t)argument; page < 64 * 64; page += 4)
		pages_mark(&shared_pages, page << 12, 1);
	return NULL;
}

static void marks_of_several_threads(void **state)
{
	static _Atomic uint64_t words[64];
	pthread_t threads[4];
	uintptr_t i;
	bool marked;

	(void)state;
	shared_pages = (struct pages) { words, 12 };
	assert_int_equal(pages_bytes(64 * 64 * 4096, 12), sizeof(words));
	assert_int_equal(pages_bytes(64 * 4096, 12), 8);
	assert_int_equal(pages_bytes(64 * 4096 + 1, 12), 16);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, mark_every_fourth, (void *)i), 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(pages_run(&shared_pages, 5, 64 * 64 * 4096, &marked),
			 64 * 64 * 4096 - 5);
	assert_true(marked);
	pages_clear(&shared_pages, 4096, 4096);		/* nothing */
	assert_int_equal(pages_run(&shared_pages, 0, 64 * 64 * 4096, &marked), 64 * 64 * 4096);
	pages_clear(&shared_pages, 0, 64 * 64 * 4096);
	assert_int_equal(pages_run(&shared_pages, 0, 64 * 64 * 4096, &marked), 64 * 64 * 4096);
	assert_false(marked);
}

static void the_map_is_the_region(void **state)
{
	struct drive drive;
	char buf[512];
	char *map;

	(void)state;
	memset(buf, 'm', sizeof(buf));
	drive_open(&drive, "mem:1000000");
	map = backend_map(drive.backend, 999000, 1000);
	assert_non_null(map);
	assert_true(is_filled(map, 1000, 0));
	drive_do(&drive, BACKEND_WRITE, 999000, buf, 512, 0);
	assert_memory_equal(map, buf, 512);
	assert_null(backend_map(drive.backend, 999000, 1001));
	assert_null(backend_map(drive.backend, UINT64_MAX, 2));
	assert_null(backend_map(drive.backend, 0, 0));
	drive_close(&drive);
	drive_open(&drive, "null:1M");
	assert_null(backend_map(drive.backend, 0, 512));
	drive_close(&drive);
}

/* What was put in place is told to be data once a WRITE from there has come, as far as it goes. */
static void writes_in_place(void **state)
{
	struct drive drive;
	char *place;

	(void)state;
	drive_open(&drive, "mem:64K");
	assert_true(drive.backend->info.can_map_writes);
	place = backend_map(drive.backend, 4096, 8192);
	assert_non_null(place);
	memset(place, 'p', 5000);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 4096, place, 8192, 0), 0);
	assert_true(is_filled(place, 5000, 'p'));
	assert_true(is_filled(place + 5000, 8192 - 5000, 0));
	drive_extents(&drive, 0, 16384, ROOM, 0);
	assert_string_equal(drive_found_text(), "h4096 d8192 h4096");
	drive_close(&drive);
	drive_open(&drive, "mem:64K?name=unit-mem-place");
	assert_false(drive.backend->info.can_map_writes);
	drive_close(&drive);
	unlink("/dev/shm/r3map-unit-mem-place");
}

/* The list itself: it clips, merges, and never has more than its room. */
static void lists_of_extents(void **state)
{
	struct backend_io io = { .op = BACKEND_EXTENTS, .offset = 100, .length = 50 };
	uint64_t at = 100;

	(void)state;
	memset(&drive_found, 0, sizeof(drive_found));
	io.extents = &drive_found.list;
	io.extents->room = 2;
	assert_true(extents_add(&io, &at, 0, HOLE));
	assert_int_equal(io.extents->used, 0);
	assert_true(extents_add(&io, &at, 10, 0));
	assert_true(extents_add(&io, &at, 10, 0));
	assert_true(extents_add(&io, &at, 10, HOLE));
	assert_true(extents_add(&io, &at, 10, HOLE));
	assert_int_equal(at, 140);
	assert_string_equal(drive_found_text(), "d20 h20");
	assert_false(extents_add(&io, &at, 10, 0));
	assert_int_equal(at, 140);
	assert_false(extents_add(&io, &at, UINT64_MAX, HOLE));
	assert_false(extents_add(&io, &at, 1, HOLE));
	assert_int_equal(at, 150);
	assert_string_equal(drive_found_text(), "d20 h30");
	io.flags = BACKEND_ONE;
	io.extents->used = 0;
	at = 100;
	assert_true(extents_add(&io, &at, 10, 0));
	assert_false(extents_add(&io, &at, 10, HOLE));
	assert_string_equal(drive_found_text(), "d10");
}

static void null_touches_nothing(void **state)
{
	struct drive drive;
	char buf[512];

	(void)state;
	drive_open(&drive, "null:7E");
	memset(buf, 'n', sizeof(buf));
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 0, buf, 512, BACKEND_FUA), 0);
	memset(buf, 'o', sizeof(buf));
	assert_int_equal(drive_do(&drive, BACKEND_READ, 0, buf, 512, 0), 0);
	assert_true(is_filled(buf, 512, 'o'));
	assert_int_equal(drive_do(&drive, BACKEND_DISCARD, 0, NULL, UINT32_MAX, 0), 0);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE_ZEROES, 0, NULL, 512, BACKEND_FAST_ZERO), 0);
	assert_int_equal(drive_do(&drive, BACKEND_CACHE, 0, NULL, 512, 0), 0);
	drive_extents(&drive, 1ull << 60, UINT32_MAX, ROOM, 0);
	assert_string_equal(drive_found_text(), "d4294967295");
	drive_close(&drive);
}

static void what_is_out_of_range_is_refused(void **state)
{
	struct drive drive;
	char buf[16];

	(void)state;
	drive_open(&drive, "mem:8K");
	assert_int_equal(drive_do(&drive, BACKEND_READ, 8192, buf, 1, 0), -EINVAL);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 8185, buf, 8, 0), -EINVAL);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 8184, buf, 8, 0), 0);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, UINT64_MAX, buf, 2, 0), -EINVAL);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, UINT64_MAX - 7, buf, 8, 0), -EINVAL);
	assert_int_equal(drive_do(&drive, BACKEND_DISCARD, 1, NULL, UINT32_MAX, 0), -EINVAL);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 0, buf, 0, 0), -EINVAL);
	assert_int_equal(drive_do(&drive, BACKEND_EXTENTS, 0, NULL, 512, 0), -EINVAL);	/* no list */
	assert_int_equal(drive_do(&drive, BACKEND_CACHE, 0, NULL, 8193, 0), -EINVAL);
	assert_int_equal(drive_do(&drive, BACKEND_CACHE, 0, NULL, 0, 0), -EINVAL);
	assert_int_equal(drive_do(&drive, (enum backend_op)BACKEND_OPS, 0, buf, 8, 0),
			 -EOPNOTSUPP);
	assert_int_equal(drive_do(&drive, (enum backend_op)-1, 0, buf, 8, 0), -EOPNOTSUPP);
	drive_close(&drive);
}

/* A backend that notes what it is given and completes when the test says so. */
static struct backend_io *given[8];
static enum backend_op given_op[8];
static uint32_t given_flags[8];
static unsigned int given_count;

static void note_submit(struct backend_channel *channel, struct backend_io *io)
{
	(void)channel;
	given_op[given_count] = io->op;
	given_flags[given_count] = io->flags;
	given[given_count++] = io;
}

static void checks_follow_the_info(void **state)
{
	const struct backend_ops ops = { .scheme = "note", .submit = note_submit };
	struct backend backend = {
		.ops = &ops,
		.info = { .size = 65536, .block_min = 512, .block_preferred = 4096, .max_io = 4096 },
	};
	struct backend_channel channel = { .backend = &backend };
	struct request r;
	char buf[8192];
	const struct {
		enum backend_op op;
		uint64_t offset;
		uint32_t length;
		bool read_only;
		int result;
	} refused[] = {
		{ BACKEND_READ, 1, 512, false, -EINVAL },
		{ BACKEND_READ, 0, 513, false, -EINVAL },
		{ BACKEND_READ, 0, 8192, false, -EINVAL },
		{ BACKEND_WRITE, 256, 256, false, -EINVAL },
		{ BACKEND_DISCARD, 0, 512, false, -EOPNOTSUPP },
		{ BACKEND_WRITE_ZEROES, 0, 512, false, -EOPNOTSUPP },
		{ BACKEND_WRITE, 0, 512, true, -EPERM },
		{ BACKEND_DISCARD, 0, 512, true, -EPERM },
		{ BACKEND_WRITE_ZEROES, 0, 512, true, -EPERM },
		{ BACKEND_CACHE, 0, 65536, false, 0 },		/* cannot: nothing to do */
		{ BACKEND_CACHE, 0, 512, true, 0 },
		{ BACKEND_CACHE, 1, 512, false, -EINVAL },
		{ BACKEND_EXTENTS, 0, 65536, false, -EINVAL },	/* no list */
		{ BACKEND_FLUSH, 0, 0, true, 0 },
		{ BACKEND_FLUSH, 0, 0, false, 0 },	/* cannot, so need not */
	};
	size_t i;

	(void)state;
	given_count = 0;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		backend.info.read_only = refused[i].read_only;
		request_make(&r, refused[i].op, refused[i].offset, buf, refused[i].length, 0);
		backend_submit(&channel, &r.io);
		assert_int_equal(given_count, 0);
		assert_int_equal(r.completed, 1);
		assert_int_equal(r.result, refused[i].result);
	}
	backend.info.read_only = false;
	request_make(&r, BACKEND_READ, 65536 - 4096, buf, 4096, 0);
	backend_submit(&channel, &r.io);
	assert_int_equal(given_count, 1);
	backend_kick(&channel);		/* the ops have none */
	assert_null(backend_map(&backend, 0, 512));
}

static void what_a_backend_cannot_is_answered(void **state)
{
	const struct backend_ops ops = { .scheme = "note", .submit = note_submit };
	struct backend backend = {
		.ops = &ops,
		.info = { .size = 65536, .block_min = 512, .block_preferred = 4096, .max_io = 512,
			  .can_zeroes = true },
	};
	struct backend_channel channel = { .backend = &backend };
	struct drive drive = { .backend = &backend, .channel = &channel };
	struct request r;

	(void)state;
	given_count = 0;
	drive_extents(&drive, 512, 65024, ROOM, 0);	/* more than max_io */
	assert_string_equal(drive_found_text(), "d65024");
	backend.info.read_only = true;
	drive_extents(&drive, 512, 1024, 1, BACKEND_ONE);
	assert_string_equal(drive_found_text(), "d1024");
	request_make(&r, BACKEND_WRITE_ZEROES, 0, NULL, 512, BACKEND_FAST_ZERO);
	backend_submit(&channel, &r.io);
	assert_int_equal(r.result, -EPERM);
	backend.info.read_only = false;
	request_make(&r, BACKEND_WRITE_ZEROES, 0, NULL, 512, BACKEND_FAST_ZERO);
	backend_submit(&channel, &r.io);
	assert_int_equal(r.result, -EOPNOTSUPP);
	drive_found.list.room = 0;
	request_make(&r, BACKEND_EXTENTS, 0, NULL, 512, 0);
	r.io.extents = &drive_found.list;
	backend_submit(&channel, &r.io);
	assert_int_equal(r.result, -EINVAL);
	assert_int_equal(given_count, 0);

	backend.info.can_fast_zero = backend.info.can_extents = backend.info.can_cache = true;
	backend.info.can_flush = true;
	request_make(&r, BACKEND_WRITE_ZEROES, 0, NULL, 512, BACKEND_FAST_ZERO | BACKEND_FUA);
	backend_submit(&channel, &r.io);
	assert_int_equal(given_flags[0], BACKEND_FAST_ZERO);
	given[0]->done(given[0], -EOPNOTSUPP);
	assert_int_equal(r.result, -EOPNOTSUPP);
	backend.info.read_only = true;
	request_make(&r, BACKEND_CACHE, 0, NULL, 65536, BACKEND_FUA);
	backend_submit(&channel, &r.io);
	assert_int_equal(given_op[1], BACKEND_CACHE);
	drive_found.list.room = 1;
	drive_found.list.used = 77;
	request_make(&r, BACKEND_EXTENTS, 0, NULL, 512, BACKEND_ONE);
	r.io.extents = &drive_found.list;
	backend_submit(&channel, &r.io);
	assert_int_equal(given_op[2], BACKEND_EXTENTS);
	assert_int_equal(given_flags[2], BACKEND_ONE);
	assert_int_equal(drive_found.list.used, 0);	/* a backend starts from none */
	assert_int_equal(given_count, 3);
}

static void fua_is_emulated(void **state)
{
	const struct backend_ops ops = { .scheme = "note", .submit = note_submit };
	struct backend backend = {
		.ops = &ops,
		.info = { .size = 65536, .block_min = 1, .block_preferred = 4096, .can_flush = true,
			  .can_zeroes = true },
	};
	struct backend_channel channel = { .backend = &backend };
	struct request r;
	char buf[512];

	(void)state;
	given_count = 0;
	request_make(&r, BACKEND_WRITE, 512, buf, 512, BACKEND_FUA);
	backend_submit(&channel, &r.io);
	assert_int_equal(given_count, 1);
	assert_int_equal(given_op[0], BACKEND_WRITE);
	assert_int_equal(given_flags[0], 0);
	given[0]->done(given[0], 0);
	assert_int_equal(r.completed, 0);
	assert_int_equal(given_count, 2);
	assert_int_equal(given_op[1], BACKEND_FLUSH);
	given[1]->done(given[1], -EIO);		/* the flush's error is the write's */
	assert_int_equal(r.completed, 1);
	assert_int_equal(r.result, -EIO);
	assert_int_equal(r.io.op, BACKEND_WRITE);	/* as the submitter left it */
	assert_int_equal(r.io.flags, BACKEND_FUA);
	assert_ptr_equal(r.io.done, request_done);

	request_make(&r, BACKEND_WRITE_ZEROES, 0, NULL, 512, BACKEND_FUA | BACKEND_NO_UNMAP);
	backend_submit(&channel, &r.io);
	assert_int_equal(given_flags[2], BACKEND_NO_UNMAP);
	given[2]->done(given[2], -ENOSPC);	/* no flush after a write that failed */
	assert_int_equal(given_count, 3);
	assert_int_equal(r.result, -ENOSPC);
	assert_int_equal(r.io.flags, BACKEND_FUA | BACKEND_NO_UNMAP);

	backend.info.can_fua = true;
	request_make(&r, BACKEND_WRITE, 0, buf, 512, BACKEND_FUA);
	backend_submit(&channel, &r.io);
	assert_int_equal(given_flags[3], BACKEND_FUA);
	given[3]->done(given[3], 0);
	assert_int_equal(given_count, 4);
	assert_int_equal(r.completed, 1);
}

static void op_names(void **state)
{
	(void)state;
	assert_string_equal(backend_op_name(BACKEND_READ), "read");
	assert_string_equal(backend_op_name(BACKEND_WRITE_ZEROES), "zero");
	assert_string_equal(backend_op_name(BACKEND_EXTENTS), "extents");
	assert_string_equal(backend_op_name(BACKEND_CACHE), "cache");
	assert_null(backend_op_name(BACKEND_OPS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(specs_are_checked),
		cmocka_unit_test(names_are_canonical),
		cmocka_unit_test(bytes_are_kept),
		cmocka_unit_test(discard_and_zero_are_exact),
		cmocka_unit_test(what_is_absent_costs_nothing),
		cmocka_unit_test(extents_are_pages_written),
		cmocka_unit_test(extents_follow_a_model),
		cmocka_unit_test(writes_beside_discards),
		cmocka_unit_test(marks_of_several_threads),
		cmocka_unit_test(the_map_is_the_region),
		cmocka_unit_test(writes_in_place),
		cmocka_unit_test(lists_of_extents),
		cmocka_unit_test(null_touches_nothing),
		cmocka_unit_test(what_is_out_of_range_is_refused),
		cmocka_unit_test(checks_follow_the_info),
		cmocka_unit_test(what_a_backend_cannot_is_answered),
		cmocka_unit_test(fua_is_emulated),
		cmocka_unit_test(op_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
