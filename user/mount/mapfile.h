/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store that outlives its mount: two files, PATH with the region's bytes at their own offsets, and
 * PATH.map. What this reads and writes of the map is its first page, which says whose it is. Behind it
 * are the bitmaps of what is present, and of where something may have been written; they are the
 * module's (kmod/mapfile.h).
 */
#ifndef R3MAP_MOUNT_MAPFILE_H
#define R3MAP_MOUNT_MAPFILE_H

#include <stdbool.h>
#include <stdint.h>

struct error;

struct mapfile {
	int fd;				/* PATH.map, locked for this mount; -1: none */
	int store;			/* PATH; -1: none */
	bool found;			/* they were there: chunk is theirs */
	const char *path;		/* the caller's */
	bool made, store_made;		/* the files are new, and no store yet: go with this */
	uint32_t chunk;			/* bytes */
	uint64_t region;		/* bytes for each bit of the intents */
};

/*
 * Opens the store @path of a region of @size bytes of @backend, if it is there, or makes the files, which
 * are empty until mapfile_make(). Files that were never finished are as if they were empty. Locked
 * either way. 0 or a negative errno with a sentence; undone by mapfile_close(), also after a
 * failure. That takes away what was made and did not become a store.
 */
int mapfile_open(struct mapfile *mapfile, const char *path, uint64_t size, const char *backend,
		 struct error *error);
/* Those that mapfile_open() has made become a store with chunks of @chunk bytes, on disk. Same. */
int mapfile_make(struct mapfile *mapfile, const char *path, uint64_t size, uint32_t chunk,
		 const char *backend, struct error *error);
/* May the store that was found have what is not at the backend? 0 or a negative errno with a sentence. */
int mapfile_is_dirty(const struct mapfile *mapfile, uint64_t size, bool *dirty, struct error *error);
void mapfile_close(struct mapfile *mapfile);

#endif
