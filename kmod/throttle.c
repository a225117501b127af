// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slowing down who writes. See throttle.h.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/math64.h>

#include "bio.h"
#include "main.h"
#include "throttle.h"

#define THROTTLE_BURST	(20 * NSEC_PER_MSEC)	/* more than a tick of any HZ */
#define THROTTLE_TURN	(15 * NSEC_PER_SEC)	/* two are what a request may take by default */

static void throttle_pay(struct r3map_throttle *throttle, const struct bio *bio, u64 now)
{
	u64 ns = div64_u64((u64)bio->bi_iter.bi_size * NSEC_PER_SEC, throttle->rate);

	lockdep_assert_held(&throttle->lock);
	/* What was let in because it had waited long is not owed for ever. */
	throttle->paid = min(max(throttle->paid, now) + ns, now + THROTTLE_TURN);
}

static bool throttle_is_full(const struct r3map_throttle *throttle, u64 now)
{
	return throttle->paid > now + THROTTLE_BURST;
}

/* Looks again when more may go: paid for, or at the end of the turn. */
static void throttle_arm(struct r3map_throttle *throttle, u64 now)
{
	u64 at = min(throttle->paid, throttle->turn + THROTTLE_TURN + THROTTLE_BURST) -
		 THROTTLE_BURST;

	lockdep_assert_held(&throttle->lock);
	mod_delayed_work(r3map_hold_workqueue, &throttle->go,
			 at > now ? nsecs_to_jiffies(at - now) + 1 : 0);
}

static void throttle_take(struct r3map_throttle *throttle, struct bio_list *from,
			  struct bio_list *to, u64 now)
{
	struct bio *bio = bio_list_pop(from);

	lockdep_assert_held(&throttle->lock);
	if (throttle->rate)
		throttle_pay(throttle, bio, now);
	bio_list_add(to, bio);
	WRITE_ONCE(throttle->nr, throttle->nr - 1);
}

/* Those that may go on, to @to. */
static void throttle_collect(struct r3map_throttle *throttle, struct bio_list *to)
{
	u64 now = ktime_get_ns();
	bool over = now - throttle->turn >= THROTTLE_TURN;

	while (!bio_list_empty(&throttle->late) &&
	       (over || !throttle->rate || !throttle_is_full(throttle, now)))
		throttle_take(throttle, &throttle->late, to, now);
	if (over) {
		bio_list_merge(&throttle->late, &throttle->waiting);
		bio_list_init(&throttle->waiting);
		throttle->turn = now;
	}
	while (bio_list_empty(&throttle->late) && !bio_list_empty(&throttle->waiting) &&
	       (!throttle->rate || !throttle_is_full(throttle, now)))
		throttle_take(throttle, &throttle->waiting, to, now);
	if (throttle->nr)
		throttle_arm(throttle, now);
}

static void throttle_go(struct work_struct *work)
{
	struct r3map_throttle *throttle = container_of(to_delayed_work(work),
						       struct r3map_throttle, go);
	struct bio_list bios = BIO_EMPTY_LIST;
	struct bio *bio;

	spin_lock(&throttle->lock);
	throttle_collect(throttle, &bios);
	spin_unlock(&throttle->lock);
	while ((bio = bio_list_pop(&bios)))
		r3map_bio_admit(bio);
}

void r3map_throttle_init(struct r3map_throttle *throttle)
{
	spin_lock_init(&throttle->lock);
	INIT_DELAYED_WORK(&throttle->go, throttle_go);
	bio_list_init(&throttle->waiting);
	bio_list_init(&throttle->late);
}

void r3map_throttle_exit(struct r3map_throttle *throttle)
{
	cancel_delayed_work_sync(&throttle->go);
	WARN_ON_ONCE(throttle->nr);
}

bool r3map_throttle_enter_slow(struct r3map_throttle *throttle, struct bio *bio,
			       blk_status_t *status)
{
	u64 now = ktime_get_ns();
	bool in;

	spin_lock(&throttle->lock);
	in = !throttle->rate;
	if (!in && !throttle->nr && !throttle_is_full(throttle, now)) {
		throttle_pay(throttle, bio, now);
		in = true;
	} else if (!in && bio->bi_opf & REQ_NOWAIT) {
		*status = BLK_STS_AGAIN;
	} else if (!in) {
		*status = BLK_STS_OK;
		if (!throttle->nr)
			throttle->turn = now;
		bio_list_add(&throttle->waiting, bio);
		WRITE_ONCE(throttle->nr, throttle->nr + 1);
		if (throttle->nr == 1)
			throttle_arm(throttle, now);
	}
	spin_unlock(&throttle->lock);
	return in;
}

void r3map_throttle_set(struct r3map_throttle *throttle, u64 rate)
{
	spin_lock(&throttle->lock);
	WRITE_ONCE(throttle->rate, rate);
	throttle->paid = ktime_get_ns();
	if (throttle->nr)
		mod_delayed_work(r3map_hold_workqueue, &throttle->go, 0);
	spin_unlock(&throttle->lock);
}
