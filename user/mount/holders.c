// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finds who keeps a device busy, see holders.h: mounts of every mount name space, swap, other block
 * devices above it (/sys/block/X/holders, loop), and processes that have it open. Only reads; what
 * it may not see it leaves out.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mount/holders.h"

#define DEVICES_MAX	64	/* the device and its partitions */
#define FOUND_MAX	6	/* phrases that are listed */
#define SPACES_MAX	256	/* mount name spaces that are remembered */

struct holders {
	char disk[32];			/* "r3map0" */
	dev_t devices[DEVICES_MAX];
	unsigned int devices_used;
	struct stat node;		/* of /dev/DISK; st_ino 0: there is none */
	char *text;
	size_t size, used;
	unsigned int found;
	ino_t spaces[SPACES_MAX];	/* mount name spaces that were looked at */
	unsigned int spaces_used;
};

static void __attribute__((format(printf, 2, 3)))
holders_add(struct holders *h, const char *format, ...)
{
	va_list args;

	if (h->found++ >= FOUND_MAX || h->used >= h->size)
		return;
	if (h->found > 1)
		h->used += (size_t)snprintf(h->text + h->used, h->size - h->used, ", ");
	if (h->used >= h->size)
		return;
	va_start(args, format);
	h->used += (size_t)vsnprintf(h->text + h->used, h->size - h->used, format, args);
	va_end(args);
}

static bool holders_has(const struct holders *h, dev_t device)
{
	for (unsigned int i = 0; i < h->devices_used; i++)
		if (h->devices[i] == device)
			return true;
	return false;
}

/* Reads "major:minor" from @path. */
static void holders_device(struct holders *h, const char *path)
{
	unsigned int major, minor;
	FILE *file = fopen(path, "re");

	if (!file)
		return;
	if (fscanf(file, "%u:%u", &major, &minor) == 2 && h->devices_used < DEVICES_MAX)
		h->devices[h->devices_used++] = makedev(major, minor);
	fclose(file);
}

/* The device, its partitions, and the devices that the kernel has built upon them. */
static void holders_sysfs(struct holders *h)
{
	char path[64], part[2 * NAME_MAX];
	struct dirent *entry, *holder;
	DIR *dir, *holders;

	snprintf(path, sizeof(path), "/sys/block/%s/dev", h->disk);
	holders_device(h, path);
	snprintf(path, sizeof(path), "/sys/block/%s", h->disk);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		bool self = !strcmp(entry->d_name, "holders");

		if (!self && strncmp(entry->d_name, h->disk, strlen(h->disk)))
			continue;
		if (!self) {
			snprintf(part, sizeof(part), "%s/%s/dev", path, entry->d_name);
			holders_device(h, part);
		}
		snprintf(part, sizeof(part), "%s/%s%s", path, entry->d_name,
			 self ? "" : "/holders");
		holders = opendir(part);
		while (holders && (holder = readdir(holders)))
			if (holder->d_name[0] != '.')
				holders_add(h, "used by /dev/%s", holder->d_name);
		if (holders)
			closedir(holders);
	}
	if (dir)
		closedir(dir);
}

static void holders_mounts(struct holders *h, const char *path, const char *where)
{
	char line[4096], point[1024];
	unsigned int major, minor;
	FILE *file = fopen(path, "re");

	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%*d %*d %u:%u %*s %1023s", &major, &minor, point) == 3 &&
		    holders_has(h, makedev(major, minor)))
			holders_add(h, "mounted on %s%s", point, where);
	fclose(file);
}

static void holders_swap(struct holders *h)
{
	char line[1024], name[1000];
	FILE *file = fopen("/proc/swaps", "re");
	struct stat info;

	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%999s", name) == 1 && name[0] == '/' && !stat(name, &info) &&
		    S_ISBLK(info.st_mode) && holders_has(h, info.st_rdev))
			holders_add(h, "in use as swap (%s)", name);
	fclose(file);
}

static void holders_loops(struct holders *h)
{
	char path[PATH_MAX], name[PATH_MAX];
	struct dirent *entry;
	struct stat info;
	FILE *file;
	DIR *dir = opendir("/sys/block");

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "loop", 4))
			continue;
		snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file)) {
			name[strcspn(name, "\n")] = '\0';
			if (!strncmp(name, "/dev/", 5) && !stat(name, &info) && S_ISBLK(info.st_mode) &&
			    holders_has(h, info.st_rdev))
				holders_add(h, "used by /dev/%s", entry->d_name);
		}
		fclose(file);
	}
	if (dir)
		closedir(dir);
}

/* Mounts that only process @pid and its like can see. */
static void holders_space(struct holders *h, const char *pid)
{
	char path[64 + NAME_MAX], where[64 + NAME_MAX];
	struct stat info;

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
	if (stat(path, &info))
		return;
	for (unsigned int i = 0; i < h->spaces_used; i++)
		if (h->spaces[i] == info.st_ino)
			return;
	if (h->spaces_used == SPACES_MAX)
		return;
	h->spaces[h->spaces_used++] = info.st_ino;
	snprintf(path, sizeof(path), "/proc/%s/mountinfo", pid);
	snprintf(where, sizeof(where), " in the mount name space of process %s", pid);
	holders_mounts(h, path, where);
}

/* A device that is mapped stays open when its descriptor is closed. */
static bool holders_maps(const struct holders *h, const char *pid)
{
	unsigned int major, minor;
	unsigned long long inode;
	char path[PATH_MAX];
	bool found = false;
	FILE *maps;

	if (!h->node.st_ino)
		return false;
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(path, sizeof(path), maps))
		found = sscanf(path, "%*x-%*x %*s %*x %x:%x %llu", &major, &minor, &inode) == 3 &&
			inode == h->node.st_ino && makedev(major, minor) == h->node.st_dev;
	if (maps)
		fclose(maps);
	return found;
}

static void holders_process(struct holders *h, const char *pid)
{
	char path[PATH_MAX], name[64] = "?";
	struct dirent *entry;
	struct statx info;
	bool open = false;
	FILE *file;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !open && (entry = readdir(dir))) {
		/* Not asking the file system: a server that hangs must not hold us up. */
		open = entry->d_name[0] != '.' &&
		       !statx(dirfd(dir), entry->d_name, AT_STATX_DONT_SYNC, STATX_TYPE, &info) &&
		       S_ISBLK(info.stx_mode) &&
		       holders_has(h, makedev(info.stx_rdev_major, info.stx_rdev_minor));
	}
	if (dir)
		closedir(dir);
	if (!open && !holders_maps(h, pid))
		return;
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	holders_add(h, "%s process %s (%s)", open ? "open in" : "mapped by", pid, name);
}

bool holders_find(const char *disk, char *text, size_t size)
{
	struct holders h = { .text = text, .size = size };
	char node[sizeof(h.disk) + 8];
	struct dirent *entry;
	struct stat info;
	DIR *proc;

	text[0] = '\0';
	snprintf(h.disk, sizeof(h.disk), "%s", disk);
	snprintf(node, sizeof(node), "/dev/%s", disk);
	if (stat(node, &h.node))
		h.node.st_ino = 0;
	holders_sysfs(&h);
	holders_mounts(&h, "/proc/self/mountinfo", "");
	if (!stat("/proc/self/ns/mnt", &info))
		h.spaces[h.spaces_used++] = info.st_ino;
	holders_swap(&h);
	holders_loops(&h);
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		holders_space(&h, entry->d_name);
		holders_process(&h, entry->d_name);
	}
	if (proc)
		closedir(proc);
	if (!h.found)
		snprintf(text, size, "no holder is visible from here, or it has just let go");
	else if (h.found > FOUND_MAX && h.used < size)
		snprintf(text + h.used, size - h.used, " and %u more", h.found - FOUND_MAX);
	return h.found;
}

void holders_describe(uint32_t index, char *text, size_t size)
{
	char disk[32];

	snprintf(disk, sizeof(disk), "r3map%" PRIu32, index);
	holders_find(disk, text, size);
}
