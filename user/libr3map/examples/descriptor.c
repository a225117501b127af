// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * descriptor BACKEND [OPTION]...: writes standard input to the start of a region, and ends once that
 * is at its backend.
 *
 *   cc descriptor.c $(pkg-config --cflags --libs libr3map) -o descriptor
 *   echo hello | ./descriptor nbd://server.example/disk
 */
#include <r3map.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 0, or -1: what does not fit, or a device that fails. */
static int copy(int to)
{
	char some[4096];
	ssize_t got;

	while ((got = read(0, some, sizeof(some))) > 0)
		if (write(to, some, (size_t)got) != got)
			return -1;
	return got < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct r3map_region *region;
	char *error = NULL;
	int status = 0;

	if (argc < 2) {
		fprintf(stderr, "Usage: descriptor BACKEND [OPTION]...\n");
		return 2;
	}
	region = r3map_open(argv[1], (const char *const *)argv + 2, &error);
	if (!region)
		goto fail;
	if (copy(r3map_fd(region))) {
		perror("descriptor: cannot copy");
		status = 1;
	}
	if (r3map_close(region, &error)) {
		r3map_abandon(region, NULL);
		goto fail;
	}
	return status;

fail:
	fprintf(stderr, "descriptor: %s\n", error ? error : "out of memory");
	free(error);
	return 1;
}
