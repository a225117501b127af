// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Telling readiness, see notify.h. The parent of --daemon reads a pipe: a line or more means ready; its
 * end without one means that the child gave up, and has said why on the stderr they share.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/notify.h"

void notify_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t length;
	ssize_t sent;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;
	length = strlen(path);
	if (length >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, length);
	if (path[0] == '@')	/* the abstract name space */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	(void)sent;
	close(fd);
}

/* The parent's part. Does not return. */
static void notify_wait(int pipe, pid_t child)
{
	bool ready = false;
	char some[256];
	ssize_t got;
	int status;

	for (;;) {
		got = read(pipe, some, sizeof(some));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		fwrite(some, 1, (size_t)got, stdout);
		ready = true;
	}
	if (ready)
		exit(fflush(stdout) == EOF || ferror(stdout) ? 1 : 0);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))	/* it could not say why itself */
		fprintf(stderr, "r3map: the helper was ended by signal %d before it was ready\n",
			WTERMSIG(status));
	exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

int notify_fork(int *pipe, struct error *error)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
	fflush(NULL);
	child = fork();
	if (child < 0) {
		close(ends[0]);
		close(ends[1]);
		return error_set(error, -errno, "cannot start the helper: %s", strerror(errno));
	}
	if (child) {
		close(ends[1]);
		notify_wait(ends[0], child);
	}
	close(ends[0]);
	setsid();
	*pipe = ends[1];
	return 0;
}

int notify_ready(int pipe, const char *line, int log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* The folder we were started in is not to be kept busy; nothing needs it any more. */
	int moved = chdir("/");
	ssize_t wrote = write(pipe, line, strlen(line));

	(void)moved;
	if (wrote < 0) {	/* killed while it waited: nobody will ever know of the device */
		close(pipe);
		return -EPIPE;
	}
	close(pipe);
	if (null < 0)
		return 0;
	/* Whoever reads our output must see its end, or "$(r3map mount --daemon ...)" hangs. */
	for (int fd = 0; fd <= 2; fd++)
		dup2(fd == 2 && log >= 0 ? log : null, fd);
	close(null);
	return 0;
}
