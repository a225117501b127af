/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a receiver has its regions: a folder of files, and devices that the user has given names to.
 *
 * Belongs to the loop's thread, but where something else is said.
 */
#ifndef R3MAP_SYNC_FOLDER_H
#define R3MAP_SYNC_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/opt.h"
#include "sync/message.h"
#include "sync/names.h"

struct error;
struct hashing;
struct region;

struct folder {
	int fd;
	const struct opt_list *devices;	/* NAME=PATH */
	bool keep;			/* nothing is removed */
	bool all;			/* regions are kept when nobody writes to them, and marked when somebody does: a hub's */
	bool durable;			/* marks are on the disk before what they are about */
	uint64_t memory, memory_max;	/* bytes of tables */
	struct holding *holdings;
	struct names names;		/* of them */
};

/* A region that is there, and whether somebody writes to it. */
struct holding {
	struct holding *next, **link;
	struct name named;
	struct region *region;
	uint64_t memory;		/* bytes, counted in the folder's */
	bool written;
	bool marked;			/* it is not what any sender had, or is about to be so */
};

/* @path: the folder, made if it is not there. Returns 0, or a negative errno with a sentence. */
int folder_open(struct folder *folder, const char *path, const struct opt_list *devices,
		struct error *error);
void folder_close(struct folder *folder);

/* What the folder has of @name now, NULL: nothing, for all that it knows. */
struct holding *folder_find(const struct folder *folder, const char *name);
/*
 * For a sender who wants to write to the region of OPEN. It has the size of that then. *@empty: there are
 * only zeroes in it. Returns 0 and *@holding, for one who writes at a time, or a negative errno with a sentence.
 */
int folder_take(struct folder *folder, const struct sync_message *open,
		const struct hashing *hashing, struct holding **holding, bool *empty,
		struct error *error);
/* It is about to be changed: if it is a hub's the next one is told of it. 0 or a negative errno with a sentence. */
int folder_mark(struct folder *folder, struct holding *holding, struct error *error);
/* It is what its sender has. As above. */
int folder_settle(struct folder *folder, struct holding *holding, struct error *error);
/* Nobody writes to it any more. */
void folder_give(struct folder *folder, struct holding *holding);
/* The region has, or is to have, @size bytes: file, tables and what they take. 0 or a negative errno with a sentence. */
int folder_resize(struct folder *folder, struct holding *holding, uint64_t size,
		  struct error *error);
/* Its name is on the disk. Waits; any thread. 0 or a negative errno. */
int folder_sync(const struct folder *folder, const char *name);
/*
 * Removes the file, if it is none that is written to, and nothing of it is kept. *@was: what the folder had of it,
 * or NULL; it is the caller's to region_put(). Returns 0 or a negative errno with a sentence.
 */
int folder_remove(struct folder *folder, const char *name, struct region **was,
		  struct error *error);
/*
 * All files that are there, for a hub: calls @found for each. A negative errno of it ends that. Returns 0 or a
 * negative errno with a sentence.
 */
int folder_each(struct folder *folder, const struct hashing *hashing,
		int (*found)(void *data, struct holding *holding), void *data,
		struct error *error);

#endif
