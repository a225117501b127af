/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Marks that outlive a hub: of files in its folder that are being written to, and are not what any sender had. Each
 * is a file in a folder of the hub's own, MARKS_FOLDER in its folder, called by the hash of the marked one's name, which is
 * in it. That folder is there while there are marks.
 *
 * For one thread; each waits for the file system, and with @durable for the disk. @folder: the hub's.
 */
#ifndef R3MAP_SYNC_MARKS_H
#define R3MAP_SYNC_MARKS_H

#include <stdbool.h>

#define MARKS_FOLDER	".r3map-hub"

struct error;

/* From now on, or not any more. Returns 0, or a negative errno with a sentence. */
int mark_set(int folder, const char *name, bool durable, struct error *error);
int mark_clear(int folder, const char *name, struct error *error);
bool mark_has(int folder, const char *name);

/* Is @name in the folder of marks, or that itself? It is no name for a region then. */
bool marks_name(const char *name);

#endif
