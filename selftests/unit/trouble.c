// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is noted to be wrong: it is since the first time, until somebody says that it is over; of
 * several connections until the last of them is back, and whoever listens behind hears of each.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/loop.h"
#include "mount/trouble.h"

static struct backend_listener *listener;
static unsigned int heard_lost, heard_back;

static void fake_listen(struct backend *backend, struct backend_listener *from)
{
	(void)backend;
	listener = from;
}

static const struct backend_ops fake_ops = { .scheme = "fake", .listen = fake_listen };
static struct backend fake = { .ops = &fake_ops };

static void hear(struct backend_listener *next, bool lost)
{
	(void)next;
	if (lost)
		heard_lost++;
	else
		heard_back++;
}

static unsigned int changes;

static void count_change(struct trouble_listener *from)
{
	(void)from;
	changes++;
}

static void it_is_since_the_first_time(void **state)
{
	struct trouble trouble = { 0 };
	uint64_t begin = loop_now(), since;

	(void)state;
	assert_int_equal(trouble.since, 0);
	trouble_over(&trouble);
	assert_int_equal(trouble.since, 0);
	trouble_note(&trouble, -EIO);
	since = trouble.since;
	assert_in_range(since, begin, loop_now());
	assert_int_equal(trouble.code, -EIO);
	while (loop_now() == since)
		;
	trouble_note(&trouble, -ENOSPC);
	assert_int_equal(trouble.since, since);
	assert_int_equal(trouble.code, -ENOSPC);
	trouble_over(&trouble);
	assert_int_equal(trouble.since, 0);
	trouble_note(&trouble, -EIO);
	assert_true(trouble.since > since);
}

static void only_news_is_told(void **state)
{
	struct trouble_listener all = { .changed = count_change };
	struct trouble trouble = { .listener = &all };

	(void)state;
	trouble_over(&trouble);
	assert_int_equal(changes, 0);
	trouble_note(&trouble, -EIO);
	assert_int_equal(changes, 1);
	trouble_note(&trouble, -EIO);
	assert_int_equal(changes, 1);
	trouble_note(&trouble, -ENOSPC);
	assert_int_equal(changes, 2);
	trouble_over(&trouble);
	assert_int_equal(changes, 3);
	trouble_over(&trouble);
	assert_int_equal(changes, 3);
	trouble_note(&trouble, -ENOSPC);
	assert_int_equal(changes, 4);
}

static void the_last_connection_ends_it(void **state)
{
	struct backend_listener next = { .told = hear };
	struct reach reach = { 0 };

	(void)state;
	reach_listen(&reach, &fake, &next);
	assert_int_equal(reach.trouble.since, 0);
	listener->told(listener, true);
	listener->told(listener, true);
	listener->told(listener, false);
	assert_int_not_equal(reach.trouble.since, 0);
	listener->told(listener, false);
	assert_int_equal(reach.trouble.since, 0);
	assert_int_equal(heard_lost, 2);
	assert_int_equal(heard_back, 2);
	reach_listen(&reach, &fake, NULL);
	listener->told(listener, true);
	assert_int_not_equal(reach.trouble.since, 0);
	assert_int_equal(heard_lost, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_since_the_first_time),
		cmocka_unit_test(only_news_is_told),
		cmocka_unit_test(the_last_connection_ends_it),
	};

	return cmocka_run_group_tests_name("trouble", tests, NULL, NULL);
}
