// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A backend in front of another one: see wrap.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wrap.h"
#include "../lib/error.h"

#define BLOCK_RECORDS	64

struct wrap_block {
	struct wrap_block *next;
	struct wrap_io records[BLOCK_RECORDS];
};

static int options_set(struct wrap *wrap, char *list,
		       int (*set)(struct wrap *wrap, const char *key, const char *value,
				  struct error *error),
		       struct error *error)
{
	char *option, *value;
	int code;

	while ((option = strsep(&list, ","))) {
		if (!*option)
			continue;
		value = strchr(option, '=');
		if (value)
			*value++ = '\0';
		code = set(wrap, option, value, error);
		if (code == -ENOENT)
			return error_set(error, -EINVAL, "unknown option '%s': write %s", option,
					 wrap->backend.ops->synopsis);
		if (code)
			return code;
	}
	return 0;
}

static void wrap_info(struct wrap *wrap)
{
	wrap->backend.info = wrap->inner->info;
	wrap->backend.info.waits = true;
	wrap->backend.info.near = false;
	wrap->backend.info.can_map_writes = false;	/* nothing is to pass by the wrapper */
}

int wrap_init(struct wrap *wrap, const struct backend_ops *ops, struct backend *inner,
	      struct error *error)
{
	wrap->backend.ops = ops;
	wrap->backend.name = strdup(inner->name);
	if (!wrap->backend.name)
		return error_set(error, -ENOMEM, "out of memory");
	wrap->inner = inner;
	wrap_info(wrap);
	return 0;
}

int wrap_open(struct wrap *wrap, const struct backend_ops *ops, const char *rest,
	      int (*set)(struct wrap *wrap, const char *key, const char *value,
			 struct error *error),
	      struct error *error)
{
	const char *colon = strchr(rest, ':');
	char *list;
	int code;

	wrap->backend.ops = ops;
	if (!colon)
		return error_set(error, -EINVAL, "%s:%s: the backend behind is missing: write %s",
				 ops->scheme, rest, ops->synopsis);
	list = strndup(rest, (size_t)(colon - rest));
	if (!list)
		return error_set(error, -ENOMEM, "out of memory");
	code = options_set(wrap, list, set, error);
	free(list);
	if (code)
		return error_prefix(error, "%s:%.*s", ops->scheme, (int)(colon - rest), rest);
	code = backend_open(colon + 1, &wrap->inner, error);
	if (code)
		return code;
	wrap_info(wrap);
	if (asprintf(&wrap->backend.name, "%s:%.*s:%s", ops->scheme, (int)(colon - rest), rest,
		     wrap->inner->name) < 0) {
		wrap->backend.name = NULL;
		backend_close(wrap->inner);
		return error_set(error, -ENOMEM, "out of memory");
	}
	return 0;
}

void wrap_close(struct backend *backend)
{
	struct wrap *wrap = (struct wrap *)backend;

	backend_close(wrap->inner);
	free(backend->name);
	free(wrap);
}

void wrap_listen(struct backend *backend, struct backend_listener *listener)
{
	backend_listen(((struct wrap *)backend)->inner, listener);
}

int wrap_channel_open(struct backend *backend, struct loop *loop,
		      struct backend_channel **channel, struct error *error)
{
	struct wrap *wrap = (struct wrap *)backend;
	struct wrap_channel *c;
	int code;

	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(error, -ENOMEM, "out of memory");
	c->channel.backend = backend;
	c->loop = loop;
	code = backend_channel_open(wrap->inner, loop, &c->inner, error);
	if (code) {
		free(c);
		return code;
	}
	*channel = &c->channel;
	return 0;
}

void wrap_channel_close(struct backend_channel *channel)
{
	struct wrap_channel *c = (struct wrap_channel *)channel;
	struct wrap_block *block;

	while (c->held)
		wrap_finish(c->held, -ECANCELED);
	backend_channel_close(c->inner);
	while ((block = c->blocks)) {
		c->blocks = block->next;
		free(block);
	}
	free(c);
}

static struct wrap_io *record_take(struct wrap_channel *channel)
{
	struct wrap_io *record;
	struct wrap_block *block;
	size_t i;

	if (!channel->free) {
		block = calloc(1, sizeof(*block));
		if (!block)
			return NULL;
		block->next = channel->blocks;
		channel->blocks = block;
		for (i = 0; i < BLOCK_RECORDS; i++) {
			block->records[i].channel = channel;
			block->records[i].next = channel->free;
			channel->free = &block->records[i];
		}
	}
	record = channel->free;
	channel->free = record->next;
	record->outer = NULL;
	record->error = 0;
	record->at = 0;
	record->parent = NULL;
	record->parts = 0;
	record->busy = false;
	record->asked = false;
	record->held = false;
	return record;
}

struct wrap_io *wrap_take(struct wrap_channel *channel, struct backend_io *io)
{
	struct wrap_io *record = record_take(channel);

	if (record)
		record->outer = io;
	else
		io->done(io, -ENOMEM);
	return record;
}

struct wrap_io *wrap_part(struct wrap_io *parent)
{
	struct wrap_io *record = record_take(parent->channel);

	if (record)
		record->parent = parent;
	return record;
}

void wrap_hold(struct wrap_io *io)
{
	struct wrap_channel *channel = io->channel;

	io->held = true;
	io->before = NULL;
	io->next = channel->held;
	if (io->next)
		io->next->before = io;
	channel->held = io;
}

void wrap_unhold(struct wrap_io *io)
{
	if (!io->held)
		return;
	loop_timer_cancel(io->channel->loop, &io->timer);
	if (io->before)
		io->before->next = io->next;
	else
		io->channel->held = io->next;
	if (io->next)
		io->next->before = io->before;
	io->held = false;
}

void wrap_release(struct wrap_io *io)
{
	wrap_unhold(io);
	io->next = io->channel->free;
	io->channel->free = io;
}

void wrap_finish(struct wrap_io *io, int error)
{
	struct backend_io *outer = io->outer;

	wrap_release(io);
	outer->done(outer, error);
}

static void inner_done(struct backend_io *inner, int error)
{
	struct wrap_io *io = inner->owner;

	wrap_finish(io, error ? error : io->error);
}

static void pass(struct wrap_io *io, uint32_t length,
		 void (*done)(struct backend_io *inner, int error))
{
	wrap_unhold(io);
	io->inner = (struct backend_io) {
		.op = io->outer->op,
		.flags = io->outer->flags,
		.offset = io->outer->offset,
		.length = length,
		.buf = io->outer->buf,
		.extents = io->outer->extents,
		.done = done,
		.owner = io,
	};
	backend_submit(io->channel->inner, &io->inner);
}

void wrap_pass(struct wrap_io *io)
{
	pass(io, io->outer->length, inner_done);
}

void wrap_forward(struct backend_channel *channel, struct backend_io *io)
{
	struct wrap_io *record = wrap_take((struct wrap_channel *)channel, io);

	if (record)
		wrap_pass(record);
}

void wrap_pass_to(struct wrap_io *io, void (*done)(struct backend_io *inner, int error))
{
	pass(io, io->outer->length, done);
}

void wrap_pass_part(struct wrap_io *io, uint32_t length)
{
	pass(io, length, inner_done);
}

void wrap_kick(struct backend_channel *channel)
{
	backend_kick(((struct wrap_channel *)channel)->inner);
}

/* A hash of the number, so that the sequence does not depend on who draws it. */
uint64_t wrap_random(uint64_t seed, uint64_t n)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15ull + n;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}
