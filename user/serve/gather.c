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
#define ENOUGH		(32 << 10)	/* bytes that are there need not wait for more */

/* Bytes in one of the socket's two directions; 0 also if that cannot be told. */
static int socket_bytes(const struct peer *peer, unsigned long direction)
{
	int bytes = 0;

	return ioctl(peer->stream.fd, direction, &bytes) ? 0 : bytes;
}

/* Was the client ahead, and is it to be left alone for a moment? */
static void judge(const struct peer *peer, struct gather *gather)
{
	bool unread = socket_bytes(peer, SIOCOUTQ) > 0;
	int more = unread ? 0 : socket_bytes(peer, SIOCINQ);
	bool ahead = unread || more > 0;

	gather->due = ahead && more < ENOUGH;
	if (ahead && gather->rested)
		gather->backoff /= 2;
	if (!ahead && gather->rested && gather->backoff < BACKOFF_MAX)
		gather->backoff = (uint16_t)(2 * gather->backoff + 1);
	if (!ahead)
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
		judge(peer, gather);
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
