// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Marks of files. See marks.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "sync/blake2s.h"
#include "sync/hash.h"
#include "sync/marks.h"

/* What the mark of @name is called. Returns @text. */
static const char *mark_name(const char *name, char text[2 * SYNC_ROOT + 1])
{
	unsigned char hash[BLAKE2S_BYTES];

	blake2s(name, strlen(name), hash);
	return hash_text(hash, text);
}

static int folder_of(int folder)
{
	int fd = openat(folder, MARKS_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The mark itself. What it says is for people; that it is there is what counts. */
static int mark_make(int marks, const char *name, bool durable)
{
	const size_t length = strlen(name);
	char text[2 * SYNC_ROOT + 1];
	ssize_t wrote;
	int fd, code = 0;

	fd = openat(marks, mark_name(name, text), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	wrote = write(fd, name, length);
	if (wrote != (ssize_t)length)
		code = wrote < 0 ? -errno : -ENOSPC;
	else if (durable && (fsync(fd) < 0 || fsync(marks) < 0))
		code = -errno;
	close(fd);
	return code;
}

int mark_set(int folder, const char *name, bool durable, struct error *error)
{
	int marks, code;

	code = mkdirat(folder, MARKS_FOLDER, 0700) < 0 && errno != EEXIST ? -errno : 0;
	if (!code && durable && fsync(folder) < 0)
		code = -errno;
	if (!code) {
		marks = folder_of(folder);
		code = marks < 0 ? marks : mark_make(marks, name, durable);
		if (marks >= 0)
			close(marks);
	}
	return code ? error_set(error, code, "cannot note in %s that it is written to: %s", MARKS_FOLDER,
				strerror(-code)) : 0;
}

int mark_clear(int folder, const char *name, struct error *error)
{
	char text[2 * SYNC_ROOT + 1];
	int marks = folder_of(folder), code = 0;

	if (marks < 0)
		return 0;
	if (unlinkat(marks, mark_name(name, text), 0) < 0 && errno != ENOENT)
		code = error_set(error, -errno, "cannot note in %s that it is complete: %s", MARKS_FOLDER,
				 strerror(errno));
	close(marks);
	unlinkat(folder, MARKS_FOLDER, AT_REMOVEDIR);	/* unless there are others */
	return code;
}

bool mark_has(int folder, const char *name)
{
	char text[2 * SYNC_ROOT + 1];
	int marks = folder_of(folder);
	bool has;

	if (marks < 0)
		return false;
	has = !faccessat(marks, mark_name(name, text), F_OK, AT_SYMLINK_NOFOLLOW);
	close(marks);
	return has;
}

bool marks_name(const char *name)
{
	const size_t length = strlen(MARKS_FOLDER);

	return !strncmp(name, MARKS_FOLDER, length) && (!name[length] || name[length] == '/');
}
