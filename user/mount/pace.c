// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pace of a pull. See pace.h.
 */
#include "mount/pace.h"

#define SECOND		1000000000ULL	/* ns */
#define PERIOD		(10 * SECOND)	/* for which the shortest time is believed, at least */
#define WINDOW_FIRST	4.0		/* chunks */
#define WINDOW_LEAST	2.0
#define GROW		(1.0 / 32)	/* of the window, in the time of a chunk */
#define QUEUED_FEW	3.0		/* chunks in queues: below this the window grows */
#define QUEUED_MANY	6.0		/* above it shrinks */

void pace_init(struct pace *pace, uint32_t most, uint64_t rate, uint64_t now)
{
	*pace = (struct pace) {
		.most = most,
		.window = most < WINDOW_FIRST ? most : WINDOW_FIRST,
		.slow_start = true,
		.period_end = now + PERIOD,
		.rate = rate,
		.filled = now,
	};
}

void pace_set_rate(struct pace *pace, uint64_t rate, uint64_t now)
{
	if (pace->rate)
		pace_wait(pace, now);	/* what the old rate gave until now */
	else
		pace->filled = now;
	if (!rate || pace->bytes > 0)
		pace->bytes = 0;
	pace->rate = rate;
}

uint32_t pace_window(const struct pace *pace)
{
	return (uint32_t)pace->window;
}

/* The shortest time: of the period before this one and of this one, so that it follows a change. */
static void base_note(struct pace *pace, uint64_t took, uint64_t now)
{
	if (now >= pace->period_end) {
		pace->base = pace->base_next;
		pace->base_next = 0;
		pace->period_end = now + PERIOD;
		/* Empties the queues once, or what is queued would come to be thought of as the path. */
		pace->window -= QUEUED_MANY + 2;
	}
	if (!pace->base_next || took < pace->base_next)
		pace->base_next = took;
	if (!pace->base || took < pace->base)
		pace->base = took;
}

void pace_arrived(struct pace *pace, uint64_t asked, uint64_t now, bool window_full)
{
	uint64_t took = now > asked ? now - asked : 1;
	double queued;

	base_note(pace, took, now);
	queued = pace->window * (1.0 - (double)pace->base / (double)took);
	if (queued > QUEUED_MANY) {
		pace->slow_start = false;
		pace->window -= 1.0 / pace->window;
	} else if (queued < QUEUED_FEW && window_full) {
		/* Once for each chunk: in the time of one, it doubles, or grows by a small part. */
		pace->window += pace->slow_start ? 1.0 : GROW + 1.0 / pace->window;
	} else if (queued >= QUEUED_FEW) {
		pace->slow_start = false;
	}
	if (pace->window > pace->most)
		pace->window = pace->most;
	if (pace->window < WINDOW_LEAST)
		pace->window = pace->most < WINDOW_LEAST ? pace->most : WINDOW_LEAST;
}

uint64_t pace_wait(struct pace *pace, uint64_t now)
{
	if (!pace->rate)
		return 0;
	pace->bytes += (double)pace->rate * (double)(now - pace->filled) / (double)SECOND;
	/* What was not used for long is not made up for. */
	if (pace->bytes > (double)pace->rate / 10)
		pace->bytes = (double)pace->rate / 10;
	pace->filled = now;
	if (pace->bytes >= 0)
		return 0;
	return now + 1 + (uint64_t)(-pace->bytes / (double)pace->rate * (double)SECOND);
}

void pace_spend(struct pace *pace, uint64_t bytes)
{
	if (pace->rate)
		pace->bytes -= (double)bytes;
}
