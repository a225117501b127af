// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shared memory by name: see shared.h.
 *
 * It is a file on the host's tmpfs, where POSIX shared memory is, so it stays when its processes
 * end, and goes with the machine, or by rm. Opened like a file: it is read and written by calls,
 * never mapped, because a mapped hole that is read takes memory, and one behind the end of a file
 * that somebody cut off takes the process. What is special is only how it comes to be: it gets its
 * size first and its name then, so nobody ever finds it half made.
 *
 * Anybody may make names in that folder. What belongs to another user is therefore refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "file.h"
#include "shared.h"
#include "../lib/error.h"
#include "../lib/size.h"

#define FOLDER		"/dev/shm"
#define NAME_LENGTH	64
#define LETTERS		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define TRIES		8	/* each one loses against somebody who makes or removes it */

struct shared_spec {
	uint64_t size;		/* 0: that of what is there */
	char name[NAME_LENGTH + 1];
	char path[sizeof(FOLDER "/r3map-") + NAME_LENGTH];
};

static int name_parse(const char *text, struct shared_spec *spec, struct error *error)
{
	size_t length = strlen(text);

	if (!length || length > NAME_LENGTH || strspn(text, LETTERS "-_.") < length ||
	    !strchr(LETTERS, text[0]))
		return error_set(error, -EINVAL,
			"'%.80s' is not a name: write 1 to %u letters, digits, '-', '_' and '.', beginning with a letter or digit",
			text, NAME_LENGTH);
	memcpy(spec->name, text, length + 1);
	snprintf(spec->path, sizeof(spec->path), FOLDER "/r3map-%s", text);
	return 0;
}

static int spec_parse(const char *rest, struct shared_spec *spec, struct error *error)
{
	const char *mark = strchr(rest, '?');
	size_t length = (size_t)(mark - rest);
	char size[32];
	int code;

	*spec = (struct shared_spec) { .size = 0 };
	if (strncmp(mark, "?name=", 6))
		return error_set(error, -EINVAL,
				 "unknown option '%s': write mem:SIZE?name=NAME", mark + 1);
	if (length >= sizeof(size))
		return error_set(error, -EINVAL, "what is before the '?' is not a size");
	if (length) {
		memcpy(size, rest, length);
		size[length] = '\0';
		code = size_parse(size, &spec->size, error);
		if (code)
			return code;
		if (spec->size == 0 || spec->size > INT64_MAX)
			return error_set(error, -EINVAL,
					 "a region has at least 1 byte and less than 8E");
	}
	return name_parse(mark + 6, spec, error);
}

/* Returns a descriptor or a negative errno; -EEXIST: somebody was faster. */
static int memory_make(const struct shared_spec *spec, struct error *error)
{
	char self[32];
	int code, fd;

	fd = open(FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(error, -errno, "cannot make shared memory in " FOLDER ": %s",
				 strerror(errno));
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (ftruncate(fd, (off_t)spec->size) == 0 &&
	    linkat(AT_FDCWD, self, AT_FDCWD, spec->path, AT_SYMLINK_FOLLOW) == 0)
		return fd;
	code = error_set(error, -errno, "cannot make %s: %s", spec->path, strerror(errno));
	close(fd);
	return code;
}

/* Returns a descriptor or a negative errno. */
static int memory_open(const struct shared_spec *spec, struct error *error)
{
	unsigned int i;
	int fd;

	for (i = 0; i < TRIES; i++) {
		fd = open(spec->path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (errno == EACCES || errno == EPERM)
			return error_set(error, -errno,
				"%s belongs to another user: choose another name", spec->path);
		if (errno != ENOENT)
			return error_set(error, -errno, "cannot open %s: %s", spec->path,
					 strerror(errno));
		if (!spec->size)
			return error_set(error, -ENOENT,
				"there is none of this name: give a size to make it, as in mem:64M?name=%s",
				spec->name);
		fd = memory_make(spec, error);
		if (fd != -EEXIST)
			return fd;
	}
	return error_set(error, -EAGAIN, "%s comes and goes: somebody removes it again and again",
			 spec->path);
}

static int memory_check(int fd, const struct shared_spec *spec, struct stat *stat,
			struct error *error)
{
	char there[SIZE_TEXT], wanted[SIZE_TEXT];
	struct statfs fs;

	if (fstat(fd, stat) < 0 || fstatfs(fd, &fs) < 0)
		return error_set(error, -errno, "%s: %s", spec->path, strerror(errno));
	if (!S_ISREG(stat->st_mode) || fs.f_type != TMPFS_MAGIC)
		return error_set(error, -EINVAL, "%s is not shared memory: " FOLDER
				 " must be a tmpfs, and that name a file", spec->path);
	if (stat->st_uid != geteuid())
		return error_set(error, -EPERM, "%s belongs to another user: choose another name",
				 spec->path);
	if (spec->size && (uint64_t)stat->st_size != spec->size)
		return error_set(error, -EEXIST,
			"it is there with %s, not %s: write mem:?name=%s to use it, or remove %s",
			size_format((uint64_t)stat->st_size, there),
			size_format(spec->size, wanted), spec->name, spec->path);
	return 0;
}

int shared_open(const char *rest, struct backend **backend, struct error *error)
{
	struct shared_spec spec;
	char text[SIZE_TEXT];
	char *name = NULL;
	struct stat stat;
	int code, fd;

	code = spec_parse(rest, &spec, error);
	if (code)
		return error_prefix(error, "mem:%s", rest);
	fd = memory_open(&spec, error);
	if (fd < 0)
		return error_prefix(error, "mem:%s", rest);
	code = memory_check(fd, &spec, &stat, error);
	if (code) {
		close(fd);
		return error_prefix(error, "mem:%s", rest);
	}
	if (asprintf(&name, "mem:%s?name=%s", size_format((uint64_t)stat.st_size, text),
		     spec.name) < 0)
		name = NULL;
	*backend = name ? file_memory_new(fd, &stat, name) : NULL;
	if (*backend)
		return 0;
	free(name);
	close(fd);
	return error_set(error, -ENOMEM, "out of memory");
}
