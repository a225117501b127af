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
#include "lib/json.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/run.h"
#include "mount/mount.h"
#include "mount/ready.h"
#include "mount/reclaim.h"

/* Each line of @uris is one. False: no memory. */
static bool uris_add(cJSON *object, const char *uris)
{
	cJSON *array = cJSON_AddArrayToObject(object, "uris"), *item;
	char *copy = strdup(uris), *rest = copy, *uri;
	bool added = array && copy;

	while (added && (uri = strsep(&rest, "\n"))) {
		if (!*uri)
			continue;
		item = cJSON_CreateString(uri);
		added = item && cJSON_AddItemToArray(array, item);
	}
	free(copy);
	return added;
}

/* What is printed, with its newline; to be freed. NULL: no memory. */
static char *ready_text(const struct ready *ready, bool json)
{
	cJSON *object;
	char *line, *text = NULL;

	if (!json)
		return asprintf(&text, "%s\n%s", ready->path, ready->uris ? ready->uris : "") < 0 ?
		       NULL : text;
	object = cJSON_CreateObject();
	if (object && cJSON_AddStringToObject(object, "device", ready->path) &&
	    json_add_u64(object, "helper_pid", (uint64_t)getpid()) &&
	    (!ready->uris || uris_add(object, ready->uris))) {
		line = cJSON_PrintUnformatted(object);
		if (line && asprintf(&text, "%s\n", line) < 0)
			text = NULL;
		cJSON_free(line);
	}
	cJSON_Delete(object);
	return text;
}

int ready_tell(const struct mount_options *options, const struct ready *ready, pid_t *child,
	       int *fd, struct error *error)
{
	char *text = ready_text(ready, options->json);
	int err = 0;

	if (!text)
		return error_set(error, -ENOMEM, "out of memory");
	notify_systemd("READY=1");
	if (options->run) {
		/* Before the fork: the child of a process with threads must not allocate. */
		if (setenv("R3MAP_DEVICE", ready->path, 1) < 0)
			err = error_set(error, -ENOMEM, "out of memory");
		else
			err = run_start(options->run, reclaim_unprotect, child, fd, error);
	} else if (ready->pipe < 0 && (fputs(text, stdout) == EOF || fflush(stdout) == EOF)) {
		log_warn("cannot print the device's path: %s", strerror(errno));
	}
	if (!err && ready->pipe >= 0 && notify_ready(ready->pipe, text, ready->log))
		err = error_set(error, -EPIPE, "whoever waited for %s is gone: it is given up",
				ready->path);
	free(text);
	return err;
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
