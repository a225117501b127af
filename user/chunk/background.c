// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Puller and pusher. See background.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "backend/wrap.h"
#include "chunk/background.h"
#include "chunk/synced.h"
#include "lib/error.h"
#include "mount/managed.h"

/* A FLUSH that the pusher has; kept for the next one: there are as many as ever were at once. */
struct flush {
	struct managed_flush managed;
	struct wrap_io *record;		/* NULL: free, or whoever waited has been told */
	struct background *background;
	struct flush *next;		/* free ones */
	struct flush *next_made;
};

struct background {
	struct wrap wrap;
	struct managed *managed;
	bool remote_flush;
	struct flush *free;
	struct flush *made;		/* all of them */
};

static void flush_done(struct managed_flush *managed, int error)
{
	struct flush *flush = (struct flush *)managed;	/* its first member */
	struct wrap_io *record = flush->record;

	flush->record = NULL;
	flush->next = flush->background->free;
	flush->background->free = flush;
	if (record)
		wrap_finish(record, error);
}

static void background_flush(struct background *background, struct wrap_io *record)
{
	struct flush *flush = background->free;

	if (flush) {
		background->free = flush->next;
	} else {
		flush = calloc(1, sizeof(*flush));
		if (!flush) {
			wrap_finish(record, -ENOMEM);
			return;
		}
		flush->next_made = background->made;
		background->made = flush;
	}
	flush->managed.done = flush_done;
	flush->record = record;
	flush->background = background;
	managed_flush(background->managed, &flush->managed);
}

static void background_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct background *background = (struct background *)channel->backend;
	struct wrap_io *record = wrap_take((struct wrap_channel *)channel, io);

	if (!record)
		return;
	if (io->op == BACKEND_FLUSH && background->remote_flush)
		background_flush(background, record);
	else
		wrap_pass(record);
}

static int background_channel_open(struct backend *backend, struct loop *loop,
				   struct backend_channel **channel, struct error *error)
{
	struct background *background = (struct background *)backend;
	int err = wrap_channel_open(backend, loop, channel, error);

	if (err)
		return err;
	err = managed_start(background->managed, loop, synced_remote(background->wrap.inner),
			    error);
	if (err) {
		managed_halt(background->managed);
		wrap_channel_close(*channel);
		managed_stop(background->managed);
	}
	return err;
}

static void background_channel_close(struct backend_channel *channel)
{
	struct background *background = (struct background *)channel->backend;

	managed_halt(background->managed);
	/* The pusher answers only what it has begun, perhaps. */
	for (struct flush *flush = background->made; flush; flush = flush->next_made) {
		struct wrap_io *record = flush->record;

		flush->record = NULL;
		if (record)
			wrap_finish(record, -ECANCELED);
	}
	wrap_channel_close(channel);
	managed_stop(background->managed);
}

static void background_close(struct backend *backend)
{
	struct background *background = (struct background *)backend;
	struct flush *flush;

	while ((flush = background->made)) {
		background->made = flush->next_made;
		free(flush);
	}
	wrap_close(backend);
}

static const struct backend_ops background_ops = {
	.scheme = "background",
	.close = background_close,
	.channel_open = background_channel_open,
	.channel_close = background_channel_close,
	.submit = background_submit,
	.kick = wrap_kick,
};

int background_new(struct backend *inner, struct managed *managed, bool remote_flush,
		   struct backend **stage, struct error *error)
{
	struct background *background = calloc(1, sizeof(*background));
	int err;

	if (!background)
		return error_set(error, -ENOMEM, "out of memory");
	err = wrap_init(&background->wrap, &background_ops, inner, error);
	if (err) {
		free(background);
		return err;
	}
	background->managed = managed;
	background->remote_flush = remote_flush;
	*stage = &background->wrap.backend;
	return 0;
}
