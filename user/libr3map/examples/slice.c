// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * slice BACKEND [OPTION]...: counts how often it was run with a region, in the first 8 bytes of it, as
 * if these were memory.
 *
 *   cc slice.c $(pkg-config --cflags --libs libr3map) -o slice
 *   ./slice nbd://server.example/disk managed
 */
#include <inttypes.h>
#include <r3map.h>
#include <stdio.h>
#include <stdlib.h>

static int give_up(char *error)
{
	fprintf(stderr, "slice: %s\n", error ? error : "out of memory");
	free(error);
	return 1;
}

int main(int argc, char **argv)
{
	struct r3map_region *region;
	uint64_t *memory;
	char *error;

	if (argc < 2) {
		fprintf(stderr, "Usage: slice BACKEND [OPTION]...\n");
		return 2;
	}
	region = r3map_open(argv[1], (const char *const *)argv + 2, &error);
	if (!region)
		return give_up(error);
	memory = r3map_map(region, &error);
	if (!memory) {
		give_up(error);
		r3map_close(region, NULL);
		return 1;
	}
	printf("%s of %" PRIu64 " bytes, run %" PRIu64 "\n", r3map_path(region), r3map_size(region),
	       ++*memory);
	/* What was written is at the backend when this succeeds; else it would still be here. */
	if (r3map_close(region, &error)) {
		give_up(error);
		r3map_abandon(region, NULL);
		return 1;
	}
	return 0;
}
