/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is to be sent: the files, devices and folders that a user names, as a list of names and paths.
 */
#ifndef R3MAP_SYNC_CATALOGUE_H
#define R3MAP_SYNC_CATALOGUE_H

#include <stddef.h>

struct error;

struct catalogue_item {
	char *name;		/* at the receiver */
	char *path;
};

struct catalogue {
	struct catalogue_item *items;	/* by rising name, each once */
	size_t count, room;
	unsigned int skipped;		/* could not be looked at: what is not listed may be there */
};

/*
 * Looks at @count @paths: a file or device is called as in its folder; what is in a folder, by its path from
 * there, with the folder's name before it unless the path ends with "/". Symbolic links in folders are
 * left out. Waits for the disk. Returns 0, or a negative errno with a sentence.
 */
int catalogue_make(struct catalogue *catalogue, char *const *paths, int count,
		   struct error *error);
void catalogue_free(struct catalogue *catalogue);

#endif
