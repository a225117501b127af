// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files beneath a folder. See beneath.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/text.h"
#include "sync/beneath.h"
#include "sync/message.h"

/* A descriptor or a negative errno. */
static int open_beneath(int folder, const char *name, uint64_t flags, uint32_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd;

	do {
		fd = syscall(SYS_openat2, folder, name, &how, sizeof(how));
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : (int)fd;
}

/* The folder that @name is in; *@last: its name there. @make: with all folders on the way. */
static int parent_open(int folder, const char *name, bool make, const char **last)
{
	char path[SYNC_NAME_MAX + 1];
	char *slash;
	int fd = open_beneath(folder, ".", O_RDONLY | O_DIRECTORY, 0), next;

	strcpy(path, name);
	*last = name;
	for (char *part = path; fd >= 0 && (slash = strchr(part, '/')); part = slash + 1) {
		*slash = '\0';
		*last = name + (slash + 1 - path);
		if (make && mkdirat(fd, part, 0777) < 0 && errno != EEXIST)
			next = -errno;
		else
			next = open_beneath(fd, part, O_RDONLY | O_DIRECTORY, 0);
		close(fd);
		fd = next;
	}
	return fd;
}

static int failed(struct error *error, int code, const char *what, const char *name)
{
	char clean[256];

	strncpy(clean, name, sizeof(clean) - 1);
	clean[sizeof(clean) - 1] = '\0';
	text_clean(clean);
	if (code == -ELOOP || code == -EXDEV || code == -ENOTDIR)
		return error_set(error, code, "cannot %s '%s': on the way there is a symbolic link, which is not followed, or a file",
				 what, clean);
	return error_set(error, code, "cannot %s '%s': %s", what, clean, strerror(-code));
}

int beneath_open(int folder, const char *name, uint32_t mode, bool *made, struct error *error)
{
	const uint64_t flags = O_RDWR | O_NONBLOCK | O_NOCTTY;
	struct stat status;
	const char *last;
	int parent, fd;

	*made = false;
	parent = parent_open(folder, name, true, &last);
	if (parent < 0)
		return failed(error, parent, "make the folder of", name);
	fd = open_beneath(parent, last, flags, 0);
	if (fd == -ENOENT) {
		/* The owner can write to it whatever the mode of the sender's is: it is written to again. */
		fd = open_beneath(parent, last, flags | O_CREAT | O_EXCL, (mode & 0777) | 0600);
		*made = fd >= 0;
	}
	close(parent);
	if (fd < 0)
		return failed(error, fd, "open", name);
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		close(fd);
		return failed(error, -EEXIST, "write to", name);
	}
	return fd;
}

int beneath_sync(int folder, const char *name)
{
	char path[SYNC_NAME_MAX + 1];
	const char *last;
	char *slash;
	int fd, code = 0;

	strcpy(path, name);
	do {
		fd = parent_open(folder, path, false, &last);
		if (fd < 0)
			return fd;
		if (fsync(fd) < 0)
			code = -errno;
		close(fd);
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} while (slash && !code);
	return code;
}

int beneath_remove(int folder, const char *name, struct error *error)
{
	char path[SYNC_NAME_MAX + 1];
	struct stat status;
	const char *last;
	int parent, code = 0;

	strcpy(path, name);
	for (;;) {
		bool file = !strcmp(path, name);

		parent = parent_open(folder, path, false, &last);
		if (parent < 0)
			return parent == -ENOENT ? 0 : failed(error, parent, "remove", name);
		if (file && !fstatat(parent, last, &status, AT_SYMLINK_NOFOLLOW) &&
		    !S_ISREG(status.st_mode))
			code = -EEXIST;
		else if (unlinkat(parent, last, file ? 0 : AT_REMOVEDIR) < 0)
			code = -errno;
		close(parent);
		if (code && !file)
			return 0;	/* a folder that is in use */
		if (code && code != -ENOENT)
			return failed(error, code, "remove", name);
		if (!strchr(path, '/'))
			return 0;
		*strrchr(path, '/') = '\0';
		code = 0;
	}
}
