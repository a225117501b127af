/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a helper can be asked what the module does not know: a unix socket, /run/r3map/r3mapN, for
 * root. It tells about its pull and push, and is told to change them. The helper of a device of
 * which the module knows nothing, /dev/nbdN, can also be asked to sync and to unmount it. One line
 * comes in, a word, and perhaps one more; one goes out: an errno, 0 if all is well, and text. Then
 * the connection ends, or at the latest with the helper; but that of PREPARE, once it is done, stays for as long as
 * whoever asked is there.
 */
#ifndef R3MAP_MOUNT_DOOR_H
#define R3MAP_MOUNT_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct loop;

/* What is wanted; of PULL and RATE there is more to say. */
enum door_word {
	DOOR_SHOW,
	DOOR_SYNC,
	DOOR_UMOUNT,
	DOOR_FORCE,
	DOOR_PULL,		/* "pause" or "run" */
	DOOR_RATE,		/* bytes a second, 0: no limit */
	DOOR_FINALIZE,		/* of a leecher: the region is to be here now */
	DOOR_PREPARE,		/* the same up to where it can be undone; PROCEED or UNDO follows */
	DOOR_PROCEED,		/* of a PREPARE: to the end, the others of its group are as far */
	DOOR_TRACK,		/* what is written, again and again, see track.h: the connection stays */
	DOOR_UNDO,		/* of a seeder: the leecher that has finalized is lost; of a PREPARE */
	DOOR_WORDS,
	DOOR_LEFT,		/* nobody says that: who has said PREPARE, answered or not, has hung up */
};

#define DOOR_FOLDER	"/run/r3map"
#define DOOR_ANSWER	32768	/* bytes of an answer, at most */

typedef void door_asked(void *data, enum door_word word, const char *argument);

/* --- the helper's side, in one loop --- */

struct door;

/*
 * Opens the door of /dev/@disk. @asked: somebody waits with @word; door_answer() tells all of these
 * at a time. @argument, what else he says, is "" if it is nothing; one with an argument is to be
 * answered at once. 0 or a negative errno with a sentence.
 */
int door_open(struct loop *loop, const char *disk, door_asked *asked, void *data,
	      struct door **door, struct error *error);
/* Nobody finds it any more; who has come waits on. @door may be NULL. */
void door_hide(struct door *door);
/* @door may be NULL. Nobody who still waits is answered. */
void door_close(struct door *door);
/*
 * Tells all who wait with @word; @code: 0 or a negative errno. @text without a newline. @door may be
 * NULL. Who has said PREPARE stays if @code is 0, and is told the other, and let go, when it is not.
 */
void door_answer(struct door *door, enum door_word word, int code, const char *text);

/* Within @asked: tells only him who asks just now, whom the others who wait with that word do not concern. */
void door_refuse(struct door *door, int code, const char *text);

/* The connection of one who waits with @word, which is the caller's from now on: -1: there is none. */
int door_take(struct door *door, enum door_word word);

/* --- the other side --- */

/* Is @text the name of such a device, /dev/nbdN or nbdN? Then *@index is N. */
bool door_names(const char *text, uint32_t *index);
/*
 * Asks the helper of /dev/@disk, and waits up to @timeout_ms. @argument may be NULL. 0, and the text
 * in *@answer, which is the caller's to free; or a negative errno with a sentence: -ENOENT: it has
 * no door; -ECONNREFUSED: its helper is gone; or what the helper says.
 */
int door_ask_disk(const char *disk, enum door_word word, const char *argument,
		  uint32_t timeout_ms, char **answer, struct error *error);
/* The same, and the connection stays: *@fd, the caller's to close. If it fails, there is none. */
int door_ask_staying(const char *disk, enum door_word word, uint32_t timeout_ms, int *fd,
		     char **answer, struct error *error);
/* Says it, and leaves it to the caller to hear the answer, on *@fd. 0 or as above. */
int door_call(const char *disk, enum door_word word, const char *argument, int *fd,
	      struct error *error);
/* The same as door_ask_disk() of /dev/nbd@index, the answer cut to @size. -ENOENT: it is no device of r3map. */
int door_ask(uint32_t index, enum door_word word, uint32_t timeout_ms, char *answer, size_t size,
	     struct error *error);
/* The helper is gone: removes what it has left of its door. */
void door_forget(uint32_t index);

#endif
