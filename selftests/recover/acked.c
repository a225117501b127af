// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * acked write DEVICE LOG BLOCKS THREADS: writes a growing number into 4 KiB blocks of DEVICE, round
 * and round, and notes in LOG (a 64-bit number a block) what was begun and what was acknowledged.
 * Ends well on SIGTERM, badly at the first error.
 *
 * acked check DEVICE LOG BLOCKS: every block holds what was acknowledged last, or what was begun
 * after it; and all of it, not a part.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK 4096
#define WORDS (BLOCK / 8)

struct entry {
	_Atomic uint64_t begun;
	_Atomic uint64_t acked;
};

static struct entry *entries;
static unsigned long blocks, threads;
static int fd;
static volatile sig_atomic_t stop;
static atomic_int failed;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

static uint64_t word(uint64_t block, uint64_t number, unsigned int i)
{
	return number << 32 ^ (block * WORDS + i) * 0x9e3779b1U;
}

static void *writer(void *arg)
{
	unsigned long first = (unsigned long)(uintptr_t)arg;
	uint64_t number, *buffer;

	if (posix_memalign((void **)&buffer, BLOCK, BLOCK))
		return NULL;
	for (number = 1; !stop && !failed; number++) {
		for (unsigned long b = first; b < blocks && !stop && !failed; b += threads) {
			for (unsigned int i = 0; i < WORDS; i++)
				buffer[i] = word(b, number, i);
			atomic_store(&entries[b].begun, number);
			if (pwrite(fd, buffer, BLOCK, (off_t)(b * BLOCK)) != BLOCK) {
				fprintf(stderr, "acked: block %lu: %s\n", b, strerror(errno));
				failed = 1;
				break;
			}
			atomic_store(&entries[b].acked, number);
		}
	}
	return NULL;
}

static int check(void)
{
	uint64_t *buffer, acknowledged = 0;
	int bad = 0;

	if (posix_memalign((void **)&buffer, BLOCK, BLOCK))
		return 1;
	for (unsigned long b = 0; b < blocks && bad < 10; b++) {
		uint64_t acked = entries[b].acked, begun = entries[b].begun, number;

		if (!acked)
			continue;
		acknowledged++;
		if (pread(fd, buffer, BLOCK, (off_t)(b * BLOCK)) != BLOCK) {
			fprintf(stderr, "acked: block %lu: %s\n", b, strerror(errno));
			return 1;
		}
		for (number = acked; number <= begun; number++) {
			unsigned int i = 0;

			while (i < WORDS && buffer[i] == word(b, number, i))
				i++;
			if (i == WORDS)
				break;
		}
		if (number > begun) {
			fprintf(stderr, "acked: block %lu has lost write %llu, which was acknowledged\n",
				b, (unsigned long long)acked);
			bad++;
		}
	}
	printf("%llu blocks\n", (unsigned long long)acknowledged);
	return bad || !acknowledged;
}

int main(int argc, char **argv)
{
	pthread_t thread[64];
	int writing = argc == 6 && !strcmp(argv[1], "write");
	int log;

	if (!writing && argc != 5)
		return 2;
	blocks = strtoul(argv[4], NULL, 0);
	threads = writing ? strtoul(argv[5], NULL, 0) : 1;
	log = open(argv[3], O_RDWR | O_CREAT, 0600);
	fd = open(argv[2], (writing ? O_RDWR : O_RDONLY) | O_DIRECT);
	if (fd < 0 && errno == EINVAL)	/* a file system without O_DIRECT */
		fd = open(argv[2], writing ? O_RDWR : O_RDONLY);
	if (fd < 0 || log < 0 || !threads || threads > 64 ||
	    ftruncate(log, (off_t)(blocks * sizeof(*entries)))) {
		fprintf(stderr, "acked: cannot open: %s\n", strerror(errno));
		return 1;
	}
	entries = mmap(NULL, blocks * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, log, 0);
	if (entries == MAP_FAILED)
		return 1;
	if (!writing)
		return check();
	signal(SIGTERM, on_term);
	for (unsigned long i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, writer, (void *)(uintptr_t)i))
			return 1;
	for (unsigned long i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return failed;
}
