// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is to be sent. See catalogue.h.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_PREFIX "send: "
#include "lib/error.h"
#include "lib/log.h"
#include "sync/catalogue.h"
#include "sync/message.h"

static int item_add(struct catalogue *catalogue, const char *name, const char *path,
		    struct error *error)
{
	struct catalogue_item *item;

	if (!sync_name_valid(name))
		return error_set(error, -EINVAL, "'%.200s' is no name for a receiver: it is too long, or has a part that is empty, '.' or '..'",
				 name);
	if (catalogue->count == catalogue->room) {
		size_t room = catalogue->room ? catalogue->room * 2 : 64;

		item = realloc(catalogue->items, room * sizeof(*item));
		if (!item)
			return error_set(error, -ENOMEM, "out of memory");
		catalogue->items = item;
		catalogue->room = room;
	}
	item = &catalogue->items[catalogue->count];
	item->name = strdup(name);
	item->path = strdup(path);
	catalogue->count++;
	return item->name && item->path ? 0 : error_set(error, -ENOMEM, "out of memory");
}

/* "a/b", to be freed; NULL: no memory. */
static char *join(const char *folder, const char *name)
{
	size_t length = strlen(folder);
	char *text;

	return asprintf(&text, "%s%s%s", folder, length && folder[length - 1] != '/' ? "/" : "", name) < 0 ?
	       NULL : text;
}

static void skip(struct catalogue *catalogue, const char *what, const char *path)
{
	log_warn("cannot %s %s: %s", what, path, strerror(errno));
	catalogue->skipped++;
}

static int entry_add(struct catalogue *catalogue, const char *name, const char *path,
		     struct error *error);

static int folder_add(struct catalogue *catalogue, const char *name, const char *path,
		      struct error *error)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int code = 0;

	if (!folder) {
		skip(catalogue, "read the folder", path);
		return 0;
	}
	while (!code && (errno = 0, entry = readdir(folder))) {
		char *sub, *below;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		sub = join(name, entry->d_name);
		below = join(path, entry->d_name);
		if (!sub || !below)
			code = error_set(error, -ENOMEM, "out of memory");
		else
			code = entry_add(catalogue, sub, below, error);
		free(sub);
		free(below);
	}
	if (!code && errno)
		skip(catalogue, "read the folder", path);
	closedir(folder);
	return code;
}

/* What is in a folder. */
static int entry_add(struct catalogue *catalogue, const char *name, const char *path,
		     struct error *error)
{
	struct stat status;

	if (lstat(path, &status) < 0) {
		if (errno != ENOENT)	/* then it is gone again */
			skip(catalogue, "look at", path);
		return 0;
	}
	if (S_ISDIR(status.st_mode))
		return folder_add(catalogue, name, path, error);
	return S_ISREG(status.st_mode) ? item_add(catalogue, name, path, error) : 0;
}

/* The last part of @path, without slashes at its end; to be freed. */
static char *last_part(const char *path)
{
	size_t end = strlen(path), begin;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (begin = end; begin && path[begin - 1] != '/'; begin--)
		;
	return strndup(path + begin, end - begin);
}

static int path_add(struct catalogue *catalogue, const char *path, struct error *error)
{
	size_t length = strlen(path);
	struct stat status;
	char *name;
	int code;

	if (stat(path, &status) < 0)
		return errno == ENOENT ? -ENOENT :
		       error_set(error, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return error_set(error, -EINVAL, "%s is no file, block device or folder", path);
	name = S_ISDIR(status.st_mode) && (path[length - 1] == '/' || !strcmp(path, ".")) ?
	       strdup("") : last_part(path);
	if (!name)
		return error_set(error, -ENOMEM, "out of memory");
	code = S_ISDIR(status.st_mode) ? folder_add(catalogue, name, path, error) :
					 item_add(catalogue, name, path, error);
	free(name);
	return code;
}

static int item_compare(const void *a, const void *b)
{
	return strcmp(((const struct catalogue_item *)a)->name, ((const struct catalogue_item *)b)->name);
}

int catalogue_make(struct catalogue *catalogue, char *const *paths, int count,
		   struct error *error)
{
	int code;

	*catalogue = (struct catalogue) { 0 };
	for (int i = 0; i < count; i++) {
		code = path_add(catalogue, paths[i], error);
		if (code && code != -ENOENT) {
			catalogue_free(catalogue);
			return code;
		}
	}
	if (catalogue->count)
		qsort(catalogue->items, catalogue->count, sizeof(*catalogue->items), item_compare);
	for (size_t i = 1; i < catalogue->count; i++) {
		const struct catalogue_item *one = &catalogue->items[i - 1], *two = one + 1;

		if (strcmp(one->name, two->name) != 0)
			continue;
		error_set(error, -EEXIST, "%s and %s would have the same name at the receiver, '%s': send them apart",
			  one->path, two->path, one->name);
		catalogue_free(catalogue);
		return error->code;
	}
	return 0;
}

void catalogue_free(struct catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->count; i++) {
		free(catalogue->items[i].name);
		free(catalogue->items[i].path);
	}
	free(catalogue->items);
	*catalogue = (struct catalogue) { 0 };
}
