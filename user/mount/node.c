// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device node, see node.h. It has to be the right one: a stale file of the same name from an
 * earlier life, or a plain file that a careless "dd of=" has left, is told, not served.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "mount/node.h"

#define WAIT_MS		10000	/* upper bound; normally the node is there at once */

static char node_made[NODE_PATH];

char *node_path(uint32_t index, char path[NODE_PATH])
{
	snprintf(path, NODE_PATH, "/dev/r3map%" PRIu32, index);
	return path;
}

/* The number that sysfs tells; 0 if the device is not there. */
static dev_t node_number(const char *node)
{
	unsigned int major = 0, minor = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/%s/dev", strrchr(node, '/') + 1);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%u:%u", &major, &minor) != 2)
		major = minor = 0;
	fclose(file);
	return makedev(major, minor);
}

static bool node_devtmpfs(void)
{
	char device[256], point[256], type[64];
	bool found = false;
	char line[1024];
	FILE *file = fopen("/proc/self/mounts", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%255s %255s %63s", device, point, type) == 3 &&
		    !strcmp(point, "/dev"))
			found = !strcmp(type, "devtmpfs");
	if (file)
		fclose(file);
	return found;
}

int node_wait(const char *path, struct error *error)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct stat info;
	dev_t number = 0;

	for (int ms = 0; ms < WAIT_MS; ms++) {
		if (!stat(path, &info) && S_ISBLK(info.st_mode)) {
			number = number ? number : node_number(path);
			if (!number || info.st_rdev == number)	/* 0: sysfs is not mounted */
				return 0;
		}
		number = node_number(path);
		if (number && !node_devtmpfs()) {
			unlink(path);
			if (!mknod(path, S_IFBLK | 0600, number)) {
				snprintf(node_made, sizeof(node_made), "%s", path);
				return 0;
			}
			return error_set(error, -errno, "cannot make %s: %s", path,
					 strerror(errno));
		}
		nanosleep(&pause, NULL);
	}
	return error_set(error, -ENODEV, "the device is ready, but %s did not appear: is /dev a devtmpfs, and %s no plain file?",
			 path, path);
}

void node_forget(void)
{
	if (node_made[0])
		unlink(node_made);
}
