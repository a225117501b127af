// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long from starting a command that attaches a block device until the
 * device answers a read of 4 KiB, in milliseconds, on stdout.
 *
 *	attach-clock DEVICE COMMAND [ARGUMENT]...
 *
 * The command has attached the device when it has written a line or when it
 * and what it left behind have closed their stdout, whichever is first; what it then still has to do is waited for
 * by reading until the read succeeds. A command that stays (r3map mount) is
 * left running. Must not poll while the command works: on one CPU it would
 * take the time that it measures.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

/* one read of 4 KiB that no cache answers; 0 or -errno, -ENODATA if short */
static int device_read(const char *device, void *buf)
{
	ssize_t n;
	int fd, err = 0;

	fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, buf, 4096, 0);
	if (n != 4096)
		err = n < 0 ? -errno : -ENODATA;
	close(fd);
	return err;
}

int main(int argc, char **argv)
{
	struct timespec pause = { .tv_nsec = 100 * 1000 };
	posix_spawn_file_actions_t actions;
	double start, announced;
	int out[2], err, tries = 0;
	char line[256];
	void *buf;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: attach-clock DEVICE COMMAND [ARGUMENT]...\n");
		return 2;
	}
	if (posix_memalign(&buf, 4096, 4096) || pipe2(out, O_CLOEXEC) ||
	    posix_spawn_file_actions_init(&actions) ||
	    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO)) {
		perror("attach-clock");
		return 1;
	}

	start = now_ms();
	err = posix_spawnp(&pid, argv[2], &actions, NULL, argv + 2, environ);
	if (err) {
		fprintf(stderr, "attach-clock: %s: %s\n", argv[2], strerror(err));
		return 1;
	}
	close(out[1]);
	/* a line, or the end of the command (and of what it left behind) */
	if (read(out[0], line, sizeof(line)) < 0) {
		perror("attach-clock: read");
		return 1;
	}
	announced = now_ms();
	while ((err = device_read(argv[1], buf))) {
		if (++tries == 100000) {
			fprintf(stderr, "attach-clock: %s does not answer: %s\n",
				argv[1], strerror(-err));
			return 1;
		}
		nanosleep(&pause, NULL);
	}
	/* in all, until the command said that it was done, and who it is */
	printf("%.3f %.3f %d\n", now_ms() - start, announced - start, (int)pid);
	return 0;
}
