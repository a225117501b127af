// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sequence [-b BLOCKS] write STATE direct|write|mmap DEVICE...: an application that moves with its
 * region. Writes numbered blocks, each to the block that its number says, and notes in STATE the last
 * one that is on the device. When the device refuses, it goes on with the next one of the list, and
 * around. Until SIGTERM.
 * sequence [-b BLOCKS] check STATE DEVICE: the newest number of every block is the last that was noted
 * for it, or that one which was on its way; and none has another block's bytes. Says how many there are.
 *
 * STATE is a file of one number, on what does not move. With -b the first BLOCKS, of 4096 bytes, of a
 * device are its own, and others may use the rest.
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
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	4096u			/* bytes */
#define WORDS	(BLOCK / sizeof(uint64_t))
#define STRIDE	7919u			/* a prime: neighbours in time are none in place */
#define PATIENCE 120			/* s that no device takes a block */

static volatile sig_atomic_t stop;
static uint64_t own = UINT64_MAX;	/* blocks of a device that it may use, at most */

static void on_term(int number)
{
	(void)number;
	stop = 1;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "sequence: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t mixed(uint64_t number, uint64_t word)
{
	uint64_t x = number * 0x9e3779b97f4a7c15u + word * 0xbf58476d1ce4e5b9u;

	return x ^ x >> 29;
}

static void block_fill(uint64_t *block, uint64_t number)
{
	block[0] = number;
	for (unsigned int i = 1; i < WORDS; i++)
		block[i] = mixed(number, i);
}

static bool block_good(const uint64_t *block)
{
	for (unsigned int i = 1; i < WORDS; i++)
		if (block[i] != mixed(block[0], i))
			return false;
	return true;
}

/* Which block number @number is of. */
static uint64_t place(uint64_t number, uint64_t blocks)
{
	return number * STRIDE % blocks;
}

static uint64_t *state_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	uint64_t *state;

	if (fd < 0 || ftruncate(fd, sizeof(*state)) < 0)
		die(path);
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (state == MAP_FAILED)
		die(path);
	close(fd);
	return state;
}

/* --- writing and checking ------------------------------------------------------------------ */

enum way { DIRECT, WRITE, MMAP };

struct device {
	int fd;
	uint64_t blocks;
	char *bytes;			/* MMAP */
};

static bool device_open(struct device *d, const char *path, enum way way)
{
	off_t size;

	d->bytes = NULL;
	d->fd = open(path, O_RDWR | O_CLOEXEC | (way == DIRECT ? O_DIRECT : 0));
	if (d->fd < 0)
		return false;
	size = lseek(d->fd, 0, SEEK_END);
	d->blocks = size > 0 ? (uint64_t)size / BLOCK : 0;
	if (d->blocks > own)
		d->blocks = own;
	/* A node whose device is gone, or a file in its place. */
	if (d->blocks < STRIDE / 16) {
		close(d->fd);
		return false;
	}
	if (way == MMAP) {
		d->bytes = mmap(NULL, d->blocks * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
		if (d->bytes == MAP_FAILED)
			die("mmap");
	}
	return true;
}

static void device_close(struct device *d)
{
	if (d->bytes)
		munmap(d->bytes, d->blocks * BLOCK);
	close(d->fd);
}

/* On the device, for good. */
static bool device_put(struct device *d, enum way way, uint64_t number, uint64_t *block)
{
	const uint64_t at = place(number, d->blocks) * BLOCK;

	block_fill(block, number);
	if (way == MMAP) {
		memcpy(d->bytes + at, block, BLOCK);
		return !msync(d->bytes + at, BLOCK, MS_SYNC);
	}
	if (pwrite(d->fd, block, BLOCK, (off_t)at) != BLOCK)
		return false;
	return way == DIRECT || !fdatasync(d->fd);
}

/* Is all that was acknowledged on @path? 0, or 1 and says what is not. */
static int do_check(const uint64_t *state, const char *path)
{
	uint64_t block[WORDS], seen = 0;
	uint64_t *expected;
	struct device d;
	int status = 0;

	if (!device_open(&d, path, WRITE))
		die(path);
	expected = calloc(d.blocks, sizeof(*expected));
	if (!expected)
		die("memory");
	/* Each block's newest, from the last of all on backwards. */
	for (uint64_t n = *state; n && n + d.blocks > *state; n--)
		if (!expected[place(n, d.blocks)])
			expected[place(n, d.blocks)] = n;
	for (uint64_t i = 0; i < d.blocks; i++) {
		if (pread(d.fd, block, BLOCK, (off_t)(i * BLOCK)) != BLOCK)
			die("read");
		if (!expected[i])
			continue;
		if (block[0] == expected[i] || (block[0] == *state + 1 && place(*state + 1, d.blocks) == i)) {
			seen++;
			if (block_good(block))
				continue;
		}
		fprintf(stderr, "sequence: block %" PRIu64 " has number %" PRIu64 ", not %" PRIu64 "%s\n", i,
			block[0], expected[i], block_good(block) ? "" : ", and bytes of another");
		status = 1;
	}
	printf("# %" PRIu64 " blocks, up to number %" PRIu64 "\n", seen, *state);
	fflush(stdout);
	free(expected);
	device_close(&d);
	return status;
}

static int do_write(uint64_t *state, enum way way, char **paths, int count)
{
	struct timespec pause = { .tv_nsec = 2000000 };
	time_t good = time(NULL);
	const char *last = NULL;
	uint64_t *block;
	struct device d;
	int at = 0;

	if (posix_memalign((void **)&block, BLOCK, BLOCK))
		die("memory");
	while (!stop) {
		if (time(NULL) - good > PATIENCE) {
			fprintf(stderr, "sequence: no device takes number %" PRIu64 "\n", *state + 1);
			return 1;
		}
		if (!device_open(&d, paths[at % count], way)) {
			at++;
			nanosleep(&pause, NULL);
			continue;
		}
		while (!stop && device_put(&d, way, *state + 1, block)) {
			++*state;
			good = time(NULL);
			/* Before what has come is written over. One that takes a write has the region. */
			if (last && last != paths[at % count] && do_check(state, paths[at % count]))
				return 1;
			last = paths[at % count];
		}
		device_close(&d);
		at++;
	}
	return 0;
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: sequence [-b BLOCKS] write STATE direct|write|mmap DEVICE... | check STATE DEVICE\n");
	exit(2);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_term };
	uint64_t *state;
	int option;

	while ((option = getopt(argc, argv, "b:")) != -1) {
		if (option != 'b')
			usage();
		own = strtoull(optarg, NULL, 10);
	}
	argc -= optind;
	argv += optind;
	if (argc < 3)
		usage();
	sigaction(SIGTERM, &action, NULL);
	state = state_open(argv[1]);
	if (!strcmp(argv[0], "check"))
		return do_check(state, argv[2]);
	return do_write(state, !strcmp(argv[2], "direct") ? DIRECT : !strcmp(argv[2], "mmap") ? MMAP : WRITE,
			argv + 3, argc - 3);
}
