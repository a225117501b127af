// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * model DEVICE IMAGE WANT SEED OPS THREADS [errors]: random reads, writes, zeroes, discards and
 * flushes of DEVICE by several threads, each checked against a model in memory, which begins as
 * IMAGE and is left in WANT. With "errors" a request may fail; what it would have changed is then
 * taken as it is found. Stops early, and well, at SIGTERM. Says how many requests it made and how
 * many failed; status 1 as soon as a byte is wrong.
 *
 * Every other segment of the region is one thread's alone, with requests of any size; in those
 * between, each 4 KiB block has its own thread, so that several work on a chunk at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR	512u
#define BLOCK	4096u
#define SEGMENT	(1u << 20)
#define IO_MAX	(512u << 10)

/* What is known of a sector's bytes. */
enum { KNOWN, KNOWN_OR_ZERO, UNKNOWN };

static int fd;
static uint64_t size;
static uint8_t *model, *state;		/* bytes, and one state a sector */
static unsigned long ops, threads, seed;
static bool errors;
static atomic_ulong requests, failures;
static atomic_bool wrong;
static volatile sig_atomic_t stop;

static void on_term(int number)
{
	(void)number;
	stop = 1;
}

struct worker {
	pthread_t thread;
	unsigned long index;
	uint64_t random;
	uint8_t *buffer;
};

static uint64_t next(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random >> 11;
}

/* A range that is all this thread's: 512-byte sectors. */
static void choose(struct worker *w, uint64_t *offset, uint32_t *length)
{
	uint64_t segments = (size + SEGMENT - 1) / SEGMENT, segment, from, to;

	for (;;) {
		segment = next(w) % segments;
		from = segment * SEGMENT;
		to = from + SEGMENT < size ? from + SEGMENT : size;
		if (segment % 2) {	/* shared: one block */
			from += next(w) % ((to - from + BLOCK - 1) / BLOCK) * BLOCK;
			if (from / BLOCK % threads != w->index)
				continue;
			to = from + BLOCK < to ? from + BLOCK : to;
		} else if (segment / 2 % threads != w->index) {
			continue;
		}
		*offset = from + next(w) % ((to - from) / SECTOR) * SECTOR;
		switch (next(w) % 4) {
		case 0:
			*length = SECTOR;
			break;
		case 1:
			*length = BLOCK;
			break;
		case 2:		/* whole chunks, often */
			*offset = from;
			*length = (uint32_t)(BLOCK << next(w) % 8);
			break;
		default:
			*length = (uint32_t)(1 + next(w) % (IO_MAX / SECTOR)) * SECTOR;
		}
		if (*length > to - *offset)
			*length = (uint32_t)(to - *offset);
		return;
	}
}

static void fail_at(const char *what, uint64_t offset)
{
	if (!atomic_exchange(&wrong, true))
		fprintf(stderr, "model: %s at %llu: %s\n", what, (unsigned long long)offset,
			strerror(errno));
}

/* Returns true if the request went well. */
static bool outcome(const char *what, uint64_t offset, bool well)
{
	requests++;
	if (well)
		return true;
	failures++;
	if (!errors)
		fail_at(what, offset);
	return false;
}

static void set_state(uint64_t offset, uint32_t length, uint8_t to)
{
	memset(state + offset / SECTOR, to, length / SECTOR);
}

static bool is_zero(const uint8_t *bytes)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, SECTOR - 1);
}

static void check(struct worker *w, uint64_t offset, uint32_t length)
{
	for (uint32_t at = 0; at < length; at += SECTOR) {
		uint8_t *is = w->buffer + at, *want = model + offset + at;
		uint8_t *how = &state[(offset + at) / SECTOR];

		if (!memcmp(is, want, SECTOR)) {
			*how = KNOWN;
		} else if (*how == UNKNOWN || (*how == KNOWN_OR_ZERO && is_zero(is))) {
			memcpy(want, is, SECTOR);
			*how = KNOWN;
		} else {
			errno = EILSEQ;
			fail_at("wrong bytes", offset + at);
			return;
		}
	}
}

static void op_read(struct worker *w, uint64_t offset, uint32_t length)
{
	if (outcome("read", offset, pread(fd, w->buffer, length, (off_t)offset) == length))
		check(w, offset, length);
}

static void op_write(struct worker *w, uint64_t offset, uint32_t length)
{
	struct iovec iov = { .iov_base = w->buffer, .iov_len = length };

	for (uint32_t i = 0; i < length; i += 8) {
		uint64_t word = next(w);

		memcpy(w->buffer + i, &word, 8);
	}
	/* some are to be on disk at once: FUA */
	if (outcome("write", offset, pwritev2(fd, &iov, 1, (off_t)offset,
					      next(w) % 4 ? 0 : RWF_DSYNC) == length)) {
		memcpy(model + offset, w->buffer, length);
		set_state(offset, length, KNOWN);
	} else {
		set_state(offset, length, UNKNOWN);
	}
}

static void op_clear(uint64_t offset, uint32_t length, bool discard)
{
	uint64_t range[2] = { offset, length };
	bool well = !ioctl(fd, discard ? BLKDISCARD : BLKZEROOUT, range);

	if (!outcome(discard ? "discard" : "zeroes", offset, well)) {
		set_state(offset, length, UNKNOWN);
	} else if (discard) {	/* a hint: both may be there, and what is not known stays so */
		for (uint32_t i = 0; i < length; i += SECTOR)
			if (state[(offset + i) / SECTOR] == KNOWN)
				state[(offset + i) / SECTOR] = KNOWN_OR_ZERO;
	} else {
		memset(model + offset, 0, length);
		set_state(offset, length, KNOWN);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t offset;
	uint32_t length;

	for (unsigned long i = 0; i < ops && !wrong && !stop; i++) {
		choose(w, &offset, &length);
		switch (next(w) % 16) {
		case 0:
			op_clear(offset, length, false);
			break;
		case 1:
			op_clear(offset, length, true);
			break;
		case 2:
			outcome("flush", 0, !fsync(fd));
			break;
		case 3 ... 8:
			op_write(w, offset, length);
			break;
		default:
			op_read(w, offset, length);
		}
	}
	return NULL;
}

/* What a discard or a failed request has left open is what the device says now. */
static void settle(struct worker *w)
{
	for (uint64_t at = 0; at < size && !wrong; at += IO_MAX) {
		uint32_t length = size - at < IO_MAX ? (uint32_t)(size - at) : IO_MAX;

		if (pread(fd, w->buffer, length, (off_t)at) == length)
			check(w, at, length);
		else
			fail_at("last read", at);
	}
}

static bool image_in(const char *path)
{
	int image = open(path, O_RDONLY);
	uint64_t at = 0;
	ssize_t n = 1;

	while (image >= 0 && at < size && n > 0) {
		n = pread(image, model + at, size - at, (off_t)at);
		at += n > 0 ? (uint64_t)n : 0;
	}
	return at == size;
}

static bool want_out(const char *path)
{
	int want = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	uint64_t at = 0;
	ssize_t n = 1;

	while (want >= 0 && at < size && n > 0) {
		n = pwrite(want, model + at, size - at, (off_t)at);
		at += n > 0 ? (uint64_t)n : 0;
	}
	return at == size && !close(want);
}

int main(int argc, char **argv)
{
	struct worker *workers;

	if (argc < 7) {
		fprintf(stderr, "usage: model DEVICE IMAGE WANT SEED OPS THREADS [errors]\n");
		return 2;
	}
	signal(SIGTERM, on_term);
	fd = open(argv[1], O_RDWR | O_DIRECT);
	seed = strtoul(argv[4], NULL, 0);
	ops = strtoul(argv[5], NULL, 0);
	threads = strtoul(argv[6], NULL, 0);
	errors = argc > 7;
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size)) {
		perror(argv[1]);
		return 1;
	}
	model = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	state = calloc(size / SECTOR, 1);
	workers = calloc(threads, sizeof(*workers));
	if (model == MAP_FAILED || !state || !workers || !image_in(argv[2])) {
		perror(argv[2]);
		return 1;
	}
	for (unsigned long i = 0; i < threads; i++) {
		workers[i].index = i;
		workers[i].random = (seed + 1) * 0x9e3779b97f4a7c15ull + i * 0xbf58476d1ce4e5b9ull;
		if (posix_memalign((void **)&workers[i].buffer, BLOCK, IO_MAX) ||
		    pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
			perror("model");
			return 1;
		}
	}
	for (unsigned long i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	if (!wrong && !errors)
		settle(&workers[0]);
	printf("%lu requests, %lu failed\n", (unsigned long)requests, (unsigned long)failures);
	if (!wrong && errors) {
		/* Whoever asked for errors ends them now, and says so by a line. */
		fflush(stdout);
		getchar();
		settle(&workers[0]);
	}
	if (wrong || !want_out(argv[3]))
		return 1;
	return 0;
}
