// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long from starting a command that attaches a block device until somebody who waits for the device
 * knows that it is there, and what his waiting costs.
 *
 *	ready-clock WAY[:MS[:PHASE]] NAME COMMAND [ARGUMENT]...
 *
 *	event		r3map's own event READY, by generic netlink
 *	uevent		what the kernel tells udev: NAME is added, or changes, and has a size
 *	udev		the same, told by udev to everybody else when it has done what its rules say
 *	sysfs:MS:PHASE	looks at /sys/block/NAME/size every MS milliseconds, first after PHASE percent of that
 *
 * Prints "KNOWN CPU READ": milliseconds until it was known; processor time that the wait took, microseconds;
 * and milliseconds until a first read of 4 KiB was answered, which is tried again while it fails. The command is
 * left running if it stays. At most a minute.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <linux/r3map.h>

#include "lib/error.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/events.h"

#define BLOCK	4096u
#define MOST_MS	60000.0

struct wait {
	const char *name;		/* of the device, as in /sys/block */
	double every, phase;		/* ms; sysfs */
	struct events *events;
	struct udev_monitor *monitor;
	bool known;
};

static void die(const char *what)
{
	fprintf(stderr, "ready-clock: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void pause_ms(double ms)
{
	struct timespec pause = { .tv_sec = (time_t)(ms / 1e3) };

	pause.tv_nsec = (long)((ms - (double)pause.tv_sec * 1e3) * 1e6);
	nanosleep(&pause, NULL);
}

/* Bytes of the device, as sysfs has it; 0: none, or no device. */
static unsigned long long device_size(const char *name)
{
	char path[128], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/block/%s/size", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return strtoull(text, NULL, 10) * 512;
}

static void event_seen(const struct device *device, void *data)
{
	struct wait *wait = data;
	char name[32];

	snprintf(name, sizeof(name), "r3map%u", device->index);
	wait->known = wait->known || (device->event == R3MAP_EVENT_READY && !strcmp(name, wait->name));
}

static void udev_seen(struct wait *wait)
{
	struct udev_device *device = udev_monitor_receive_device(wait->monitor);

	if (!device)
		return;
	wait->known = !strcmp(udev_device_get_sysname(device), wait->name) && device_size(wait->name);
	udev_device_unref(device);
}

static void wait_begin(struct wait *wait, const char *way)
{
	struct error error = {};
	struct control *control;
	struct udev *udev;

	if (!strncmp(way, "sysfs:", 6)) {
		wait->phase = 50;
		if (sscanf(way, "sysfs:%lf:%lf", &wait->every, &wait->phase) < 1 || wait->every <= 0)
			errno = EINVAL, die(way);
	} else if (!strcmp(way, "event")) {
		if (control_open(&control, &error) || events_open(control, &wait->events, &error)) {
			fprintf(stderr, "ready-clock: %s\n", error.text);
			exit(1);
		}
		control_close(control);
	} else if (!strcmp(way, "uevent") || !strcmp(way, "udev")) {
		udev = udev_new();
		wait->monitor = udev ? udev_monitor_new_from_netlink(udev, way[1] == 'e' ? "kernel" : "udev") : NULL;
		if (!wait->monitor || udev_monitor_filter_add_match_subsystem_devtype(wait->monitor, "block", "disk") ||
		    udev_monitor_enable_receiving(wait->monitor))
			die("udev");
	} else {
		errno = EINVAL;
		die(way);
	}
}

/* Waits until it is known. */
static void wait_end(struct wait *wait, double start)
{
	struct pollfd fd = { .events = POLLIN };

	if (wait->every > 0) {
		pause_ms(wait->every * wait->phase / 100);
		while (!device_size(wait->name) && now_ms() - start < MOST_MS)
			pause_ms(wait->every);
		wait->known = now_ms() - start < MOST_MS;
		return;
	}
	fd.fd = wait->events ? events_fd(wait->events) : udev_monitor_get_fd(wait->monitor);
	while (!wait->known && poll(&fd, 1, (int)MOST_MS) > 0) {
		if (!wait->events)
			udev_seen(wait);
		else if (events_read(wait->events, event_seen, wait))
			die("events");
	}
}

/* 0 or a negative errno. */
static int device_read(const char *name, void *block)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pread(fd, block, BLOCK, 0) != (ssize_t)BLOCK)
		err = errno ? -errno : -ENODATA;
	close(fd);
	return err;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t actions;
	struct wait wait = {};
	double start, known, before, cpu;
	void *block;
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: ready-clock WAY NAME COMMAND [ARGUMENT]...\n");
		return 2;
	}
	wait.name = argv[2];
	wait_begin(&wait, argv[1]);
	if (posix_memalign(&block, BLOCK, BLOCK) || posix_spawn_file_actions_init(&actions) ||
	    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0))
		die("memory");
	before = cpu_us();
	start = now_ms();
	errno = posix_spawnp(&pid, argv[3], &actions, NULL, argv + 3, environ);
	if (errno)
		die(argv[3]);
	wait_end(&wait, start);
	known = now_ms();
	cpu = cpu_us() - before;
	if (!wait.known) {
		errno = ETIMEDOUT;
		die(wait.name);
	}
	while (device_read(wait.name, block) && now_ms() - start < MOST_MS)
		pause_ms(0.1);
	printf("%.3f %.1f %.3f\n", known - start, cpu, now_ms() - start);
	return 0;
}
