// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stopping the application. See stop.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "migrate: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/program.h"
#include "lib/run.h"
#include "migrate/stop.h"
#include "mount/reclaim.h"

#define MS	1000000ULL	/* ns */
#define LOOK	1		/* ms between looks at a cgroup: it tells by a file */
#define RESUME	(60000 * MS)	/* ns that a command may take which lets it go on */

extern char **environ;

/* --- commands ----------------------------------------------------------------------------- */

/* The environment and R3MAP_DEVICE; to be freed, with *@variable. NULL: out of memory. */
static char **command_environment(const char *device, char **variable)
{
	size_t count = 0;
	char **env;

	while (environ[count])
		count++;
	env = calloc(count + 2, sizeof(*env));
	if (!env || asprintf(variable, "R3MAP_DEVICE=%s", device) < 0) {
		free(env);
		return NULL;
	}
	env[0] = *variable;
	memcpy(env + 1, environ, count * sizeof(*env));
	return env;
}

static int command_run(const char *command, const char *device, uint64_t deadline,
		       struct error *error)
{
	struct pollfd pollfd = { .events = POLLIN };
	uint64_t now = loop_now();
	char *variable, **env;
	int err, status;
	pid_t pid;

	env = command_environment(device, &variable);
	if (!env)
		return error_set(error, -ENOMEM, "out of memory");
	err = program_start(command, env, reclaim_unprotect, &pid, &pollfd.fd, error);
	free(variable);
	free(env);
	if (err)
		return err;
	if (poll(&pollfd, 1, now < deadline ? (int)((deadline - now) / MS + 1) : 0) <= 0) {
		kill(-pid, SIGKILL);
		err = error_set(error, -ETIMEDOUT, "'%s' takes too long: it was killed", command);
	}
	close(pollfd.fd);
	status = run_status(pid);
	if (!err && status)
		err = error_set(error, -ECANCELED, "'%s' ended with status %d", command, status);
	return err;
}

/* --- a process group ---------------------------------------------------------------------- */

static int group_signal(uint32_t group, int number, struct error *error)
{
	if (!kill(-(pid_t)group, number))
		return 0;
	return error_set(error, -errno, "cannot send a signal to process group %" PRIu32 ": %s", group,
			 strerror(errno));
}

/* --- a cgroup ----------------------------------------------------------------------------- */

static int cgroup_open(const char *cgroup, const char *name, int flags, struct error *error)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? error_set(error, -errno, "cannot open %s: %s", path, strerror(errno)) : fd;
}

static int cgroup_write(const char *cgroup, const char *word, struct error *error)
{
	int fd = cgroup_open(cgroup, "cgroup.freeze", O_WRONLY, error);
	int err = 0;

	if (fd < 0)
		return fd;
	if (write(fd, word, strlen(word)) < 0)
		err = error_set(error, -errno, "cannot freeze or thaw %s: %s", cgroup,
				strerror(errno));
	close(fd);
	return err;
}

static bool cgroup_is_frozen(int fd)
{
	char text[256];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	if (got < 0)
		return false;
	text[got] = '\0';
	return strstr(text, "frozen 1");
}

static int cgroup_freeze(const char *cgroup, uint64_t deadline, struct error *error)
{
	int fd = cgroup_open(cgroup, "cgroup.events", O_RDONLY, error);
	int err;

	if (fd < 0)
		return fd;
	err = cgroup_write(cgroup, "1", error);
	while (!err && !cgroup_is_frozen(fd)) {
		if (loop_now() >= deadline)
			err = error_set(error, -ETIMEDOUT, "%s does not freeze in time", cgroup);
		else
			poll(NULL, 0, LOOK);
	}
	if (err)
		cgroup_write(cgroup, "0", NULL);
	close(fd);
	return err;
}

/* --- all of it ---------------------------------------------------------------------------- */

int stop_check(const struct stop_options *options, struct error *error)
{
	if (options->group == 1)
		return error_set(error, -EINVAL, "--stop-group 1 would stop this system");
	if (options->cgroup && options->cgroup[0] != '/')
		return error_set(error, -EINVAL, "--stop-cgroup wants the whole path of the cgroup's folder");
	return 0;
}

bool stop_any(const struct stop_options *options)
{
	return options->suspend || options->resume || options->group || options->cgroup;
}

static void words_add(char *text, size_t size, const char *format, const char *word)
{
	size_t used = strlen(text);

	if (used)
		used += (size_t)snprintf(text + used, size - used, ", ");
	if (used < size)
		snprintf(text + used, size - used, format, word);
}

const char *stop_words(const struct stop_options *options, char *text, size_t size)
{
	char group[16];

	text[0] = '\0';
	snprintf(group, sizeof(group), "%" PRIu32, options->group);
	if (options->suspend)
		words_add(text, size, "'%s'", options->suspend);
	if (options->group)
		words_add(text, size, "process group %s", group);
	if (options->cgroup)
		words_add(text, size, "cgroup %s", options->cgroup);
	if (!text[0])
		snprintf(text, size, "the application");
	return text;
}

static void resume_command(const struct stop_options *options, const char *device)
{
	struct error error = { 0 };

	if (options->resume && command_run(options->resume, device, loop_now() + RESUME, &error))
		log_error("the application was not resumed: %s", error.text);
}

int stop_suspend(const struct stop_options *options, const char *device, uint32_t timeout,
		 struct error *error)
{
	uint64_t deadline = loop_now() + timeout * MS;
	int err = 0;

	if (options->suspend)
		err = command_run(options->suspend, device, deadline, error);
	if (!err && options->group)
		err = group_signal(options->group, SIGSTOP, error);
	if (!err && options->cgroup) {
		err = cgroup_freeze(options->cgroup, deadline, error);
		if (err && options->group)
			group_signal(options->group, SIGCONT, NULL);
	}
	if (err)
		resume_command(options, device);
	return err;
}

void stop_resume(const struct stop_options *options, const char *device)
{
	struct error error = { 0 };

	if (options->cgroup && cgroup_write(options->cgroup, "0", &error))
		log_error("%s", error.text);
	if (options->group && group_signal(options->group, SIGCONT, &error))
		log_error("%s", error.text);
	resume_command(options, device);
}
