// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memory-clock [--step=BYTES] [--write] THREADS LIMIT uffd SOCKET [OPTION]... | file PATH | memory PATH
 *
 * Reads memory from its start, page by page, or one page each BYTES, up to LIMIT bytes (0: all), each
 * thread a part of its own, and prints "FIRST_US MBPS S": how long it took from nothing until the first 4
 * KiB were read, how fast all were, from nothing to the last byte, and how many seconds that was. --write
 * writes to each page in place of reading it, and then has what was written go where it came from. "uffd" is memory of r3map uffd serve, see
 * r3map_uffd_open(); "file" a mapping of a file or block device; "memory" memory that has the file's
 * content before the clock starts.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <r3map.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096u

struct part {
	pthread_t thread;
	char *from;
	size_t length;		/* bytes */
};

static size_t step = PAGE;		/* bytes from one page that is used to the next */
static bool writes;
static struct r3map_uffd *uffd;		/* or NULL: a mapping */

static atomic_ulong sum;	/* so that nothing that is read can be left out */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void page_read(const char *page)
{
	const unsigned long *words = (const unsigned long *)page;
	unsigned long mine = 0;

	for (size_t i = 0; i < PAGE / sizeof(words[0]); i++)
		mine += words[i];
	atomic_fetch_add_explicit(&sum, mine, memory_order_relaxed);
}

static void *part_use(void *data)
{
	const struct part *part = data;

	for (size_t at = 0; at < part->length; at += step) {
		if (writes)
			*(unsigned long *)(part->from + at) = ~at;
		else
			page_read(part->from + at);
	}
	return NULL;
}

/* What was written goes where the memory came from. */
static void write_back(char *memory, size_t size)
{
	char *error;

	if (!uffd && msync(memory, size, MS_SYNC))
		err(1, "msync");
	if (uffd && r3map_uffd_sync(uffd, &error))
		errx(1, "%s", error);
}

static char *file_map(const char *path, size_t *size)
{
	int fd = open(path, writes ? O_RDWR : O_RDONLY);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	void *map;

	if (end < 0)
		err(1, "%s", path);
	*size = (size_t)end;
	map = mmap(NULL, *size, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "%s", path);
	return map;
}

static char *memory_make(const char *path, size_t *size)
{
	const char *file = file_map(path, size);
	char *memory = malloc(*size);

	if (!memory)
		err(1, "memory");
	memcpy(memory, file, *size);
	return memory;
}

static char *region(char **argv, size_t *size)
{
	uint64_t bytes;
	void *memory;
	char *error;

	if (!strcmp(argv[0], "file"))
		return file_map(argv[1], size);
	uffd = r3map_uffd_open(argv[1], (const char *const *)argv + 2, &error);
	if (!uffd)
		errx(1, "%s", error);
	memory = r3map_uffd_memory(uffd, 0, &bytes);
	*size = bytes;
	return memory;
}

int main(int argc, char **argv)
{
	size_t threads, limit, size, each;
	char *memory = NULL;
	struct part *parts;
	double start, first, end;

	for (; argc > 1 && !strncmp(argv[1], "--", 2); argc--, argv++) {
		if (!strncmp(argv[1], "--step=", 7))
			step = strtoul(argv[1] + 7, NULL, 10);
		else
			writes = !strcmp(argv[1], "--write");
	}
	threads = argc < 5 ? 0 : strtoul(argv[1], NULL, 10);
	limit = argc < 5 ? 0 : strtoul(argv[2], NULL, 10);
	if (!threads || threads > 256 || step < PAGE || step % PAGE)
		errx(2, "usage: memory-clock [--step=BYTES] [--write] THREADS LIMIT uffd SOCKET [OPTION]... | file PATH | memory PATH");
	parts = calloc(threads, sizeof(*parts));
	if (!parts)
		err(1, "memory");
	if (!strcmp(argv[3], "memory"))
		memory = memory_make(argv[4], &size);
	start = now();
	if (!memory)
		memory = region(argv + 3, &size);
	page_read(memory);
	first = now();
	if (limit && limit < size)
		size = limit;
	each = size / threads / PAGE * PAGE;
	for (size_t i = 0; i < threads; i++) {
		parts[i].from = memory + i * each;
		parts[i].length = each;
		if (pthread_create(&parts[i].thread, NULL, part_use, &parts[i]))
			errx(1, "cannot start a thread");
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(parts[i].thread, NULL);
	if (writes)
		write_back(memory, size);
	end = now();
	printf("%.1f %.3f %.6f\n", (first - start) * 1e6, (double)(each * threads) / 1e6 / (end - start),
	       end - start);
	return 0;
}
