// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Signals as a source of a loop: which ones come, which do not, and none kills.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "lib/signals.h"

static struct loop *loop;
static uint32_t came[4];
static unsigned int count;

static void take(struct loop_source *source, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (count < 4 && read(source->fd, &info, sizeof(info)) == sizeof(info))
		came[count++] = info.ssi_signo;
}

static struct loop_source watched = { .ready = take };

static int setup(void **state)
{
	sigset_t none;

	(void)state;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	count = 0;
	return loop_new(&loop);
}

static int teardown(void **state)
{
	(void)state;
	loop_remove(loop, &watched);
	close(watched.fd);
	loop_free(loop);
	return 0;
}

/* What has come when @signal was raised. */
static uint32_t raised(int signal)
{
	count = 0;
	raise(signal);
	assert_int_equal(loop_once(loop, 0), 0);
	assert_in_range(count, 0, 1);
	return count ? came[0] : 0;
}

static void those_that_end_a_program(void **state)
{
	struct error error = { 0 };

	(void)state;
	signal(SIGHUP, SIG_DFL);
	assert_int_equal(signals_watch(loop, &watched, &error), 0);
	assert_int_equal(raised(SIGTERM), SIGTERM);
	assert_int_equal(raised(SIGINT), SIGINT);
	assert_int_equal(raised(SIGHUP), SIGHUP);
	assert_int_equal(raised(SIGPIPE), 0);
}

static void a_hangup_that_is_ignored_stays_so(void **state)
{
	struct error error = { 0 };

	(void)state;
	signal(SIGHUP, SIG_IGN);
	assert_int_equal(signals_watch(loop, &watched, &error), 0);
	assert_int_equal(raised(SIGHUP), 0);
	assert_int_equal(raised(SIGTERM), SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(those_that_end_a_program, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hangup_that_is_ignored_stays_so, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
