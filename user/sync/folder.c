// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A receiver's regions. See folder.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/size.h"
#include "sync/beneath.h"
#include "sync/folder.h"
#include "sync/marks.h"
#include "sync/region.h"

int folder_open(struct folder *folder, const char *path, const struct opt_list *devices,
		struct error *error)
{
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return error_set(error, -errno, "cannot make the folder %s: %s", path, strerror(errno));
	folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->fd < 0)
		return error_set(error, -errno, "cannot open the folder %s: %s", path, strerror(errno));
	folder->devices = devices;
	return 0;
}

static void holding_drop(struct folder *folder, struct holding *holding)
{
	*holding->link = holding->next;
	if (holding->next)
		holding->next->link = holding->link;
	names_remove(&folder->names, &holding->named);
	folder->memory -= holding->memory;
	free(holding);
}

void folder_close(struct folder *folder)
{
	while (folder->holdings) {
		struct region *region = folder->holdings->region;

		holding_drop(folder, folder->holdings);
		region_put(region);
	}
	names_free(&folder->names);
	close(folder->fd);
}

struct holding *folder_find(const struct folder *folder, const char *name)
{
	struct name *found = names_find(&folder->names, name);

	return found ? (struct holding *)((char *)found - offsetof(struct holding, named)) : NULL;
}

/* Is there memory for the tables of a region of @size, which has @counted bytes already? */
static int memory_check(const struct folder *folder, uint64_t counted, uint64_t size,
			const struct hashing *hashing, struct error *error)
{
	uint64_t memory = region_memory(hashing, size);
	char text[SIZE_TEXT];

	if (memory > folder->memory_max ||
	    folder->memory - counted > folder->memory_max - memory)
		return error_set(error, -EFBIG, "the hashes of %s would take more memory than --max-memory: give more, or the sender a larger --chunk-size",
				 size_format(size, text));
	return 0;
}

static void memory_count(struct folder *folder, struct holding *holding)
{
	uint64_t memory = region_memory(holding->region->hashing, holding->region->size);

	folder->memory += memory - holding->memory;
	holding->memory = memory;
}

/* The path that the user has given for @name, or NULL. */
static const char *device_find(const struct folder *folder, const char *name)
{
	size_t length = strlen(name);

	for (unsigned int i = 0; i < folder->devices->count; i++) {
		const char *item = folder->devices->items[i];

		if (strcspn(item, "=") == length && !memcmp(item, name, length))
			return item + length + 1;
	}
	return NULL;
}

/* A descriptor or a negative errno with a sentence. */
static int name_open(struct folder *folder, const char *name, uint32_t mode, bool *made,
		     struct error *error)
{
	const char *device = device_find(folder, name);
	int fd;

	if (!device)
		return beneath_open(folder->fd, name, mode, made, error);
	*made = false;
	fd = open(device, O_RDWR | O_CLOEXEC);
	return fd < 0 ? error_set(error, -errno, "cannot open %s: %s", device, strerror(errno)) : fd;
}

static struct holding *holding_add(struct folder *folder, struct region *region)
{
	struct holding *holding = calloc(1, sizeof(*holding));

	if (!holding)
		return NULL;
	holding->region = region;
	holding->named.name = region->name;
	if (names_add(&folder->names, &holding->named)) {
		free(holding);
		return NULL;
	}
	holding->link = &folder->holdings;
	holding->next = folder->holdings;
	if (holding->next)
		holding->next->link = &holding->next;
	folder->holdings = holding;
	return holding;
}

int folder_mark(struct folder *folder, struct holding *holding, struct error *error)
{
	int code = 0;

	if (!folder->all || holding->marked)
		return 0;
	code = mark_set(folder->fd, holding->region->name, folder->durable, error);
	holding->marked = !code;
	return code;
}

int folder_settle(struct folder *folder, struct holding *holding, struct error *error)
{
	int code = 0;

	if (!holding->marked)
		return 0;
	code = mark_clear(folder->fd, holding->region->name, error);
	holding->marked = code;
	return code;
}

int folder_resize(struct folder *folder, struct holding *holding, uint64_t size,
		  struct error *error)
{
	struct region *region = holding->region;
	struct stat status;
	int code;

	code = memory_check(folder, holding->memory, size, region->hashing, error);
	if (code)
		return code;
	if (region->device) {
		off_t end = lseek(region->fd, 0, SEEK_END);

		if (end < 0 || (uint64_t)end < size)
			return error_set(error, -ENOSPC, "the device has %lld bytes, and %" PRIu64 " are to come: give a larger one",
					 (long long)end, size);
	} else if (fstat(region->fd, &status) < 0) {
		return error_set(error, -errno, "cannot look at it: %s", strerror(errno));
	} else if ((uint64_t)status.st_size != size) {
		code = folder_mark(folder, holding, error);
		if (code)
			return code;
		if (ftruncate(region->fd, (off_t)size) < 0)
			return error_set(error, -errno, "cannot give it %" PRIu64 " bytes: %s", size,
					 strerror(errno));
	}
	if (region_set_size(region, size))
		return error_set(error, -ENOMEM, "out of memory for its hashes");
	memory_count(folder, holding);
	return 0;
}

/* A region that the folder does not have yet. It is as large as it is, or as OPEN says, if that is less. */
static int region_take(struct folder *folder, const struct sync_message *open,
		       const struct hashing *hashing, struct holding **holding, bool *made,
		       struct error *error)
{
	struct region *region;
	int fd, code;

	/* Before there are tables: what is there may be large, and OPEN says anything. */
	code = memory_check(folder, 0, open->open.size, hashing, error);
	if (code)
		return code;
	fd = name_open(folder, open->open.name, open->open.mode, made, error);
	if (fd < 0)
		return fd;
	code = region_new(fd, open->open.name, hashing, open->open.size, &region, error);
	if (code) {
		close(fd);
		return code;
	}
	*holding = holding_add(folder, region);
	if (*holding) {
		memory_count(folder, *holding);
		return 0;
	}
	region_put(region);
	return error_set(error, -ENOMEM, "out of memory");
}

/*
 * The same; before there is a new file it is marked: an empty one is nobody's either. One that was marked before, and
 * could not be held, stays so.
 */
static int region_new_take(struct folder *folder, const struct sync_message *open,
			   const struct hashing *hashing, struct holding **holding, bool *made,
			   struct error *error)
{
	const char *name = open->open.name;
	const bool torn = folder->all && mark_has(folder->fd, name);
	int code = torn || !folder->all ? 0 : mark_set(folder->fd, name, folder->durable, error);

	if (!code)
		code = region_take(folder, open, hashing, holding, made, error);
	if (!folder->all)
		return code;
	if (!torn && (code || !*made))
		mark_clear(folder->fd, name, NULL);
	else if (!code)
		(*holding)->marked = true;
	return code;
}

int folder_take(struct folder *folder, const struct sync_message *open,
		const struct hashing *hashing, struct holding **taken, bool *empty,
		struct error *error)
{
	struct holding *holding = folder_find(folder, open->open.name);
	bool made = false;
	int code;

	if (holding && holding->written)
		return error_set(error, -EBUSY, "another sender writes to it, or the hub has just begun and reads it: try again");
	if (folder->all && marks_name(open->open.name))
		return error_set(error, -EPERM, "this name is for what the hub notes: give it another one");
	if (!holding) {
		code = region_new_take(folder, open, hashing, &holding, &made, error);
		if (code)
			return code;
	}
	holding->written = true;
	*empty = !holding->region->known && !holding->region->device &&
		 (made || !holding->region->size);
	code = folder_resize(folder, holding, open->open.size, error);
	if (code)
		folder_give(folder, holding);
	else
		*taken = holding;
	return code;
}

void folder_give(struct folder *folder, struct holding *holding)
{
	struct region *region;

	holding->written = false;
	if (folder->all)
		return;
	region = holding->region;
	holding_drop(folder, holding);
	region_put(region);
}

int folder_sync(const struct folder *folder, const char *name)
{
	return device_find(folder, name) ? 0 : beneath_sync(folder->fd, name);
}

int folder_remove(struct folder *folder, const char *name, struct region **was,
		  struct error *error)
{
	struct holding *holding = folder_find(folder, name);
	int code;

	*was = NULL;
	if (folder->all && marks_name(name))
		return 0;
	if (folder->keep || device_find(folder, name))
		return 0;
	if (holding && holding->written)
		return error_set(error, -EBUSY, "'%.200s' is written to by a sender, and is not removed",
				 name);
	if (holding) {
		*was = holding->region;
		holding_drop(folder, holding);
	}
	code = beneath_remove(folder->fd, name, error);
	if (!code && folder->all)
		mark_clear(folder->fd, name, NULL);
	return code;
}

/* --- what is there -------------------------------------------------------------------------- */

struct walk {
	struct folder *folder;
	const struct hashing *hashing;
	int (*found)(void *data, struct holding *holding);
	void *data;
	struct error *error;
};

static int walk_file(struct walk *walk, const char *name, uint64_t size)
{
	struct sync_message open = { .type = SYNC_OPEN, .open.size = size };
	struct holding *holding;
	bool made;
	int code;

	if (!sync_name_valid(name) || (walk->folder->all && marks_name(name)))
		return 0;
	snprintf(open.open.name, sizeof(open.open.name), "%s", name);
	code = region_take(walk->folder, &open, walk->hashing, &holding, &made, walk->error);
	if (code)
		return code;
	holding->marked = walk->folder->all && mark_has(walk->folder->fd, name);
	return walk->found(walk->data, holding);
}

/* @fd: the folder @name, closed at the end. */
static int walk_folder(struct walk *walk, int fd, const char *name)
{
	DIR *folder = fdopendir(fd);
	struct dirent *entry;
	int code = 0;

	if (!folder) {
		close(fd);
		return error_set(walk->error, -errno, "cannot read a folder: %s", strerror(errno));
	}
	while (!code && (entry = readdir(folder))) {
		char path[SYNC_NAME_MAX + 1];
		struct stat status;
		int length, sub;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		length = snprintf(path, sizeof(path), "%s%s%s", name, *name ? "/" : "", entry->d_name);
		if (length >= (int)sizeof(path) ||
		    fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(status.st_mode)) {
			code = walk_file(walk, path, (uint64_t)status.st_size);
		} else if (S_ISDIR(status.st_mode)) {
			sub = openat(dirfd(folder), entry->d_name,
				     O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
			code = sub < 0 ? 0 : walk_folder(walk, sub, path);
		}
	}
	closedir(folder);
	return code;
}

int folder_each(struct folder *folder, const struct hashing *hashing,
		int (*found)(void *data, struct holding *holding), void *data,
		struct error *error)
{
	struct walk walk = { folder, hashing, found, data, error };
	int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(error, -errno, "cannot read the folder: %s", strerror(errno));
	return walk_folder(&walk, fd, "");
}
