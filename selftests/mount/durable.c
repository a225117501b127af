// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * durable fill DEVICE LOG: writes a first version of every block of DEVICE, and puts it in LOG.
 * durable write DEVICE LOG SEED: writes blocks of DEVICE at random, each time a newer version, and adds
 * to LOG what was synced, until SIGTERM.
 * durable check DEVICE LOG: every block of DEVICE is a whole one, of the version that LOG has or a
 * newer one; says how many blocks were written, and how many are newer.
 *
 * LOG is on what does not crash.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK	4096u			/* bytes */
#define WORDS	(BLOCK / sizeof(uint64_t))
#define ROW	24u			/* blocks of one write, at most */
#define WRITES	4u			/* between two syncs, at most */
#define RUN	(1ull << 24)		/* versions of one run, at most */

static volatile sig_atomic_t stop;

static void on_term(int number)
{
	(void)number;
	stop = 1;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "durable: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int device_open(const char *path, uint64_t *blocks)
{
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (size < 0)
		die(path);
	*blocks = (uint64_t)size / BLOCK;
	return fd;
}

static void *buffer_new(void)
{
	void *buffer;

	if (posix_memalign(&buffer, BLOCK, (size_t)ROW * BLOCK))
		die("memory");
	return buffer;
}

/* A block says which one it is, and of which version, in each of its words. */
static uint64_t block_word(uint64_t block, uint64_t version)
{
	return block << 40 | version;
}

/* The next line of @log; one that is not whole was not acknowledged. */
static bool log_next(FILE *log, uint64_t *block, uint64_t *version)
{
	return fscanf(log, "%" SCNu64 " %" SCNu64, block, version) == 2 && fgetc(log) == '\n';
}

/* Newer than all that an earlier run may have written, acknowledged or not. */
static uint64_t log_after(const char *path)
{
	uint64_t block, version, most = 0;
	FILE *log = fopen(path, "re");

	while (log && log_next(log, &block, &version))
		if (version > most)
			most = version;
	if (log)
		fclose(log);
	return (most / RUN + 1) * RUN;
}

static int ack_fill(const char *device, const char *path)
{
	uint64_t blocks, *buffer = buffer_new();
	int fd = device_open(device, &blocks);
	FILE *log = fopen(path, "we");

	if (!log)
		die(path);
	for (uint64_t block = 0; block < blocks; block++) {
		for (unsigned int i = 0; i < WORDS; i++)
			buffer[i] = block_word(block, 1);
		if (pwrite(fd, buffer, BLOCK, (off_t)(block * BLOCK)) != (ssize_t)BLOCK)
			die("write");
		fprintf(log, "%" PRIu64 " 1\n", block);
	}
	if (fsync(fd) < 0)
		die("fsync");
	if (fclose(log))
		die(path);
	return 0;
}

static int ack_write(const char *device, const char *path, unsigned int seed)
{
	uint64_t blocks, version = log_after(path), *buffer = buffer_new();
	int fd = device_open(device, &blocks);
	FILE *log = fopen(path, "ae");

	if (!log)
		die(path);
	srandom(seed);
	signal(SIGTERM, on_term);
	while (!stop) {
		char lines[WRITES * ROW * 48];
		size_t used = 0;

		for (unsigned int n = 1 + (unsigned int)random() % WRITES; n > 0; n--) {
			uint64_t first = (uint64_t)random() % blocks;
			uint64_t count = 1 + (random() % 4 ? 0 : (uint64_t)random() % ROW);

			if (count > blocks - first)
				count = blocks - first;
			for (uint64_t i = 0; i < count * WORDS; i++)
				buffer[i] = block_word(first + i / WORDS, version);
			if (pwrite(fd, buffer, count * BLOCK, (off_t)(first * BLOCK)) !=
			    (ssize_t)(count * BLOCK))
				die("write");
			for (uint64_t i = 0; i < count; i++)
				used += (size_t)snprintf(lines + used, sizeof(lines) - used,
							 "%" PRIu64 " %" PRIu64 "\n", first + i,
							 version);
			version++;
		}
		if (fsync(fd) < 0)
			die("fsync");
		if (fwrite(lines, used, 1, log) != 1 || fflush(log))
			die(path);
	}
	return 0;
}

static int ack_check(const char *device, const char *path)
{
	uint64_t blocks, block, version, written = 0, newer = 0;
	uint64_t *acked, *buffer = buffer_new();
	int fd = device_open(device, &blocks);
	FILE *log = fopen(path, "re");

	acked = calloc(blocks, sizeof(*acked));
	if (!log || !acked)
		die(path);
	while (log_next(log, &block, &version))
		if (block < blocks)
			acked[block] = version;
	for (block = 0; block < blocks; block++) {
		if (pread(fd, buffer, BLOCK, (off_t)(block * BLOCK)) != (ssize_t)BLOCK)
			die("read");
		version = buffer[0] - block_word(buffer[0] ? block : 0, 0);
		for (unsigned int i = 0; i < WORDS; i++) {
			if (buffer[i] == buffer[0])
				continue;
			fprintf(stderr, "durable: block %" PRIu64 " is torn\n", block);
			return 1;
		}
		if (version >> 40 || version < acked[block]) {
			fprintf(stderr, "durable: block %" PRIu64 " is %#" PRIx64 ", version %" PRIu64 " of it was acknowledged\n",
				block, buffer[0], acked[block]);
			return 1;
		}
		written += acked[block] != 0;
		newer += version > acked[block];
	}
	printf("%" PRIu64 " of %" PRIu64 " blocks were acknowledged, %" PRIu64 " are newer\n", written,
	       blocks, newer);
	return written ? 0 : 3;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "fill"))
		return ack_fill(argv[2], argv[3]);
	if (argc == 5 && !strcmp(argv[1], "write"))
		return ack_write(argv[2], argv[3], (unsigned int)atoi(argv[4]));
	if (argc == 4 && !strcmp(argv[1], "check"))
		return ack_check(argv[2], argv[3]);
	fprintf(stderr, "usage: durable fill DEVICE LOG | durable write DEVICE LOG SEED | durable check DEVICE LOG\n");
	return 2;
}
