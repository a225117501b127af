/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells the module what is wrong between it and the backend, whenever that changes: for r3map monitor, and
 * for who asks the module. It belongs to the main thread's loop; what other threads note comes there by a
 * post. What begins and ends before the main thread gets to it is not told.
 */
#ifndef R3MAP_MOUNT_REPORT_H
#define R3MAP_MOUNT_REPORT_H

#include <stdatomic.h>

#include "lib/loop.h"
#include "lib/post.h"
#include "mount/trouble.h"

struct control;
struct device;
struct error;

struct report {
	struct trouble_listener listener;	/* of all of @troubles */
	struct post post;
	struct post_job job;			/* on its way if @sent */
	atomic_bool sent;
	struct loop_timer retry;
	struct control *control;		/* borrowed, as the next ones */
	const struct device *device;
	const struct trouble *server, *pull, *push;
};

/* What a report that was never opened has. */
#define REPORT_NOTHING	{ .post.wake.fd = -1 }

/*
 * Before anything is noted: of these troubles, which live as long as @report, as @control and @device do.
 * 0 or a negative errno with a sentence; undone by report_close(), also after a failure.
 */
int report_open(struct report *report, struct control *control, const struct device *device,
		struct trouble *server, struct trouble *pull, struct trouble *push,
		struct error *error);
/* In @loop's thread, once the device has been made: from now on it is told. */
int report_begin(struct report *report, struct loop *loop, struct error *error);
/* In the same thread: nothing is told any more. */
void report_end(struct report *report);
/* Nobody notes anything any more. */
void report_close(struct report *report);

#endif
