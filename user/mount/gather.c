// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When a queue's thread is SCHED_BATCH. See gather.h; the figures that led to it are in
 * Documentation/design/data-path.rst.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <time.h>

#include "mount/gather.h"

#define GATHER_TRY	16		/* messages after which a try is judged */
#define GATHER_REST	32		/* messages between the first tries */
#define GATHER_REST_MAX	8192		/* and between the last */

/*
 * Later than this is late, in units of @sent. The submitter ran meanwhile: what it submitted is
 * in the message itself and in the next one, n requests in all.
 */
#define GATHER_LATE(n)	(200 + 20 * (n))

void gather_init(struct gather *gather)
{
	*gather = (struct gather) {
		.able = sched_getscheduler(0) == SCHED_OTHER,
		.rest = GATHER_REST,
	};
}

static void gather_set(struct gather *gather, bool gathering)
{
	const struct sched_param param = { 0 };

	/* Whoever has chosen another policy meanwhile (chrt) is to keep it. */
	if (sched_getscheduler(0) != (gather->gathering ? SCHED_BATCH : SCHED_OTHER) ||
	    sched_setscheduler(0, gathering ? SCHED_BATCH : SCHED_OTHER, &param)) {
		gather->able = false;
		return;
	}
	gather->gathering = gathering;
	gather->messages = 0;
	gather->requests = 0;
	gather->delay = 0;
}

static void gather_stop(struct gather *gather)
{
	gather_set(gather, false);
	if (gather->rest < GATHER_REST_MAX)
		gather->rest *= 2;
}

/* The clock of r3map_desc.sent. */
static uint32_t gather_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> 10);
}

void gather_note(struct gather *gather, unsigned int requests, uint32_t sent)
{
	bool late;

	if (!gather->able)
		return;
	gather->messages++;
	gather->requests += requests;
	if (!gather->gathering) {
		if (gather->messages >= gather->rest)
			gather_set(gather, true);
		return;
	}
	late = gather->delay > GATHER_LATE(gather->last + requests);
	gather->delay = gather_now() - sent;
	gather->last = requests;
	if (late) {
		gather_stop(gather);
	} else if (gather->messages == GATHER_TRY) {
		if (gather->requests < 2 * GATHER_TRY) {
			gather_stop(gather);
			return;
		}
		gather->rest = GATHER_REST;
		gather->messages = 0;
		gather->requests = 0;
	}
}
