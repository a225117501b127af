// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Windows on a file: what is looked at is what the file has; where it was cut off, also meanwhile, the look ends and
 * says so; any other SIGBUS is what it would be without windows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sync/window.h"

#define PAGES	64u
#define SIZE	(PAGES * 4096)

struct look {
	struct window window;
	size_t length;
	int cut;			/* in the midst of it: the file's descriptor, or -1 */
	unsigned int sum;
};

static int file_new(void)
{
	char page[4096];
	int fd = memfd_create("window", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (unsigned int i = 0; i < PAGES; i++) {
		memset(page, (int)i, sizeof(page));
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	}
	return fd;
}

static void add(void *data)
{
	struct look *look = data;

	for (size_t i = 0; i < look->length; i++) {
		if (look->cut >= 0 && i == look->length / 2)
			look->sum += (unsigned int)!!ftruncate(look->cut, 0);
		look->sum += (unsigned char)look->window.data[i];
	}
}

static void what_is_there_is_seen(void)
{
	struct look look = { .length = 3 * 4096, .cut = -1 };
	int fd = file_new();

	assert_int_equal(window_open(&look.window, fd, 4096 + 100, look.length), 0);
	assert_true(window_look(&look.window, add, &look));
	assert_int_equal(look.sum, 3996 * 1 + 4096 * 2 + 4096 * 3 + 100 * 4);
	/* of others, too, and without a new window */
	assert_int_equal(pwrite(fd, "\xff", 1, 2 * 4096), 1);
	look.sum = 0;
	assert_true(window_look(&look.window, add, &look));
	assert_int_equal(look.sum, 3996 * 1 + 4096 * 2 + 4096 * 3 + 100 * 4 + 0xff - 2);
	window_close(&look.window);
	close(fd);
}

/* One of several threads, each with its own. Where it is wrong, the process ends. */
static void *cut_off(void *unused)
{
	(void)unused;
	for (int round = 0; round < 100; round++) {
		struct look look = { .length = SIZE };

		look.cut = file_new();
		if (window_open(&look.window, look.cut, 0, SIZE) ||
		    window_look(&look.window, add, &look) || window_look(&look.window, add, &look))
			abort();
		window_close(&look.window);
		close(look.cut);
	}
	return NULL;
}

static void what_is_cut_off_ends_the_look(void)
{
	pthread_t threads[4];

	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, cut_off, NULL), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void raise_it(void *data)
{
	(void)data;
	raise(SIGBUS);
}

static void touch_another(void *data)
{
	*(volatile char *)data;
}

static void taken_before(int signal)
{
	(void)signal;
	_exit(SIGBUS);
}

/* Does who had SIGBUS before get it of a child that looks by @look with @data? */
static void is_left(void (*look)(void *data), void *data)
{
	struct window window;
	int fd = file_new(), status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		signal(SIGBUS, taken_before);
		if (window_open(&window, fd, 0, SIZE))
			_exit(2);
		window_look(&window, look, data);
		_exit(3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), SIGBUS);
	close(fd);
}

static void other_signals_are_not_ours(void **state)
{
	char *map;
	int fd = file_new();

	(void)state;
	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(ftruncate(fd, 0), 0);
	is_left(touch_another, map);
	is_left(raise_it, NULL);
	munmap(map, SIZE);
	close(fd);
}

/* One test: cmocka takes SIGBUS at the beginning of each, and windows do so once. */
static void files_are_seen(void **state)
{
	(void)state;
	what_is_there_is_seen();
	what_is_cut_off_ends_the_look();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_signals_are_not_ours),
		cmocka_unit_test(files_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
