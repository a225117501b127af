// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program beside this one. See program.h.
 *
 * vfork(), since a fork() would copy what is pinned and locked here, which is much, and only for an
 * exec. The child runs in this thread's place until then: signals are blocked, and it calls the
 * kernel and nothing else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/program.h"

static void __attribute__((noreturn)) program_child(char *const *words, char *const *env, int null,
						    void (*child)(void))
{
	sigset_t none;

	setpgid(0, 0);
	if (child)
		child();
	signal(SIGPIPE, SIG_DFL);
	dup2(null, 0);
	dup2(2, 1);
	syscall(SYS_close_range, 3U, ~0U, 0U);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/bin/sh", words, env);
	_exit(127);
}

int program_start(const char *command, char *const *env, void (*child)(void), pid_t *pid,
		  int *pidfd, struct error *error)
{
	char *const words[] = { "sh", "-c", (char *)command, NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), err;
	sigset_t all, before;

	if (null < 0)
		return error_set(error, -errno, "cannot open /dev/null: %s", strerror(errno));
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	*pid = vfork();
	if (!*pid)
		program_child(words, env, null, child);
	err = *pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(null);
	if (err)
		return error_set(error, err, "cannot start '%s': %s", command, strerror(-err));
	*pidfd = (int)syscall(SYS_pidfd_open, *pid, 0);
	if (*pidfd < 0) {
		err = -errno;
		kill(-*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
		return error_set(error, err, "cannot watch '%s': %s", command, strerror(-err));
	}
	return 0;
}
