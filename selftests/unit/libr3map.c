// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libr3map with a stand-in for r3map, whose device is a file: what it is called with and in which
 * order, what becomes of a region when a step fails, and what the surroundings may be like.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libr3map/r3map.h"

#define SIZE	(3 * 4096 + 512)	/* bytes of a region */

/* What it finds in its folder it does: COMMAND-does is a script. */
static const char stand_in[] =
	"#!/bin/sh\n"
	"cd \"${0%/*}\"\n"
	"echo \"$*\" >>calls\n"
	"[ ! -e $1-does ] || . ./$1-does\n"
	"[ $1 != mount ] || echo \"$PWD/region\"\n";

static char folder[64], program[128], path[128];
static const char *options[8];
static char *error;

static void file_write(const char *name, const char *text, mode_t mode)
{
	char full[192];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", folder, name);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void file_remove(const char *name)
{
	char full[192];

	snprintf(full, sizeof(full), "%s/%s", folder, name);
	unlink(full);
}

/* The stand-in was called with these lines, PATH for that of the region, and no others since. */
static void assert_calls(const char *want)
{
	char full[192], got[1024] = "", line[256], *at;
	FILE *file;

	snprintf(full, sizeof(full), "%s/calls", folder);
	file = fopen(full, "r");
	while (file && fgets(line, sizeof(line), file)) {
		at = strstr(line, path);
		if (at)
			snprintf(at, sizeof(line) - (size_t)(at - line), "PATH\n");
		strncat(got, line, sizeof(got) - strlen(got) - 1);
	}
	if (file)
		fclose(file);
	assert_string_equal(got, want);
	unlink(full);
}

static void assert_sentence(const char *want)
{
	assert_non_null(error);
	if (!strstr(error, want))
		fail_msg("it says: %s", error);
	assert_null(strchr(error, '\n'));
	free(error);
	error = NULL;
}

static struct r3map_region *opened(void)
{
	struct r3map_region *region = r3map_open("mem:1M", options, &error);

	if (!region)
		fail_msg("it says: %s", error);
	assert_calls("mount --daemon -- mem:1M\n");
	return region;
}

static int setup(void **state)
{
	char real[64];

	(void)state;
	strcpy(real, "/tmp/r3map-unit.XXXXXX");
	if (!mkdtemp(real))
		return -1;
	strcpy(folder, real);
	snprintf(program, sizeof(program), "program=%s/r3map", folder);
	snprintf(path, sizeof(path), "%s/region", folder);
	file_write("r3map", stand_in, 0755);
	file_write("region", "", 0644);
	memset(options, 0, sizeof(options));
	options[0] = program;
	return truncate(path, SIZE);
}

static int teardown(void **state)
{
	const char *const names[] = {
		"r3map", "region", "calls", "mount-does", "sync-does", "umount-does", "seen",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		file_remove(names[i]);
	return rmdir(folder);
}

static void options_are_those_of_mount(void **state)
{
	struct r3map_region *region;

	(void)state;
	options[1] = "managed";
	options[2] = "chunk-size=64K";
	options[3] = "store=/a b'$c";
	region = r3map_open("nbd://host/x y", options, &error);
	assert_non_null(region);
	assert_calls("mount --daemon --managed --chunk-size=64K --store=/a b'$c -- nbd://host/x y\n");
	assert_int_equal(r3map_abandon(region, &error), 0);
	assert_calls("umount --force PATH\n");
}

static void options_that_make_no_sense(void **state)
{
	static const struct {
		const char *option, *says;
	} wrong[] = {
		{ "", "'' is no option" },
		{ "--managed", "'--managed' is no option: write NAME or NAME=VALUE" },
		{ "-m", "'-m' is no option" },
		{ "Managed", "'Managed' is no option" },
		{ "chunk size=1", "'chunk size=1' is no option" },
		{ "daemon", "the option daemon is not for libr3map" },
		{ "run=true", "the option run is not for libr3map" },
		{ "recover=0", "the option recover is not for libr3map" },
		{ "progress", "the option progress is not for libr3map" },
		{ "help", "see r3map-mount(8)" },
		{ "order=-", "order=- reads standard input" },
		{ "program=", "program= needs the path" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		options[1] = wrong[i].option;
		assert_null(r3map_open("mem:1M", options, &error));
		assert_int_equal(errno, EINVAL);
		assert_sentence(wrong[i].says);
	}
	assert_calls("");
}

static void too_many_options(void **state)
{
	const char *many[100] = { program };

	(void)state;
	for (size_t i = 1; i < 99; i++)
		many[i] = "managed";
	assert_null(r3map_open("mem:1M", many, &error));
	assert_int_equal(errno, EINVAL);
	assert_sentence("too many options");
	/* Nobody has to ask why. */
	assert_null(r3map_open("mem:1M", many, NULL));
	assert_calls("");
}

static void a_mount_that_fails(void **state)
{
	static const struct {
		const char *does, *says;
		int code;
	} cases[] = {
		{ "echo 'r3map: first' >&2; echo 'r3map: no such host' >&2; exit 1",
		  "no such host", EIO },
		{ "echo 'r3map: mount: there is no option --x' >&2; exit 2",
		  "mount: there is no option --x", EINVAL },
		{ "exit 1", "was ended before it could say anything", EIO },
		{ "kill -9 $$", "was ended by signal 9", EIO },
		{ "kill -9 $PPID; exit 0", "was ended before it could say anything", EIO },
		{ "echo hello; exit 0", "told no path", EIO },
		{ "i=0; while [ $i -lt 3000 ]; do echo 'a long line that nobody wants' >&2; i=$((i + 1)); "
		  "done; printf 'r3map: the last\\n\\n' >&2; exit 1", "the last", EIO },
		{ "echo /nonexistent/device; exit 0", "cannot open /nonexistent/device", ENOENT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		file_write("mount-does", cases[i].does, 0644);
		assert_null(r3map_open("mem:1M", options, &error));
		assert_int_equal(errno, cases[i].code);
		assert_sentence(cases[i].says);
	}
	options[0] = "program=/nonexistent/r3map";
	assert_null(r3map_open("mem:1M", options, &error));
	assert_int_equal(errno, ENOENT);
	assert_sentence("cannot run /nonexistent/r3map: install r3map");
}

static void ways_to_a_region(void **state)
{
	struct r3map_region *region = opened();
	char *map, some[4];

	(void)state;
	assert_string_equal(r3map_path(region), path);
	assert_int_equal(r3map_size(region), SIZE);
	map = r3map_map(region, &error);
	assert_non_null(map);
	assert_ptr_equal(r3map_map(region, NULL), map);
	memcpy(map + 4096, "abcd", 4);
	assert_int_equal(pread(r3map_fd(region), some, 4, 4096), 4);
	assert_memory_equal(some, "abcd", 4);
	assert_int_equal(pwrite(r3map_fd(region), "efgh", 4, SIZE - 4), 4);
	assert_memory_equal(map + SIZE - 4, "efgh", 4);
	assert_true(fcntl(r3map_fd(region), F_GETFD) & FD_CLOEXEC);
	assert_calls("");
	assert_int_equal(r3map_sync(region, &error), 0);
	assert_calls("sync PATH\n");
	assert_int_equal(r3map_close(region, &error), 0);
	assert_calls("sync PATH\numount PATH\n");
}

static void a_sync_that_fails(void **state)
{
	struct r3map_region *region = opened();
	char *map = r3map_map(region, &error);

	(void)state;
	file_write("sync-does", "echo 'r3map: cannot bring it: no route' >&2; exit 1", 0644);
	assert_int_equal(r3map_sync(region, &error), -1);
	assert_int_equal(errno, EIO);
	assert_sentence("cannot bring it: no route");
	/* Nor is it closed then. */
	assert_int_equal(r3map_close(region, &error), -1);
	assert_sentence("cannot bring it: no route");
	assert_calls("sync PATH\nsync PATH\n");
	map[0] = 'x';
	file_remove("sync-does");
	assert_int_equal(r3map_close(region, &error), 0);
	assert_calls("sync PATH\numount PATH\n");
}

/* Nothing of this process holds the device while it is unmounted; and then all is as it was. */
static void an_unmount_that_fails(void **state)
{
	struct r3map_region *region = opened();
	char *map = r3map_map(region, &error), look[256], some;
	int fd = r3map_fd(region);

	(void)state;
	map[5] = 'v';
	snprintf(look, sizeof(look),
		 "{ readlink /proc/%d/fd/%d; grep -c region$ /proc/%d/maps; } >seen\n"
		 "echo 'r3map: it is in use' >&2; exit 1", getpid(), fd, getpid());
	file_write("umount-does", look, 0644);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(r3map_close(region, &error), -1);
		assert_int_equal(errno, EIO);
		assert_sentence("it is in use");
		assert_calls("sync PATH\numount PATH\n");
		assert_int_equal(r3map_fd(region), fd);
		assert_ptr_equal(r3map_map(region, NULL), map);
		assert_int_equal(map[5], 'v');
		map[4097] = (char)('0' + i);
		assert_int_equal(pread(fd, &some, 1, 4097), 1);
		assert_int_equal(some, '0' + i);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	snprintf(look, sizeof(look), "%s/seen", folder);
	fd = open(look, O_RDONLY | O_CLOEXEC);
	memset(look, 0, sizeof(look));
	assert_true(read(fd, look, sizeof(look) - 1) > 0);
	close(fd);
	assert_string_equal(look, "/dev/null\n0\n");
	file_remove("umount-does");
	assert_int_equal(r3map_close(region, &error), 0);
}

static void a_device_that_is_gone(void **state)
{
	struct r3map_region *region = opened();

	(void)state;
	assert_non_null(r3map_map(region, NULL));
	file_write("umount-does", "rm -f region; echo 'r3map: not gone yet' >&2; exit 1", 0644);
	assert_int_equal(r3map_close(region, &error), -1);
	assert_int_equal(errno, ENOENT);
	assert_sentence("nor open it again");
	assert_int_equal(r3map_abandon(region, &error), -1);
	assert_sentence("not gone yet");
	assert_calls("sync PATH\numount PATH\numount --force PATH\n");
}

static void a_region_that_is_read_only(void **state)
{
	struct r3map_region *region;
	char *map;

	(void)state;
	options[1] = "read-only";
	region = r3map_open("mem:1M", options, &error);
	assert_non_null(region);
	assert_int_equal(fcntl(r3map_fd(region), F_GETFL) & O_ACCMODE, O_RDONLY);
	map = r3map_map(region, &error);
	assert_non_null(map);
	assert_int_equal(map[0], 0);
	assert_int_equal(r3map_sync(region, &error), 0);
	assert_int_equal(r3map_close(region, &error), 0);
	assert_calls("mount --daemon --read-only -- mem:1M\numount PATH\n");
}

/* As some programs are: no child is waited for, descriptors leak, the standard ones are closed. */
static int strange_program(void)
{
	struct r3map_region *region;
	sigset_t all;

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (dup2(1, 77) < 0)
		return 2;
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	file_write("mount-does", "[ ! -e /proc/$$/fd/77 ] || exit 1; : </dev/stdin", 0644);
	file_write("umount-does", "grep -q 'SigBlk:.*0000000000000000' /proc/self/status || exit 1", 0644);
	region = r3map_open("mem:1M", options, &error);
	if (!region)
		return 3;
	if (r3map_sync(region, NULL))
		return 4;
	file_write("sync-does", "exit 1", 0644);
	if (!r3map_sync(region, NULL))
		return 5;
	file_remove("sync-does");
	return r3map_close(region, NULL) ? 6 : 0;
}

static void strange_surroundings(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(strange_program());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void *thread_main(void *data)
{
	struct r3map_region *region = data;
	void *map = NULL;

	for (int i = 0; i < 3; i++)
		if (r3map_sync(region, NULL) || (map = r3map_map(region, NULL)) == NULL)
			return NULL;
	return map;
}

static void several_threads(void **state)
{
	struct r3map_region *region = opened();
	pthread_t threads[4];
	void *map;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, thread_main, region), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &map), 0);
		assert_ptr_equal(map, r3map_map(region, NULL));
	}
	assert_int_equal(r3map_close(region, &error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(options_are_those_of_mount, setup, teardown),
		cmocka_unit_test_setup_teardown(options_that_make_no_sense, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_options, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mount_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(ways_to_a_region, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sync_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unmount_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(a_device_that_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_region_that_is_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(strange_surroundings, setup, teardown),
		cmocka_unit_test_setup_teardown(several_threads, setup, teardown),
	};

	return cmocka_run_group_tests_name("libr3map", tests, NULL, NULL);
}
