// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The helper's door. See door.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "lib/size.h"
#include "mount/door.h"

#define BACKLOG		8
#define LINE_BYTES	64	/* of all that is asked, with its newline */
#define MS		1000000ULL	/* ns */

static const char *const words[DOOR_WORDS] = {
	[DOOR_SHOW] = "show", [DOOR_SYNC] = "sync", [DOOR_UMOUNT] = "umount", [DOOR_FORCE] = "force",
	[DOOR_PULL] = "pull", [DOOR_RATE] = "rate", [DOOR_FINALIZE] = "finalize",
	[DOOR_PREPARE] = "prepare", [DOOR_PROCEED] = "proceed", [DOOR_UNDO] = "undo",
	[DOOR_TRACK] = "track",
};

struct caller {
	struct loop_source source;
	struct door *door;
	struct caller *next;
	enum door_word word;		/* DOOR_WORDS: it has not said it yet */
	char line[LINE_BYTES];
	size_t used;
};

struct door {
	struct loop_source source;	/* listens */
	struct loop *loop;
	struct caller *callers;
	struct caller *asking;		/* one of them, while @asked hears of him; or NULL */
	door_asked *asked;
	void *data;
	char path[64];
	ino_t inode;			/* of @path */
};

static void door_path(const char *disk, char path[64])
{
	snprintf(path, 64, DOOR_FOLDER "/%.32s", disk);
}

/* --- the helper's side -------------------------------------------------------------------- */

static void caller_free(struct caller *caller)
{
	struct caller **at = &caller->door->callers;

	while (*at != caller)
		at = &(*at)->next;
	*at = caller->next;
	if (caller->source.fd >= 0) {
		loop_remove(caller->door->loop, &caller->source);
		close(caller->source.fd);
	}
	free(caller);
}

/* The word at the start of @line, and behind it *@argument. DOOR_WORDS: none. */
static enum door_word line_word(const char *line, const char **argument)
{
	size_t length = strcspn(line, " ");
	unsigned int i;

	for (i = 0; i < DOOR_WORDS; i++)
		if (strlen(words[i]) == length && !memcmp(line, words[i], length))
			break;
	*argument = line + length + (line[length] == ' ');
	return (enum door_word)i;
}

static void caller_ready(struct loop_source *source, uint32_t events)
{
	struct caller *caller = (struct caller *)source;	/* its first member */
	struct door *door = caller->door;
	const char *argument;
	ssize_t got;
	char *end;

	(void)events;
	got = read(source->fd, caller->line + caller->used, LINE_BYTES - caller->used);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* It waits no more, or it says too much. */
	if (got <= 0 || caller->word != DOOR_WORDS) {
		const bool left = caller->word == DOOR_PREPARE;

		caller_free(caller);
		if (left)
			door->asked(door->data, DOOR_LEFT, "");
		return;
	}
	caller->used += (size_t)got;
	end = memchr(caller->line, '\n', caller->used);
	if (!end && caller->used < LINE_BYTES)
		return;
	if (end && end == caller->line + caller->used - 1) {
		*end = '\0';
		caller->word = line_word(caller->line, &argument);
	}
	if (caller->word == DOOR_WORDS) {
		caller_free(caller);
		return;
	}
	door->asking = caller;
	door->asked(door->data, caller->word, argument);
	door->asking = NULL;
}

static void door_ready(struct loop_source *source, uint32_t events)
{
	struct door *door = (struct door *)source;	/* its first member */
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct caller *caller;

	(void)events;
	if (fd < 0)
		return;
	caller = calloc(1, sizeof(*caller));
	if (!caller) {
		close(fd);
		return;
	}
	caller->source = (struct loop_source) { .fd = fd, .ready = caller_ready };
	caller->door = door;
	caller->word = DOOR_WORDS;
	caller->next = door->callers;
	door->callers = caller;
	if (loop_add(door->loop, &caller->source, EPOLLIN))
		caller_free(caller);
}

/* A name that an earlier helper has left is in the way. */
static int door_bind(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (mkdir(DOOR_FOLDER, 0700) < 0 && errno != EEXIST)
		return -errno;
	unlink(path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int door_open(struct loop *loop, const char *disk, door_asked *asked, void *data,
	      struct door **out, struct error *error)
{
	struct door *door = calloc(1, sizeof(*door));
	struct stat stat = { 0 };
	int err;

	if (!door)
		return error_set(error, -ENOMEM, "out of memory");
	door->loop = loop;
	door->asked = asked;
	door->data = data;
	door_path(disk, door->path);
	door->source.ready = door_ready;
	door->source.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = door->source.fd < 0 ? -errno : door_bind(door->source.fd, door->path);
	if (!err)
		err = loop_add(loop, &door->source, EPOLLIN);
	if (err) {
		error_set(error, err, "cannot listen on %s, where r3map show, set, sync and umount would ask: %s",
			  door->path, strerror(-err));
		if (door->source.fd >= 0)
			close(door->source.fd);
		free(door);
		return err;
	}
	if (!lstat(door->path, &stat))
		door->inode = stat.st_ino;
	*out = door;
	return 0;
}

void door_hide(struct door *door)
{
	struct stat stat;

	/* The device is gone, so another one may have its number, and a door there, by now. */
	if (door && !lstat(door->path, &stat) && stat.st_ino == door->inode)
		unlink(door->path);
}

void door_close(struct door *door)
{
	if (!door)
		return;
	while (door->callers)
		caller_free(door->callers);
	door_hide(door);
	loop_remove(door->loop, &door->source);
	close(door->source.fd);
	free(door);
}

static void caller_answer(struct caller *caller, int code, const char *text)
{
	char line[DOOR_ANSWER];
	int length = snprintf(line, sizeof(line), "%d %s\n", -code, text);
	ssize_t sent;

	if (length >= (int)sizeof(line))
		length = sizeof(line) - 1;
	/* It fits into the socket, or whoever asked is gone. */
	sent = send(caller->source.fd, line, (size_t)length, MSG_NOSIGNAL);
	(void)sent;
	if (caller->word != DOOR_PREPARE || code)
		caller_free(caller);
}

void door_answer(struct door *door, enum door_word word, int code, const char *text)
{
	struct caller *caller, *next;

	for (caller = door ? door->callers : NULL; caller; caller = next) {
		next = caller->next;
		if (caller->word == word)
			caller_answer(caller, code, text);
	}
}

void door_refuse(struct door *door, int code, const char *text)
{
	if (door->asking)
		caller_answer(door->asking, code, text);
	door->asking = NULL;
}

int door_take(struct door *door, enum door_word word)
{
	struct caller *caller = door->callers;
	int fd = -1;

	while (caller && caller->word != word)
		caller = caller->next;
	if (caller) {
		loop_remove(door->loop, &caller->source);
		fd = caller->source.fd;
		caller->source.fd = -1;
		caller_free(caller);
	}
	return fd;
}

/* --- the other side ----------------------------------------------------------------------- */

bool door_names(const char *text, uint32_t *index)
{
	uint64_t number;

	if (!strncmp(text, "/dev/", 5))
		text += 5;
	if (strncmp(text, "nbd", 3) || number_parse(text + 3, 0, INT32_MAX, &number, NULL))
		return false;
	*index = (uint32_t)number;
	return true;
}

static int door_connect(const struct sockaddr_un *address, const char *disk, int *out,
			struct error *error)
{
	const bool known = strncmp(disk, "nbd", 3);	/* to the module */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address))) {
		*out = fd;
		return 0;
	}
	err = -errno;
	close(fd);
	if (err == -ENOENT && known)
		return error_set(error, err, "the helper of /dev/%s cannot be asked: it listens on no %s",
				 disk, address->sun_path);
	if (err == -ENOENT)
		return error_set(error, err,
				 "/dev/%s is no device of r3map: that would be one of r3map mount --via nbd",
				 disk);
	if (err == -ECONNREFUSED)
		return error_set(error, err, "the helper of /dev/%s is gone: %s", disk,
				 known ? "see 'r3map show'" : "r3map umount removes the device");
	return error_set(error, err, "cannot ask the helper of /dev/%s: %s%s", disk, strerror(-err),
			 err == -EACCES ? ", run it as root" : "");
}

/* Reads until the helper has said all, which is a line. Returns how much it is, or a negative errno. */
static ssize_t door_read(int fd, uint64_t deadline, char *text, size_t size)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	size_t used = 0;
	ssize_t got;

	for (;;) {
		uint64_t now = loop_now();
		int ready = poll(&pollfd, 1, now < deadline ? (int)((deadline - now) / MS + 1) : 0);

		if (!ready)
			return -ETIMEDOUT;
		got = ready < 0 ? -1 : read(fd, text + used, size - 1 - used);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (!got || (got > 0 && ((used += (size_t)got) == size - 1 || text[used - 1] == '\n')))
			break;
	}
	text[used] = '\0';
	return (ssize_t)used;
}

static int door_listen(int fd, const char *disk, uint64_t deadline, char **answer,
		       struct error *error)
{
	char text[DOOR_ANSWER], *rest;
	ssize_t got = door_read(fd, deadline, text, sizeof(text));
	long code;

	if (got == -ETIMEDOUT)
		return error_set(error, -ETIMEDOUT,
				 "the helper of /dev/%s is not done yet: 'r3map show' tells what is left to be written back, --timeout waits longer",
				 disk);
	if (got <= 0)
		return error_set(error, -EPIPE, "the helper of /dev/%s has ended without an answer",
				 disk);
	text[strcspn(text, "\n")] = '\0';
	code = strtol(text, &rest, 10);
	rest += *rest == ' ';
	if (code)
		return error_set(error, -(int)code, "%s", rest);
	*answer = strdup(rest);
	return *answer ? 0 : error_set(error, -ENOMEM, "out of memory");
}

int door_call(const char *disk, enum door_word word, const char *argument, int *fd,
	      struct error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[64], line[LINE_BYTES];
	int err;

	door_path(disk, path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	err = door_connect(&address, disk, fd, error);
	if (err)
		return err;
	snprintf(line, sizeof(line), "%s%s%s\n", words[word], argument ? " " : "",
		 argument ? argument : "");
	if (send(*fd, line, strlen(line), MSG_NOSIGNAL) >= 0)
		return 0;
	error_set(error, -errno, "cannot ask the helper of /dev/%s: %s", disk, strerror(errno));
	close(*fd);
	return error->code;
}

static int door_call_and_listen(const char *disk, enum door_word word, const char *argument,
				uint32_t timeout_ms, int *fd, char **answer, struct error *error)
{
	const uint64_t deadline = loop_now() + timeout_ms * MS;
	int err;

	err = door_call(disk, word, argument, fd, error);
	if (err)
		return err;
	err = door_listen(*fd, disk, deadline, answer, error);
	if (err)
		close(*fd);
	return err;
}

int door_ask_disk(const char *disk, enum door_word word, const char *argument,
		  uint32_t timeout_ms, char **answer, struct error *error)
{
	int fd, err;

	err = door_call_and_listen(disk, word, argument, timeout_ms, &fd, answer, error);
	if (!err)
		close(fd);
	return err;
}

int door_ask_staying(const char *disk, enum door_word word, uint32_t timeout_ms, int *fd,
		     char **answer, struct error *error)
{
	return door_call_and_listen(disk, word, NULL, timeout_ms, fd, answer, error);
}

int door_ask(uint32_t index, enum door_word word, uint32_t timeout_ms, char *answer, size_t size,
	     struct error *error)
{
	char disk[16], *text;
	int err;

	snprintf(disk, sizeof(disk), "nbd%" PRIu32, index);
	err = door_ask_disk(disk, word, NULL, timeout_ms, &text, error);
	if (err)
		return err;
	snprintf(answer, size, "%s", text);
	free(text);
	return 0;
}

void door_forget(uint32_t index)
{
	char disk[16], path[64];

	snprintf(disk, sizeof(disk), "nbd%" PRIu32, index);
	door_path(disk, path);
	unlink(path);
}
