/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is written to a device, for another program of this host: the module tells a device's helper alone, so
 * the helper passes it on. Who asks says DOOR_TRACK at its door, and keeps the connection: an epoch of its own is open for
 * as long as that. So several do not take from each other what they are told; when there are as many epochs
 * as a device can have the next one is refused.
 *
 * The answer is a line, "0 SIZE GRAIN" or an errno and a sentence, and with the former a sealed memfd. Each byte
 * that comes then asks what was written since the last one: that is in the memfd, bit i of word j for grain
 * 64 j + i, when the next line comes, "0", or an errno and a sentence, and the end.
 */
#ifndef R3MAP_MOUNT_TRACK_H
#define R3MAP_MOUNT_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "migrate/dirty.h"

struct control;
struct device;
struct error;
struct loop;

/* --- the helper's side, in the thread of its loop --- */

struct trackers {
	struct loop *loop;
	struct control *control;
	const struct device *device;
	struct tracker *first;
};

/* @fd: of door_take(), the callee's. Its epoch begins now; or it is told why not. */
void tracker_new(struct trackers *trackers, int fd);
/* All of them end. */
void trackers_close(struct trackers *trackers);

/* --- the other side; one thread at a time --- */

struct track {
	int fd;				/* the connection */
	bool all;			/* its user's: what was before it began has not been looked at */
	struct dirty dirty;		/* what track_take() has got; in memory that is shared */
};

/*
 * @device: a descriptor of a block device. What is written from now on will be told. Waits for the helper, up to 5 s.
 * Returns 0 and *@track, or a negative errno with a sentence: it is no device of r3map, has no helper that tells ...
 */
int track_open(int device, struct track **track, struct error *error);
/*
 * What was written since the last time, into track->dirty. What the page cache of @device has is written back first, so
 * that the module sees it; of what was written it keeps nothing, as a direct write is told before it is taken out of there.
 * Waits. Returns 0, or a negative errno with a sentence: then anything may have been written, and it is of no use any more.
 */
int track_take(struct track *track, int device, struct error *error);
/* NULL: nothing. */
void track_close(struct track *track);

#endif
