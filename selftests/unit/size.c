// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sizes, times and numbers as text: what is one, what is not, and that none is misread.
 */
#include "drive.h"
#include "lib/size.h"

static void size_is(const char *text, uint64_t want)
{
	uint64_t got = 42;

	if (size_parse(text, &got, NULL) || got != want)
		fail_msg("'%s' is read as %ju", text, (uintmax_t)got);
}

static void size_is_not(const char *text, int code)
{
	struct error error = { 0 };
	uint64_t got = 42;
	int result = size_parse(text, &got, &error);

	if (result != code || got != 42 || !strstr(error.text, text) || error.code != code)
		fail_msg("'%s': %d, %ju, '%s'", text, result, (uintmax_t)got, error.text);
}

static void sizes_are_read(void **state)
{
	(void)state;
	size_is("0", 0);
	size_is("1", 1);
	size_is("512", 512);
	size_is("4K", 4096);
	size_is("4k", 4096);
	size_is("4KiB", 4096);
	size_is("64M", 64ull << 20);
	size_is("64MiB", 64ull << 20);
	size_is("3G", 3ull << 30);
	size_is("2T", 2ull << 40);
	size_is("1P", 1ull << 50);
	size_is("15E", 15ull << 60);
	size_is("0E", 0);
	size_is("007K", 7168);
	size_is("18446744073709551615", UINT64_MAX);
	size_is("18014398509481983K", UINT64_MAX - 1023);
}

static void other_texts_are_not_sizes(void **state)
{
	static const char *const texts[] = {
		"", " ", "K", "-1", "+1", " 1", "1 ", "1 K", "1.5G", "1,5G", "0x10", "1m", "1KB",
		"1Ki", "1KiBs", "1KK", "1B", "1iB", "M1", "1e3", "1K\n", "ten",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		size_is_not(texts[i], -EINVAL);
}

static void sizes_do_not_overflow(void **state)
{
	(void)state;
	size_is_not("16E", -ERANGE);
	size_is_not("18446744073709551616", -ERANGE);
	size_is_not("18014398509481984K", -ERANGE);
	size_is_not("99999999999999999999999999999999999999", -ERANGE);
	size_is_not("99999999999999999999999999999999999999T", -ERANGE);
}

static void duration_is(const char *text, uint64_t want)
{
	uint64_t got = 42;

	if (duration_parse(text, &got, NULL) || got != want)
		fail_msg("'%s' is read as %ju", text, (uintmax_t)got);
}

static void durations(void **state)
{
	static const char *const texts[] = {
		"", "5", "ms", "-5ms", "5 ms", "5msec", "1.5s", "5m", "5h", "5MS", "5mss",
	};
	struct error error;
	uint64_t got = 42;
	size_t i;

	(void)state;
	duration_is("0", 0);
	duration_is("0ms", 0);
	duration_is("7ns", 7);
	duration_is("250us", 250000);
	duration_is("10ms", 10000000);
	duration_is("30s", 30000000000);
	duration_is("2min", 120000000000);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(duration_parse(texts[i], &got, &error), -EINVAL);
	assert_int_equal(duration_parse("18446744074s", &got, &error), -ERANGE);
	assert_int_equal(duration_parse("99999999999999999999ns", &got, &error), -ERANGE);
	assert_int_equal(got, 42);
}

static void numbers(void **state)
{
	struct error error;
	uint64_t got = 42;

	(void)state;
	assert_int_equal(number_parse("10", 1, 10, &got, &error), 0);
	assert_int_equal(got, 10);
	assert_int_equal(number_parse("11", 1, 10, &got, &error), -ERANGE);
	assert_non_null(strstr(error.text, "from 1 to 10"));
	assert_int_equal(number_parse("0", 1, 10, &got, &error), -ERANGE);
	assert_int_equal(number_parse("18446744073709551617", 1, UINT64_MAX, &got, &error), -ERANGE);
	assert_int_equal(number_parse("", 0, 10, &got, &error), -EINVAL);
	assert_int_equal(number_parse("1K", 0, 10, &got, &error), -EINVAL);
	assert_int_equal(number_parse("-1", 0, 10, &got, &error), -EINVAL);
	assert_int_equal(got, 10);
}

/* Whatever is written is read as the same number. */
static void formats_are_read_back(void **state)
{
	static const struct {
		uint64_t n;
		const char *size, *duration;
	} cases[] = {
		{ 0, "0", "0s" },
		{ 1, "1", "1ns" },
		{ 1000, "1000", "1us" },
		{ 1024, "1K", "1024ns" },
		{ 1500000, "1500000", "1500us" },
		{ 60000000000, "58593750K", "1min" },
		{ 67108864, "64M", "67108864ns" },
		{ UINT64_MAX, "18446744073709551615", "18446744073709551615ns" },
		{ 1ull << 63, "8E", "9223372036854775808ns" },
	};
	char text[24];
	uint64_t back;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(size_format(cases[i].n, text), cases[i].size);
		assert_int_equal(size_parse(text, &back, NULL), 0);
		assert_true(back == cases[i].n);
		assert_string_equal(duration_format(cases[i].n, text), cases[i].duration);
		assert_int_equal(duration_parse(text, &back, NULL), 0);
		assert_true(back == cases[i].n);
	}
}

static void told_to_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0" }, { 1, "1" }, { 1023, "1023" }, { 1024, "1024 (1K)" },
		{ 1536, "1536 (1.5K)" }, { 12345678, "12345678 (11.8M)" },
		{ 1048575, "1048575 (1M)" }, { 1048576, "1048576 (1M)" },
		{ 1047500, "1047500 (1022.9K)" }, { UINT64_C(1) << 40, "1099511627776 (1T)" },
		{ UINT64_MAX, "18446744073709551615 (16E)" },
		{ UINT64_C(3) << 59, "1729382256910270464 (1.5E)" },
	};
	char text[2 * SIZE_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(size_tell(cases[i].bytes, text), cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(other_texts_are_not_sizes),
		cmocka_unit_test(sizes_do_not_overflow),
		cmocka_unit_test(durations),
		cmocka_unit_test(numbers),
		cmocka_unit_test(formats_are_read_back),
		cmocka_unit_test(told_to_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
