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
#define QUEUED_FEW	1.0		/* chunks in queues: below this the window grows */
#define QUEUED_MANY	2.5		/* above it, for a whole round, it shrinks */
#define LATE_PART	4u		/* of the path's time: it also grows as long as chunks are no later */
#define LATE_MOST	(3 * SECOND / 1000)	/* ns, of that */
#define START_AHEAD	2.0		/* at the start: times what came in the time of a chunk */
#define RATE_BETTER	1.25		/* a round that is so much better is worth the next */
#define ROUNDS_FLAT	2u		/* that are not, and the start is over */
#define ROUND_QUEUED	1.05		/* after one, if even its first chunk took so long, it waits */

void pace_init(struct pace *pace, uint32_t most, uint64_t rate, uint64_t now)
{
	*pace = (struct pace) {
		.most = most,
		.window = most < WINDOW_FIRST ? most : WINDOW_FIRST,
		.starting = true,
		.round = now,
		.period_end = now + PERIOD,
		.rate = rate,
		.filled = now,
	};
}

static void window_bound(struct pace *pace)
{
	if (pace->window > pace->most)
		pace->window = pace->most;
	if (pace->window < WINDOW_LEAST)
		pace->window = pace->most < WINDOW_LEAST ? pace->most : WINDOW_LEAST;
}

void pace_begin(struct pace *pace, uint64_t now, double beside)
{
	pace->round = now;
	pace->period_end = now + PERIOD;
	pace->window += beside;
	window_bound(pace);
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

struct pace_mark pace_asked(const struct pace *pace, uint64_t now)
{
	return (struct pace_mark) { .at = now, .arrived = pace->arrived };
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

/* As many as arrive in the shortest time, and those that may be queued. */
static void start_over(struct pace *pace)
{
	double rate = pace->rate_now > pace->rate_best ? pace->rate_now : pace->rate_best;

	pace->starting = false;
	pace->window = rate * (double)pace->base + QUEUED_FEW;
	pace->least = 0;
}

/* A round is over, which began at pace->round. */
static void round_over(struct pace *pace, uint64_t now)
{
	double rate = pace->round_arrived / (double)(now - pace->round);

	/* That chunks are late may be a queue, or TCP, which is still at its start. The next round tells. */
	pace->holds = false;
	if (rate >= RATE_BETTER * pace->rate_best)
		pace->rounds_flat = 0;
	else if (++pace->rounds_flat == ROUNDS_FLAT)
		start_over(pace);
	else
		pace->holds = (double)pace->round_least > ROUND_QUEUED * (double)pace->base;
	if (rate > pace->rate_best)
		pace->rate_best = rate;
	pace->round = now;
	pace->round_arrived = 0;
	pace->round_least = 0;
}

/* Not far ahead of the rate. */
static bool start_may_grow(const struct pace *pace)
{
	return pace->window < WINDOW_FIRST + START_AHEAD * pace->rate_now * (double)pace->base;
}

/* Once for each chunk: in the time of one, the window doubles. */
static void start_note(struct pace *pace, uint64_t asked, uint64_t took, uint64_t now,
		       uint32_t beside, bool window_full)
{
	/* The rate of this moment: that of the last round is already half of it. */
	if (beside / (double)took > pace->rate_now)
		pace->rate_now = beside / (double)took;
	pace->round_arrived++;
	if (!pace->round_least || took < pace->round_least)
		pace->round_least = took;
	if (window_full && !pace->holds && start_may_grow(pace))
		pace->window += 1.0;
	if (asked >= pace->round && now > pace->round)
		round_over(pace, now);
}

/* Of the window, if a chunk takes so long. */
static double queued(const struct pace *pace, uint64_t took)
{
	return pace->window * (1.0 - (double)pace->base / (double)took);
}

/*
 * What a chunk may be late without a queue: both ends have other work for their processors, and a window
 * that counts that as a queue leaves the path empty whenever it happens.
 */
static uint64_t late(const struct pace *pace)
{
	uint64_t part = pace->base / LATE_PART;

	return part < LATE_MOST ? part : LATE_MOST;
}

static bool is_few(const struct pace *pace, uint64_t took)
{
	return queued(pace, took) < QUEUED_FEW || took - pace->base < late(pace);
}

static bool is_many(const struct pace *pace, uint64_t took)
{
	return queued(pace, took) > QUEUED_MANY && took - pace->base > 2 * late(pace);
}

/*
 * Once for each chunk: in the time of one, the window grows by a small part, or shrinks by one. What made one
 * chunk late may be anything, what makes all of a round late is a queue.
 */
static void steady_note(struct pace *pace, uint64_t asked, uint64_t took, uint64_t now,
			bool window_full)
{
	if (!pace->round_least || took < pace->round_least)
		pace->round_least = took;
	if (pace->least && is_many(pace, pace->least) && is_many(pace, pace->round_least))
		pace->window -= 1.0 / pace->window;
	else if (is_few(pace, took) && window_full)
		pace->window += GROW + 1.0 / pace->window;
	if (asked >= pace->round && now > pace->round) {
		pace->least = pace->round_least;
		pace->round_least = 0;
		pace->round = now;
	}
}

void pace_arrived(struct pace *pace, const struct pace_mark *mark, uint64_t now, bool window_full)
{
	uint64_t asked = mark->at, took = now > asked ? now - asked : 1;
	uint32_t beside = ++pace->arrived - mark->arrived;

	base_note(pace, took, now);
	if (pace->starting)
		start_note(pace, asked, took, now, beside, window_full);
	else
		steady_note(pace, asked, took, now, window_full);
	window_bound(pace);
}

/*
 * A window that grows by what arrives is what TCP has at its start, and so much less than that as readers have
 * asked for. Until one of the pull's own has come there is no rate that could tell how far it may go.
 */
void pace_beside_asked(struct pace *pace, double chunks)
{
	if (pace->starting && !pace->holds && (pace->rate_now <= 0 || start_may_grow(pace)))
		pace->window += chunks;
	window_bound(pace);
}

void pace_beside_arrived(struct pace *pace, uint32_t chunks)
{
	pace->arrived += chunks;
	pace->round_arrived += chunks;
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
