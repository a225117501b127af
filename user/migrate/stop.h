/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stopping the application for the time that its region changes hosts, and letting it go on: by commands of
 * the user's, by signals to a process group, by the freezer of a cgroup; all of those that are given.
 */
#ifndef R3MAP_MIGRATE_STOP_H
#define R3MAP_MIGRATE_STOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct stop_options {
	const char *suspend;		/* command, or NULL */
	const char *resume;
	uint32_t group;			/* process group, or 0 */
	const char *cgroup;		/* folder of a cgroup, or NULL */
};

/* Is there anything to stop, or to let go on? */
bool stop_any(const struct stop_options *options);
/* What: "'CMD', process group 12, cgroup /x", or "the application". Returns @text. */
const char *stop_words(const struct stop_options *options, char *text, size_t size);
/* Are they as they can be? 0 or -EINVAL with a sentence. */
int stop_check(const struct stop_options *options, struct error *error);
/*
 * Stops it within @timeout ms, in the order above. @device: its path, R3MAP_DEVICE for the commands. 0, or a
 * negative errno with a sentence, and then it goes on, as by stop_resume(). Blocks.
 */
int stop_suspend(const struct stop_options *options, const char *device, uint32_t timeout,
		 struct error *error);
/*
 * Lets it go on, in reverse. What fails is logged, and the rest done all the same; a command is killed after a minute,
 * however short the time to stop was. Blocks.
 */
void stop_resume(const struct stop_options *options, const char *device);

#endif
