// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A gate. See lockable.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend/wrap.h"
#include "chunk/lockable.h"
#include "lib/error.h"

struct lockable {
	struct wrap wrap;
	struct wrap_channel *channel;	/* the one there is, or NULL */
	unsigned int passed;		/* requests behind the gate */
	bool shut;
	void (*locked)(void *data);	/* NULL: told, or nobody wants to know */
	void *data;
};

static void lockable_tell(struct lockable *lockable)
{
	void (*locked)(void *data) = lockable->locked;

	if (!lockable->shut || lockable->passed || !locked)
		return;
	lockable->locked = NULL;
	locked(lockable->data);
}

static void lockable_done(struct backend_io *inner, int error)
{
	struct wrap_io *record = inner->owner;
	struct lockable *lockable = (struct lockable *)record->channel->channel.backend;

	lockable->passed--;
	wrap_finish(record, error);
	lockable_tell(lockable);
}

static void lockable_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct lockable *lockable = (struct lockable *)channel->backend;
	struct wrap_io *record = wrap_take((struct wrap_channel *)channel, io);

	if (!record)
		return;
	if (lockable->shut) {
		wrap_hold(record);
		return;
	}
	lockable->passed++;
	wrap_pass_to(record, lockable_done);
}

static int lockable_channel_open(struct backend *backend, struct loop *loop,
				 struct backend_channel **channel, struct error *error)
{
	struct lockable *lockable = (struct lockable *)backend;
	int err = wrap_channel_open(backend, loop, channel, error);

	if (!err)
		lockable->channel = (struct wrap_channel *)*channel;
	return err;
}

static void lockable_channel_close(struct backend_channel *channel)
{
	struct lockable *lockable = (struct lockable *)channel->backend;

	lockable->channel = NULL;
	lockable->locked = NULL;
	wrap_channel_close(channel);
}

void lockable_lock(struct backend *stage, void (*locked)(void *data), void *data)
{
	struct lockable *lockable = (struct lockable *)stage;

	lockable->shut = true;
	lockable->locked = locked;
	lockable->data = data;
	lockable_tell(lockable);
}

void lockable_unlock(struct backend *stage)
{
	struct lockable *lockable = (struct lockable *)stage;

	lockable->shut = false;
	lockable->locked = NULL;
	if (!lockable->channel)
		return;
	while (!lockable->shut && lockable->channel->held) {
		lockable->passed++;
		wrap_pass_to(lockable->channel->held, lockable_done);
	}
	backend_kick(lockable->channel->inner);
}

static const struct backend_ops lockable_ops = {
	.scheme = "lockable",
	.close = wrap_close,
	.channel_open = lockable_channel_open,
	.channel_close = lockable_channel_close,
	.submit = lockable_submit,
	.kick = wrap_kick,
};

int lockable_new(struct backend *inner, struct backend **stage, struct error *error)
{
	struct lockable *lockable = calloc(1, sizeof(*lockable));
	int err;

	if (!lockable)
		return error_set(error, -ENOMEM, "out of memory");
	err = wrap_init(&lockable->wrap, &lockable_ops, inner, error);
	if (err) {
		free(lockable);
		return err;
	}
	*stage = &lockable->wrap.backend;
	return 0;
}
