// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rounds of a leecher. See leech_state.h.
 *
 * What the pull has been told by the seeder (which parts are zeroes) and what it is reading may be out of date
 * when the next list of what was written comes. So a list is only asked for when nothing is under way: between
 * two rounds everything is local, and before a finalize the pull rests.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "migrate/leech_state.h"
#include "mount/managed.h"
#include "nbd/wait.h"
#include "nl/epoch.h"

#define ROUND_LEAST	(100 * MS)		/* ns from one round to the next, at least */
#define LOCAL_LOOK	(100 * MS)		/* ns until it is looked again whether all is local, at most */

int leech_wait_local(struct leech *l, bool *early, uint64_t until, struct error *error)
{
	eventfd_t ignored;
	uint64_t local;
	int err;

	for (;;) {
		/* Before the look: what comes later ends the wait. */
		eventfd_read(l->managed->all_local, &ignored);
		err = chunks_local(&l->chunks, &local, error);
		if (!err && local < l->managed->size && !until)
			err = leech_progress(l, local, error);
		if (!err && local < l->managed->size && until && loop_now() > until)
			err = error_set(error, -ETIMEDOUT, "what was written last did not come in time");
		if (err)
			return err;
		if (local >= l->managed->size)
			return 0;
		if (leech_stopped(l))
			return -ECANCELED;
		if (early && atomic_load(&l->asked)) {
			*early = true;
			return 0;
		}
		/* The last may come to somebody who waits for it, without the pull. */
		nbd_wait(l->managed->all_local, POLLIN, loop_now() + LOCAL_LOOK);
	}
}

/*
 * How long the stop would be, after a round in which @bytes were written: half a round trip for the answer, one for
 * the first fetch, and the list, which has 16 bytes for a grain at worst, and no more than the bitmap; that at 100
 * MB/s.
 */
static uint64_t round_expect(const struct leech *l, uint64_t bytes)
{
	uint64_t list = bytes / l->list.grain * 16, most = l->list.words * sizeof(uint64_t);

	return l->rtt * 3 / 2 + (list < most ? list : most) * 10;
}

/* Is it to be finalized without being asked? */
static bool round_is_last(struct leech *l, uint64_t bytes, uint64_t before)
{
	const struct leech_options *o = l->options;

	if (o->finalize || (o->rounds && l->round >= o->rounds))
		return true;
	if ((!o->max_downtime && !o->max_dirty) ||
	    (o->max_downtime && l->expected > o->max_downtime * MS))
		return false;
	if (o->max_dirty)
		return bytes <= o->max_dirty;
	/* As long as each round is shorter than the one before, another one makes it better. */
	return bytes >= before / 2;
}

/* It is to be, and rounds that become no shorter will not bring it there. */
static bool round_falls_behind(const struct leech *l, uint64_t bytes, uint64_t before)
{
	return (l->options->max_downtime || l->options->max_dirty) && bytes > before - before / 4;
}

struct dirty *leech_lost(struct leech *l)
{
	return l->list.grain == l->managed->chunk ? &l->list : &l->lost;
}

int leech_drop(struct leech *l, struct error *error)
{
	struct dirty *lost = leech_lost(l);

	if (lost != &l->list) {
		dirty_clear(lost);
		dirty_convert(lost, &l->list);
	}
	return chunks_drop(&l->chunks, lost->word, lost->words, error);
}

int leech_rest_pull(struct leech *l, struct error *error)
{
	if (managed_rest(l->managed, ANSWER / MS))
		return 0;
	return error_set(error, -ETIMEDOUT, "the pull does not come to rest");
}

int leech_follow(struct leech *l, struct error *error)
{
	uint64_t begun = loop_now(), before = UINT64_MAX, bytes;
	const bool all_first = l->options->push_all_first;
	bool early = false, *early_on = all_first ? NULL : &early;
	/* What the first pull has missed is not to be fetched while everybody waits. */
	bool ready = !all_first;
	int err = 0;

	for (;;) {
		err = leech_wait_local(l, early_on, 0, error);
		if (err || early)
			break;
		leech_set_phase(l, LEECH_FOLLOWING);
		if (ready && atomic_load(&l->asked))
			break;
		if (loop_now() - begun < ROUND_LEAST)
			leech_sleep(ROUND_LEAST - (loop_now() - begun));
		if (leech_stopped(l)) {
			err = -ECANCELED;
			break;
		}
		if (ready && atomic_load(&l->asked))
			break;
		/* All is local, but the pull may still be going through it, with what it was told before. */
		err = leech_rest_pull(l, error);
		if (!err)
			err = leech_take(l, error);
		if (err)
			break;
		bytes = dirty_bytes(&l->list);
		pthread_mutex_lock(&l->lock);
		l->round++;
		l->dirty = bytes;
		l->expected = round_expect(l, bytes);
		pthread_mutex_unlock(&l->lock);
		begun = loop_now();
		ready = true;
		err = leech_drop(l, error);
		if (err)
			break;
		/* All else is local. Without memory for the list, all of it is gone through. */
		managed_again(l->managed, dirty_ranges(leech_lost(l)));
		if (round_is_last(l, bytes, before)) {
			/* What has just been told is here before anybody stops. */
			err = leech_wait_local(l, early_on, 0, error);
			break;
		}
		l->slow = round_falls_behind(l, bytes, before);
		before = bytes;
	}
	return err;
}
