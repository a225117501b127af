// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * alike DEVICE FILE FIRST[:COUNT]...: reads blocks of 4 KiB of DEVICE, past the page cache, one after the other,
 * COUNT of them from block FIRST on, and compares each with the same one of FILE. Status 1, and a sentence, when
 * one differs or cannot be read. In place of a dd and a cmp for each, which take longer to start than to read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK	4096u	/* bytes */

static int alike(int device, int file, uint64_t number, uint8_t *got)
{
	const off_t at = (off_t)(number * BLOCK);
	uint8_t want[BLOCK];
	ssize_t n = pread(device, got, BLOCK, at);

	if (n != BLOCK) {
		fprintf(stderr, "alike: block %" PRIu64 " cannot be read: %s\n", number,
			n < 0 ? strerror(errno) : "the device ends before it");
		return 1;
	}
	if (pread(file, want, BLOCK, at) != BLOCK) {
		fprintf(stderr, "alike: the file has no block %" PRIu64 "\n", number);
		return 1;
	}
	if (memcmp(got, want, BLOCK)) {
		fprintf(stderr, "alike: block %" PRIu64 " is not what it should be\n", number);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int device, file;
	void *got;

	if (argc < 4 || posix_memalign(&got, BLOCK, BLOCK))
		return 2;
	device = open(argv[1], O_RDONLY | O_DIRECT);
	file = open(argv[2], O_RDONLY);
	if (device < 0 || file < 0) {
		fprintf(stderr, "alike: %s: %s\n", argv[device < 0 ? 1 : 2], strerror(errno));
		return 1;
	}
	for (int i = 3; i < argc; i++) {
		uint64_t first, count = 1;

		if (sscanf(argv[i], "%" SCNu64 ":%" SCNu64, &first, &count) < 1)
			return 2;
		for (uint64_t n = 0; n < count; n++)
			if (alike(device, file, first + n, got))
				return 1;
	}
	return 0;
}
