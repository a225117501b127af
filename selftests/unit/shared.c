// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mem:SIZE?name=NAME: one region for several backends and several processes, and what of a name
 * may be used at all.
 */
#include "drive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define M		(1ull << 20)
#define CHILDREN	8

static char path[128];
static char name[64];

/* "mem:SIZE?name=" and this test's own name, which is free. */
static const char *spec_of(const char *size)
{
	static char spec[128];

	snprintf(spec, sizeof(spec), "mem:%s?name=%s", size, name);
	return spec;
}

static int name_new(void **state)
{
	static unsigned int number;

	(void)state;
	snprintf(name, sizeof(name), "test-%d.%u_", (int)getpid(), number++);
	snprintf(path, sizeof(path), "/dev/shm/r3map-%s", name);
	unlink(path);
	return 0;
}

static int name_end(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static uint64_t allocated(void)
{
	struct stat stat_now;

	assert_int_equal(stat(path, &stat_now), 0);
	return (uint64_t)stat_now.st_blocks * 512;
}

static void specs_are_checked(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "-x", "_x", ".x", "a/b", "../x", "a b", "a,b", "a:b", "a%b", "\xc3\xa4",
		"a\n", "a?b", "a&size=1",
		"12345678901234567890123456789012345678901234567890123456789012345",
	};
	char spec[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(spec, sizeof(spec), "mem:1M?name=%s", names[i]);
		refuses(spec, -EINVAL, "is not a name");
	}
	refuses("mem:1M?", -EINVAL, "unknown option ''");
	refuses("mem:1M?ro", -EINVAL, "unknown option 'ro': write mem:SIZE?name=NAME");
	refuses("mem:1M?nam=x", -EINVAL, "unknown option");
	refuses("mem:0?name=x", -EINVAL, "at least 1 byte");
	refuses("mem:8E?name=x", -EINVAL, "less than 8E");
	refuses("mem:1Q?name=x", -EINVAL, "units");
	refuses("mem:x?name=x", -EINVAL, "not a size");
	refuses("mem:0000000000000000000000000000000064M?name=x", -EINVAL, "not a size");
	refuses(spec_of(""), -ENOENT, "give a size to make it");
	assert_int_equal(access(path, F_OK), -1);	/* none of these has made one */
}

static void sizes_must_fit(void **state)
{
	struct drive drive;
	char canonical[128];

	(void)state;
	snprintf(canonical, sizeof(canonical), "mem:1M?name=%s", name);
	drive_open(&drive, spec_of("1024K"));
	assert_string_equal(drive.backend->name, canonical);
	refuses(spec_of("2M"), -EEXIST, "it is there with 1M, not 2M");
	refuses(spec_of("1048575"), -EEXIST, path);
	drive_close(&drive);
	refuses(spec_of("2M"), -EEXIST, "it is there with 1M, not 2M");
	drive_open(&drive, spec_of(""));
	assert_string_equal(drive.backend->name, canonical);
	assert_int_equal(drive.backend->info.size, M);
	assert_false(drive.backend->info.waits || drive.backend->info.read_only ||
		     drive.backend->info.can_cache || drive.backend->info.can_flush);
	drive_close(&drive);
	unlink(path);
	drive_open(&drive, spec_of("2M"));
	drive_close(&drive);
}

static void two_backends_have_one_region(void **state)
{
	struct drive first, second;
	char buf[5000], back[5000];
	struct stat stat_now;

	(void)state;
	memset(buf, 'b', sizeof(buf));
	drive_open(&first, spec_of("1000003"));
	drive_open(&second, spec_of("1000003"));
	assert_int_equal(stat(path, &stat_now), 0);
	assert_int_equal(stat_now.st_mode & 07777, 0600);
	assert_int_equal(stat_now.st_nlink, 1);
	assert_int_equal(drive_do(&first, BACKEND_WRITE, 1000003 - 5000, buf, 5000, 0), 0);
	assert_int_equal(drive_do(&second, BACKEND_READ, 1000003 - 5000, back, 5000, 0), 0);
	assert_memory_equal(buf, back, 5000);
	drive_extents(&second, 0, 1000003, ROOM, 0);
	assert_string_equal(drive_found_text(), "h991232 d8771");
	drive_close(&first);

	/* It is kept while nobody has it open, and gone when its name is, for those who come. */
	assert_int_equal(drive_do(&second, BACKEND_FLUSH, 0, NULL, 0, 0), 0);
	drive_close(&second);
	drive_open(&first, spec_of(""));
	drive_do(&first, BACKEND_READ, 1000003 - 5000, back, 5000, 0);
	assert_memory_equal(buf, back, 5000);
	unlink(path);
	drive_open(&second, spec_of("1000003"));
	drive_do(&second, BACKEND_READ, 1000003 - 5000, back, 5000, 0);
	assert_true(is_filled(back, 5000, 0));
	drive_do(&first, BACKEND_READ, 1000003 - 5000, back, 5000, 0);
	assert_memory_equal(buf, back, 5000);
	drive_close(&first);
	drive_close(&second);
}

static void holes_cost_nothing(void **state)
{
	static char buf[1 << 20];
	struct drive drive;
	uint64_t at;

	(void)state;
	drive_open(&drive, spec_of("64M"));
	for (at = 0; at < 64 * M; at += M) {
		drive_do(&drive, BACKEND_READ, at, buf, M, 0);
		assert_true(is_filled(buf, M, 0));
	}
	assert_int_equal(allocated(), 0);
	assert_null(backend_map(drive.backend, 0, 4096));
	memset(buf, 'm', M);
	drive_do(&drive, BACKEND_WRITE, 0, buf, M, 0);
	drive_do(&drive, BACKEND_WRITE, 32 * M, buf, M, BACKEND_FUA);
	assert_true(allocated() >= 2 * M);
	drive_extents(&drive, 0, 64 * M, ROOM, 0);
	assert_string_equal(drive_found_text(), "d1048576 h32505856 d1048576 h32505856");
	assert_int_equal(drive_do(&drive, BACKEND_DISCARD, 0, NULL, M, 0), 0);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE_ZEROES, 32 * M, NULL, M,
				  BACKEND_FAST_ZERO), 0);
	assert_int_equal(allocated(), 0);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE_ZEROES, 0, NULL, M, BACKEND_NO_UNMAP), 0);
	assert_true(allocated() >= M);
	drive_close(&drive);

	unlink(path);
	drive_open(&drive, spec_of("7E"));	/* nothing is reserved either */
	drive_do(&drive, BACKEND_WRITE, (7ull << 60) - 1, buf, 1, 0);
	drive_do(&drive, BACKEND_READ, (7ull << 60) - M, buf, M, 0);
	assert_true(is_filled(buf, M - 1, 0) && buf[M - 1] == 'm');
	drive_close(&drive);
}

static void extents_follow_a_model(void **state)
{
	struct drive drive;

	(void)state;
	drive_open(&drive, spec_of("811000"));
	drive_model(&drive, 199, 811000 - 198 * 4096, false, 2000);
	drive_close(&drive);
}

/* Data that is remembered may be old, but for what this process frees itself; a hole never is. */
static void what_another_frees_may_be_told_as_data(void **state)
{
	static char buf[8 << 20];
	struct drive here, other;
	const char *text;

	(void)state;
	drive_open(&here, spec_of("8M"));
	drive_open(&other, spec_of("8M"));
	drive_do(&here, BACKEND_WRITE, 0, buf, 8 * M, 0);
	drive_extents(&here, M / 2, 4096, 1, 0);
	drive_do(&other, BACKEND_DISCARD, M, NULL, M, 0);
	drive_extents(&here, 0, 8 * M, ROOM, 0);
	text = drive_found_text();
	assert_true(!strcmp(text, "d8388608") || !strcmp(text, "d1048576 h1048576 d6291456"));
	drive_do(&here, BACKEND_DISCARD, 4 * M, NULL, M, 0);
	drive_extents(&here, 0, 8 * M, ROOM, 0);
	assert_string_equal(drive_found_text(),
			    "d1048576 h1048576 d2097152 h1048576 d3145728");
	drive_do(&other, BACKEND_WRITE, M, buf, M, 0);
	drive_extents(&here, 0, 8 * M, ROOM, 0);
	assert_string_equal(drive_found_text(), "d4194304 h1048576 d3145728");
	drive_extents(&here, 2 * M, 2 * M + 1, 1, 0);	/* clipped out of what is remembered */
	assert_string_equal(drive_found_text(), "d2097152");
	drive_close(&here);
	drive_close(&other);
}

/* A child: takes the region, which its siblings make at the same moment, and writes its page. */
static int child(const char *spec, unsigned int n, int start)
{
	struct backend_channel *channel;
	struct backend *backend;
	struct error error = { 0 };
	struct loop *loop;
	struct request request;
	char buf[4096];

	if (read(start, buf, 1) != 0)	/* until the parent has closed its end */
		return 2;
	if (backend_open(spec, &backend, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return 3;
	}
	memset(buf, 'A' + (int)n, sizeof(buf));
	if (loop_new(&loop) || backend_channel_open(backend, loop, &channel, &error))
		return 4;
	request_make(&request, BACKEND_WRITE, n * 8192, buf, 4096, 0);
	backend_submit(channel, &request.io);
	if (request.completed != 1 || request.result)
		return 5;
	backend_channel_close(channel);
	loop_free(loop);
	backend_close(backend);
	return 0;
}

static void many_processes_make_one(void **state)
{
	unsigned int n, round;
	pid_t pids[CHILDREN];
	struct drive drive;
	int start[2], status;
	char buf[4096];

	(void)state;
	for (round = 0; round < 10; round++) {
		unlink(path);
		assert_int_equal(pipe(start), 0);
		for (n = 0; n < CHILDREN; n++) {
			pids[n] = fork();
			assert_true(pids[n] >= 0);
			if (pids[n] == 0) {
				close(start[1]);
				_exit(child(spec_of("64K"), n, start[0]));
			}
		}
		close(start[0]);
		close(start[1]);
		for (n = 0; n < CHILDREN; n++) {
			assert_int_equal(waitpid(pids[n], &status, 0), pids[n]);
			assert_true(WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), 0);
		}
		drive_open(&drive, spec_of(""));
		for (n = 0; n < CHILDREN; n++) {
			drive_do(&drive, BACKEND_READ, n * 8192, buf, 4096, 0);
			assert_true(is_filled(buf, 4096, (char)('A' + n)));
		}
		drive_extents(&drive, 0, 3 * 4096, ROOM, 0);
		assert_string_equal(drive_found_text(), "d4096 h4096 d4096");
		drive_close(&drive);
	}
}

static void what_is_not_ours_is_refused(void **state)
{
	struct drive drive;
	char buf[512];
	int fd;

	(void)state;
	assert_int_equal(symlink("/etc/passwd", path), 0);
	refuses(spec_of("1M"), -ELOOP, "cannot open");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	refuses(spec_of("1M"), -EINVAL, "not shared memory");
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	refuses(spec_of(""), -EINVAL, "is empty");
	refuses(spec_of("1M"), -EEXIST, "it is there with 0");
	assert_int_equal(ftruncate(fd, M), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 65534, 65534), 0);
		refuses(spec_of("1M"), -EPERM, "another user");
		assert_int_equal(fchown(fd, 0, 0), 0);
		assert_int_equal(fchmod(fd, 0600), 0);
		assert_int_equal(seteuid(65534), 0);
		refuses(spec_of("1M"), -EACCES, "another user");
		assert_int_equal(seteuid(0), 0);
	}

	/* What is cut off underneath gives errors: nothing is mapped, so nobody dies. */
	drive_open(&drive, spec_of("1M"));
	assert_int_equal(ftruncate(fd, 4096), 0);
	drive_log_clear();
	assert_int_equal(drive_do(&drive, BACKEND_READ, 4096, buf, 512, 0), -EIO);
	assert_non_null(strstr(drive_log, "cut off"));
	drive_extents(&drive, 0, M, ROOM, 0);
	assert_string_equal(drive_found_text(), "h4096 d1044480");
	drive_close(&drive);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(specs_are_checked, name_new, name_end),
		cmocka_unit_test_setup_teardown(sizes_must_fit, name_new, name_end),
		cmocka_unit_test_setup_teardown(two_backends_have_one_region, name_new, name_end),
		cmocka_unit_test_setup_teardown(holes_cost_nothing, name_new, name_end),
		cmocka_unit_test_setup_teardown(extents_follow_a_model, name_new, name_end),
		cmocka_unit_test_setup_teardown(what_another_frees_may_be_told_as_data, name_new,
						name_end),
		cmocka_unit_test_setup_teardown(many_processes_make_one, name_new, name_end),
		cmocka_unit_test_setup_teardown(what_is_not_ours_is_refused, name_new, name_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
