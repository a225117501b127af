// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * uffd-clock THREADS LIMIT uffd SOCKET [OPTION]... | file PATH | memory PATH
 *
 * Reads memory from its start, page by page, up to LIMIT bytes (0: all), each thread a part of its
 * own, and prints "FIRST_US MBPS": how long it took from nothing until the first 4 KiB were read,
 * and how fast all were, from nothing to the last byte. "uffd" is memory of r3map uffd serve, see
 * r3map_uffd_open(); "file" a mapping of a file; "memory" memory that has the file's content before
 * the clock starts.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <r3map.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096u

struct part {
	pthread_t thread;
	const char *from;
	size_t length;		/* bytes */
};

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

static void *part_read(void *data)
{
	const struct part *part = data;

	for (size_t at = 0; at < part->length; at += PAGE)
		page_read(part->from + at);
	return NULL;
}

static const char *file_map(const char *path, size_t *size, int flags)
{
	int fd = open(path, O_RDONLY);
	struct stat info;
	void *map;

	if (fd < 0 || fstat(fd, &info))
		err(1, "%s", path);
	*size = (size_t)info.st_size;
	map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE | flags, fd, 0);
	if (map == MAP_FAILED)
		err(1, "%s", path);
	return map;
}

static const char *memory_make(const char *path, size_t *size)
{
	const char *file = file_map(path, size, 0);
	char *memory = malloc(*size);

	if (!memory)
		err(1, "memory");
	memcpy(memory, file, *size);
	return memory;
}

static const char *region(char **argv, size_t *size)
{
	struct r3map_uffd *uffd;
	uint64_t bytes;
	void *memory;
	char *error;

	if (!strcmp(argv[0], "file"))
		return file_map(argv[1], size, 0);
	uffd = r3map_uffd_open(argv[1], (const char *const *)argv + 2, &error);
	if (!uffd)
		errx(1, "%s", error);
	memory = r3map_uffd_memory(uffd, 0, &bytes);
	*size = bytes;
	return memory;
}

int main(int argc, char **argv)
{
	const size_t threads = argc < 5 ? 0 : strtoul(argv[1], NULL, 10);
	size_t limit = argc < 5 ? 0 : strtoul(argv[2], NULL, 10), size, each;
	const char *memory = NULL;
	struct part *parts;
	double start, first;

	if (!threads || threads > 256)
		errx(2, "usage: uffd-clock THREADS LIMIT uffd SOCKET [OPTION]... | file PATH | memory PATH");
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
		if (pthread_create(&parts[i].thread, NULL, part_read, &parts[i]))
			errx(1, "cannot start a thread");
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(parts[i].thread, NULL);
	printf("%.1f %.3f\n", (first - start) * 1e6, (double)(each * threads) / 1e6 / (now() - start));
	return 0;
}
