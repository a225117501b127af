// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The order of a pull: each word and each list gives the ranges it says, then the whole region, once; a
 * line that is none is told by its number; a program's lines come as it writes them. What was dropped comes
 * instead of the region, small pieces of it together, and nothing else until all is asked for again.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include <linux/r3map.h>

#include "drive.h"
#include "lib/loop.h"
#include "mount/order.h"

#define MIB	(1ull << 20)
#define SIZE	(10 * MIB + 512)

static struct loop *loop;
static unsigned int more;

static void on_more(void *data)
{
	(void)data;
	more++;
}

static struct order *opened(const char *spec)
{
	struct error error = { 0 };
	struct order *order;

	if (order_open(spec, SIZE, loop, on_more, NULL, &order, &error))
		fail_msg("%s", error.text);
	return order;
}

static void next_is(struct order *order, uint64_t from, uint64_t to)
{
	struct range range = { .from = 1, .to = 1 };

	assert_true(order_next(order, &range));
	assert_int_equal(range.from, from);
	assert_int_equal(range.to, to);
}

static void next_is_none(struct order *order)
{
	struct range range;

	assert_false(order_next(order, &range));
}

static void end_is(struct order *order)
{
	next_is(order, 0, SIZE);
	next_is_none(order);
	order_again(order);
	next_is(order, 0, SIZE);
	next_is_none(order);
	order_close(order);
}

static char *list(const char *text)
{
	static char path[64];
	int fd = memfd_create("order", 0);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void words(void **state)
{
	struct order *order;

	(void)state;
	end_is(opened(NULL));
	end_is(opened("sequential"));
	order = opened("reverse");
	next_is(order, 8 * MIB, SIZE);
	next_is(order, 4 * MIB, 8 * MIB);
	next_is(order, 0, 4 * MIB);
	end_is(order);
}

static void lists(void **state)
{
	struct order *order;

	(void)state;
	order = opened(list("8M 64K\n\n# a comment\n 4096\t512 # another\n10M 1G\n11M 4K\n0 1K"));
	next_is(order, 8 * MIB, 8 * MIB + 65536);
	next_is(order, 4096, 4608);
	next_is(order, 10 * MIB, SIZE);		/* cut at the end; 11M is beyond it */
	next_is(order, 0, 1024);
	end_is(order);
	end_is(opened(list("")));
}

static void wrong_lists(void **state)
{
	static const struct { const char *text, *line; } wrong[] = {
		{ "1 2\nx 3\n", "line 2 " }, { "1\n", "line 1 " }, { "1 2 3\n", "line 1 " },
		{ "\n\n1 -2\n", "line 3 " }, { "1 2x", "line 1 " },
	};
	struct error error;
	struct order *order;
	char lots[400];

	(void)state;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memset(&error, 0, sizeof(error));
		assert_int_equal(order_open(list(wrong[i].text), SIZE, loop, on_more, NULL, &order,
					    &error), -EINVAL);
		assert_non_null(strstr(error.text, wrong[i].line));
		order_close(order);
	}
	memset(lots, '1', sizeof(lots) - 1);
	lots[sizeof(lots) - 1] = '\0';
	assert_int_equal(order_open(list(lots), SIZE, loop, on_more, NULL, &order, &error), -EINVAL);
	order_close(order);
	assert_int_equal(order_open("/nowhere/at/all", SIZE, loop, on_more, NULL, &order, &error),
			 -ENOENT);
	order_close(order);
}

static void followed(void **state)
{
	struct order *order = opened(list("8M 64K\n4M 64K\n"));

	(void)state;
	next_is(order, 8 * MIB, 8 * MIB + 65536);
	order_follow(order, 2 * MIB);
	order_follow(order, 3 * MIB);		/* only the last counts */
	next_is(order, 3 * MIB, SIZE);
	order_follow(order, SIZE);		/* there is nothing behind it */
	next_is(order, 4 * MIB, 4 * MIB + 65536);
	end_is(order);
}

static void only_dropped(void **state)
{
	static const struct r3map_extent extents[] = {
		{ .offset = 4096, .length = 4096 }, { .offset = 16384, .length = 65536 },
		{ .offset = 2 * MIB, .length = MIB }, { .offset = 6 * MIB, .length = 4096 },
		{ .offset = 8 * MIB, .length = 512 },
	};
	struct order *order = opened(list("8M 64K\n"));
	struct range range;

	(void)state;
	order_only(order, ranges_new(extents, 5));
	assert_true(order_next(order, &range));
	assert_true(range.data && range.from == 4096 && range.to == 16384 + 65536);
	assert_true(order_next(order, &range));
	assert_true(!range.data && range.from == 2 * MIB && range.to == 3 * MIB);
	next_is(order, 6 * MIB, 8 * MIB + 512);
	next_is_none(order);
	/* A reader in the middle: from there on, and the rest when it is asked for again. */
	order_follow(order, 2 * MIB + 4096);
	order_again(order);
	next_is(order, 2 * MIB, 3 * MIB);
	next_is(order, 6 * MIB, 8 * MIB + 512);
	next_is(order, 4096, 16384 + 65536);
	order_only(order, ranges_new(extents, 1));
	next_is(order, 4096, 8192);
	next_is_none(order);
	order_only(order, ranges_new(NULL, 0));
	next_is_none(order);
	order_all(order);
	end_is(order);
}

static void standard_input(void **state)
{
	int saved = dup(STDIN_FILENO), ends[2];
	struct order *order;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	dup2(ends[0], STDIN_FILENO);
	order = opened("-");
	next_is(order, 0, SIZE);
	next_is_none(order);
	assert_int_equal(write(ends[1], "4M 1K\n8M ", 9), 9);
	while (more < 1)
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	next_is(order, 4 * MIB, 4 * MIB + 1024);
	next_is_none(order);
	assert_int_equal(write(ends[1], "2K\nnonsense\n", 12), 12);
	while (more < 2)
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	next_is(order, 8 * MIB, 8 * MIB + 2048);
	close(ends[1]);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	next_is_none(order);
	order_close(order);
	dup2(saved, STDIN_FILENO);
	close(saved);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(lists),
		cmocka_unit_test(wrong_lists),
		cmocka_unit_test(followed),
		cmocka_unit_test(only_dropped),
		cmocka_unit_test(standard_input),
	};
	int failed;

	if (loop_new(&loop))
		return 1;
	failed = cmocka_run_group_tests_name("order", tests, NULL, NULL);
	loop_free(loop);
	return failed;
}
