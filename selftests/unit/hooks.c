// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hooks: which program runs when, in which order, with what; rounds of syncs; and programs that
 * refuse, hang, or are not wanted any more. They write to what they take for the device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/backend.h"
#include "lib/error.h"
#include "lib/loop.h"
#include "lib/opt.h"
#include "mount/hooks.h"

#define LONG	600000u			/* ms: no time-out of a test's */
#define SAY	"echo $R3MAP_EVENT >>$R3MAP_DEVICE"

static struct loop *loop;
static struct hooks *hooks;
static struct opt_list list;
static char path[64];
static struct backend_listener *listener;

static void fake_listen(struct backend *backend, struct backend_listener *from)
{
	(void)backend;
	listener = from;
}

static const struct backend_ops fake_ops = { .listen = fake_listen };
static struct backend fake = { .ops = &fake_ops };

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path, "/tmp/r3map-unit.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	list = (struct opt_list) { 0 };
	hooks = NULL;
	return loop_new(&loop);
}

static int teardown(void **state)
{
	(void)state;
	hooks_free(hooks);
	loop_free(loop);
	return unlink(path);
}

static void made(uint32_t timeout)
{
	struct error error = { 0 };

	assert_int_equal(hooks_check(&list, &error), 0);
	assert_int_equal(hooks_new(loop, &list, timeout, NULL, &hooks, &error), 0);
	backend_listen(&fake, hooks_listener(hooks));
}

static void add(const char *item)
{
	list.items[list.count++] = item;
}

/* What the programs have written. */
static const char *said(void)
{
	static char text[1024];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[got > 0 ? got : 0] = '\0';
	for (char *at = text; *at; at++)
		*at = *at == '\n' ? ' ' : *at;
	return text;
}

/* Goes on until they have written that. */
static void until(const char *want)
{
	while (strncmp(said(), want, strlen(want)))
		assert_int_equal(loop_once(loop, loop_now() + 5000000), 0);
	assert_string_equal(said(), want);
}

static void what_is_typed(void **state)
{
	static const char *const wrong[] = {
		"", "ready", "ready=", "=x", "reddy=x", "before-sync", "ready x",
	};
	struct error error = { 0 };

	(void)state;
	list.count = 1;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		list.items[0] = wrong[i];
		assert_int_equal(hooks_check(&list, &error), -EINVAL);
		assert_non_null(strstr(error.text, "EVENT=PROGRAM"));
	}
	list.items[0] = "lost=a=b";
	assert_int_equal(hooks_check(&list, &error), 0);
	assert_true(hooks_listed(&list, HOOK_LOST));
	assert_false(hooks_listed(&list, HOOK_READY));
	/* Without any, there is nothing, and nothing happens. */
	list.count = 0;
	assert_int_equal(hooks_new(loop, &list, LONG, NULL, &hooks, &error), 0);
	assert_null(hooks);
	assert_false(hooks_sync_wanted(hooks));
	hooks_begin(hooks, path, "mem:1M");
	hooks_all_local(hooks);
	hooks_end(hooks, false);
}

/* Each event's in the order in which they were given; ready before what came before it. */
static void one_after_the_other(void **state)
{
	(void)state;
	add("all-local=sleep 0.1; " SAY);
	add("ready=echo one >>$R3MAP_DEVICE");
	add("ready=exit 3");
	add("ready=echo two >>$R3MAP_DEVICE");
	made(LONG);
	hooks_all_local(hooks);
	assert_int_equal(loop_once(loop, 0), 0);
	hooks_begin(hooks, path, "mem:1M");
	assert_false(hooks_sync_wanted(hooks));
	hooks_end(hooks, false);
	assert_string_equal(said(), "one two all-local ");
}

/* Nothing of this process, but its environment. */
static void what_a_program_gets(void **state)
{
	sigset_t set;

	(void)state;
	setenv("R3MAP_EVENT", "another", 1);
	setenv("UNIT_HOOKS", "kept", 1);
	assert_true(dup2(2, 66) >= 0);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	add("ready=echo $R3MAP_EVENT $R3MAP_BACKEND \"[$R3MAP_ERROR]\" $UNIT_HOOKS >>$R3MAP_DEVICE; "
	    "ls /proc/self/fd >>$R3MAP_DEVICE");	/* its folder is the fourth */
	add("ready=awk '/Sig(Blk|Ign)/ { print substr($2, 13, 1) }' /proc/self/status >>$R3MAP_DEVICE");
	add("ready=[ $(awk '{ print $5 }' /proc/$$/stat) = $$ ] && readlink /proc/$$/fd/0 >>$R3MAP_DEVICE");
	made(LONG);
	hooks_begin(hooks, path, "nbd://host/x y");
	hooks_end(hooks, false);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	close(66);
	unsetenv("R3MAP_EVENT");
	assert_string_equal(said(), "ready nbd://host/x y [] kept 0 1 2 3 "
			    "0 0 /dev/null ");	/* SIGPIPE and SIGTERM are in that digit */
}

/* --- syncs -------------------------------------------------------------------------------- */

struct one {
	struct hook_sync sync;
	bool went;
	int code;
};

static void one_goes(struct hook_sync *sync, int error)
{
	struct one *one = (struct one *)sync;	/* its first member */

	one->went = true;
	one->code = error;
}

static void entered(struct one *one)
{
	*one = (struct one) { .sync.go = one_goes };
	hooks_sync_enter(hooks, &one->sync);
}

static void goes(struct one *one, int code)
{
	while (!one->went)
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	assert_int_equal(one->code, code);
}

static void rounds_of_syncs(void **state)
{
	struct one a, b, c;

	(void)state;
	add("before-sync=" SAY);
	add("after-sync=echo $R3MAP_EVENT $R3MAP_ERROR >>$R3MAP_DEVICE");
	made(LONG);
	assert_true(hooks_sync_wanted(hooks));
	hooks_begin(hooks, path, "mem:1M");
	entered(&a);
	entered(&b);
	goes(&a, 0);
	assert_true(b.went);
	assert_string_equal(said(), "before-sync ");
	entered(&c);
	hooks_sync_leave(hooks, 0);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	assert_false(c.went);
	assert_string_equal(said(), "before-sync ");
	hooks_sync_leave(hooks, -ENOSPC);
	goes(&c, 0);
	assert_string_equal(said(), "before-sync after-sync No space left on device before-sync ");
	hooks_sync_leave(hooks, 0);
	hooks_end(hooks, false);
	assert_string_equal(said(),
			    "before-sync after-sync No space left on device before-sync after-sync ");
}

static void a_sync_that_is_refused(void **state)
{
	struct one a;

	(void)state;
	add("before-sync=echo first >>$R3MAP_DEVICE; exit 1");
	add("before-sync=echo second >>$R3MAP_DEVICE");
	add("after-sync=echo after ${R3MAP_ERROR:+failed} >>$R3MAP_DEVICE");
	made(LONG);
	hooks_begin(hooks, path, "mem:1M");
	for (int i = 0; i < 2; i++) {
		entered(&a);
		goes(&a, HOOK_REFUSED);
	}
	hooks_end(hooks, false);
	assert_string_equal(said(), "first after failed first after failed ");
}

/* One that hangs is killed, with what it has started, and so refuses. */
static void a_program_that_hangs(void **state)
{
	struct one a;
	char *rest;
	pid_t pid;

	(void)state;
	add("before-sync=sleep 1000 & echo $! >>$R3MAP_DEVICE; wait");
	made(300);
	hooks_begin(hooks, path, "mem:1M");
	entered(&a);
	goes(&a, HOOK_REFUSED);
	hooks_end(hooks, false);
	/* On a machine so slow that it was killed before it had started one, there is none. */
	pid = (pid_t)strtol(said(), &rest, 10);
	while (pid && !kill(pid, 0)) {
		char name[64], line[256] = "";
		FILE *file;

		snprintf(name, sizeof(name), "/proc/%d/stat", pid);
		file = fopen(name, "re");
		rest = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
		if (file)
			fclose(file);
		if (!rest || rest[2] == 'Z')
			break;
		usleep(1000);
	}
}

static void an_end_by_force(void **state)
{
	struct one a, b;

	(void)state;
	add("before-sync=" SAY "; sleep 1000");
	add("after-sync=" SAY);
	add("lost=" SAY);
	made(LONG);
	hooks_begin(hooks, path, "mem:1M");
	entered(&a);
	until("before-sync ");
	entered(&b);
	listener->told(listener, true);
	hooks_end(hooks, true);
	goes(&a, HOOK_REFUSED);
	goes(&b, HOOK_REFUSED);
	assert_string_equal(said(), "before-sync ");
}

/* --- the connection ----------------------------------------------------------------------- */

static void lost_and_recovered(void **state)
{
	(void)state;
	add("lost=" SAY);
	add("recovered=" SAY);
	made(LONG);
	hooks_begin(hooks, path, "mem:1M");
	listener->told(listener, true);
	until("lost ");
	/* The first of several that is lost counts, and the last that is back. */
	listener->told(listener, true);
	listener->told(listener, false);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	listener->told(listener, false);
	until("lost recovered ");
	/* What comes and goes in an instant is not told of. */
	listener->told(listener, true);
	listener->told(listener, false);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	hooks_end(hooks, false);
	assert_string_equal(said(), "lost recovered ");
}

/* However often that is, while a program runs. */
static void one_that_comes_and_goes(void **state)
{
	(void)state;
	add("lost=" SAY "; while [ ! -s $R3MAP_DEVICE.go ]; do sleep 0.01; done");
	add("recovered=" SAY);
	made(LONG);
	hooks_begin(hooks, path, "mem:1M");
	listener->told(listener, true);
	until("lost ");
	for (int i = 0; i < 100; i++) {
		listener->told(listener, false);
		assert_int_equal(loop_once(loop, 0), 0);
		listener->told(listener, true);
		assert_int_equal(loop_once(loop, 0), 0);
	}
	listener->told(listener, false);
	{
		char go[80];
		FILE *file;

		snprintf(go, sizeof(go), "%s.go", path);
		file = fopen(go, "we");
		assert_non_null(file);
		fputs("go", file);
		fclose(file);
		hooks_end(hooks, false);
		unlink(go);
	}
	assert_string_equal(said(), "lost recovered ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_typed, setup, teardown),
		cmocka_unit_test_setup_teardown(one_after_the_other, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_program_gets, setup, teardown),
		cmocka_unit_test_setup_teardown(rounds_of_syncs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sync_that_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_program_that_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_by_force, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_and_recovered, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_comes_and_goes, setup, teardown),
	};

	/* Each end of a program comes by one of these, which valgrind does not know. */
	if (syscall(SYS_pidfd_open, getpid(), 0) < 0 && errno == ENOSYS) {
		puts("1..0 # SKIP there is no pidfd_open() here");
		return 4;
	}
	return cmocka_run_group_tests_name("hooks", tests, NULL, NULL);
}
