// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The finalize of a leecher: the seeder is asked for the region, what was written last is dropped, and bios are let
 * go. See leech_state.h.
 */
#include <errno.h>
#include <stdlib.h>

#define LOG_PREFIX "leech: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "migrate/leech_state.h"
#include "mount/managed.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/epoch.h"

#define LATE		(5000 * MS)	/* ns more than the deadline of a finalize */
#define VERDICT		(40000 * MS)	/* ns that the others of a group are waited for */
#define FIRST_WAIT	(10000 * MS)	/* ns that the first bio is waited for, to be told of */

/* The pull has come to rest: no chunk is claimed. */
static int finalize_rest(struct leech *l, struct error *error)
{
	struct chunk_extents *extents = malloc(sizeof(*extents));
	uint64_t offset = 0, until = loop_now() + ANSWER;
	bool busy = false;
	int err = extents ? 0 : error_set(error, -ENOMEM, "out of memory");

	if (!err)
		err = leech_rest_pull(l, error);
	while (!err && offset < l->managed->size) {
		err = chunks_get(&l->chunks, offset, extents, error);
		for (unsigned int i = 0; !err && i < extents->count; i++)
			busy |= extents->extent[i].flags & R3MAP_EXTENT_BUSY;
		offset = extents->next;
		if (!err && busy && loop_now() > until)
			err = error_set(error, -ETIMEDOUT, "what is being pulled does not come");
		if (!err && busy) {
			leech_sleep(MS / 2);
			offset = 0;
			busy = false;
		}
		if (leech_stopped(l))
			err = -ECANCELED;
	}
	free(extents);
	return err;
}

struct final {
	struct migrate_finalized seeder;
	uint64_t told, received, released;	/* ns */
	uint64_t resumed;		/* ns; 0: nobody is to be resumed */
	bool whole;			/* but for what was told last, everything is local */
};

/* One try. Lost on the way, nobody knows here whether the seeder has. */
static int finalize_ask(struct leech *l, struct final *f, struct error *error)
{
	struct migrate_message m = { .type = MIGRATE_FINALIZE };
	uint64_t deadline = loop_now() + l->options->deadline * MS + LATE;
	int err;

	m.finalize = (struct migrate_finalize) {
		.received = l->received,
		.deadline = l->options->deadline,
	};
	dirty_clear(&l->list);
	err = link_ask(&l->link, &m, MIGRATE_FINALIZED, deadline, error);
	if (err)
		return err;
	f->seeder = m.finalized;
	f->told = loop_now();
	err = link_receive_dirty(&l->link, &l->list, f->told + ANSWER, error);
	f->received = loop_now();
	/* It is ours: whatever went wrong, it is asked for once more. */
	if (err)
		l->link.lost = true;
	return err;
}

/* Until it is known: the region is ours, or it is not. */
static int finalize_get(struct leech *l, struct final *f, struct error *error)
{
	int err;

	for (;;) {
		err = l->linked ? finalize_ask(l, f, error) : -EPIPE;
		if (!leech_again(l, &err, error))
			return err;
		if (!l->final)
			return error_set(error, -ECANCELED, "the connection was lost before the seeder had finalized: nothing has happened");
	}
}

/* An answer that was lost is no proof that nothing has happened: the device is asked. */
static int finalize_release(struct leech *l, struct error *error)
{
	int err = device_release(l->control, l->chunks.index, l->chunks.generation, error);
	struct device device;

	if (err && !device_get(l->control, l->chunks.index, &device, NULL) &&
	    device.hold == R3MAP_HOLD_NONE)
		err = 0;
	return err;
}

/* What becomes of one of a group that is given up. */
static int finalize_undone(enum leech_verdict verdict, struct error *error)
{
	return error_set(error, -ECANCELED, "%s: nothing has happened", verdict == VERDICT_LEFT ?
			 "who has asked for it is gone" : "the others of its group were not ready");
}

/* Nobody is let in before the others of the group are ready. */
static int finalize_wait_verdict(struct leech *l, struct error *error)
{
	const uint64_t until = loop_now() + VERDICT;
	enum leech_verdict verdict;
	bool grouped;

	pthread_mutex_lock(&l->lock);
	grouped = l->grouped;
	if (grouped)
		l->phase = LEECH_PREPARED;
	pthread_mutex_unlock(&l->lock);
	if (!grouped)
		return 0;
	post_send(&l->post, &l->prepared);
	for (;;) {
		pthread_mutex_lock(&l->lock);
		/* From here on it is one or the other. */
		if (l->verdict == VERDICT_NONE && loop_now() > until)
			l->verdict = VERDICT_UNDO;
		verdict = l->verdict;
		if (verdict == VERDICT_GO)
			l->phase = LEECH_FINALIZING;
		pthread_mutex_unlock(&l->lock);
		if (verdict == VERDICT_GO)
			return 0;
		if (verdict != VERDICT_NONE)
			return finalize_undone(verdict, error);
		if (leech_stopped(l))
			return -ECANCELED;
		leech_sleep(MS / 4);
	}
}

/* What was written last is remote again, and bios are let go. */
static int finalize_apply(struct leech *l, struct final *f, struct error *error)
{
	int err;

	err = leech_drop(l, error);
	if (!err && l->options->push_all_first) {
		managed_again(l->managed, f->whole ? dirty_ranges(leech_lost(l)) : NULL);
		err = leech_wait_local(l, NULL, loop_now() + l->options->deadline * MS, error);
	}
	if (!err)
		err = finalize_wait_verdict(l, error);
	if (!err)
		err = finalize_release(l, error);
	f->released = loop_now();
	return err;
}

int leech_abort(struct leech *l, struct error *error)
{
	const struct migrate_message m = { .type = MIGRATE_ABORT };
	struct migrate_message answer;
	int err = leech_ask(l, &m, &answer, MIGRATE_OK, error);

	l->unwanted = err;
	if (!err)
		l->final = false;
	else
		error_prefix(error, "the seeder cannot be told that the region is not taken, there 'r3map finalize --undo' takes it back");
	return err;
}

static void finalize_note(struct leech *l, const struct final *f, uint32_t waiting)
{
	struct leech_times *t = &l->times;
	struct device device;
	uint64_t until = f->released + FIRST_WAIT;
	struct error error = { 0 };

	pthread_mutex_lock(&l->lock);
	*t = (struct leech_times) {
		.suspend = f->seeder.suspend,
		.freeze = f->seeder.freeze,
		.drain = f->seeder.drain,
		.list = f->seeder.held > f->seeder.drain ? f->seeder.held - f->seeder.drain : 0,
		.network = l->rtt / 2,
		.receive = f->received - f->told,
		.apply = f->released - f->received,
		.resume = f->resumed ? f->resumed - f->released : 0,
	};
	t->downtime = f->seeder.held + t->network + t->receive + t->apply;
	pthread_mutex_unlock(&l->lock);
	/* If nobody waited, the stop was over when somebody could have come. */
	while (waiting && loop_now() < until && !leech_stopped(l)) {
		if (device_get(l->control, l->chunks.index, &device, &error))
			return;
		if (device.first_io) {
			pthread_mutex_lock(&l->lock);
			t->first = device.first_io > f->released ? device.first_io - f->released : 0;
			t->downtime += t->first;
			pthread_mutex_unlock(&l->lock);
			return;
		}
		leech_sleep(MS / 2);
	}
}

/* Of a group of which one is not ready there is nothing to begin. */
static int finalize_begin(struct leech *l, struct error *error)
{
	enum leech_verdict verdict;
	bool undone;

	pthread_mutex_lock(&l->lock);
	verdict = l->verdict;
	undone = leech_is_undone(l);
	l->phase = LEECH_FINALIZING;
	atomic_store(&l->asked, false);
	pthread_mutex_unlock(&l->lock);
	if (undone)
		return finalize_undone(verdict, error);
	return finalize_rest(l, error);
}

static void finalize_end(struct leech *l, int err)
{
	pthread_mutex_lock(&l->lock);
	l->grouped = false;
	l->verdict = VERDICT_NONE;
	if (err)
		l->phase = LEECH_PULLING;
	pthread_mutex_unlock(&l->lock);
}

int leech_finalize_now(struct leech *l, struct error *error)
{
	struct final f = { 0 };
	struct device before;
	char text[300];
	int err;

	err = finalize_begin(l, error);
	/* Who waits: asked here, since from the next line on nobody should be kept waiting for this. */
	if (!err)
		err = device_get(l->control, l->chunks.index, &before, error);
	f.whole = !err && before.local >= l->managed->size;
	if (!err)
		err = finalize_get(l, &f, error);
	if (err)
		goto out;
	err = finalize_apply(l, &f, error);
	if (err) {	/* what was told last counts as not received: it is told again */
		struct error lost = { 0 };

		if (leech_abort(l, &lost))
			log_error("%s", lost.text);
		goto out;
	}
	l->received++;
	l->released = true;
	managed_again(l->managed, f.whole ? dirty_ranges(leech_lost(l)) : NULL);
	leech_set_phase(l, LEECH_ARRIVING);
	err = leech_commit(l, error);
	if (err)	/* it is ours all the same */
		log_warn("the seeder does not know that its region is in use here: %s", error->text);
	if (stop_any(&l->options->stop)) {
		stop_resume(&l->options->stop, l->device);
		f.resumed = loop_now();
	}
	finalize_note(l, &f, before.held);
	leech_summary(l, text, sizeof(text));
	log_info("%s is in use here now: %s", l->device, text);
	err = 0;
out:
	finalize_end(l, err);
	return err;
}
