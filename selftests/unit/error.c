// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Errors that carry a sentence, and log lines: nothing is written behind a buffer's end.
 */
#include "drive.h"

static void set_keeps_code_and_text(void **state)
{
	struct error error;

	(void)state;
	assert_int_equal(error_set(&error, -ENOENT, "no %s", "file"), -ENOENT);
	assert_int_equal(error.code, -ENOENT);
	assert_string_equal(error.text, "no file");
	assert_int_equal(error_set(NULL, -EIO, "%d", 1), -EIO);
}

static void prefix_goes_in_front(void **state)
{
	struct error error;

	(void)state;
	error_set(&error, -EINVAL, "bad size");
	assert_int_equal(error_prefix(&error, "mem:%s", "x"), -EINVAL);
	assert_string_equal(error.text, "mem:x: bad size");
	error_prefix(&error, "mount");
	assert_string_equal(error.text, "mount: mem:x: bad size");
	assert_int_equal(error_prefix(NULL, "x"), 0);
}

static void long_texts_are_cut(void **state)
{
	char text[2 * sizeof(((struct error *)0)->text)];
	struct error error;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, -EINVAL, "%s", text);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_string_equal(error.text + sizeof(error.text) - 4, "...");

	/* The reason is worth more than what it is about. */
	error_set(&error, -EINVAL, "reason");
	error_prefix(&error, "%s", text);
	assert_int_equal(strlen(error.text), sizeof(error.text) - 1);
	assert_memory_equal(error.text, "aaaa", 4);
	assert_string_equal(error.text + sizeof(error.text) - 1 - 11, "...: reason");

	memset(text, 'b', sizeof(error.text) - 5);
	text[sizeof(error.text) - 5] = '\0';
	error_set(&error, -EINVAL, "%s", text);		/* fits, but not with what comes */
	error_prefix(&error, "in front");
	assert_int_equal(strlen(error.text), sizeof(error.text) - 5);
	assert_true(is_filled(error.text, sizeof(error.text) - 5, 'b'));
}

static void log_obeys_level_and_length(void **state)
{
	char text[3000];

	(void)state;
	drive_log_clear();
	log_set_level(LOG_LEVEL_WARN);
	log_info("dropped %d", 1);
	log_warn("kept %d", 2);
	assert_string_equal(drive_log, "kept 2\n");
	memset(text, 'c', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	drive_log_clear();
	errno = ENOTDIR;
	log_error("%s", text);
	assert_int_equal(errno, ENOTDIR);
	assert_in_range(strlen(drive_log), 900, 1024);
	log_set_level(LOG_LEVEL_INFO);
}

static void log_writes_one_line_to_stderr(void **state)
{
	char got[64] = "";
	int pipes[2];
	int saved;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	saved = dup(STDERR_FILENO);
	dup2(pipes[1], STDERR_FILENO);
	log_set_sink(NULL);
	log_error("disk %d", 7);
	dup2(saved, STDERR_FILENO);
	assert_true(read(pipes[0], got, sizeof(got) - 1) > 0);
	assert_string_equal(got, "r3map: error: disk 7\n");
	close(pipes[0]);
	close(pipes[1]);
	close(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_keeps_code_and_text),
		cmocka_unit_test(prefix_goes_in_front),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(log_obeys_level_and_length),
		cmocka_unit_test(log_writes_one_line_to_stderr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
