// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device answers. See ready.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "mount: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/run.h"
#include "mount/mount.h"
#include "mount/ready.h"
#include "mount/reclaim.h"

int ready_tell(const struct mount_options *options, const struct ready *ready, pid_t *child,
	       int *fd, struct error *error)
{
	char line[4096];
	int err;

	snprintf(line, sizeof(line), "%s\n%s", ready->path, ready->more ? ready->more : "");
	notify_systemd("READY=1");
	if (options->run) {
		/* Before the fork: the child of a process with threads must not allocate. */
		if (setenv("R3MAP_DEVICE", ready->path, 1) < 0)
			return error_set(error, -ENOMEM, "out of memory");
		err = run_start(options->run, reclaim_unprotect, child, fd, error);
		if (err)
			return err;
	} else if (ready->pipe < 0 && (fputs(line, stdout) == EOF || fflush(stdout) == EOF)) {
		log_warn("cannot print the device's path: %s", strerror(errno));
	}
	if (ready->pipe >= 0 && notify_ready(ready->pipe, line, ready->log))
		return error_set(error, -EPIPE, "whoever waited for %s is gone: it is given up",
				 ready->path);
	return 0;
}

int ready_watch(struct loop *loop, struct loop_source *source, struct error *error)
{
	int err = loop_add(loop, source, EPOLLIN);

	return err ? error_set(error, err, "cannot watch the command: %s", strerror(-err)) : 0;
}

int ready_over(struct loop *loop, struct loop_source *source, pid_t *child)
{
	int status = run_status(*child);

	*child = 0;
	loop_remove(loop, source);
	close(source->fd);
	return status;
}
