// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A command on memory that a handler fills. See map.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "lib/run.h"
#include "lib/signals.h"
#include "uffd/map.h"

#define PIECE		65536u		/* bytes that are read or written at once */
#define STEP		4096u		/* bytes of the smallest page */

struct map {
	struct uffd_client *client;
	struct loop *loop;
	struct loop_source signals, child;
	pid_t pid;
	bool ended, signalled;
	uint64_t last_signal;
	int to[2], from[2];		/* pipes: the command's input, its output; -1: none */
	struct {
		pthread_t thread;
		bool started;
		struct error error;
	} feed, drain;
};

/* --- pages that cannot be had ------------------------------------------------------------- */

/* Where this thread goes on then. */
static _Thread_local sigjmp_buf *volatile rescue;

static void on_bus(int number)
{
	if (rescue)
		siglongjmp(*rescue, 1);
	signal(number, SIG_DFL);
}

/*
 * Copies by hand, so that a page that is missing is asked for by this program and not by the
 * kernel.
 */
static int bytes_copy(char *to, const char *from, size_t length)
{
	sigjmp_buf here;

	if (sigsetjmp(here, 1)) {
		rescue = NULL;
		return -EIO;
	}
	rescue = &here;
	for (size_t at = 0; at < length; at += STEP) {
		size_t some = length - at < STEP ? length - at : STEP;

		/* What does not change is not written. */
		if (memcmp(to + at, from + at, some))
			memcpy(to + at, from + at, some);
	}
	rescue = NULL;
	return 0;
}

/* --- the command's input and output ------------------------------------------------------- */

static bool put_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t put = write(fd, bytes, length);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		bytes += put;
		length -= (size_t)put;
	}
	return true;
}

static void *feed_run(void *data)
{
	struct map *map = data;
	char piece[PIECE];
	uint64_t length;
	char *memory;

	for (unsigned int n = 0; (memory = uffd_client_memory(map->client, n, &length)); n++) {
		for (uint64_t at = 0; at < length; at += PIECE) {
			size_t some = length - at < PIECE ? length - at : PIECE;

			if (bytes_copy(piece, memory + at, some)) {
				error_set(&map->feed.error, -EIO,
					  "the %zu bytes at %" PRIu64 " of slice %u cannot be read: the handler has lost them, or is lost",
					  some, at, n);
				goto close;
			}
			/* A command need not read all of it. */
			if (!put_all(map->to[1], piece, some))
				goto close;
		}
	}
close:
	close(map->to[1]);
	return NULL;
}

static void *drain_run(void *data)
{
	struct map *map = data;
	uint64_t length, at = 0;
	unsigned int n = 0;
	char *memory = uffd_client_memory(map->client, n, &length);
	char piece[PIECE];
	ssize_t got;

	while ((got = read(map->from[0], piece, sizeof(piece))) > 0 ||
	       (got < 0 && errno == EINTR)) {
		for (size_t used = 0, some; got > 0 && used < (size_t)got;
		     used += some, at += some) {
			if (memory && at == length) {
				memory = uffd_client_memory(map->client, ++n, &length);
				at = 0;
			}
			if (!memory) {
				error_set(&map->drain.error, -ENOSPC,
					  "the command has written more than the memory holds");
				goto close;
			}
			some = (size_t)got - used < length - at ? (size_t)got - used : length - at;
			if (bytes_copy(memory + at, piece + used, some)) {
				error_set(&map->drain.error, -EIO,
					  "slice %u cannot be written at %" PRIu64 ": the handler is lost, or cannot read what is there",
					  n, at);
				goto close;
			}
		}
	}
close:
	close(map->from[0]);
	return NULL;
}

/* --- its life ----------------------------------------------------------------------------- */

static int child_ends[2] = { -1, -1 };	/* what becomes its standard input and output */

static void child_streams(void)
{
	dup2(child_ends[0], STDIN_FILENO);
	if (child_ends[1] >= 0)
		dup2(child_ends[1], STDOUT_FILENO);
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
}

/* For programs that use process_vm_readv(2). */
static int map_tell(const struct map *map)
{
	char text[32], *list = NULL;
	uint64_t length;
	size_t size;
	FILE *out = open_memstream(&list, &size);
	void *memory;

	if (!out)
		return -ENOMEM;
	for (unsigned int n = 0; (memory = uffd_client_memory(map->client, n, &length)); n++)
		fprintf(out, "%s%p+%" PRIu64, n ? " " : "", memory, length);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	if (fclose(out) || setenv("R3MAP_PID", text, 1) || setenv("R3MAP_MEMORY", list, 1)) {
		free(list);
		return -ENOMEM;
	}
	free(list);
	return 0;
}

static void map_signal(struct loop_source *source, uint32_t events)
{
	struct map *map = (struct map *)((char *)source - offsetof(struct map, signals));
	struct signalfd_siginfo info;
	bool again;

	(void)events;
	if (!signals_take(source, &info, &map->last_signal, &again))
		return;
	/* The command may wait for memory that never comes. */
	if (again)
		_exit(EXIT_FAILURE);
	map->signalled = true;
	run_signal(map->pid, &info);
}

static void map_child(struct loop_source *source, uint32_t events)
{
	struct map *map = (struct map *)((char *)source - offsetof(struct map, child));

	(void)events;
	map->ended = true;
}

static int map_start(struct map *map, const struct uffd_map_options *options, struct error *error)
{
	int code;

	if (pipe2(map->to, O_CLOEXEC) < 0 || (options->write && pipe2(map->from, O_CLOEXEC) < 0))
		return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
	code = map_tell(map);
	if (code)
		return error_set(error, code, "out of memory");
	child_ends[0] = map->to[0];
	child_ends[1] = map->from[1];
	code = run_start(options->run, child_streams, &map->pid, &map->child.fd, error);
	if (code)
		return code;
	close(map->to[0]);
	map->to[0] = -1;
	if (map->from[1] >= 0)
		close(map->from[1]);
	map->from[1] = -1;
	code = loop_add(map->loop, &map->child, EPOLLIN);
	if (!code)
		code = -pthread_create(&map->feed.thread, NULL, feed_run, map);
	map->feed.started = !code;
	if (!code && options->write)
		code = -pthread_create(&map->drain.thread, NULL, drain_run, map);
	map->drain.started = !code && options->write;
	return code ? error_set(error, code, "cannot serve the command: %s", strerror(-code)) : 0;
}

static int map_up(struct map *map, const struct uffd_map_options *options, struct error *error)
{
	const struct sigaction bus = { .sa_handler = on_bus };
	int code = loop_new(&map->loop);

	if (code)
		return error_set(error, code, "cannot wait for anything: %s", strerror(-code));
	map->signals.ready = map_signal;
	map->child.ready = map_child;
	code = signals_watch(map->loop, &map->signals, error);
	if (!code)
		code = uffd_client_open(options->socket, &options->client, &map->client, error);
	if (code)
		return code;
	sigaction(SIGBUS, &bus, NULL);
	return map_start(map, options, error);
}

/* In reverse; the status of the command, or what went wrong with its memory. */
static int map_down(struct map *map, const struct uffd_map_options *options, int code,
		    struct error *error)
{
	const int ends[] = { map->to[0], map->from[1], map->feed.started ? -1 : map->to[1],
			     map->drain.started ? -1 : map->from[0] };
	int status = 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends[i] >= 0)
			close(ends[i]);
	if (map->feed.started)
		pthread_join(map->feed.thread, NULL);
	if (map->drain.started)
		pthread_join(map->drain.thread, NULL);
	if (map->pid) {
		status = run_status(map->pid);
		loop_remove(map->loop, &map->child);
		close(map->child.fd);
	}
	if (!code && (map->feed.error.code || map->drain.error.code)) {
		*error = map->feed.error.code ? map->feed.error : map->drain.error;
		code = error->code;
	}
	if (!code && options->write && !map->signalled)
		code = uffd_client_sync(map->client, error);
	if (map->client)
		uffd_client_close(map->client);
	if (map->signals.added)
		loop_remove(map->loop, &map->signals);
	if (map->signals.fd >= 0)
		close(map->signals.fd);
	if (map->loop)
		loop_free(map->loop);
	return code ? code : status;
}

int uffd_map(const struct uffd_map_options *options, struct error *error)
{
	struct map map = {
		.signals.fd = -1, .child.fd = -1, .to = { -1, -1 }, .from = { -1, -1 },
	};
	int code = map_up(&map, options, error);

	while (!code && !map.ended)
		code = loop_once(map.loop, UINT64_MAX);
	return map_down(&map, options, code, error);
}
