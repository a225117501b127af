// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * slice [--serve SOCKET SIZE] BACKEND [OPTION]...: uses libr3map as its standard input says, a command
 * a line, and answers each with a line: ok, what was asked for, or what is wrong.
 *
 *   path | size
 *   byte OFFSET            of the memory; SIGBUS if that is what comes
 *   fill OFFSET LENGTH BYTE
 *   put OFFSET BYTE        512 of them, by the descriptor
 *   sync | close | abandon
 * with --serve:
 *   same                   is the memory what is served?
 *   storm                  threads read and write the memory while it is synced again and again
 *
 * --serve: SIZE bytes of this process's memory, by an NBD server that is in this process, too.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/backend.h"
#include "lib/error.h"
#include "lib/loop.h"
#include "libr3map/r3map.h"
#include "serve/export.h"
#include "serve/listen.h"
#include "serve/serve.h"
#include "serve/thread.h"

#define PAGE	4096u
#define STORMS	2u		/* threads */
#define WRITES	300u		/* of each */

static struct r3map_region *region;
static volatile uint8_t *memory;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "slice: %s\n", what);
	exit(1);
}

/* --- the server --------------------------------------------------------------------------- */

static struct server server = {
	.limits = {
		.connections = 64, .export_connections = 64, .options = 64, .name = 4096,
		.payload = 32u << 20, .requests = 1024, .memory = 64u << 20, .handshake = 10000,
		.stall = 60000, .shutdown = 10000,
	},
	.thread_count = 2,
};

static struct listeners listeners = { .server = &server };
static struct backend *served;

static void *server_main(void *data)
{
	(void)data;
	loop_run(listeners.loop);
	return NULL;
}

static void serve(const char *path, const char *size)
{
	struct error error = { 0 };
	char spec[64];
	pthread_t id;

	signal(SIGPIPE, SIG_IGN);
	snprintf(spec, sizeof(spec), "mem:%s", size);
	if (backend_open(spec, &served, &error) ||
	    exports_add_open(&server.exports, served, false, &server.limits, false, &error) ||
	    exports_settle(&server.exports, NULL, server.thread_count, &error))
		die(error.text);
	server.threads = calloc(server.thread_count, sizeof(*server.threads));
	for (unsigned int i = 0; i < server.thread_count; i++)
		if (!server.threads || thread_start(&server.threads[i], &server, i))
			die("no thread");
	if (loop_new(&listeners.loop) || listen_unix(&listeners, path, &error) ||
	    listen_start(&listeners) || pthread_create(&id, NULL, server_main, NULL))
		die(error.text);
}

/* --- commands ----------------------------------------------------------------------------- */

static sigjmp_buf bus;

static void on_bus(int number)
{
	(void)number;
	siglongjmp(bus, 1);
}

static void say_byte(uint64_t offset)
{
	if (sigsetjmp(bus, 1))
		puts("SIGBUS");
	else
		printf("%u\n", memory[offset]);
}

static void say_same(void)
{
	const uint8_t *there = backend_map(served, 0, (uint32_t)r3map_size(region));

	/* So that it comes from there, and not from the page cache. */
	posix_fadvise(r3map_fd(region), 0, 0, POSIX_FADV_DONTNEED);
	for (uint64_t i = 0; i < r3map_size(region); i++) {
		if (memory[i] == there[i])
			continue;
		printf("byte %" PRIu64 " is %u, and %u is served\n", i, memory[i], there[i]);
		return;
	}
	puts("ok");
}

static _Atomic unsigned int stormy;	/* threads that have not ended */

/* Each has pages of its own. */
static void *storm_main(void *data)
{
	const uint64_t pages = r3map_size(region) / PAGE, from = (uint64_t)(uintptr_t)data;
	unsigned int seed = (unsigned int)from;
	uint64_t wrong = 0;

	for (unsigned int i = 0; i < WRITES; i++) {
		uint64_t page = (uint64_t)rand_r(&seed) % (pages / STORMS) * STORMS + from;
		uint8_t value = (uint8_t)rand_r(&seed);

		memory[page * PAGE + 17] = value;
		sched_yield();
		wrong += memory[page * PAGE + 17] != value;
	}
	atomic_fetch_sub(&stormy, 1);
	return (void *)(uintptr_t)wrong;
}

static void storm(void)
{
	pthread_t threads[STORMS];
	char *error = NULL;
	void *wrong;
	bool bad = false;

	atomic_store(&stormy, STORMS);
	for (uint64_t i = 0; i < STORMS; i++)
		if (pthread_create(&threads[i], NULL, storm_main, (void *)(uintptr_t)i))
			die("no thread");
	do {
		bad = msync((void *)memory, (size_t)r3map_size(region), MS_SYNC) ||
		      r3map_sync(region, &error);
	} while (!bad && atomic_load(&stormy));
	for (unsigned int i = 0; i < STORMS; i++) {
		pthread_join(threads[i], &wrong);
		bad |= wrong != NULL;
	}
	puts(error ? error : bad ? "something was not what had been written" : "ok");
	free(error);
}

static void put(uint64_t offset, unsigned int byte)
{
	char some[512];

	memset(some, (int)byte, sizeof(some));
	puts(pwrite(r3map_fd(region), some, sizeof(some), (off_t)offset) == sizeof(some) ? "ok" :
	     "cannot write");
}

/* True if it was done. */
static bool tried(int (*what)(struct r3map_region *region, char **error))
{
	char *error = NULL;
	bool done = !what(region, &error);

	puts(done ? "ok" : error);
	free(error);
	return done;
}

/* False: the region is no more. */
static bool command(const char *line)
{
	uint64_t offset, length;
	unsigned int byte;

	if (sscanf(line, "byte %" SCNu64, &offset) == 1) {
		say_byte(offset);
	} else if (sscanf(line, "fill %" SCNu64 " %" SCNu64 " %u", &offset, &length, &byte) == 3) {
		memset((void *)(memory + offset), (int)byte, (size_t)length);
		puts("ok");
	} else if (sscanf(line, "put %" SCNu64 " %u", &offset, &byte) == 2) {
		put(offset, byte);
	} else if (!strcmp(line, "path")) {
		puts(r3map_path(region));
	} else if (!strcmp(line, "size")) {
		printf("%" PRIu64 "\n", r3map_size(region));
	} else if (!strcmp(line, "sync")) {
		tried(r3map_sync);
	} else if (!strcmp(line, "same") && served) {
		say_same();
	} else if (!strcmp(line, "storm") && served) {
		storm();
	} else if (!strcmp(line, "close")) {
		return !tried(r3map_close);
	} else if (!strcmp(line, "abandon")) {
		tried(r3map_abandon);
		return false;
	} else {
		die("what?");
	}
	return true;
}

int main(int argc, char **argv)
{
	char line[256], *error = NULL;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGBUS, on_bus);
	if (argc > 3 && !strcmp(argv[1], "--serve")) {
		serve(argv[2], argv[3]);
		argc -= 3;
		argv += 3;
	}
	if (argc < 2)
		return 2;
	region = r3map_open(argv[1], (const char *const *)argv + 2, &error);
	memory = region ? r3map_map(region, &error) : NULL;
	if (!memory)
		die(error ? error : "out of memory");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!command(line))
			return 0;
	}
	die("the input has ended before the region was closed");
}
