/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command of --run: a child whose life is that of what this process serves.
 */
#ifndef R3MAP_RUN_H
#define R3MAP_RUN_H

#include <sys/types.h>

struct error;
struct signalfd_siginfo;

/*
 * Starts "sh -c @command", in this process's environment. @child: called in the child before its
 * exec, async-signal-safe; may be NULL. Returns 0, *@pid and *@pidfd, which becomes readable
 * when the child has ended and is the caller's to close; or a negative errno.
 */
int run_start(const char *command, void (*child)(void), pid_t *pid, int *pidfd,
	      struct error *error);
/* Passes a signal on to @pid, unless the terminal that sent it has sent it there as well. */
void run_signal(pid_t pid, const struct signalfd_siginfo *info);
/* Reaps @pid, which has ended. Returns its exit status, 128 + n if signal n has killed it. */
int run_status(pid_t pid);

#endif
