/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device answers: whoever waits for that is told, and the command of --run begins.
 */
#ifndef R3MAP_MOUNT_READY_H
#define R3MAP_MOUNT_READY_H

#include <sys/types.h>

struct error;
struct loop;
struct loop_source;
struct mount_options;

struct ready {
	const char *path;		/* the device */
	const char *uris;		/* of a seeder, one a line, to print behind it; or NULL */
	int pipe;			/* of notify_fork(), or -1 */
	int log;			/* for notify_ready() */
};

/*
 * Prints the path, with --json an object, or with --run starts the command: then *@child is its process, and *@fd its
 * pidfd; else *@child is left alone. 0 or a negative errno with a sentence.
 */
int ready_tell(const struct mount_options *options, const struct ready *ready, pid_t *child,
	       int *fd, struct error *error);
/* Waits for the end of the command: @source, whose fd and ready are set. As ready_tell(). */
int ready_watch(struct loop *loop, struct loop_source *source, struct error *error);
/* It has ended: *@child is 0 from now on, @source is closed. Its exit status. */
int ready_over(struct loop *loop, struct loop_source *source, pid_t *child);

#endif
