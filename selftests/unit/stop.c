// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stopping an application: commands, a process group and a cgroup, each and together, in order; one that does not
 * stop, for which all that was stopped goes on again. The cgroup is a folder with its two files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/error.h"
#include "migrate/stop.h"

#define LONG	600000u		/* ms: no time-out of a test's */
#define SHORT	200u		/* ms: that passes */
#define DEVICE	"/dev/r3map7"

static char folder[64], word[2048];	/* word: of a command, whose text names the folder */
static pid_t application;

static void put(const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char *got(const char *name)
{
	static char text[256];
	char path[128];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	assert_true(length >= 0);
	text[length] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

/* A process in a group of its own. */
static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/r3map-unit.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	application = fork();
	if (!application)
		for (;;)
			pause();
	return application < 0 ? -1 : setpgid(application, application);
}

static int teardown(void **state)
{
	(void)state;
	kill(application, SIGKILL);
	waitpid(application, NULL, 0);
	snprintf(word, sizeof(word), "rm -r %s", folder);
	return system(word);
}

static char application_state(void)
{
	char path[64], text[256], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", application);
	file = fopen(path, "re");
	assert_non_null(file);
	if (fgets(text, sizeof(text), file) && strrchr(text, ')'))
		state = strrchr(text, ')')[2];
	fclose(file);
	assert_true(state);
	return state;
}

/* Waits until it does: the kernel has been told, and a stop takes a moment. */
static void application_stops(void)
{
	while (application_state() != 'T')
		usleep(1000);
}

static void application_goes_on(void)
{
	while (application_state() == 'T')
		usleep(1000);
}

/* Was it left alone? */
static void application_untouched(void)
{
	int status;

	assert_int_equal(waitpid(application, &status, WUNTRACED | WCONTINUED | WNOHANG), 0);
}

static void cgroup_make(const char *events)
{
	put("cgroup.freeze", "0");
	put("cgroup.events", events);
}

/* SUSPEND with the folder in place of its %s; RESUME says so in a file. */
static struct stop_options with(const char *suspend)
{
	static char resume[128];

	snprintf(word, sizeof(word), suspend, folder);
	snprintf(resume, sizeof(resume), "echo resume $R3MAP_DEVICE >>%s/said", folder);
	return (struct stop_options) { .suspend = word, .resume = resume };
}

/* The end of a command comes by one of these, which valgrind does not know. */
static void needs_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0 && errno == ENOSYS)
		skip();
	assert_true(fd >= 0);
	close(fd);
}

static void commands(void **state)
{
	const struct stop_options options = with("echo suspend $R3MAP_DEVICE >>%s/said");
	struct error error = { 0 };

	(void)state;
	needs_pidfd();
	assert_int_equal(stop_suspend(&options, DEVICE, LONG, &error), 0);
	assert_string_equal(got("said"), "suspend " DEVICE "\n");
	stop_resume(&options, DEVICE);
	assert_string_equal(got("said"), "suspend " DEVICE "\nresume " DEVICE "\n");
}

static void group(void **state)
{
	const struct stop_options options = { .group = (uint32_t)application };
	struct error error = { 0 };

	(void)state;
	assert_int_equal(stop_suspend(&options, DEVICE, LONG, &error), 0);
	application_stops();
	stop_resume(&options, DEVICE);
	application_goes_on();
}

static void cgroup(void **state)
{
	const struct stop_options options = { .cgroup = folder };
	struct error error = { 0 };

	(void)state;
	cgroup_make("populated 1\nfrozen 1\n");
	assert_int_equal(stop_suspend(&options, DEVICE, LONG, &error), 0);
	assert_string_equal(got("cgroup.freeze"), "1");
	stop_resume(&options, DEVICE);
	assert_string_equal(got("cgroup.freeze"), "0");
}

/* One that refuses: nothing else is stopped, and what it may have done half is undone. */
static void refused(void **state)
{
	struct stop_options options = with("exit 3; %s");
	struct error error = { 0 };

	(void)state;
	needs_pidfd();
	options.group = (uint32_t)application;
	options.cgroup = folder;
	cgroup_make("populated 1\nfrozen 1\n");
	assert_int_equal(stop_suspend(&options, DEVICE, LONG, &error), -ECANCELED);
	assert_non_null(strstr(error.text, "ended with status 3"));
	application_untouched();
	assert_string_equal(got("cgroup.freeze"), "0");
	assert_string_equal(got("said"), "resume " DEVICE "\n");
}

/* One that takes too long is killed, with what it has started: nobody has the pipe any more. */
static void hanging(void **state)
{
	struct stop_options options = { .suspend = word };
	struct error error = { 0 };
	char path[128], byte;
	int fd;

	(void)state;
	needs_pidfd();
	snprintf(path, sizeof(path), "%s/pipe", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	snprintf(word, sizeof(word), "sleep 3600 >%s & wait", path);
	assert_int_equal(stop_suspend(&options, DEVICE, SHORT, &error), -ETIMEDOUT);
	assert_non_null(strstr(error.text, "takes too long"));
	while (read(fd, &byte, 1) < 0)
		usleep(1000);
	close(fd);
}

/* What does not freeze is thawed, and what was stopped before it goes on. */
static void unfrozen(void **state)
{
	const struct stop_options options = { .group = (uint32_t)application, .cgroup = folder };
	struct error error = { 0 };

	(void)state;
	cgroup_make("populated 1\nfrozen 0\n");
	assert_int_equal(stop_suspend(&options, DEVICE, SHORT, &error), -ETIMEDOUT);
	assert_non_null(strstr(error.text, "does not freeze in time"));
	assert_string_equal(got("cgroup.freeze"), "0");
	application_goes_on();
}

static void not_there(void **state)
{
	struct stop_options options = { .group = (uint32_t)application, .cgroup = "/none" };
	struct error error = { 0 };

	(void)state;
	assert_int_equal(stop_suspend(&options, DEVICE, LONG, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/none/cgroup.events"));
	application_goes_on();
	/* A number that no group has: the kernel's are smaller. */
	options = (struct stop_options) { .group = INT32_MAX };
	error = (struct error) { 0 };
	assert_int_equal(stop_suspend(&options, DEVICE, LONG, &error), -ESRCH);
}

/* The time to stop is short, and a command that lets it go on has its own. */
static void resumed_at_leisure(void **state)
{
	static char resume[128];
	struct stop_options options = with("sleep 3600; %s");
	struct error error = { 0 };

	(void)state;
	needs_pidfd();
	snprintf(resume, sizeof(resume), "sleep 1; echo resume >>%s/said", folder);
	options.resume = resume;
	assert_int_equal(stop_suspend(&options, DEVICE, SHORT, &error), -ETIMEDOUT);
	assert_string_equal(got("said"), "resume\n");
}

static void in_words(void **state)
{
	struct stop_options options = { .suspend = "stop it", .group = 12, .cgroup = "/x" };
	char text[64];

	(void)state;
	assert_string_equal(stop_words(&options, text, sizeof(text)), "'stop it', process group 12, cgroup /x");
	options.group = 0;
	assert_string_equal(stop_words(&options, text, sizeof(text)), "'stop it', cgroup /x");
	options.suspend = NULL;
	assert_string_equal(stop_words(&options, text, sizeof(text)), "cgroup /x");
	options = (struct stop_options) { 0 };
	assert_false(stop_any(&options));
	options.resume = "go on";
	assert_true(stop_any(&options));
	assert_string_equal(stop_words(&options, text, sizeof(text)), "the application");
}

static void what_is_typed(void **state)
{
	struct error error = { 0 };

	(void)state;
	assert_int_equal(stop_check(&(struct stop_options) { .group = 1 }, &error), -EINVAL);
	error = (struct error) { 0 };
	assert_int_equal(stop_check(&(struct stop_options) { .cgroup = "a" }, &error), -EINVAL);
	error = (struct error) { 0 };
	assert_int_equal(stop_check(&(struct stop_options) { .group = 2, .cgroup = "/a" }, &error), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commands, setup, teardown),
		cmocka_unit_test_setup_teardown(group, setup, teardown),
		cmocka_unit_test_setup_teardown(cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(hanging, setup, teardown),
		cmocka_unit_test_setup_teardown(unfrozen, setup, teardown),
		cmocka_unit_test_setup_teardown(not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(resumed_at_leisure, setup, teardown),
		cmocka_unit_test(in_words),
		cmocka_unit_test(what_is_typed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
