// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command of --run, see run.h. The child gets back what this process may have changed for
 * itself: signal mask, SIGPIPE, and what @child undoes. Memory locks are not inherited.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/run.h"

int run_start(const char *command, void (*child)(void), pid_t *pid, int *pidfd,
	      struct error *error)
{
	sigset_t none;
	int err;

	*pid = fork();
	if (*pid < 0)
		return error_set(error, -errno, "cannot start the command: %s", strerror(errno));
	if (!*pid) {
		if (child)
			child();
		signal(SIGPIPE, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	*pidfd = (int)syscall(SYS_pidfd_open, *pid, 0);
	if (*pidfd < 0) {
		err = -errno;
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
		return error_set(error, err, "cannot watch the command: %s", strerror(-err));
	}
	return 0;
}

void run_signal(pid_t pid, const struct signalfd_siginfo *info)
{
	if (info->ssi_signo != SIGINT || info->ssi_code != SI_KERNEL)
		kill(pid, (int)info->ssi_signo);
}

int run_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
