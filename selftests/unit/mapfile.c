// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The files of a store that outlives its mount: one that was finished is found again, by whom it belongs
 * to; one that was not is begun anew; all else is refused with a sentence, left as it was, and nothing
 * new is left beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/error.h"
#include "mount/mapfile.h"

#define CHUNK	65536u
#define SIZE	9999872u
#define BACKEND	"file:/somewhere"
#define MAP	(3 * 4096u)		/* bytes of the map of so many chunks */

/* Where the header has what. */
#define AT_VERSION	8
#define AT_CHUNK	12
#define AT_SIZE		16
#define AT_REGION	24

static char folder[] = "/tmp/r3map-unit.XXXXXX";
static char path[sizeof(folder) + 8], map[sizeof(folder) + 16];
static struct mapfile mapfile;
static struct error error;

static int open_as(const char *backend, uint64_t size)
{
	mapfile = (struct mapfile){ .fd = -1, .store = -1 };
	error = (struct error){ 0 };
	return mapfile_open(&mapfile, path, size, backend, &error);
}

static int make(void)
{
	return mapfile_make(&mapfile, path, SIZE, CHUNK, BACKEND, &error);
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/store", folder);
	snprintf(map, sizeof(map), "%s.map", path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(map);
	return rmdir(folder);
}

/* A store that was finished, and closed. */
static int setup_finished(void **state)
{
	if (setup(state) || open_as(BACKEND, SIZE) || make())
		return -1;
	mapfile_close(&mapfile);
	return 0;
}

static void file_write(const char *name, off_t at, const void *bytes, size_t length)
{
	int fd = open(name, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, length, at), length);
	close(fd);
}

static void assert_refused(int code, const char *text)
{
	assert_int_equal(open_as(BACKEND, SIZE), code);
	if (!strstr(error.text, text))
		fail_msg("it says: %s", error.text);
	mapfile_close(&mapfile);
}

static void assert_found(void)
{
	bool dirty;

	assert_int_equal(open_as(BACKEND, SIZE), 0);
	assert_true(mapfile.found);
	assert_int_equal(mapfile.chunk, CHUNK);
	assert_int_equal(mapfile.region, CHUNK);
	assert_int_equal(mapfile_is_dirty(&mapfile, SIZE, &dirty, &error), 0);
	assert_false(dirty);
	mapfile_close(&mapfile);
}

static void finished_is_found(void **state)
{
	struct stat st;

	(void)state;
	assert_found();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(stat(map, &st), 0);
	assert_int_equal(st.st_size, MAP);
	/* The intents: anything in them. */
	file_write(map, 4096 + 19, "\1", 1);
	bool dirty = false;
	assert_int_equal(open_as(BACKEND, SIZE), 0);
	assert_int_equal(mapfile_is_dirty(&mapfile, SIZE, &dirty, &error), 0);
	assert_true(dirty);
	mapfile_close(&mapfile);
}

static void one_at_a_time(void **state)
{
	struct mapfile first;

	(void)state;
	assert_int_equal(open_as(BACKEND, SIZE), 0);
	first = mapfile;
	assert_refused(-EAGAIN, "in use by another mount");
	mapfile_close(&first);
	assert_found();
}

static void only_for_whom_it_is(void **state)
{
	(void)state;
	assert_int_equal(open_as("file:/elsewhere", SIZE), -EINVAL);
	assert_non_null(strstr(error.text, "is a store of " BACKEND));
	mapfile_close(&mapfile);
	assert_int_equal(open_as(BACKEND, SIZE + 512), -EINVAL);
	assert_non_null(strstr(error.text, "is a store of 9999872 bytes"));
	mapfile_close(&mapfile);
	assert_found();
}

static void the_right_store(void **state)
{
	(void)state;
	assert_int_equal(truncate(path, SIZE - 512), 0);
	assert_refused(-EUCLEAN, "its map says 9999872");
	assert_int_equal(truncate(path, SIZE + 4096), 0);
	assert_refused(-EUCLEAN, "its map says 9999872");
	unlink(path);
	assert_refused(-EUCLEAN, "has 0 bytes, and its map says");
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(map, F_OK), 0);
}

static void damage_is_told(void **state)
{
	static const struct {
		off_t at;
		uint64_t value;
		size_t length;
	} lies[] = {
		{ AT_CHUNK, 0, 4 },
		{ AT_CHUNK, 3, 4 },
		{ AT_CHUNK, 2048, 4 },
		{ AT_CHUNK, 1u << 30, 4 },
		{ AT_SIZE, 0, 8 },
		{ AT_SIZE, 1ull << 62, 8 },
		{ AT_REGION, 0, 8 },
		{ AT_REGION, CHUNK / 2, 8 },
		{ AT_REGION, CHUNK + 1, 8 },
	};
	uint64_t whole[4096 / 8];
	int fd = open(map, O_RDONLY);

	(void)state;
	assert_int_equal(pread(fd, whole, sizeof(whole), 0), sizeof(whole));
	close(fd);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		file_write(map, lies[i].at, &lies[i].value, lies[i].length);
		assert_refused(-EUCLEAN, "is damaged");
		file_write(map, 0, whole, sizeof(whole));
	}
	assert_int_equal(truncate(map, MAP - 1), 0);
	assert_refused(-EUCLEAN, "is damaged");
	assert_int_equal(truncate(map, 4096), 0);
	assert_refused(-EUCLEAN, "is damaged");
	assert_int_equal(truncate(map, MAP), 0);
	assert_found();
	file_write(map, AT_VERSION, "\2", 1);
	assert_refused(-EINVAL, "is not the map of a store");
	file_write(map, AT_VERSION, "\1", 1);
	/* The name of the backend, without an end. */
	for (off_t at = 32; at < 32 + 1024; at++)
		file_write(map, at, "x", 1);
	assert_refused(-EINVAL, "is not the map of a store");
	/* Cut off within the header. */
	assert_int_equal(truncate(map, 100), 0);
	assert_refused(-EINVAL, "is not the map of a store");
}

static void unfinished_is_begun_anew(void **state)
{
	static const off_t sizes[] = { 0, 1, 4096, MAP, 1 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		file_write(map, 0, "", 0);
		file_write(path, 0, "", 0);
		assert_int_equal(truncate(map, sizes[i]), 0);
		assert_int_equal(truncate(path, 4097), 0);
		assert_int_equal(open_as(BACKEND, SIZE), 0);
		assert_false(mapfile.found);
		assert_int_equal(make(), 0);
		mapfile_close(&mapfile);
		assert_found();
		unlink(path);
		unlink(map);
	}
	/* What was only looked at is not there afterwards. */
	assert_int_equal(open_as(BACKEND, SIZE), 0);
	mapfile_close(&mapfile);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(map, F_OK), -1);
}

static void what_is_somebodys_stays(void **state)
{
	struct stat st;

	(void)state;
	file_write(path, 0, "somebody's", 10);
	assert_refused(-EEXIST, "is no store of r3map");
	assert_int_equal(access(map, F_OK), -1);
	/* Also when a map was begun. */
	file_write(map, 0, "", 0);
	assert_int_equal(truncate(map, MAP), 0);
	assert_refused(-EEXIST, "is no store of r3map");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(access(map, F_OK), 0);
	unlink(path);
	file_write(map, 0, "something", 9);
	assert_refused(-EINVAL, "is not the map of a store");
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(map, F_OK), 0);
	unlink(map);
	assert_int_equal(mkdir(map, 0700), 0);
	assert_refused(-EISDIR, "cannot open");
	assert_int_equal(rmdir(map), 0);
}

static void no_room(void **state)
{
	const struct rlimit small = { SIZE + 100, RLIM_INFINITY };
	struct rlimit before;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(open_as(BACKEND, SIZE + 4096), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(mapfile_make(&mapfile, path, SIZE + 4096, CHUNK, BACKEND, &error), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	mapfile_close(&mapfile);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(map, F_OK), -1);
}

/* One that waits for nothing may have opened the map before its maker gave up. */
static void a_map_without_a_name(void **state)
{
	struct mapfile first;
	int fd;

	(void)state;
	assert_int_equal(open_as(BACKEND, SIZE), 0);
	first = mapfile;
	fd = open(map, O_RDWR);
	mapfile_close(&first);
	/* As if that were the next one's. */
	char by[64];
	snprintf(by, sizeof(by), "/proc/self/fd/%d", fd);
	assert_int_equal(symlink(by, map), 0);
	assert_refused(-EAGAIN, "in use by another mount");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finished_is_found, setup_finished, teardown),
		cmocka_unit_test_setup_teardown(one_at_a_time, setup_finished, teardown),
		cmocka_unit_test_setup_teardown(only_for_whom_it_is, setup_finished, teardown),
		cmocka_unit_test_setup_teardown(the_right_store, setup_finished, teardown),
		cmocka_unit_test_setup_teardown(damage_is_told, setup_finished, teardown),
		cmocka_unit_test_setup_teardown(unfinished_is_begun_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_somebodys_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(a_map_without_a_name, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
