/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files beneath a folder, by names that somebody else has chosen. Nothing outside of the folder is
 * reached, whatever the name is and whoever changes the folder meanwhile: the kernel sees to it (openat2,
 * RESOLVE_BENEATH), and symbolic links are followed nowhere.
 */
#ifndef R3MAP_SYNC_BENEATH_H
#define R3MAP_SYNC_BENEATH_H

#include <stdbool.h>
#include <stdint.h>

struct error;

/*
 * Opens the regular file @name for reading and writing, and makes it, with @mode, and the folders above it, if it is not
 * there. @name: sync_name_valid(). Returns a descriptor, and *@made, or a negative errno with a sentence.
 */
int beneath_open(int folder, const char *name, uint32_t mode, bool *made, struct error *error);
/* The name is on the disk, and those of the folders above it. Waits; any thread. 0 or a negative errno. */
int beneath_sync(int folder, const char *name);
/* Removes the regular file @name, and the folders above it that are empty then. It is not there: 0. */
int beneath_remove(int folder, const char *name, struct error *error);

#endif
