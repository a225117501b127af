// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * words SOCKET [OPTION]...: counts the words in memory that another process fills, and touches only
 * what it looks at: the first 64 KiB.
 *
 *   cc words.c $(pkg-config --cflags --libs libr3map) -o words
 *   r3map uffd serve nbd://server.example/disk --socket /run/words.sock &
 *   ./words /run/words.sock
 */
#include <ctype.h>
#include <inttypes.h>
#include <r3map.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK	65536u

int main(int argc, char **argv)
{
	const char *text;
	struct r3map_uffd *uffd;
	unsigned long words = 0;
	uint64_t size;
	char *error;
	int in = 0;

	if (argc < 2) {
		fprintf(stderr, "Usage: words SOCKET [OPTION]...\n");
		return 2;
	}
	uffd = r3map_uffd_open(argv[1], (const char *const *)argv + 2, &error);
	if (!uffd)
		goto fail;
	text = r3map_uffd_memory(uffd, 0, &size);
	for (uint64_t i = 0; i < size && i < LOOK; i++) {
		int is = isgraph((unsigned char)text[i]) != 0;

		words += is && !in;
		in = is;
	}
	printf("%lu words in the first bytes of %" PRIu64 "\n", words, size);
	if (!r3map_uffd_close(uffd, &error))
		return 0;
	r3map_uffd_abandon(uffd);
fail:
	fprintf(stderr, "words: %s\n", error ? error : "out of memory");
	free(error);
	return 1;
}
