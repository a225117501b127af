// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Gathering: see gather.h.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "serve/gather.h"
#include "serve/input.h"
#include "serve/output.h"
#include "serve/thread.h"

#define REST_NS		40000u
#define BACKOFF_MAX	1023u		/* rounds */

static bool has_unread(const struct peer *peer)
{
	int bytes = 0;

	return !ioctl(peer->stream.fd, SIOCOUTQ, &bytes) && bytes > 0;
}

void gather_judge(struct gather *gather, bool unread)
{
	gather->due = unread;
	if (unread && gather->rested && gather->backoff)
		gather->backoff--;
	if (!unread && gather->rested && gather->backoff < BACKOFF_MAX)
		gather->backoff = (uint16_t)(2 * gather->backoff + 1);
	if (!unread)
		gather->wait = gather->backoff;
	gather->rested = false;
}

void gather_round(struct peer *peer)
{
	struct gather *gather = &peer->gather;
	bool several = gather->came > 1;

	gather->came = 0;
	if (!several || !input_may_read(peer))
		gather->due = false;
	else if (gather->wait)
		gather->wait--;
	else
		gather_judge(gather, has_unread(peer));
}

static void rested(struct loop_timer *timer)
{
	struct peer *peer = (struct peer *)((char *)timer - offsetof(struct peer, gather.timer));

	peer->gather.rested = true;
	if (input_may_read(peer))
		input_read(peer);
	peer_wake(peer);
}

void gather_rest(struct peer *peer)
{
	struct gather *gather = &peer->gather;

	if (!gather->due || output_pending(peer) || !input_may_read(peer))
		return;
	gather->due = false;
	gather->timer.fire = rested;
	/* Without memory for it there is no rest. */
	(void)loop_timer_set(peer->thread->loop, &gather->timer, loop_now() + REST_NS);
}

void gather_stop(struct peer *peer)
{
	loop_timer_cancel(peer->thread->loop, &peer->gather.timer);
}
