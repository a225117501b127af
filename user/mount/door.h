/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the helper of a device that the module does not know, /dev/nbdN, can be asked to sync, to
 * unmount or to show: a unix socket, /run/r3map/nbdN, for root. One line comes in, a word; one goes
 * out: an errno, 0 if all is well, and text. Then the connection ends, or at the latest with the
 * helper.
 */
#ifndef R3MAP_MOUNT_DOOR_H
#define R3MAP_MOUNT_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct loop;

/* What is wanted. */
enum door_word { DOOR_SHOW, DOOR_SYNC, DOOR_UMOUNT, DOOR_FORCE, DOOR_WORDS };

/* --- the helper's side, in one loop --- */

struct door;

/*
 * Opens the door of /dev/@disk. @asked: somebody waits with @word; door_answer() tells all of these
 * at a time. 0 or a negative errno with a sentence.
 */
int door_open(struct loop *loop, const char *disk, void (*asked)(void *data, enum door_word word),
	      void *data, struct door **door, struct error *error);
/* @door may be NULL. Nobody who still waits is answered. */
void door_close(struct door *door);
/* Tells all who wait with @word; @code: 0 or a negative errno. @text without a newline. */
void door_answer(struct door *door, enum door_word word, int code, const char *text);

/* --- the other side --- */

/* Is @text the name of such a device, /dev/nbdN or nbdN? Then *@index is N. */
bool door_names(const char *text, uint32_t *index);
/*
 * Asks the helper of /dev/nbd@index, and waits up to @timeout_ms. 0, and the text in @answer, cut
 * to @size; or a negative errno with a sentence: -ENOENT: it is no device of r3map; -ECONNREFUSED:
 * its helper is gone; or what the helper says.
 */
int door_ask(uint32_t index, enum door_word word, uint32_t timeout_ms, char *answer, size_t size,
	     struct error *error);
/* The helper is gone: removes what it has left of its door. */
void door_forget(uint32_t index);

#endif
