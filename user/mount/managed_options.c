// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options of a managed mount. See managed_options.h.
 */
#include <errno.h>
#include <string.h>

#include "lib/error.h"
#include "mount/managed_options.h"

const char *const managed_flush_words[] = {
	[MOUNT_FLUSH_LOCAL] = "local", [MOUNT_FLUSH_DURABLE] = "local-durable",
	[MOUNT_FLUSH_REMOTE] = "remote", NULL,
};

/* Was anything said that only a managed mount has? */
static bool managed_is_meant(const struct mount_options *o)
{
	static const struct mount_options defaults = MOUNT_DEFAULTS;

	return o->store || o->progress || o->chunk != defaults.chunk || o->flush != defaults.flush ||
	       memcmp(&o->pull_push, &defaults.pull_push, sizeof(o->pull_push));
}

int managed_options_check(const struct mount_options *o, struct error *error)
{
	if (!o->managed && !o->recover && managed_is_meant(o))
		return error_set(error, -EINVAL, "--store, --progress, --chunk-size, --flush, --order, --record-order and all of --pull and --push are for --managed");
	if (o->pull_push.pull_first && !o->pull_push.pull_workers)
		return error_set(error, -EINVAL, "--pull-first needs --pull-workers");
	if (o->daemon && o->pull_push.order && !strcmp(o->pull_push.order, "-"))
		return error_set(error, -EINVAL, "--order - reads standard input, which --daemon gives up: leave one out, or give a file");
	return 0;
}
