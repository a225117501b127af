// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fault:[OPTION,...]:BACKEND, a backend that fails when it is told to. For tests.
 *
 * Which requests (all, unless options narrow it; a request must meet every one that is given):
 *   op=OP[+OP...]    read, write, flush, discard, zero, extents, cache
 *   range=FROM-TO    that touch a byte from FROM up to, not including, TO (sizes)
 *   file=PATH        only while PATH exists; the path has no ',' and no ':'
 * and of these:
 *   after=N          not the first N
 *   every=N          each N-th
 *   random=N         one in N, at random; seed=N chooses the sequence (default 0)
 *   count=N          at most N
 * How:
 *   mode=error       fails at once, the backend behind does not see it (the default)
 *   mode=short       the first half is done, then it fails
 *   mode=lost        all of it is done, then it fails: the answer was lost
 *   mode=hang        is not answered until the channel closes, or PATH of file= is gone and
 *                    it goes its way
 *   errno=NAME       the error, by name or number (default EIO)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemes.h"
#include "wrap.h"
#include "../lib/error.h"
#include "../lib/size.h"

#define LOOK_NS		10000000	/* ns between looks whether the file is gone */
#define ERRNO_MAX	4095

enum fault_mode {
	FAULT_ERROR,
	FAULT_SHORT,
	FAULT_LOST,
	FAULT_HANG,
};

struct fault {
	struct wrap wrap;		/* requests: those that op, range and file let through */
	unsigned int ops;		/* a bit each; 0: all */
	uint64_t from, to;		/* bytes; to 0: everywhere */
	char *file;			/* or NULL */
	uint64_t after, every, random, seed;
	_Atomic uint64_t count;		/* faults left */
	enum fault_mode mode;
	int error;
};

static int ops_parse(const char *value, unsigned int *ops, struct error *error)
{
	while (*value) {
		size_t length = strcspn(value, "+");
		unsigned int op;

		for (op = 0; backend_op_name(op); op++)
			if (strlen(backend_op_name(op)) == length &&
			    !memcmp(backend_op_name(op), value, length))
				break;
		if (!backend_op_name(op))
			return error_set(error, -EINVAL,
				"'%s' is not an op: join some of read, write, flush, discard, zero, extents, cache with '+'",
				value);
		*ops |= 1u << op;
		value += length;
		if (*value)
			value++;
	}
	return 0;
}

static int range_parse(const char *value, struct fault *fault, struct error *error)
{
	const char *dash = strchr(value, '-');
	char from[32];
	int code;

	if (!dash || (size_t)(dash - value) >= sizeof(from))
		return error_set(error, -EINVAL, "'%s' is not a range: write FROM-TO, as in 1M-2M",
				 value);
	memcpy(from, value, (size_t)(dash - value));
	from[dash - value] = '\0';
	code = size_parse(from, &fault->from, error);
	if (!code)
		code = size_parse(dash + 1, &fault->to, error);
	if (!code && fault->to <= fault->from)
		code = error_set(error, -EINVAL, "the range %s is empty: TO must be above FROM",
				 value);
	return code;
}

static int errno_parse(const char *value, int *code, struct error *error)
{
	uint64_t number;
	int n;

	for (n = 1; n < 256; n++) {
		const char *name = strerrorname_np(n);

		if (name && !strcmp(name, value)) {
			*code = -n;
			return 0;
		}
	}
	if (number_parse(value, 1, ERRNO_MAX, &number, NULL))
		return error_set(error, -EINVAL, "'%s' is not an error: write a name, as in EIO",
				 value);
	*code = -(int)number;
	return 0;
}

static int mode_parse(const char *value, enum fault_mode *mode, struct error *error)
{
	static const char *const names[] = { "error", "short", "lost", "hang" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(value, names[i])) {
			*mode = (enum fault_mode)i;
			return 0;
		}
	}
	return error_set(error, -EINVAL, "'%s' is not a mode: it is error, short, lost or hang",
			 value);
}

static int fault_set(struct wrap *wrap, const char *key, const char *value, struct error *error)
{
	struct fault *fault = (struct fault *)wrap;
	uint64_t count;
	int code;

	if (!value)
		return -ENOENT;
	if (!strcmp(key, "op"))
		return ops_parse(value, &fault->ops, error);
	if (!strcmp(key, "range"))
		return range_parse(value, fault, error);
	if (!strcmp(key, "errno"))
		return errno_parse(value, &fault->error, error);
	if (!strcmp(key, "mode"))
		return mode_parse(value, &fault->mode, error);
	if (!strcmp(key, "after"))
		return number_parse(value, 0, UINT64_MAX, &fault->after, error);
	if (!strcmp(key, "every"))
		return number_parse(value, 1, UINT64_MAX, &fault->every, error);
	if (!strcmp(key, "random"))
		return number_parse(value, 1, UINT64_MAX, &fault->random, error);
	if (!strcmp(key, "seed"))
		return number_parse(value, 0, UINT64_MAX, &fault->seed, error);
	if (!strcmp(key, "count")) {
		code = number_parse(value, 0, UINT64_MAX, &count, error);
		if (!code)
			atomic_store(&fault->count, count);
		return code;
	}
	if (!strcmp(key, "file")) {
		free(fault->file);
		fault->file = strdup(value);
		return fault->file ? 0 : error_set(error, -ENOMEM, "out of memory");
	}
	return -ENOENT;
}

static int fault_open(const char *rest, struct backend **backend, struct error *error)
{
	struct fault *fault = calloc(1, sizeof(*fault));
	int code;

	if (!fault)
		return error_set(error, -ENOMEM, "out of memory");
	fault->error = -EIO;
	atomic_init(&fault->count, UINT64_MAX);
	code = wrap_open(&fault->wrap, &backend_fault, rest, fault_set, error);
	if (code) {
		free(fault->file);
		free(fault);
		return code;
	}
	*backend = &fault->wrap.backend;
	return 0;
}

static void fault_close(struct backend *backend)
{
	free(((struct fault *)backend)->file);
	wrap_close(backend);
}

static bool file_exists(const struct fault *fault)
{
	return fault->file && access(fault->file, F_OK) == 0;
}

static bool fault_is_due(struct fault *fault, const struct backend_io *io)
{
	uint64_t n, left;

	if (fault->ops && !(fault->ops & 1u << io->op))
		return false;
	if (fault->to && (io->op == BACKEND_FLUSH || io->offset >= fault->to ||
			  io->offset + io->length <= fault->from))
		return false;
	if (fault->file && !file_exists(fault))
		return false;
	n = atomic_fetch_add(&fault->wrap.requests, 1);
	if (n < fault->after)
		return false;
	if (fault->every && (n - fault->after + 1) % fault->every)
		return false;
	if (fault->random && wrap_random(fault->seed, n) % fault->random)
		return false;
	left = atomic_load(&fault->count);
	while (left && !atomic_compare_exchange_weak(&fault->count, &left, left - 1))
		;
	return left;
}

/* A held request goes on when the file is gone. */
static void fault_look(struct loop_timer *timer)
{
	struct wrap_io *io = (struct wrap_io *)((char *)timer - offsetof(struct wrap_io, timer));
	struct wrap_channel *channel = io->channel;
	struct fault *fault = (struct fault *)channel->channel.backend;

	if (file_exists(fault)) {
		if (loop_timer_set(channel->loop, timer, loop_now() + LOOK_NS))
			wrap_finish(io, -ENOMEM);
		return;
	}
	wrap_pass(io);
	backend_kick(channel->inner);
}

static void hang(struct fault *fault, struct wrap_io *record)
{
	record->timer.fire = fault_look;
	wrap_hold(record);
	if (fault->file &&
	    loop_timer_set(record->channel->loop, &record->timer, loop_now() + LOOK_NS))
		wrap_finish(record, -ENOMEM);
}

/* The first half, in whole blocks, and then the error. Nothing at all, if that is nothing. */
static void half_pass(struct fault *fault, struct wrap_io *record)
{
	uint32_t half = record->outer->length / 2 & ~(fault->wrap.backend.info.block_min - 1);

	if (half)
		wrap_pass_part(record, half);
	else
		wrap_finish(record, fault->error);
}

static void fault_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct fault *fault = (struct fault *)channel->backend;
	struct wrap_io *record;
	bool due = fault_is_due(fault, io);

	if (due && fault->mode == FAULT_ERROR) {
		io->done(io, fault->error);
		return;
	}
	record = wrap_take((struct wrap_channel *)channel, io);
	if (!record)
		return;
	if (!due) {
		wrap_pass(record);
	} else if (fault->mode == FAULT_HANG) {
		hang(fault, record);
	} else {
		record->error = fault->error;
		if (fault->mode == FAULT_SHORT)
			half_pass(fault, record);
		else
			wrap_pass(record);
	}
}

const struct backend_ops backend_fault = {
	.scheme = "fault",
	.synopsis = "fault:[op=OP+...][,range=FROM-TO][,file=PATH][,after|every|random|count|seed=N]"
		    "[,mode=error|short|lost|hang][,errno=NAME]:BACKEND",
	.help = "for tests: requests that the options choose fail",
	.open = fault_open,
	.close = fault_close,
	.listen = wrap_listen,
	.channel_open = wrap_channel_open,
	.channel_close = wrap_channel_close,
	.submit = fault_submit,
	.kick = wrap_kick,
};
