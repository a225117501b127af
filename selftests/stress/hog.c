// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hog MEBIBYTES: takes all memory but so much of what the kernel says is available, keeps it from
 * being taken back, and holds it until it is killed. Prints what it has, in MiB, when it has it.
 * The OOM killer spares it, so that whoever is short of memory stays short.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK	(4UL << 20)

static unsigned long available(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %lu kB", &kib) == 1)
			break;
	if (!file || !kib) {
		fprintf(stderr, "hog: /proc/meminfo tells no MemAvailable\n");
		exit(1);
	}
	fclose(file);
	return kib << 10;
}

static void spare(void)
{
	FILE *file = fopen("/proc/self/oom_score_adj", "we");

	if (!file || fputs("-1000", file) == EOF || fclose(file)) {
		fprintf(stderr, "hog: oom_score_adj: %s\n", strerror(errno));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	unsigned long leave, had = 0;

	if (argc != 2)
		return 2;
	leave = strtoul(argv[1], NULL, 0) << 20;
	spare();
	/* In pieces: what is available changes while it is taken. */
	while (available() > leave + CHUNK) {
		char *at = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);

		if (at == MAP_FAILED || mlock(at, CHUNK)) {
			fprintf(stderr, "hog: %s\n", strerror(errno));
			return 1;
		}
		memset(at, 1, CHUNK);
		had += CHUNK;
	}
	printf("%lu\n", had >> 20);
	fflush(stdout);
	for (;;)
		pause();
}
