// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * killat N COMMAND...: runs COMMAND and kills it as kill -9 does, when its threads have sent N messages
 * by sendmsg() or sendto(). Status 0 when it was killed so, 3 when it was to write to its stdout
 * before that: it is killed there; else 1.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)

static void die(const char *what)
{
	fprintf(stderr, "killat: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct __ptrace_syscall_info look(pid_t tid)
{
	struct __ptrace_syscall_info info = { .op = PTRACE_SYSCALL_INFO_NONE };

	ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info);
	return info;
}

static int killed(pid_t child, int status)
{
	int end;

	kill(child, SIGKILL);
	while (waitpid(-1, &end, __WALL) > 0 || errno == EINTR)
		;
	return status;
}

int main(int argc, char **argv)
{
	static bool sending[4194304];	/* by thread */
	unsigned long nth, sent = 0;
	int status;
	pid_t child, tid;

	if (argc < 3)
		return 2;
	nth = strtoul(argv[1], NULL, 0);
	child = fork();
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execvp(argv[2], argv + 2);
		die(argv[2]);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, child, NULL, OPTIONS) || ptrace(PTRACE_SYSCALL, child, NULL, NULL))
		die("cannot trace it");
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		int forward = 0;

		if (!WIFSTOPPED(status)) {
			if (tid != child)
				continue;
			fprintf(stderr, "killat: it ended by itself\n");
			return killed(child, 1);
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			struct __ptrace_syscall_info info = look(tid);

			if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
				if (info.entry.nr == SYS_write && info.entry.args[0] == 1)
					return killed(child, 3);
				sending[tid] = info.entry.nr == SYS_sendmsg ||
					       info.entry.nr == SYS_sendto;
			} else if (sending[tid] && ++sent == nth) {
				return killed(child, 0);
			}
		} else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP) {
			forward = WSTOPSIG(status);
		}
		ptrace(PTRACE_SYSCALL, tid, NULL, forward);
	}
	die("nobody is left");
}
