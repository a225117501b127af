// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Usage: TARGET [FILE-OR-FOLDER]...
 *
 * A main() for a fuzz target without a fuzzer: runs it with the inputs that are kept in the tree,
 * or with those that are named. So every build, by any compiler, tries what a fuzzer has once
 * found.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char running[4096];		/* the input's file */
static unsigned int count;

/* Says which input it was, then dies of the same signal. */
static void died(int number)
{
	static const char before[] = "this input did it: ";
	ssize_t wrote;

	wrote = write(STDERR_FILENO, before, sizeof(before) - 1);
	wrote = write(STDERR_FILENO, running, strlen(running));
	wrote = write(STDERR_FILENO, "\n", 1);
	(void)wrote;
	signal(number, SIG_DFL);
	raise(number);
}

static int file_run(const char *path, size_t size)
{
	uint8_t *data = malloc(size ? size : 1);
	FILE *file = fopen(path, "rb");
	size_t got = 0;

	if (data && file)
		got = fread(data, 1, size, file);
	if (file)
		fclose(file);
	if (!data || !file || got != size) {
		fprintf(stderr, "%s: cannot be read\n", path);
		free(data);
		return 1;
	}
	snprintf(running, sizeof(running), "%s", path);
	LLVMFuzzerTestOneInput(data, size);
	count++;
	free(data);
	return 0;
}

static int path_run(const char *path);

static int folder_run(const char *path)
{
	struct dirent **entries;
	int n, i, failed = 0;

	n = scandir(path, &entries, NULL, alphasort);
	if (n < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	for (i = 0; i < n; i++) {
		char below[4096];

		if (entries[i]->d_name[0] != '.') {
			snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);
			failed |= path_run(below);
		}
		free(entries[i]);
	}
	free(entries);
	return failed;
}

static int path_run(const char *path)
{
	struct stat stat_of;

	if (stat(path, &stat_of) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	return S_ISDIR(stat_of.st_mode) ? folder_run(path) :
					  file_run(path, (size_t)stat_of.st_size);
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	const char *slash = strrchr(argv[0], '/');
	char folder[4096];
	unsigned int i;
	int failed = 0;
	int n;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], died);
	/* From bin/fuzz, where the test runner starts it. */
	snprintf(folder, sizeof(folder), "%.*s../../fuzz/corpus/%s",
		 slash ? (int)(slash + 1 - argv[0]) : 0, argv[0], slash ? slash + 1 : argv[0]);
	if (argc < 2)
		failed = path_run(folder);
	for (n = 1; n < argc; n++)
		failed |= path_run(argv[n]);
	printf("%u inputs\n", count);
	return failed || !count;
}
