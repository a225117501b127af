// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unix sockets by path. See unix.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/unix.h"

/* A socket, and @path as an address for it. */
static int unix_socket(const char *path, int type, struct sockaddr_un *address, socklen_t *length,
		       struct error *error)
{
	const size_t used = strlen(path);
	int fd;

	if (!used || used >= sizeof(address->sun_path))
		return error_set(error, -ENAMETOOLONG, "a socket's path has 1 to %zu bytes",
				 sizeof(address->sun_path) - 1);
	*address = (struct sockaddr_un) { .sun_family = AF_UNIX };
	memcpy(address->sun_path, path, used);
	*length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + used + 1);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? error_set(error, -errno, "cannot make a socket: %s", strerror(errno)) : fd;
}

/*
 * A socket file that nobody listens on is left over from a server that was killed. Any other file
 * refuses connections, too, and is not ours to remove.
 */
static bool is_stale(const struct sockaddr_un *address, socklen_t length, int type)
{
	struct stat status;
	bool stale;
	int fd;

	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address, length) < 0 &&
		errno == ECONNREFUSED;
	close(fd);
	return stale;
}

int unix_bind(const char *path, int type, struct error *error)
{
	struct sockaddr_un address;
	socklen_t length;
	int fd = unix_socket(path, type, &address, &length, error), code;

	if (fd < 0)
		return fd;
	code = bind(fd, (struct sockaddr *)&address, length) < 0 ? -errno : 0;
	if (code == -EADDRINUSE && is_stale(&address, length, type) && unlink(path) == 0)
		code = bind(fd, (struct sockaddr *)&address, length) < 0 ? -errno : 0;
	if (code) {
		close(fd);
		return error_set(error, code, "cannot listen on %s: %s%s", path, strerror(-code),
				 code == -EADDRINUSE ? "; is another server running there, or is "
				 "it a file that is no socket?" : "");
	}
	return fd;
}

int unix_listen(const char *path, int type, int backlog, struct error *error)
{
	int fd = unix_bind(path, type, error), code;

	if (fd < 0 || !listen(fd, backlog))
		return fd;
	code = -errno;
	unlink(path);
	close(fd);
	return error_set(error, code, "cannot listen on %s: %s", path, strerror(-code));
}

int unix_connect(const char *path, int type, struct error *error)
{
	struct sockaddr_un address;
	socklen_t length;
	int fd = unix_socket(path, type, &address, &length, error), code;

	if (fd < 0)
		return fd;
	if (!connect(fd, (struct sockaddr *)&address, length))
		return fd;
	code = -errno;
	close(fd);
	return error_set(error, code, "cannot connect to %s: %s", path, strerror(-code));
}
