// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a region that lies behind a network is like to use, from the moment at which the command that
 * attaches it is started; without one, of a device that is there. Times are in milliseconds, on stdout.
 *
 *	region-clock DEVICE TASK[:NUMBER]... [-- COMMAND [ARGUMENT]...]
 *
 *	first:OFFSET		one read of 4 KiB, past the page cache
 *	all			every byte, one after the other, through the page cache
 *	some:COUNT:FROM:TO	COUNT chunks of 64 KiB between FROM and TO, in an order without
 *				pattern, none of them twice: 4 KiB of each, past the page cache, by
 *				four readers
 *	many:COUNT:OFFSET	COUNT readers of one place at once, past the page cache
 *	fill			every byte is written, past the page cache, with what does not repeat
 *	sync			"$R3MAP sync DEVICE"; without R3MAP in the environment what
 *				blockdev --flushbufs does
 *	pause:MS		nothing, for so long
 *
 * For each task there is a line: its name and how long it took, until the last byte was there: "all" does not
 * count close(), which takes the page cache of the device away. For "some" there is one more for each of
 * its reads. Before them is "ready" and when the device was: the command has written a line, and the device has a
 * size; or is a socket, where clients of the command can come. The command is left running if it stays. Must not poll while the command works: on one
 * processor it would take the time that it measures.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK		4096u
#define CHUNK		65536u
#define PIECE		(1u << 20)	/* of one read of "all" */
#define READERS		4u		/* of "some" */
#define MANY_MOST	1024u
#define ATTACH_MOST	60000.0		/* ms */
#define ATTACH_OFTEN	1000.0		/* ms, for which it is looked at often */

static const char *device;

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void pause_ms(double ms)
{
	struct timespec pause = { .tv_sec = (time_t)(ms / 1e3) };

	pause.tv_nsec = (long)((ms - (double)pause.tv_sec * 1e3) * 1e6);
	nanosleep(&pause, NULL);
}

static void die(const char *what)
{
	fprintf(stderr, "region-clock: %s: %s: %s\n", device, what, strerror(errno));
	exit(1);
}

static int open_device(int flags)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC | flags);

	if (fd < 0)
		die("open");
	return fd;
}

static void *block_new(size_t size)
{
	void *block;

	if (posix_memalign(&block, BLOCK, size))
		die("memory");
	return block;
}

/* It will not come: what the command said, and how it ended if it has, are the reason. */
static void attach_failed(const char *said, bool ended, int status)
{
	fprintf(stderr, "region-clock: %s: it does not come; the command %s %d and said: %s\n", device,
		ended ? "has ended with" : "still runs after ms", ended ? status : (int)ATTACH_MOST, said);
	exit(1);
}

/*
 * Starts @command, and waits until the device is there. The clock may jump, by seconds, while the host is
 * slow to read a file: a bound is there for what never comes only, and is not counted in looks, which take
 * no time then.
 */
static void attach(char **command, double start)
{
	posix_spawn_file_actions_t actions;
	uint64_t size = 0;
	char line[256] = "";
	bool ended = false;
	int out[2], fd, status = 0;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) || posix_spawn_file_actions_init(&actions) ||
	    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO))
		die("pipe");
	errno = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);
	if (errno)
		die(command[0]);
	close(out[1]);
	if (read(out[0], line, sizeof(line) - 1) < 0)
		die("read of what the command says");
	for (;;) {
		fd = open(device, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			if (ioctl(fd, BLKGETSIZE64, &size))
				size = 0;
			close(fd);
		}
		if (size || (fd < 0 && errno == ENXIO))	/* ENXIO: a socket */
			break;
		ended = ended || waitpid(pid, &status, WNOHANG) == pid;
		if ((ended && status) || now_ms() - start > ATTACH_MOST)
			attach_failed(line, ended, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		pause_ms(now_ms() - start < ATTACH_OFTEN ? 0.1 : 10);
	}
	printf("ready %.3f\n", now_ms() - start);
}

static void read_block(int fd, void *block, uint64_t offset)
{
	ssize_t got = pread(fd, block, BLOCK, (off_t)offset);

	if (got != BLOCK) {
		errno = got < 0 ? errno : ENODATA;
		die("read");
	}
}

static void task_first(uint64_t offset)
{
	int fd = open_device(O_DIRECT);
	void *block = block_new(BLOCK);

	read_block(fd, block, offset);
	close(fd);
	free(block);
}

/* Returns when the last byte was there. */
static double task_all(void)
{
	int fd = open_device(0);
	void *piece = block_new(PIECE);
	double end;
	ssize_t got;

	while ((got = read(fd, piece, PIECE)) > 0)
		;
	if (got)
		die("read");
	end = now_ms();
	close(fd);
	free(piece);
	return end;
}

static void task_fill(void)
{
	int fd = open(device, O_WRONLY | O_DIRECT | O_CLOEXEC);
	uint64_t *piece = block_new(PIECE), size, count = 0;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size))
		die("open");
	for (uint64_t at = 0; at < size; at += PIECE) {
		size_t length = size - at < PIECE ? size - at : PIECE;

		for (size_t i = 0; i < PIECE / sizeof(*piece); i++)
			piece[i] = ++count;
		if (pwrite(fd, piece, length, (off_t)at) != (ssize_t)length)
			die("write");
	}
	close(fd);
	free(piece);
}

static void task_sync(void)
{
	char *program = getenv("R3MAP");
	char *command[] = { program, "sync", (char *)device, NULL };
	int fd, status;
	pid_t pid;

	if (!program) {
		fd = open_device(0);
		if (fsync(fd) || ioctl(fd, BLKFLSBUF, 0))
			die("sync");
		close(fd);
		return;
	}
	errno = posix_spawn(&pid, program, NULL, NULL, command, environ);
	if (errno || waitpid(pid, &status, 0) != pid)
		die(program);
	if (status) {
		errno = EIO;
		die("r3map sync");
	}
}

/* --- several readers -------------------------------------------------------------------------- */

struct reads {
	uint64_t from;			/* bytes */
	uint64_t chunks;		/* between which is chosen; 1: always the same */
	uint64_t step;			/* has no divisor in common with @chunks */
	unsigned int count;
	_Atomic unsigned int next;
	double *took;			/* ms, of each */
	pthread_barrier_t begin;
};

static void *reader(void *arg)
{
	struct reads *reads = arg;
	int fd = open_device(O_DIRECT);
	void *block = block_new(BLOCK);
	unsigned int i;

	pthread_barrier_wait(&reads->begin);
	while ((i = reads->next++) < reads->count) {
		uint64_t chunk = (i + 1) * reads->step % reads->chunks;
		double start = now_ms();

		read_block(fd, block, reads->from + chunk * CHUNK);
		reads->took[i] = now_ms() - start;
	}
	close(fd);
	free(block);
	return NULL;
}

static uint64_t divisor(uint64_t a, uint64_t b)
{
	return b ? divisor(b, a % b) : a;
}

/* @each: print what each read took */
static void task_reads(unsigned int readers, unsigned int count, uint64_t from, uint64_t to, bool each)
{
	struct reads reads = { .from = from, .count = count, .chunks = (to - from) / CHUNK };
	pthread_t threads[MANY_MOST];

	if (!reads.chunks)
		reads.chunks = 1;
	if (!count || readers > MANY_MOST || (each && count > reads.chunks)) {
		errno = EINVAL;
		die("so many readers or chunks");
	}
	/* The golden section: neighbours in time are far apart. */
	for (reads.step = reads.chunks * 618 / 1000 + 1; divisor(reads.step, reads.chunks) != 1;)
		reads.step++;
	reads.took = calloc(count, sizeof(*reads.took));
	if (!reads.took || pthread_barrier_init(&reads.begin, NULL, readers))
		die("memory");
	for (unsigned int i = 0; i < readers; i++) {
		errno = pthread_create(&threads[i], NULL, reader, &reads);
		if (errno)
			die("thread");
	}
	for (unsigned int i = 0; i < readers; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; each && i < count; i++)
		printf("read %.3f\n", reads.took[i]);
	free(reads.took);
}

/* --- tasks ------------------------------------------------------------------------------------ */

static void task(const char *spec)
{
	char name[16] = "";
	uint64_t a = 0, b = 0, c = 0;
	double start = now_ms(), end = 0;

	sscanf(spec, "%15[a-z]:%" SCNu64 ":%" SCNu64 ":%" SCNu64, name, &a, &b, &c);
	if (!strcmp(name, "first")) {
		task_first(a);
	} else if (!strcmp(name, "all")) {
		end = task_all();
	} else if (!strcmp(name, "some")) {
		task_reads(READERS, (unsigned int)a, b, c, true);
	} else if (!strcmp(name, "many")) {
		task_reads((unsigned int)a, (unsigned int)a, b, b, false);
	} else if (!strcmp(name, "fill")) {
		task_fill();
	} else if (!strcmp(name, "sync")) {
		task_sync();
	} else if (!strcmp(name, "pause")) {
		pause_ms((double)a);
	} else {
		errno = EINVAL;
		die(spec);
	}
	printf("%s %.3f\n", name, (end > 0 ? end : now_ms()) - start);
}

int main(int argc, char **argv)
{
	int command = 2;

	while (command < argc && strcmp(argv[command], "--"))
		command++;
	if (argc < 3 || command + 1 == argc) {
		fprintf(stderr, "usage: region-clock DEVICE TASK... [-- COMMAND [ARGUMENT]...]\n");
		return 2;
	}
	device = argv[1];
	if (command < argc)
		attach(argv + command + 1, now_ms());
	for (int i = 2; i < command; i++)
		task(argv[i]);
	return 0;
}
