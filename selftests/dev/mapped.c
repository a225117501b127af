// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mapped DEVICE write|check|hold: uses the device as memory. Maps all of it shared; "write" puts a
 * number that depends on the place and on SEED into every page, in a scattered order, and calls
 * msync; "check" compares; "hold" says so and only keeps it mapped, its descriptor closed, until a line comes
 * in. Half of the pages are written a second time after a part of the first
 * ones has been given back to the kernel, so that they are read in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

static uint64_t value(uint64_t page, uint64_t word)
{
	return (page * 512 + word) * 0x9e3779b97f4a7c15ULL + 7;
}

static void page_write(char *at, uint64_t page)
{
	for (uint64_t word = 0; word < PAGE / 8; word++)
		((uint64_t *)(at + page * PAGE))[word] = value(page, word);
}

static int page_check(const char *at, uint64_t page)
{
	for (uint64_t word = 0; word < PAGE / 8; word++) {
		if (((const uint64_t *)(at + page * PAGE))[word] == value(page, word))
			continue;
		fprintf(stderr, "mapped: page %llu, word %llu is wrong\n",
			(unsigned long long)page, (unsigned long long)word);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t pages, i;
	int bad = 0;
	off_t size;
	char *at;
	int fd;

	if (argc != 3)
		return 2;
	fd = open(argv[1], O_RDWR);
	size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	at = size <= 0 ? MAP_FAILED : mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		fprintf(stderr, "mapped: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	if (!strcmp(argv[2], "hold")) {
		close(fd);
		puts("mapped");
		fflush(stdout);
		getchar();
		return 0;
	}
	pages = (uint64_t)size / PAGE;
	/* 7919 is a prime that divides no size used here: every page is met once. */
	for (i = 0; i < pages; i++) {
		uint64_t page = i * 7919 % pages;

		if (!strcmp(argv[2], "check"))
			bad |= page_check(at, page);
		else
			page_write(at, page);
		if (i == pages / 2 && !strcmp(argv[2], "write"))
			if (msync(at, (size_t)size, MS_SYNC) || madvise(at, (size_t)size, MADV_DONTNEED) ||
			    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
				bad = 1;
	}
	for (i = 0; i < pages && !strcmp(argv[2], "write"); i += 2)
		bad |= page_check(at, i);
	if (msync(at, (size_t)size, MS_SYNC)) {
		fprintf(stderr, "mapped: msync: %s\n", strerror(errno));
		bad = 1;
	}
	return bad;
}
