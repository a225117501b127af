// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * delay:TIME[,OPTION...]:BACKEND, a backend that is further away than it is. For tests and for
 * measuring.
 *
 * Every request waits for its time, then goes to the backend behind. Requests wait beside each
 * other, as on a long line; one that came later may overtake one whose time is longer. Options:
 *
 *   read=TIME write=TIME flush=TIME discard=TIME zero=TIME extents=TIME cache=TIME
 *                 for these instead of TIME
 *   jitter=TIME   plus a random time of 0 to this
 *   seed=N        of the random times: the n-th request always gets the same (default 0)
 *
 * A time of 0 and no jitter passes a request on at once.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "schemes.h"
#include "wrap.h"
#include "../lib/error.h"
#include "../lib/size.h"

#define LONGEST		3600000000000ull	/* ns */

struct delay {
	struct wrap wrap;
	uint64_t ns[BACKEND_OPS];
	bool own[BACKEND_OPS];		/* set by an option of its own */
	uint64_t jitter;
	uint64_t seed;
};

static int delay_set(struct wrap *wrap, const char *key, const char *value, struct error *error)
{
	struct delay *delay = (struct delay *)wrap;
	unsigned int op;
	uint64_t ns;
	int code;

	if (value && !strcmp(key, "seed"))
		return number_parse(value, 0, UINT64_MAX, &delay->seed, error);
	if (!value && !(*key >= '0' && *key <= '9'))
		return -ENOENT;
	code = duration_parse(value ? value : key, &ns, error);
	if (code)
		return code;
	if (ns > LONGEST)
		return error_set(error, -ERANGE, "%s is longer than 60min", value ? value : key);
	if (value && !strcmp(key, "jitter")) {
		delay->jitter = ns;
		return 0;
	}
	for (op = 0; op < BACKEND_OPS; op++) {
		if (value && strcmp(key, backend_op_name(op)))
			continue;
		if (value || !delay->own[op])
			delay->ns[op] = ns;
		if (value) {
			delay->own[op] = true;
			return 0;
		}
	}
	return value ? -ENOENT : 0;
}

static int delay_open(const char *rest, struct backend **backend, struct error *error)
{
	struct delay *delay = calloc(1, sizeof(*delay));
	int code;

	if (!delay)
		return error_set(error, -ENOMEM, "out of memory");
	code = wrap_open(&delay->wrap, &backend_delay, rest, delay_set, error);
	if (code) {
		free(delay);
		return code;
	}
	*backend = &delay->wrap.backend;
	return 0;
}

static void delay_over(struct loop_timer *timer)
{
	struct wrap_io *io = (struct wrap_io *)((char *)timer - offsetof(struct wrap_io, timer));
	struct wrap_channel *channel = io->channel;

	wrap_pass(io);
	backend_kick(channel->inner);
}

static void delay_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct delay *delay = (struct delay *)channel->backend;
	struct wrap_channel *c = (struct wrap_channel *)channel;
	struct wrap_io *record = wrap_take(c, io);
	uint64_t ns = delay->ns[io->op];

	if (!record)
		return;
	if (delay->jitter)
		ns += wrap_random(delay->seed, atomic_fetch_add(&delay->wrap.requests, 1)) %
		      (delay->jitter + 1);
	if (!ns) {
		wrap_pass(record);
		return;
	}
	record->timer.fire = delay_over;
	wrap_hold(record);
	if (loop_timer_set(c->loop, &record->timer, loop_now() + ns))
		wrap_finish(record, -ENOMEM);
}

const struct backend_ops backend_delay = {
	.scheme = "delay",
	.synopsis = "delay:TIME[,read|write|flush|discard|zero|extents|cache|jitter=TIME][,seed=N]"
		    ":BACKEND",
	.help = "for tests: every request waits for TIME before BACKEND gets it",
	.open = delay_open,
	.close = wrap_close,
	.listen = wrap_listen,
	.channel_open = wrap_channel_open,
	.channel_close = wrap_channel_close,
	.submit = delay_submit,
	.kick = wrap_kick,
};
