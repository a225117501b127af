// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * delay: and fault:, alone, in front of each other, and in front of a backend that waits itself.
 */
#include "drive.h"

#include <fcntl.h>

#include "backend/wrap.h"

static void specs_are_checked(void **state)
{
	(void)state;
	refuses("delay:10ms", -EINVAL, "the backend behind is missing");
	refuses("delay:10ms:", -EINVAL, "not a backend");
	refuses("delay:10ms:nope:1", -EINVAL, "not a backend");
	refuses("delay:10:mem:1M", -EINVAL, "no unit");
	refuses("delay:61min:mem:1M", -ERANGE, "longer");
	refuses("delay:1ms,reed=1ms:mem:1M", -EINVAL, "unknown option 'reed'");
	refuses("delay:fast:mem:1M", -EINVAL, "unknown option 'fast'");
	refuses("delay:1ms,seed=x:mem:1M", -EINVAL, "not a number");
	refuses("fault:nonsense:mem:1M", -EINVAL, "unknown option 'nonsense'");
	refuses("fault:color=red:mem:1M", -EINVAL, "unknown option 'color'");
	refuses("fault:op=reads:mem:1M", -EINVAL, "not an op");
	refuses("fault:op=extents+caches:mem:1M", -EINVAL, "extents, cache with");
	refuses("fault:errno=EWHAT:mem:1M", -EINVAL, "not an error");
	refuses("fault:errno=0:mem:1M", -EINVAL, "not an error");
	refuses("fault:errno=4096:mem:1M", -EINVAL, "not an error");
	refuses("fault:mode=loud:mem:1M", -EINVAL, "not a mode");
	refuses("fault:range=5:mem:1M", -EINVAL, "not a range");
	refuses("fault:range=5-5:mem:1M", -EINVAL, "is empty");
	refuses("fault:every=0:mem:1M", -ERANGE, "out of range");
	refuses("fault:mem:1M", -EINVAL, "unknown option 'mem'");
	refuses("delay:1ms:mem:0", -EINVAL, "at least 1 byte");
}

static void delays_are_waited_for(void **state)
{
	struct drive drive;
	char buf[512] = "x", back[512] = "";
	uint64_t start;

	(void)state;
	drive_open(&drive, "delay:5ms,write=0,flush=0:mem:1M");
	assert_string_equal(drive.backend->name, "delay:5ms,write=0,flush=0:mem:1M");
	assert_true(drive.backend->info.waits);
	assert_false(loop_busy(drive.loop, NULL));
	start = loop_now();
	assert_int_equal(drive_do(&drive, BACKEND_READ, 0, back, 512, 0), 0);
	assert_true(loop_now() - start >= 5000000);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 512, buf, 512, BACKEND_FUA), 0);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 512, back, 512, 0), 0);
	assert_memory_equal(buf, back, 512);
	drive_close(&drive);
}

/* An op of its own time does not depend on where in the list it stands. */
static void options_in_any_order(void **state)
{
	static const char *const specs[] = {
		"delay:read=60min,0:mem:1M", "delay:0,read=60min:mem:1M",
	};
	struct drive drive;
	struct request slow;
	char buf[512];
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		drive_open(&drive, specs[i]);
		request_make(&slow, BACKEND_READ, 0, buf, 512, 0);
		backend_submit(drive.channel, &slow.io);
		assert_int_equal(drive_do(&drive, BACKEND_DISCARD, 0, NULL, 512, 0), 0);
		assert_int_equal(slow.completed, 0);
		assert_true(loop_busy(drive.loop, NULL));
		drive_close(&drive);
		assert_int_equal(slow.completed, 1);
		assert_int_equal(slow.result, -ECANCELED);
	}
}

struct timed {
	struct request request;
	uint64_t submitted, completed;
};

static void timed_done(struct backend_io *io, int error)
{
	request_done(io, error);
	((struct timed *)io)->completed = loop_now();
}

/* The n-th request waits for the n-th random time of the seed, beside the others. */
static void jitter_depends_on_the_seed(void **state)
{
	enum { COUNT = 200 };
	static struct timed timed[COUNT];
	struct drive drive;
	unsigned int i, left;
	char buf[1];

	(void)state;
	drive_open(&drive, "delay:1ms,jitter=20ms,seed=7:mem:1M");
	for (i = 0; i < COUNT; i++) {
		request_make(&timed[i].request, BACKEND_READ, i, buf, 1, 0);
		timed[i].request.io.done = timed_done;
		timed[i].submitted = loop_now();
		backend_submit(drive.channel, &timed[i].request.io);
	}
	do {
		assert_int_equal(loop_once(drive.loop, UINT64_MAX), 0);
		for (left = 0, i = 0; i < COUNT; i++)
			left += !timed[i].request.completed;
	} while (left);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(timed[i].request.completed, 1);
		assert_true(timed[i].completed - timed[i].submitted >=
			    1000000 + wrap_random(7, i) % 20000001);
	}
	drive_close(&drive);
}

static void random_numbers_spread(void **state)
{
	unsigned int counts[16] = { 0 };
	unsigned int n, same = 0;

	(void)state;
	for (n = 0; n < 16000; n++) {
		counts[wrap_random(3, n) % 16]++;
		same += wrap_random(3, n) == wrap_random(4, n);
	}
	for (n = 0; n < 16; n++)
		assert_in_range(counts[n], 800, 1200);
	assert_int_equal(same, 0);
}

static void every_and_after_and_count(void **state)
{
	static const struct {
		const char *spec, *want;	/* a digit per request: 1 fails */
	} cases[] = {
		{ "fault::mem:1M", "111111111111" },
		{ "fault:every=3:mem:1M", "001001001001" },
		{ "fault:after=4:mem:1M", "000011111111" },
		{ "fault:after=4,every=2:mem:1M", "000001010101" },
		{ "fault:count=2:mem:1M", "110000000000" },
		{ "fault:after=1,every=4,count=2:mem:1M", "000010001000" },
		{ "fault:count=0:mem:1M", "000000000000" },
		{ "fault:op=write:mem:1M", "000000000000" },
		{ "fault:op=read+write:mem:1M", "111111111111" },
		{ "fault:range=2K-4K:mem:1M", "000011110000" },
		{ "fault:range=2049-2050:mem:1M", "000010000000" },
		{ "fault:op=write,every=2:fault:every=5:mem:1M", "000010000100" },
	};
	struct drive drive;
	char buf[512];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		drive_open(&drive, cases[i].spec);
		for (n = 0; n < 12; n++) {
			int want = cases[i].want[n] == '1' ? -EIO : 0;
			int got = drive_do(&drive, BACKEND_READ, n * 512, buf, 512, 0);

			if (got != want)
				fail_msg("%s: request %zu gave %d", cases[i].spec, n, got);
		}
		drive_close(&drive);
	}
}

static void random_is_repeatable(void **state)
{
	char first[1000], again[1000], other[1000], buf[1];
	static const char *const specs[] = {
		"fault:random=10,seed=1:mem:1K", "fault:random=10,seed=1:mem:1K",
		"fault:random=10,seed=2:mem:1K",
	};
	char *const results[] = { first, again, other };
	struct drive drive;
	unsigned int i, n, failed = 0;

	(void)state;
	for (i = 0; i < 3; i++) {
		drive_open(&drive, specs[i]);
		for (n = 0; n < 1000; n++)
			results[i][n] = drive_do(&drive, BACKEND_READ, 0, buf, 1, 0) != 0;
		drive_close(&drive);
	}
	for (n = 0; n < 1000; n++)
		failed += first[n];
	assert_in_range(failed, 50, 150);
	assert_memory_equal(first, again, 1000);
	assert_memory_not_equal(first, other, 1000);
}

static void errors_by_name_and_number(void **state)
{
	struct drive drive;
	char buf[512];

	(void)state;
	drive_open(&drive, "fault:errno=ENOSPC:mem:1M");
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 0, buf, 512, 0), -ENOSPC);
	drive_close(&drive);
	drive_open(&drive, "fault:errno=110:mem:1M");
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 0, buf, 512, 0), -ETIMEDOUT);
	drive_close(&drive);
}

static void short_and_lost(void **state)
{
	char buf[1024], back[1024];
	struct drive drive;

	(void)state;
	memset(buf, 's', sizeof(buf));
	drive_open(&drive, "fault:mode=short,op=write:mem:1M");
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 0, buf, 1024, 0), -EIO);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 2048, buf, 1, 0), -EIO);
	drive_do(&drive, BACKEND_READ, 0, back, 1024, 0);
	assert_true(is_filled(back, 512, 's') && is_filled(back + 512, 512, 0));
	drive_do(&drive, BACKEND_READ, 2048, back, 1, 0);
	assert_int_equal(back[0], 0);
	drive_close(&drive);
	drive_open(&drive, "fault:mode=lost,op=write,errno=ETIMEDOUT:mem:1M");
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 0, buf, 1024, 0), -ETIMEDOUT);
	drive_do(&drive, BACKEND_READ, 0, back, 1024, 0);
	assert_true(is_filled(back, 1024, 's'));
	drive_close(&drive);
}

static void hang_until_close(void **state)
{
	struct request requests[100];
	struct drive drive;
	char buf[512];
	int i;

	(void)state;
	drive_open(&drive, "fault:mode=hang,op=read:mem:1M");
	for (i = 0; i < 100; i++) {
		request_make(&requests[i], BACKEND_READ, 0, buf, 512, 0);
		backend_submit(drive.channel, &requests[i].io);
	}
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 0, buf, 512, 0), 0);
	drive_close(&drive);
	for (i = 0; i < 100; i++) {
		assert_int_equal(requests[i].completed, 1);
		assert_int_equal(requests[i].result, -ECANCELED);
	}
}

static void a_file_is_the_switch(void **state)
{
	char path[] = "/tmp/r3map-fault.XXXXXX";
	char spec[128], buf[512];
	struct request held;
	struct drive drive;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(spec, sizeof(spec), "fault:file=%s:mem:1M", path);
	drive_open(&drive, spec);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 0, buf, 512, 0), -EIO);
	unlink(path);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 0, buf, 512, 0), 0);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 0, buf, 512, 0), -EIO);
	drive_close(&drive);

	snprintf(spec, sizeof(spec), "fault:mode=hang,file=%s:mem:1M", path);
	drive_open(&drive, spec);
	request_make(&held, BACKEND_READ, 0, buf, 512, 0);
	backend_submit(drive.channel, &held.io);
	assert_int_equal(loop_once(drive.loop, loop_now() + 30000000), 0);
	assert_int_equal(held.completed, 0);
	unlink(path);
	assert_int_equal(drive_wait(&drive, &held), 0);		/* goes its way */
	drive_close(&drive);
	close(fd);
}

/* The ops that look, and what a backend says of zeroes, are the backend's behind. */
static void looks_pass_through(void **state)
{
	struct drive drive;
	struct request slow;
	char buf[4096] = "";
	bool waits;

	(void)state;
	drive_open(&drive, "fault:op=read:delay:0,extents=1ms:mem:1M");
	assert_true(drive.backend->info.can_extents && drive.backend->info.can_fast_zero);
	assert_null(backend_map(drive.backend, 0, 512));
	drive_do(&drive, BACKEND_WRITE, 8192, buf, 4096, 0);
	drive_extents(&drive, 0, 1048576, ROOM, 0);
	assert_string_equal(drive_found_text(), "h8192 d4096 h1036288");
	drive_extents(&drive, 100, 10000, 2, BACKEND_ONE);
	assert_string_equal(drive_found_text(), "h8092");
	assert_int_equal(drive_do(&drive, BACKEND_WRITE_ZEROES, 8192, NULL, 4096,
				  BACKEND_FAST_ZERO), 0);
	drive_extents(&drive, 0, 1048576, 1, 0);
	assert_string_equal(drive_found_text(), "h1048576");
	drive_close(&drive);

	drive_open(&drive, "fault:op=extents,errno=ENODATA,count=1:mem:1M");
	request_make(&slow, BACKEND_EXTENTS, 0, NULL, 4096, 0);
	slow.io.extents = &drive_found.list;
	drive_found.list.room = 1;
	backend_submit(drive.channel, &slow.io);
	assert_int_equal(drive_wait(&drive, &slow), -ENODATA);
	drive_extents(&drive, 0, 4096, 1, 0);
	drive_close(&drive);

	drive_open(&drive, "file:/proc/self/exe");
	waits = drive.backend->info.can_cache;
	drive_close(&drive);
	if (!waits) {
		print_message("the tests are on tmpfs, cache is not looked at\n");
		return;
	}
	drive_open(&drive, "delay:0,cache=60min:fault:op=cache:file:/proc/self/exe");
	request_make(&slow, BACKEND_CACHE, 0, NULL, 512, 0);
	backend_submit(drive.channel, &slow.io);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 0, buf, 512, 0), 0);
	assert_int_equal(slow.completed, 0);
	drive_close(&drive);
	assert_int_equal(slow.result, -ECANCELED);
	drive_open(&drive, "fault:op=cache+write:file:/proc/self/exe");
	assert_int_equal(drive_do(&drive, BACKEND_CACHE, 0, NULL, 512, 0), -EIO);
	drive_extents(&drive, 0, 512, 1, 0);
	drive_close(&drive);
}

/* Four deep over a backend that completes on the loop itself. */
static void wrappers_nest(void **state)
{
	enum { COUNT = 500 };
	static struct request requests[COUNT];
	static char bufs[COUNT][512];
	char path[] = "/var/tmp/r3map-nest.XXXXXX";
	char spec[256];
	struct drive drive;
	unsigned int i, left, failed = 0;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, COUNT * 512), 0);
	snprintf(spec, sizeof(spec), "fault:every=10:delay:1ms,jitter=1ms:fault:every=9,mode=lost:delay:0,write=1ms:file:%s",
		 path);
	drive_open(&drive, spec);
	assert_string_equal(drive.backend->name, spec);
	for (i = 0; i < COUNT; i++) {
		memset(bufs[i], (int)i, 512);
		request_make(&requests[i], BACKEND_WRITE, i * 512, bufs[i], 512,
			     i % 2 ? BACKEND_FUA : 0);
		backend_submit(drive.channel, &requests[i].io);
	}
	backend_kick(drive.channel);
	do {
		for (left = 0, i = 0; i < COUNT; i++)
			left += !requests[i].completed;
		if (left)
			assert_int_equal(loop_once(drive.loop, UINT64_MAX), 0);
	} while (left);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(requests[i].completed, 1);
		failed += requests[i].result != 0;
	}
	assert_int_equal(failed, 50 + 50);	/* 450 reach the second, every 9th is lost */
	drive_close(&drive);
	for (i = 0; i < COUNT; i++) {
		char back[512];

		assert_int_equal(pread(fd, back, 512, i * 512), 512);
		assert_true(is_filled(back, 512, i % 10 == 9 ? 0 : (char)i));
	}
	unlink(path);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(specs_are_checked),
		cmocka_unit_test(delays_are_waited_for),
		cmocka_unit_test(options_in_any_order),
		cmocka_unit_test(jitter_depends_on_the_seed),
		cmocka_unit_test(random_numbers_spread),
		cmocka_unit_test(every_and_after_and_count),
		cmocka_unit_test(random_is_repeatable),
		cmocka_unit_test(errors_by_name_and_number),
		cmocka_unit_test(short_and_lost),
		cmocka_unit_test(hang_until_close),
		cmocka_unit_test(a_file_is_the_switch),
		cmocka_unit_test(looks_pass_through),
		cmocka_unit_test(wrappers_nest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
