/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who keeps a block device busy, for a person who wants to know why it cannot be unmounted.
 */
#ifndef R3MAP_MOUNT_HOLDERS_H
#define R3MAP_MOUNT_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes what holds /dev/r3map@index or one of its partitions, as one phrase ("mounted on /mnt,
 * open in process 812 (fio)"), to @text, cut to @size with its NUL. If nothing is found it says
 * that. A picture of a moment: it may have changed by the time it is read.
 */
void holders_describe(uint32_t index, char *text, size_t size);
/* The same of /dev/@disk. False: nothing was found. */
bool holders_find(const char *disk, char *text, size_t size);

#endif
