// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What all backends have in common: see backend.h.
 *
 * Finds the scheme, and stands before every backend's submit, so that a backend never sees a
 * request out of range, misaligned, too large, or of a kind that it has said it cannot do. Adds no
 * system call and no allocation to a request.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/r3map.h>

#include "backend.h"
#include "extents.h"
#include "schemes.h"
#include "../lib/error.h"

_Static_assert((int)BACKEND_READ == (int)R3MAP_OP_READ, "the numbers are the uapi's");
_Static_assert((int)BACKEND_WRITE == (int)R3MAP_OP_WRITE, "the numbers are the uapi's");
_Static_assert((int)BACKEND_FLUSH == (int)R3MAP_OP_FLUSH, "the numbers are the uapi's");
_Static_assert((int)BACKEND_DISCARD == (int)R3MAP_OP_DISCARD, "the numbers are the uapi's");
_Static_assert((int)BACKEND_WRITE_ZEROES == (int)R3MAP_OP_WRITE_ZEROES,
	       "the numbers are the uapi's");
_Static_assert(BACKEND_FUA == R3MAP_DESC_FUA, "the numbers are the uapi's");
_Static_assert(BACKEND_NO_UNMAP == R3MAP_DESC_NO_UNMAP, "the numbers are the uapi's");

const struct backend_ops *const backend_schemes[] = {
	&backend_mem,
	&backend_null,
	&backend_file,
	&backend_nbd,
	&backend_nbds,
	&backend_nbd_unix,
	&backend_nbds_unix,
	&backend_nbd_vsock,
	&backend_nbds_vsock,
	&backend_nbd_listen,
	&backend_nbds_listen,
	&backend_delay,
	&backend_fault,
	NULL,
};

void backend_help(FILE *to)
{
	fprintf(to, "\nBackends, see r3map-backends(7):\n");
	for (const struct backend_ops *const *b = backend_schemes; *b; b++)
		fprintf(to, "  %s\n      %s\n", (*b)->synopsis, (*b)->help);
}

const char *backend_op_name(unsigned int op)
{
	static const char *const names[BACKEND_OPS] = {
		"read", "write", "flush", "discard", "zero", "extents", "cache",
	};

	return op < BACKEND_OPS ? names[op] : NULL;
}

static void schemes_list(char *text, size_t size)
{
	size_t used = 0;
	size_t i;

	for (i = 0; backend_schemes[i] && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s:", i ? ", " : "",
					 backend_schemes[i]->scheme);
}

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

/* What an open must have filled in. A failure here is a defect of the backend or of its peer. */
static int info_check(const struct backend *backend, struct error *error)
{
	const struct backend_info *info = &backend->info;

	if (info->size == 0)
		return error_set(error, -EINVAL,
				 "%s is empty: a region needs at least 512 bytes", backend->name);
	if (info->size > INT64_MAX)
		return error_set(error, -EFBIG, "%s is too large: a region has less than 8E bytes",
				 backend->name);
	if (!power_of_two(info->block_min) || !power_of_two(info->block_preferred) ||
	    info->block_preferred < info->block_min ||
	    (info->max_io && info->max_io < info->block_min))
		return error_set(error, -EINVAL,
				 "%s has block sizes that do not fit together (%u, %u, %u)",
				 backend->name, info->block_min, info->block_preferred,
				 info->max_io);
	return 0;
}

int backend_open(const char *spec, struct backend **backend, struct error *error)
{
	const char *colon = strchr(spec, ':');
	size_t length = colon ? (size_t)(colon - spec) : strlen(spec);
	char list[256];
	size_t i;
	int code;

	for (i = 0; colon && backend_schemes[i]; i++) {
		const struct backend_ops *ops = backend_schemes[i];

		if (strlen(ops->scheme) != length || memcmp(ops->scheme, spec, length))
			continue;
		code = ops->open(colon + 1, backend, error);
		if (code)
			return code;
		code = info_check(*backend, error);
		if (code)
			backend_close(*backend);
		return code;
	}

	schemes_list(list, sizeof(list));
	return error_set(error, -EINVAL, "'%s' is not a backend: it must begin with one of %s",
			 spec, list);
}

void backend_close(struct backend *backend)
{
	if (backend)
		backend->ops->close(backend);
}

void backend_listen(struct backend *backend, struct backend_listener *listener)
{
	if (backend->ops->listen)
		backend->ops->listen(backend, listener);
}

int backend_channel_open(struct backend *backend, struct loop *loop,
			 struct backend_channel **channel, struct error *error)
{
	int code;

	code = backend->ops->channel_open(backend, loop, channel, error);
	if (!code)
		(*channel)->backend = backend;
	return code;
}

void backend_channel_close(struct backend_channel *channel)
{
	if (channel)
		channel->backend->ops->channel_close(channel);
}

/* The caller's view again, before it is called back. */
static void fua_finish(struct backend_io *io, int error)
{
	io->op = io->fua.op;
	io->flags |= BACKEND_FUA;
	io->done = io->fua.done;
	io->done(io, error);
}

static void fua_written(struct backend_io *io, int error)
{
	struct backend_channel *channel = io->fua.channel;

	if (error) {
		fua_finish(io, error);
		return;
	}
	io->op = BACKEND_FLUSH;
	io->done = fua_finish;
	channel->backend->ops->submit(channel, io);
}

/* 0, or -EINVAL. */
static int range_check(const struct backend_info *info, uint64_t offset, uint32_t length)
{
	if (!length || offset > info->size || length > info->size - offset)
		return -EINVAL;
	return (offset | length) & (info->block_min - 1) ? -EINVAL : 0;
}

/* Returns 0 if the backend is to see it, 1 if there is nothing to do, or a negative errno. */
static int look_check(const struct backend_info *info, const struct backend_io *io)
{
	uint64_t at = io->offset;
	int code;

	code = range_check(info, io->offset, io->length);
	if (code || io->op == BACKEND_CACHE)
		return code ? code : !info->can_cache;
	if (!io->extents || !io->extents->room)
		return -EINVAL;
	io->extents->used = 0;
	if (info->can_extents)
		return 0;
	extents_add(io, &at, io->length, 0);
	return 1;
}

/* The same, of every op. */
static int io_check(const struct backend_info *info, const struct backend_io *io)
{
	switch (io->op) {
	case BACKEND_FLUSH:
		return info->can_flush && !info->read_only ? 0 : 1;
	case BACKEND_READ:
	case BACKEND_WRITE:
		if (info->max_io && io->length > info->max_io)
			return -EINVAL;
		break;
	case BACKEND_DISCARD:
		if (!info->can_discard && !info->read_only)
			return -EOPNOTSUPP;
		break;
	case BACKEND_WRITE_ZEROES:
		if (info->read_only)
			break;
		if (!info->can_zeroes ||
		    ((io->flags & BACKEND_FAST_ZERO) && !info->can_fast_zero))
			return -EOPNOTSUPP;
		break;
	case BACKEND_EXTENTS:
	case BACKEND_CACHE:
		return look_check(info, io);
	default:
		return -EOPNOTSUPP;
	}
	if (io->op != BACKEND_READ && info->read_only)
		return -EPERM;
	return range_check(info, io->offset, io->length);
}

void backend_submit(struct backend_channel *channel, struct backend_io *io)
{
	const struct backend_info *info = &channel->backend->info;
	int code;

	code = io_check(info, io);
	if (code) {
		io->done(io, code > 0 ? 0 : code);
		return;
	}
	if ((io->flags & BACKEND_FUA) && !info->can_fua && info->can_flush &&
	    (io->op == BACKEND_WRITE || io->op == BACKEND_WRITE_ZEROES)) {
		io->fua.op = io->op;
		io->fua.done = io->done;
		io->fua.channel = channel;
		io->flags &= ~BACKEND_FUA;
		io->done = fua_written;
	}
	channel->backend->ops->submit(channel, io);
}

void backend_kick(struct backend_channel *channel)
{
	if (channel->backend->ops->kick)
		channel->backend->ops->kick(channel);
}

void *backend_map(struct backend *backend, uint64_t offset, uint32_t length)
{
	if (!backend->ops->map || range_check(&backend->info, offset, length))
		return NULL;
	return backend->ops->map(backend, offset, length);
}
