/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many chunks a pull has on their way: as many as fill the path to the backend, and few more. What
 * waits in queues on the way would keep what a reader asks for waiting behind it.
 *
 * At the start the window doubles in each round trip, as long as that brings more: the transport below
 * begins slowly itself, so delay says nothing yet about the path, but the rate does. A round in which it did
 * not grow is the end of that, and what then was too many is not asked for again.
 *
 * Then by delay, as TCP Vegas does it (Brakmo, O'Malley, Peterson: TCP Vegas, SIGCOMM 1994): from the
 * shortest time that a chunk took lately, and the time that it takes now, follows how many of those
 * on their way are queued. Some ms of a longer path may be queued: so late are chunks for other reasons, and
 * a window that gives way to that leaves the path empty. A rate limit, if there is one, is a bucket of bytes.
 *
 * Belongs to one thread. Nothing here waits or fails.
 */
#ifndef R3MAP_MOUNT_PACE_H
#define R3MAP_MOUNT_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
	uint32_t most;			/* chunks */
	double window;			/* chunks */
	bool starting;
	uint64_t round;			/* ns: when the round began; one asked for later ends it */
	uint32_t round_arrived;		/* chunks */
	uint64_t round_least;		/* ns: the shortest time in it; 0: none */
	uint64_t least;			/* ns: and in the one before; 0: there was none, or it started */
	uint32_t arrived;		/* chunks, in all */
	double rate_now;		/* chunks a ns, of the best time that one was on its way, at the start; 0: unknown */
	double rate_best;		/* and of the best round of the start */
	unsigned int rounds_flat;	/* that were hardly better, one after the other */
	bool holds;			/* the window does not grow in this round */
	uint64_t base;			/* ns: the shortest of this and the last period; 0: unknown */
	uint64_t base_next;		/* ns: the shortest of this period */
	uint64_t period_end;		/* ns, CLOCK_MONOTONIC */

	uint64_t rate;			/* bytes a second; 0: no limit */
	double bytes;			/* that may be asked for now; below 0: not yet */
	uint64_t filled;		/* ns: when the bucket was filled last */
};

/* When a chunk was asked for. */
struct pace_mark {
	uint64_t at;			/* ns, CLOCK_MONOTONIC */
	uint32_t arrived;		/* chunks, by then */
};

void pace_init(struct pace *pace, uint32_t most, uint64_t rate, uint64_t now);
/* Another rate, from now on; what was asked for beyond the old one is still owed. */
void pace_set_rate(struct pace *pace, uint64_t rate, uint64_t now);
/*
 * What was there before this moment is no measure. @beside: so many chunks are on their way already, which
 * readers have asked for; the first of the pull's come behind them.
 */
void pace_begin(struct pace *pace, uint64_t now, double beside);
/* How many chunks may be on their way. */
uint32_t pace_window(const struct pace *pace);
/* A chunk is asked for. */
struct pace_mark pace_asked(const struct pace *pace, uint64_t now);
/* It has come; @window_full: as many as the window allows were on their way. */
void pace_arrived(struct pace *pace, const struct pace_mark *mark, uint64_t now, bool window_full);

/*
 * Readers have asked for so many on the same connection; so many of these have come. At the start they show what
 * the path carries as well as the pull's own.
 */
void pace_beside_asked(struct pace *pace, double chunks);
void pace_beside_arrived(struct pace *pace, uint32_t chunks);

/* 0: bytes may be asked for. Otherwise when (ns, CLOCK_MONOTONIC). */
uint64_t pace_wait(struct pace *pace, uint64_t now);
/* @bytes are asked for. */
void pace_spend(struct pace *pace, uint64_t bytes);

#endif
