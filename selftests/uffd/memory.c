// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memory SOCKET [OPTION]...: a program with memory that r3map uffd serve fills, moved by lines on
 * its standard input; it answers each with a line. Options are those of r3map_uffd_open(). SLICE is
 * a number.
 *
 *   get SLICE OFFSET              the byte, or "bus"
 *   set SLICE OFFSET BYTE         "ok", or "bus"
 *   start SLICE OFFSET            begins a get in another thread: "ok"
 *   end                           its answer
 *   save SLICE FILE               all of the slice to FILE, by write(2): "ok", or why not
 *   readers SLICE N               N threads read all of it, each from another place: "ok" if they saw the same
 *   drop SLICE OFFSET LENGTH      gives the pages back, madvise(2)
 *   forget SLICE OFFSET LENGTH    lets the kernel take the pages, but not what is in them
 *   split SLICE OFFSET LENGTH     makes them a mapping of their own, mprotect(2)
 *   sparse SLICE                  reads every other page: "ok"
 *   child SLICE OFFSET            what a child gets: the byte, or "segv"
 *   lost                          waits until the handler is lost: "ok"
 *   sync                          "ok", or the sentence
 *   close                         r3map_uffd_close(), and the end: the same
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libr3map/r3map.h"

#define READERS_MAX	64u
#define PAGE		4096u

static struct r3map_uffd *uffd;
static _Thread_local sigjmp_buf *volatile rescue;

static void on_bus(int number)
{
	if (rescue)
		siglongjmp(*rescue, 1);
	signal(number, SIG_DFL);
}

/* Does something to a byte; false: SIGBUS. */
static bool touch(volatile unsigned char *at, bool write, unsigned char *byte)
{
	sigjmp_buf here;

	if (sigsetjmp(here, 1)) {
		rescue = NULL;
		return false;
	}
	rescue = &here;
	if (write)
		*at = *byte;
	else
		*byte = *at;
	rescue = NULL;
	return true;
}

static unsigned char *slice(unsigned int n, uint64_t offset, uint64_t *size)
{
	unsigned char *memory = r3map_uffd_memory(uffd, n, size);

	if (!memory || offset >= *size) {
		fprintf(stderr, "memory: there is no byte %" PRIu64 " in slice %u\n", offset, n);
		exit(1);
	}
	return memory + offset;
}

static void answer(const char *text)
{
	printf("%s\n", text);
	fflush(stdout);
}

static void answer_call(int code, char *error)
{
	answer(code ? error ? error : "no memory" : "ok");
	if (code)
		free(error);
}

struct look {
	pthread_t thread;
	unsigned char *at;
	unsigned char byte;
	bool fine;
};

static void *look_run(void *data)
{
	struct look *look = data;

	look->fine = touch(look->at, false, &look->byte);
	return NULL;
}

static void look_answer(const struct look *look)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", look->byte);
	answer(look->fine ? text : "bus");
}

static void save(unsigned int n, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t size;
	const unsigned char *memory = slice(n, 0, &size);
	ssize_t put = 0;

	for (uint64_t at = 0; at < size && put >= 0; at += (uint64_t)put)
		put = write(fd, memory + at, size - at);
	answer(put < 0 ? strerror(errno) : "ok");
	close(fd);
}

struct reader {
	pthread_t thread;
	const unsigned char *memory;
	uint64_t size, from;
	uint64_t sum;		/* of words, each with its place, whatever the order */
};

static void *reader_run(void *data)
{
	struct reader *reader = data;

	for (uint64_t i = 0; i < reader->size; i += PAGE) {
		const uint64_t at = (reader->from + i) % reader->size;
		const uint64_t *words = (const uint64_t *)(reader->memory + at);

		for (unsigned int j = 0; j < PAGE / sizeof(*words); j++)
			reader->sum += words[j] * (at + j * 2 + 1);
	}
	return NULL;
}

static void readers(unsigned int n, unsigned int count)
{
	struct reader list[READERS_MAX];
	bool same = true;
	uint64_t size;
	const unsigned char *memory = slice(n, 0, &size);

	for (unsigned int i = 0; i < count && i < READERS_MAX; i++) {
		list[i] = (struct reader) {
			.memory = memory, .size = size, .from = size / count / PAGE * PAGE * i,
		};
		if (pthread_create(&list[i].thread, NULL, reader_run, &list[i]))
			exit(1);
	}
	for (unsigned int i = 0; i < count && i < READERS_MAX; i++) {
		pthread_join(list[i].thread, NULL);
		same = same && list[i].sum == list[0].sum;
	}
	answer(same ? "ok" : "they saw different bytes");
}

static void drop(unsigned int n, uint64_t offset, uint64_t length)
{
	uint64_t size;
	unsigned char *at = slice(n, offset, &size);

	/* From the file as well, where there is one. */
	if (madvise(at, length, MADV_REMOVE) && madvise(at, length, MADV_DONTNEED))
		answer(strerror(errno));
	else
		answer("ok");
}

static void sparse(unsigned int n)
{
	uint64_t size;
	const volatile unsigned char *memory = slice(n, 0, &size);

	for (uint64_t at = 0; at < size; at += 2 * PAGE)
		(void)memory[at];
	answer("ok");
}

static void split(unsigned int n, uint64_t offset, uint64_t length)
{
	uint64_t size;

	answer(mprotect(slice(n, offset, &size), length, PROT_READ) ? strerror(errno) : "ok");
}

static void forget(unsigned int n, uint64_t offset, uint64_t length)
{
	uint64_t size;

	answer(madvise(slice(n, offset, &size), length, MADV_DONTNEED) ? strerror(errno) : "ok");
}

static void child(unsigned int n, uint64_t offset)
{
	uint64_t size;
	volatile unsigned char *at = slice(n, offset, &size);
	pid_t pid = fork();
	char text[16];
	int status;

	if (!pid) {
		_exit(*at);
	}
	waitpid(pid, &status, 0);
	snprintf(text, sizeof(text), "%d", WEXITSTATUS(status));
	answer(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? "segv" : text);
}

static void lost(void)
{
	struct pollfd fd = { .fd = r3map_uffd_lost(uffd), .events = POLLIN };

	while (poll(&fd, 1, -1) != 1)
		;
	answer("ok");
}

static bool line_do(const char *line, struct look *look)
{
	uint64_t a, b, size;
	char path[256], *error = NULL;
	unsigned int n, byte;
	int code;

	if (sscanf(line, "get %u %" SCNu64, &n, &a) == 2) {
		look->at = slice(n, a, &size);
		look_run(look);
		look_answer(look);
	} else if (sscanf(line, "set %u %" SCNu64 " %u", &n, &a, &byte) == 3) {
		look->byte = (unsigned char)byte;
		answer(touch(slice(n, a, &size), true, &look->byte) ? "ok" : "bus");
	} else if (sscanf(line, "start %u %" SCNu64, &n, &a) == 2) {
		look->at = slice(n, a, &size);
		if (pthread_create(&look->thread, NULL, look_run, look))
			return false;
		answer("ok");
	} else if (!strcmp(line, "end\n")) {
		pthread_join(look->thread, NULL);
		look_answer(look);
	} else if (sscanf(line, "save %u %255s", &n, path) == 2) {
		save(n, path);
	} else if (sscanf(line, "readers %u %u", &n, &byte) == 2) {
		readers(n, byte);
	} else if (sscanf(line, "drop %u %" SCNu64 " %" SCNu64, &n, &a, &b) == 3) {
		drop(n, a, b);
	} else if (sscanf(line, "forget %u %" SCNu64 " %" SCNu64, &n, &a, &b) == 3) {
		forget(n, a, b);
	} else if (sscanf(line, "split %u %" SCNu64 " %" SCNu64, &n, &a, &b) == 3) {
		split(n, a, b);
	} else if (sscanf(line, "sparse %u", &n) == 1) {
		sparse(n);
	} else if (sscanf(line, "child %u %" SCNu64, &n, &a) == 2) {
		child(n, a);
	} else if (!strcmp(line, "lost\n")) {
		lost();
	} else if (!strcmp(line, "sync\n")) {
		code = r3map_uffd_sync(uffd, &error);
		answer_call(code, error);
	} else if (!strcmp(line, "close\n")) {
		code = r3map_uffd_close(uffd, &error);
		answer_call(code, error);
		return code;
	} else {
		fprintf(stderr, "memory: what is '%s'?\n", line);
		exit(2);
	}
	return true;
}

int main(int argc, char **argv)
{
	const struct sigaction bus = { .sa_handler = on_bus };
	struct look look = { 0 };
	char line[512], *error;

	if (argc < 2)
		return 2;
	uffd = r3map_uffd_open(argv[1], (const char *const *)argv + 2, &error);
	if (!uffd) {
		fprintf(stderr, "memory: %s\n", error);
		free(error);
		return 1;
	}
	sigaction(SIGBUS, &bus, NULL);
	answer("ready");
	while (fgets(line, sizeof(line), stdin))
		if (!line_do(line, &look))
			return 0;
	return 0;
}
