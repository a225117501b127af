// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Running r3map. See call.h.
 *
 * What this process is like must not matter: it may have threads, it may wait for all of its
 * children or ignore SIGCHLD, its descriptors 0 to 2 may be closed, others may lack FD_CLOEXEC. So
 * the child is made by posix_spawn(), which copies no memory and runs nothing of this process; it
 * gets three descriptors and no more, since the helper that it may leave behind lives long; and a
 * shell between writes the exit status to the pipe, where nobody else can take it away.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libr3map/call.h"
#include "libr3map/fail.h"

#define SHELL		"/bin/sh"
#define SCRIPT		"\"$@\"; echo \"=$?\""
#define NOT_FOUND	127	/* exit statuses of a shell */
#define SIGNALLED	128	/* and the number of the signal */

extern char **environ;

void call_begin(struct call *call, const char *program)
{
	memset(call, 0, sizeof(*call));
	call->words[0] = SHELL;
	call->words[1] = "-c";
	call->words[2] = SCRIPT;
	call->words[3] = "sh";
	call->words[4] = program;
	call->used = 5;
}

int call_add(struct call *call, const char *word)
{
	if (call->used == CALL_WORDS - 1)
		return -1;
	call->words[call->used++] = word;
	return 0;
}

/* A pipe whose ends are none of 0 to 2. */
static int pipe_make(int ends[2])
{
	int low[2], code;

	if (pipe2(low, O_CLOEXEC) < 0)
		return -1;
	ends[0] = fcntl(low[0], F_DUPFD_CLOEXEC, 3);
	ends[1] = ends[0] < 0 ? -1 : fcntl(low[1], F_DUPFD_CLOEXEC, 3);
	code = errno;
	close(low[0]);
	close(low[1]);
	if (ends[1] >= 0)
		return 0;
	if (ends[0] >= 0)
		close(ends[0]);
	errno = code;
	return -1;
}

/* Signals as they are for a program that a shell has started; all else of ours stays here. */
static int call_spawn(const struct call *call, int out, int said, pid_t *pid)
{
	const int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t set;
	int code;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	code = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!code)
		code = posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (!code)
		code = posix_spawn_file_actions_adddup2(&actions, said, 2);
	if (!code)
		code = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	posix_spawnattr_setflags(&attr, flags);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	posix_spawnattr_setsigdefault(&attr, &set);
	if (!code)
		code = posix_spawn(pid, SHELL, &actions, &attr, (char *const *)call->words, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return code;
}

/*
 * What does not fit is read and forgotten: @last, of the start, else of the end. False: it is over.
 */
static bool text_read(int fd, char text[CALL_TEXT], bool last)
{
	char some[512];
	ssize_t got = read(fd, some, sizeof(some));
	size_t used = strlen(text), room = CALL_TEXT - 1 - used, more = (size_t)got, drop;

	if (got < 0)
		return errno == EINTR || errno == EAGAIN;
	if (!got)
		return false;
	if (memchr(some, '\0', more))	/* no sentence */
		return true;
	if (more > room && last) {
		drop = more - room;
		memmove(text, text + drop, used - drop + 1);
		used -= drop;
	} else if (more > room) {
		more = room;
	}
	memcpy(text + used, some, more);
	text[used + more] = '\0';
	return true;
}

/* Until both are closed by everybody: a helper closes them when it is ready. */
static void call_hear(struct call *call, int out, int said)
{
	struct pollfd fds[2] = { { .fd = out, .events = POLLIN }, { .fd = said, .events = POLLIN } };

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents && !text_read(out, call->out, false))
			fds[0].fd = -1;
		if (fds[1].revents && !text_read(said, call->said, true))
			fds[1].fd = -1;
	}
}

/* What the shell has told; -1: nothing. */
static int call_status(const struct call *call)
{
	const char *at = call->out, *line = NULL;

	while ((at = strchr(at, '='))) {
		if (at == call->out || at[-1] == '\n')
			line = at;
		at++;
	}
	return line ? atoi(line + 1) : -1;
}

/* The last line, without the program's name before it. */
static const char *call_sentence(struct call *call)
{
	size_t end = strlen(call->said);
	char *line;

	while (end > 0 && call->said[end - 1] == '\n')
		call->said[--end] = '\0';
	line = strrchr(call->said, '\n');
	line = line ? line + 1 : call->said;
	return strncmp(line, "r3map: ", 7) ? line : line + 7;
}

int call_run(struct call *call, char **error)
{
	const char *program = call->words[4];
	int out[2], said[2], status, code;
	pid_t pid;

	if (pipe_make(out) < 0)
		return fail(error, errno, "cannot make a pipe: %s", strerror(errno));
	if (pipe_make(said) < 0) {
		code = errno;
		close(out[0]);
		close(out[1]);
		return fail(error, code, "cannot make a pipe: %s", strerror(code));
	}
	code = call_spawn(call, out[1], said[1], &pid);
	close(out[1]);
	close(said[1]);
	if (!code)
		call_hear(call, out[0], said[0]);
	close(out[0]);
	close(said[0]);
	if (code)
		return fail(error, code, "cannot run %s: %s", program, strerror(code));
	/* Somebody who waits for all children may have been faster. */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	status = call_status(call);
	if (!status)
		return 0;
	if (status == NOT_FOUND)
		return fail(error, ENOENT, "cannot run %s: install r3map, or give program=PATH", program);
	if (status > SIGNALLED)
		return fail(error, EIO, "%s was ended by signal %d", program, status - SIGNALLED);
	if (status < 0 || !*call_sentence(call))
		return fail(error, EIO, "%s was ended before it could say anything", program);
	return fail(error, status == 2 ? EINVAL : EIO, "%s", call_sentence(call));
}
