// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the backend is asked about what is pulled next, by one that answers when it is told to: several
 * parts at a time and in any order, each piece once and in its place; what is dropped comes again; a
 * program's ranges come before the whole region. What was dropped is asked about where that is worth it.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/r3map.h>

#include "backend/backend.h"
#include "lib/error.h"
#include "mount/looks.h"
#include "mount/order.h"

#define MIB	(1ull << 20)
#define SIZE	(1024 * MIB)
#define CHUNK	65536u

static struct backend_io *kept[64];
static unsigned int kept_count;

static void probe_submit(struct backend_channel *channel, struct backend_io *io)
{
	(void)channel;
	assert_int_equal(io->op, BACKEND_EXTENTS);
	assert_true(kept_count < 64);
	kept[kept_count++] = io;
}

static const struct backend_ops probe_ops = { .scheme = "probe", .submit = probe_submit };
static struct backend probe = {
	.ops = &probe_ops,
	.info = { .size = SIZE, .block_min = 1, .can_extents = true },
};
static struct backend_channel channel = { .backend = &probe };
static struct order *order;
static struct looks *looks;
static unsigned int answers;

static void on_answered(void *data)
{
	(void)data;
	answers++;
}

static void on_more(void *data)
{
	(void)data;
}

static void begin(const char *spec)
{
	struct error error = { 0 };

	kept_count = 0;
	answers = 0;
	if (order_open(spec, SIZE, NULL, on_more, NULL, &order, &error))
		fail_msg("%s", error.text);
	looks = looks_new(&channel, order, SIZE, CHUNK, on_answered, NULL);
	assert_non_null(looks);
}

static void end(void)
{
	looks_free(looks);
	order_close(order);
}

/* A list in a file, for --order. */
static void begin_list(const char *lines)
{
	char path[] = "/tmp/r3map-looks.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, lines, strlen(lines)), strlen(lines));
	close(fd);
	begin(path);
	unlink(path);
}

/* Request @i of those that are kept: one extent, of @length bytes or all of it. */
static void answer(unsigned int i, uint64_t length, bool zero)
{
	struct backend_io *io = kept[i];

	kept[i] = kept[--kept_count];
	io->extents->used = 1;
	io->extents->extent[0] = (struct backend_extent) {
		.length = length ? length : io->length, .flags = zero ? BACKEND_EXTENT_ZERO : 0,
	};
	io->done(io, 0);
}

/* Which of those that are kept begins at @offset. */
static unsigned int at(uint64_t offset)
{
	for (unsigned int i = 0; i < kept_count; i++)
		if (kept[i]->offset == offset)
			return i;
	fail_msg("nobody asked about %llu", (unsigned long long)offset);
	return 0;
}

static void next_is(uint64_t from, uint64_t to, bool zero)
{
	struct piece piece = { 0 };

	assert_int_equal(looks_next(looks, &piece), LOOKS_PIECE);
	assert_int_equal(piece.offset, from);
	assert_int_equal(piece.end, to);
	assert_int_equal(piece.zero, zero);
}

static void next_waits(void)
{
	struct piece piece;

	assert_int_equal(looks_next(looks, &piece), LOOKS_WAIT);
}

/* The next piece, of data, however many answers that takes. */
static void comes(uint64_t from, uint64_t to)
{
	struct piece piece = { 0 };

	while (looks_next(looks, &piece) == LOOKS_WAIT) {
		assert_true(kept_count);
		answer(kept_count - 1, 0, false);
	}
	assert_int_equal(piece.offset, from);
	assert_int_equal(piece.end, to);
	assert_false(piece.zero);
}

static void asked_together(void **state)
{
	(void)state;
	begin(NULL);
	next_waits();
	assert_int_equal(kept_count, 1);
	next_waits();
	assert_int_equal(kept_count, 16);
	/* The second answer is of no use before the first. */
	answer(at(16 * MIB), 0, true);
	next_waits();
	answer(at(0), 0, false);
	assert_int_equal(answers, 2);
	next_is(0, 16 * MIB, false);
	next_is(16 * MIB, 32 * MIB, true);
	next_waits();
	assert_int_equal(kept_count, 16);
	end();
}

/* All of the region, once, whatever the answers are like. */
static void everything_once(void **state)
{
	struct piece piece;
	uint64_t done = 0;
	enum looks_next next;

	(void)state;
	srandom(4);
	begin(NULL);
	while ((next = looks_next(looks, &piece)) != LOOKS_NONE) {
		if (next == LOOKS_PIECE) {
			assert_int_equal(piece.offset, done);
			assert_true(piece.end > piece.offset);
			assert_true(!(piece.end % CHUNK));
			done = piece.end;
			continue;
		}
		assert_true(kept_count);
		unsigned int i = (unsigned int)random() % kept_count;

		/* Sometimes less than what was asked for, and no whole chunks. */
		answer(i, random() % 3 ? 0 : 1 + (uint64_t)random() % kept[i]->length, random() % 2);
	}
	assert_int_equal(done, SIZE);
	assert_int_equal(kept_count, 0);
	end();
}

static void zeroes_are_whole_chunks(void **state)
{
	(void)state;
	begin(NULL);
	next_waits();
	next_waits();
	answer(at(0), 100000, false);
	answer(at(16 * MIB), 0, false);
	next_is(0, 131072, false);
	next_waits();
	/* The rest of the part is asked about, in its place. */
	answer(at(100000), 0, true);
	next_is(131072, 16 * MIB, true);
	next_is(16 * MIB, 32 * MIB, false);
	end();
}

/* The first may be guessed before anything else is asked about; it comes as a piece all the same. */
static void first_is_guessed(void **state)
{
	struct piece piece;

	(void)state;
	begin_list("1M 64K\n2M 64K\n");
	assert_false(looks_guess(looks, CHUNK, &piece));
	next_waits();
	assert_int_equal(kept_count, 1);
	assert_true(looks_guess(looks, CHUNK, &piece));
	assert_int_equal(piece.offset, MIB);
	assert_int_equal(piece.end, MIB + CHUNK);
	assert_false(piece.zero);
	next_waits();
	answer(at(MIB), 0, true);
	next_is(MIB, MIB + CHUNK, true);
	comes(2 * MIB, 2 * MIB + CHUNK);
	end();
}

/* What was asked about ahead is not lost when a reader comes first. */
static void dropped_comes_again(void **state)
{
	(void)state;
	begin_list("1M 64K\n2M 64K\n3M 64K\n4M 64K\n");
	next_waits();
	answer(at(MIB), 0, false);
	next_is(MIB, MIB + CHUNK, false);
	answer(at(2 * MIB), 0, false);
	order_follow(order, SIZE - CHUNK);
	looks_drop(looks);
	next_waits();
	answer(at(SIZE - CHUNK), 0, false);
	next_is(SIZE - CHUNK, SIZE, false);
	/* In their order; what was answered before it was dropped is asked again. */
	comes(2 * MIB, 2 * MIB + CHUNK);
	comes(3 * MIB, 3 * MIB + CHUNK);
	comes(4 * MIB, 4 * MIB + CHUNK);
	comes(0, 16 * MIB);
	end();
}

static void only_dropped_is_asked_about(void **state)
{
	static const struct r3map_extent extents[] = {
		{ .offset = CHUNK, .length = CHUNK }, { .offset = 64 * MIB, .length = CHUNK },
		{ .offset = 200 * MIB, .length = MIB }, { .offset = 300 * MIB, .length = CHUNK },
	};
	struct piece piece;

	(void)state;
	begin(NULL);
	next_waits();
	answer(at(0), 0, false);
	next_is(0, 16 * MIB, false);
	looks_drop(looks);
	while (kept_count)
		answer(0, 0, false);
	order_only(order, ranges_new(extents, 4));
	next_is(CHUNK, 64 * MIB + CHUNK, false);
	next_waits();
	assert_int_equal(kept_count, 1);
	assert_int_equal(kept[0]->offset, 200 * MIB);
	assert_int_equal(kept[0]->length, MIB);
	answer(0, 0, true);
	next_is(200 * MIB, 201 * MIB, true);
	next_is(300 * MIB, 300 * MIB + CHUNK, false);
	assert_int_equal(looks_next(looks, &piece), LOOKS_NONE);
	assert_int_equal(kept_count, 0);
	end();
}

static void program_comes_first(void **state)
{
	(void)state;
	begin_list("1M 64K\n");
	next_waits();
	answer(at(MIB), 0, false);
	next_is(MIB, MIB + CHUNK, false);
	/* The whole region is asked about already; but the piece is not of it. */
	assert_false(looks_yield(looks));
	order_return(order, &(struct range) { .from = 5 * MIB, .to = 6 * MIB });
	next_waits();
	answer(at(5 * MIB), 0, false);
	next_is(5 * MIB, 6 * MIB, false);
	next_waits();
	while (kept_count)
		answer(0, 0, false);
	next_is(0, 16 * MIB, false);
	assert_true(looks_yield(looks));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asked_together),
		cmocka_unit_test(everything_once),
		cmocka_unit_test(zeroes_are_whole_chunks),
		cmocka_unit_test(first_is_guessed),
		cmocka_unit_test(dropped_comes_again),
		cmocka_unit_test(only_dropped_is_asked_about),
		cmocka_unit_test(program_comes_first),
	};

	return cmocka_run_group_tests_name("looks", tests, NULL, NULL);
}
