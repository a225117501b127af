// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * This test will parse command lines, times and device names, right and wrong ones.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/error.h"
#include "lib/opt.h"
#include "nl/device.h"

struct settings {
	bool yes, no;
	uint32_t number, size32, time;
	uint64_t size64;
	int choice;
	const char *text;
};

static const char *const words[] = { "one", "two", NULL };

static const struct opt opts[] = {
	{ OPT_FLAG, "yes", 'y', .offset = offsetof(struct settings, yes) },
	{ OPT_FLAG, "no", 'n', .clear = true, .offset = offsetof(struct settings, no) },
	{ OPT_U32, "number", 'u', .offset = offsetof(struct settings, number), .min = 1, .max = 9 },
	{ OPT_SIZE32, "size", 's', .offset = offsetof(struct settings, size32) },
	{ OPT_SIZE64, "large", 'l', .offset = offsetof(struct settings, size64) },
	{ OPT_TIME, "time", 't', .offset = offsetof(struct settings, time), .max = 60000 },
	{ OPT_CHOICE, "choice", 'c', .offset = offsetof(struct settings, choice), .words = words },
	{ OPT_STRING, "text", 0, .offset = offsetof(struct settings, text) },
	{ OPT_END },
};

static struct settings got;
static struct error error;
static char *args[16];
static int rest;

/* Parses the words up to NULL. */
static int parse(const char *first, ...)
{
	static const struct settings defaults = { .no = true, .number = 5, .choice = -1 };
	va_list list;
	int n = 1;

	args[0] = (char *)"test";
	va_start(list, first);
	for (const char *word = first; word; word = va_arg(list, const char *))
		args[n++] = (char *)(uintptr_t)word;
	va_end(list);
	got = defaults;
	memset(&error, 0, sizeof(error));
	rest = -1;
	return opt_parse(opts, n, args, &got, &rest, &error);
}

static void test_every_type(void **state)
{
	(void)state;
	assert_int_equal(parse("--yes", "--no", "--number", "7", "--size=64K", "-l2G", "-t", "1.5",
			       "--choice=two", "--text", "-x", NULL), 0);
	assert_true(got.yes);
	assert_false(got.no);
	assert_int_equal(got.number, 7);
	assert_int_equal(got.size32, 65536);
	assert_int_equal(got.size64, 2ULL << 30);
	assert_int_equal(got.time, 1500);
	assert_int_equal(got.choice, 1);
	assert_string_equal(got.text, "-x");
	assert_int_equal(rest, 0);
}

static void test_defaults_stay(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL), 0);
	assert_int_equal(got.number, 5);
	assert_true(got.no);
	assert_int_equal(got.choice, -1);
}

static void test_arguments_are_kept_in_order(void **state)
{
	(void)state;
	assert_int_equal(parse("a", "-yn", "b", "-", "--", "-y", "--yes", NULL), 0);
	assert_int_equal(rest, 5);
	assert_string_equal(args[1], "a");
	assert_string_equal(args[2], "b");
	assert_string_equal(args[3], "-");
	assert_string_equal(args[4], "-y");
	assert_string_equal(args[5], "--yes");
}

static void refused(const char *text)
{
	assert_int_equal(error.code, -EINVAL);
	if (!strstr(error.text, text))
		fail_msg("'%s' does not say '%s'", error.text, text);
}

static void test_wrong_ones_are_refused(void **state)
{
	(void)state;
	assert_int_equal(parse("--nothing", NULL), -EINVAL);
	refused("no option --nothing");
	assert_int_equal(parse("--ye", NULL), -EINVAL);		/* no abbreviations */
	refused("no option --ye");
	assert_int_equal(parse("-yz", NULL), -EINVAL);
	refused("no option -z");
	assert_int_equal(parse("--yes=1", NULL), -EINVAL);
	refused("takes no value");
	assert_int_equal(parse("--number", NULL), -EINVAL);
	refused("needs a value");
	assert_int_equal(parse("-u", NULL), -EINVAL);
	refused("needs a value");
	assert_int_equal(parse("-u0", NULL), -EINVAL);
	refused("give 1 to 9");
	assert_int_equal(parse("-u", "10", NULL), -EINVAL);
	refused("give 1 to 9");
	assert_int_equal(parse("-u", "0x1", NULL), -EINVAL);
	refused("needs a number");
	assert_int_equal(parse("-s", "4G", NULL), -EINVAL);	/* one more than 32 bits hold */
	refused("out of range");
	assert_int_equal(parse("-l", "99999999999G", NULL), -EINVAL);
	refused("out of range");
	assert_int_equal(parse("-t", "61", NULL), -EINVAL);
	refused("out of range");
	assert_int_equal(parse("-c", "three", NULL), -EINVAL);
	refused("one of one, two");
}

static void test_times(void **state)
{
	static const struct { const char *text; int err; uint32_t ms; } cases[] = {
		{ "0", 0, 0 }, { "30", 0, 30000 }, { "1.5", 0, 1500 }, { ".5s", 0, 500 },
		{ "500ms", 0, 500 }, { "2m", 0, 120000 }, { "1min", 0, 60000 },
		{ "1.25h", 0, 4500000 }, { "1d", 0, 86400000 }, { "0.0009", 0, 0 },
		{ "4294967295ms", 0, 4294967295U }, { "4294967296ms", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 }, { "50d", -ERANGE, 0 },
		{ "", -EINVAL, 0 }, { ".", -EINVAL, 0 }, { "s", -EINVAL, 0 }, { "1x", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 }, { "1 s", -EINVAL, 0 }, { "1.2.3", -EINVAL, 0 },
	};
	uint32_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ms = 0;
		if (opt_time(cases[i].text, &ms) != cases[i].err || ms != cases[i].ms)
			fail_msg("'%s' is read as %u ms", cases[i].text, ms);
	}
}

static void test_device_names(void **state)
{
	static const char *const wrong[] = { "", "r3map", "/dev/r3map", "/dev/sda", "r3map0p1", "-1",
					     "0x1", "2147483648", "/dev//r3map1", " 1", NULL };
	uint32_t index = 99;

	(void)state;
	assert_int_equal(device_index("/dev/r3map12", &index, &error), 0);
	assert_int_equal(index, 12);
	assert_int_equal(device_index("r3map0", &index, &error), 0);
	assert_int_equal(index, 0);
	assert_int_equal(device_index("2147483647", &index, &error), 0);
	assert_int_equal(index, 2147483647);
	for (int i = 0; wrong[i]; i++)
		if (device_index(wrong[i], &index, &error) != -EINVAL)
			fail_msg("'%s' is taken for a device", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_defaults_stay),
		cmocka_unit_test(test_arguments_are_kept_in_order),
		cmocka_unit_test(test_wrong_ones_are_refused),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_device_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
