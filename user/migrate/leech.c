// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The leecher. See leech.h.
 *
 * What the pull has been told by the seeder (which parts are zeroes) and what it is reading may be out of date
 * when the next list of what was written comes. So a list is only asked for when nothing is under way: between
 * two rounds everything is local, and before a finalize the pull rests.
 */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_PREFIX "leech: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/post.h"
#include "lib/size.h"
#include "migrate/dirty.h"
#include "migrate/leech.h"
#include "migrate/link.h"
#include "migrate/note.h"
#include "mount/managed.h"
#include "nbd/handshake.h"
#include "nbd/uri.h"
#include "nbd/wait.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/epoch.h"
#include "tls/credentials.h"

#define MS		1000000ULL		/* ns */
#define ANSWER		(20000 * MS)		/* ns for an answer that costs the seeder nothing */
#define LATE		(5000 * MS)		/* ns more than the deadline of a finalize */
#define PROGRESS	(1000 * MS)		/* ns between signs of life */
#define RECONNECT	(60000 * MS)		/* ns that a lost seeder is looked for */
#define RETRY_MOST	(2000 * MS)
#define ROUND_LEAST	(100 * MS)		/* ns from one round to the next, at least */
#define VERDICT		(40000 * MS)	/* ns that the others of a group are waited for */
#define FIRST_WAIT	(10000 * MS)		/* ns that the first bio is waited for, to be told of */

enum leech_phase {
	LEECH_PULLING,
	LEECH_FOLLOWING,
	LEECH_FINALIZING,
	LEECH_PREPARED,
	LEECH_ARRIVING,
	LEECH_COMPLETE,
	LEECH_LOST,
	LEECH_FAILED,
};

static const char *const phase_names[] = {
	[LEECH_PULLING] = "pulling",
	[LEECH_FOLLOWING] = "following",
	[LEECH_FINALIZING] = "finalizing",
	[LEECH_PREPARED] = "prepared",
	[LEECH_ARRIVING] = "arriving",
	[LEECH_COMPLETE] = "complete",
	[LEECH_LOST] = "lost",
	[LEECH_FAILED] = "failed",
};

/* What is decided about a group that this is one of. */
enum leech_verdict { VERDICT_NONE, VERDICT_GO, VERDICT_UNDO };

struct leech {
	/* Constant. */
	const struct leech_options *options;
	struct managed *managed;
	uint64_t before;		/* generation with the helper before, or 0 */
	const char *device;
	struct nbd_uri uri;
	struct tls_credentials *credentials;
	struct leech_events events;
	int interrupt;			/* an eventfd: readable at the end */
	pthread_t thread;
	bool started;

	/* Of both threads. */
	atomic_bool asked;		/* a finalize is */
	atomic_bool stop;
	struct post post;		/* to the main thread */
	struct post_job over;		/* a finalize, as @outcome says */
	struct post_job whole;		/* all is here */
	struct post_job prepared;	/* the verdict is waited for */
	atomic_bool telling;		/* on its way */
	pthread_mutex_t lock;		/* guards the next ones */
	struct error outcome;
	enum leech_phase phase;
	bool grouped;			/* a verdict is waited for before anybody is let in */
	enum leech_verdict verdict;
	uint32_t round;
	uint64_t dirty;			/* bytes of the last round */
	uint64_t rtt;			/* ns, the shortest */
	uint64_t expected;		/* ns of stop, if it were finalized now; 0: not known */
	struct leech_times times;

	/* The thread's own. */
	struct control *control;
	struct chunks chunks;		/* the managed's, through @control */
	struct link link;
	bool linked;
	uint64_t session;
	uint32_t received;		/* TAKEs that have been answered as a whole */
	bool slow;			/* the seeder is to slow writers down, with the next one */
	struct dirty list;		/* what the last of them said */
	struct dirty lost;		/* the same in chunks, what is to come again, if they are no grains */
	uint64_t progressed;		/* ns */
	bool released;			/* bios are let go */
	bool final;			/* the seeder has given the region away, to this session */
	bool unwanted;			/* and is to be told, before anything else, that it is not taken */
	bool committed;			/* and knows that it is in use here */
	bool alone;			/* without a control link from now on */
};

static bool leech_stopped(const struct leech *l)
{
	return atomic_load(&l->stop);
}

static void leech_set_phase(struct leech *l, enum leech_phase phase)
{
	pthread_mutex_lock(&l->lock);
	l->phase = phase;
	pthread_mutex_unlock(&l->lock);
}

static enum leech_phase leech_phase(struct leech *l)
{
	enum leech_phase phase;

	pthread_mutex_lock(&l->lock);
	phase = l->phase;
	pthread_mutex_unlock(&l->lock);
	return phase;
}

/* Sleeps, unless it is to end. */
static void leech_sleep(uint64_t ns)
{
	nbd_wait(-1, 0, loop_now() + ns);
}

/* --- the link ----------------------------------------------------------------------------- */

static void leech_lose(struct leech *l)
{
	if (l->linked)
		link_close(&l->link);
	l->linked = false;
}

/* Another helper is to know what the seeder calls it. Without that the seeder does not go by itself, no more. */
static void leech_note(const struct leech *l)
{
	struct error error = { 0 };

	if (note_write(l->device, NOTE_LEECH, l->chunks.generation, l->session, &error))
		log_warn("%s", error.text);
}

/* The bitmaps for lists of what the seeder tells apart. */
static int leech_lists(struct leech *l, uint32_t grain, struct error *error)
{
	if (l->list.word && l->list.grain == grain)
		return 0;
	if (grain < R3MAP_MIN_CHUNK || grain & (grain - 1))
		return error_set(error, -EPROTO, "the seeder tells of pieces of %" PRIu32 " bytes", grain);
	dirty_free(&l->list);
	if (dirty_init(&l->list, l->managed->size, grain))
		return error_set(error, -ENOMEM, "out of memory for what is written at the seeder");
	return 0;
}

/* One try. *@again: another one may go better. */
static int leech_dial(struct leech *l, bool *again, struct error *error)
{
	struct migrate_message m = { .type = MIGRATE_TRACK };
	int err;

	err = link_open(&l->link, &l->uri, l->credentials, loop_now() + ANSWER, error);
	*again = link_may_open(err);
	if (err)
		return err;
	m.track = (struct migrate_track) { .session = l->session, .received = l->received };
	err = link_ask(&l->link, &m, MIGRATE_TRACKED, loop_now() + ANSWER, error);
	if (!err && m.tracked.size != l->managed->size)
		err = error_set(error, -ESTALE, "the region of the seeder has %" PRIu64 " bytes, this device has %" PRIu64,
				m.tracked.size, l->managed->size);
	if (!err)
		err = leech_lists(l, m.tracked.grain, error);
	if (err) {
		*again = l->link.lost;
		link_close(&l->link);
		return err;
	}
	l->linked = true;
	l->session = m.tracked.session;
	leech_note(l);
	l->final = m.tracked.final;
	return 0;
}

/* The session that was lost, or the first one. */
static int leech_connect(struct leech *l, struct error *error)
{
	uint64_t until = loop_now() + RECONNECT, pause = 50 * MS;
	bool told = false, again;
	int err;

	for (;;) {
		*error = (struct error) { 0 };
		err = leech_dial(l, &again, error);
		if (!err || leech_stopped(l))
			return leech_stopped(l) ? -ECANCELED : err;
		/* A connection that was cut may still look well to the seeder. */
		if ((!again && err != -EBUSY) || loop_now() > until)
			return err;
		if (!told)
			log_warn("%s; looking for it for %llu s", error->text, RECONNECT / MS / 1000);
		told = true;
		leech_sleep(pause);
		pause = pause * 2 < RETRY_MOST ? pause * 2 : RETRY_MOST;
	}
}

/* *@err is that of a question that may be asked twice. True: the link was lost, and there is a new one for it. */
static bool leech_again(struct leech *l, int *err, struct error *error)
{
	if (!*err || leech_stopped(l) || (l->linked && !l->link.lost))
		return false;
	leech_lose(l);
	*err = leech_connect(l, error);
	return !*err;
}

/* Asks, in a new connection if the old one is lost. */
static int leech_ask(struct leech *l, const struct migrate_message *question,
		     struct migrate_message *answer, enum migrate_type type, struct error *error)
{
	int err;

	do {
		*answer = *question;
		err = l->linked ? link_ask(&l->link, answer, type, loop_now() + ANSWER, error) : -EPIPE;
	} while (leech_again(l, &err, error));
	return err;
}

/* Until it has, somebody there may take the region back. */
static int leech_commit(struct leech *l, struct error *error)
{
	const struct migrate_message m = { .type = MIGRATE_COMMIT };
	struct migrate_message answer;
	int err = 0;

	if (l->released && !l->committed)
		err = leech_ask(l, &m, &answer, MIGRATE_OK, error);
	l->committed = l->released && !err;
	return err;
}

/* A sign of life, and how far it is. */
static int leech_progress(struct leech *l, uint64_t local, struct error *error)
{
	struct migrate_message m = { .type = MIGRATE_PROGRESS }, answer;
	int err;

	if (!l->session || l->alone || loop_now() - l->progressed < PROGRESS)
		return 0;
	l->progressed = loop_now();
	err = leech_commit(l, error);
	if (err)
		return err;
	m.progress = (struct migrate_progress) { .local = local, .round = l->round };
	return leech_ask(l, &m, &answer, MIGRATE_OK, error);
}

/* --- rounds ------------------------------------------------------------------------------- */

/*
 * Waits until all is local; *@early: a finalize is wanted before. Until @until at most, if it is not 0; then the
 * seeder, which may be what is too slow, is not told how far it is.
 */
static int leech_wait_local(struct leech *l, bool *early, uint64_t until, struct error *error)
{
	uint64_t local, pause = MS / 4;
	int err;

	for (;;) {
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
		leech_sleep(pause);
		/* Short rounds are looked at closely, long ones need not be. */
		if (pause < 20 * MS)
			pause += pause / 8;
	}
}

/* What was written since the last time, in l->list. */
static int leech_take(struct leech *l, struct error *error)
{
	struct migrate_message m = { .type = MIGRATE_TAKE };
	uint64_t begun;
	int err;

	do {
		dirty_clear(&l->list);
		begun = loop_now();
		m.take = (struct migrate_take) { .received = l->received, .slow = l->slow };
		err = l->linked ? link_send(&l->link, &m, begun + ANSWER, error) : -EPIPE;
		if (!err)
			err = link_receive_dirty(&l->link, &l->list, begun + ANSWER, error);
	} while (leech_again(l, &err, error));
	if (err)
		return err;
	l->received++;
	pthread_mutex_lock(&l->lock);
	if (!l->rtt || loop_now() - begun < l->rtt)
		l->rtt = loop_now() - begun;
	pthread_mutex_unlock(&l->lock);
	return 0;
}

/*
 * How long the stop would be, after a round in which @bytes were written: half a round trip for the answer, one for
 * the first fetch, and the list, which has 16 bytes for a grain at worst, and no more than the bitmap; that at 100
 * MB/s.
 */
static uint64_t leech_expect(const struct leech *l, uint64_t bytes)
{
	uint64_t list = bytes / l->list.grain * 16, most = l->list.words * sizeof(uint64_t);

	return l->rtt * 3 / 2 + (list < most ? list : most) * 10;
}

/* Is it to be finalized without being asked? */
static bool leech_wants(struct leech *l, uint64_t bytes, uint64_t before)
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
static bool leech_falls_behind(const struct leech *l, uint64_t bytes, uint64_t before)
{
	return (l->options->max_downtime || l->options->max_dirty) && bytes > before - before / 4;
}

/* What was told last, in chunks. */
static struct dirty *leech_lost(struct leech *l)
{
	return l->list.grain == l->managed->chunk ? &l->list : &l->lost;
}

/* It is remote again. */
static int leech_drop(struct leech *l, struct error *error)
{
	struct dirty *lost = leech_lost(l);

	if (lost != &l->list) {
		dirty_clear(lost);
		dirty_convert(lost, &l->list);
	}
	return chunks_drop(&l->chunks, lost->word, lost->words, error);
}

static int leech_rest_pull(struct leech *l, struct error *error)
{
	if (managed_rest(l->managed, ANSWER / MS))
		return 0;
	return error_set(error, -ETIMEDOUT, "the pull does not come to rest");
}

static int leech_follow(struct leech *l, struct error *error)
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
		l->expected = leech_expect(l, bytes);
		pthread_mutex_unlock(&l->lock);
		begun = loop_now();
		ready = true;
		err = leech_drop(l, error);
		if (err)
			break;
		/* All else is local. Without memory for the list, all of it is gone through. */
		managed_again(l->managed, dirty_ranges(leech_lost(l)));
		if (leech_wants(l, bytes, before)) {
			/* What has just been told is here before anybody stops. */
			err = leech_wait_local(l, early_on, 0, error);
			break;
		}
		l->slow = leech_falls_behind(l, bytes, before);
		before = bytes;
	}
	return err;
}

/* --- finalizing --------------------------------------------------------------------------- */

/* The pull has come to rest: no chunk is claimed. */
static int leech_rest(struct leech *l, struct error *error)
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

struct leech_final {
	struct migrate_finalized seeder;
	uint64_t told, received, released;	/* ns */
	bool whole;			/* but for what was told last, everything is local */
};

/* One try. Lost on the way, nobody knows here whether the seeder has. */
static int finalize_ask(struct leech *l, struct leech_final *f, struct error *error)
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
static int finalize_get(struct leech *l, struct leech_final *f, struct error *error)
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
		if (verdict == VERDICT_UNDO)
			return error_set(error, -ECANCELED, "the others of its group were not ready: nothing has happened");
		if (leech_stopped(l))
			return -ECANCELED;
		leech_sleep(MS / 4);
	}
}

/* What was written last is remote again, and bios are let go. */
static int finalize_apply(struct leech *l, struct leech_final *f, struct error *error)
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

/* The seeder is told that it is not wanted after all. Until it is, nobody here may go on as if it were. */
static int finalize_abort(struct leech *l, struct error *error)
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

static void finalize_note(struct leech *l, const struct leech_final *f, uint32_t waiting)
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

/* Who has asked, if somebody has, hears how it went. */
static void leech_outcome(struct leech *l, const struct error *error)
{
	pthread_mutex_lock(&l->lock);
	l->outcome = error ? *error : (struct error) { 0 };
	pthread_mutex_unlock(&l->lock);
	if (!atomic_exchange(&l->telling, true))
		post_send(&l->post, &l->over);
}

/* Of a group of which one is not ready there is nothing to begin. */
static int finalize_begin(struct leech *l, struct error *error)
{
	bool undone;

	pthread_mutex_lock(&l->lock);
	undone = l->verdict == VERDICT_UNDO;
	l->phase = LEECH_FINALIZING;
	atomic_store(&l->asked, false);
	pthread_mutex_unlock(&l->lock);
	if (undone)
		return error_set(error, -ECANCELED, "the others of its group were not ready: nothing has happened");
	return leech_rest(l, error);
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

/* 0: bios are let go. */
static int leech_finalize_now(struct leech *l, struct error *error)
{
	struct leech_final f = { 0 };
	struct device before;
	char text[200];
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

		if (finalize_abort(l, &lost))
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
	stop_resume(&l->options->stop, l->device, l->options->deadline);
	finalize_note(l, &f, before.held);
	leech_summary(l, text, sizeof(text));
	log_info("%s is in use here now: %s", l->device, text);
	err = 0;
out:
	finalize_end(l, err);
	return err;
}

/* --- the thread --------------------------------------------------------------------------- */

static int leech_arrive(struct leech *l, struct error *error)
{
	const struct migrate_message m = { .type = MIGRATE_DONE };
	struct migrate_message answer;
	int err;

	err = leech_wait_local(l, NULL, 0, error);
	if (err && err != -ECANCELED) {
		/* Without a control link as well: the data come by another way. */
		log_warn("%s", error->text);
		*error = (struct error) { 0 };
		l->alone = true;
		err = leech_wait_local(l, NULL, 0, error);
	}
	if (err)
		return err;
	managed_whole(l->managed);
	leech_set_phase(l, LEECH_COMPLETE);
	post_send(&l->post, &l->whole);
	if (!l->session || l->alone)	/* that was an earlier helper's, or the seeder is gone */
		return 0;
	if (!leech_commit(l, error) && !leech_ask(l, &m, &answer, MIGRATE_OK, error))
		note_remove(l->device, NOTE_LEECH);
	else if (!leech_stopped(l))
		log_warn("the seeder cannot be told that all is here: %s", error->text);
	return 0;
}

/*
 * A helper before this one may have begun. If bios are let go already, the rest is to come. If not, nobody has
 * watched since what was written to what is here.
 */
static int leech_begin(struct leech *l, struct error *error)
{
	struct device device;
	int err;

	err = control_open(&l->control, error);
	if (err)
		return err;
	l->chunks = l->managed->chunks;
	l->chunks.control = l->control;
	err = device_get(l->control, l->chunks.index, &device, error);
	if (err)
		return err;
	l->released = device.hold != R3MAP_HOLD_ALL;
	if (!l->released) {
		if (dirty_init(&l->lost, l->managed->size, l->managed->chunk))
			return error_set(error, -ENOMEM, "out of memory for what is written at the seeder");
		dirty_fill(&l->lost);
		return chunks_drop(&l->chunks, l->lost.word, l->lost.words, error);
	}
	leech_set_phase(l, LEECH_ARRIVING);
	managed_again(l->managed, NULL);
	if (l->before && note_read(l->device, NOTE_LEECH, l->before, &l->session))
		leech_note(l);
	return 0;
}

static int leech_go(struct leech *l, struct error *error)
{
	int err;

	err = leech_begin(l, error);
	if (!err && l->released)
		return leech_arrive(l, error);
	if (!err)
		err = leech_connect(l, error);
	/* Not before: what is read is to be watched. */
	if (!err)
		managed_again(l->managed, NULL);
	while (!err && !l->released) {
		/* If it is ours already, there is nothing to follow. */
		err = l->final ? 0 : leech_follow(l, error);
		if (err)
			return err;
		err = leech_finalize_now(l, error);
		leech_outcome(l, err ? error : NULL);
		if (err && !leech_stopped(l)) {
			log_warn("not finalized: %s", error->text);
			*error = (struct error) { 0 };
			managed_again(l->managed, NULL);
			/* Not at once, if it does so by itself. */
			leech_sleep(1000 * MS);
			err = l->linked ? 0 : leech_connect(l, error);
			if (!err && l->unwanted)
				err = finalize_abort(l, error);
		}
	}
	return err ? err : leech_arrive(l, error);
}

static void *leech_main(void *data)
{
	struct error error = { 0 };
	struct leech *l = data;
	int err;

	nbd_wait_interrupt(l->interrupt);
	err = leech_go(l, &error);
	leech_lose(l);
	if (l->control)
		control_close(l->control);
	if (err == -EREMOTE && !leech_stopped(l)) {
		log_error("the migration is over: %s; remove this device", error.text);
		leech_set_phase(l, LEECH_LOST);
		leech_outcome(l, &error);
	} else if (err && !leech_stopped(l)) {
		log_error("the migration has failed: %s; %s", error.text, l->released ?
			  "what is not here yet is still fetched when it is asked for" :
			  "the region is in use at the seeder as before, remove this device");
		leech_set_phase(l, LEECH_FAILED);
		leech_outcome(l, &error);
	}
	return NULL;
}

/* In the main thread. */
static void leech_over(struct post_job *job)
{
	struct leech *l = (struct leech *)((char *)job - offsetof(struct leech, over));
	struct error outcome;

	atomic_store(&l->telling, false);
	pthread_mutex_lock(&l->lock);
	outcome = l->outcome;
	pthread_mutex_unlock(&l->lock);
	l->events.finalized(l->events.data, &outcome);
}

/* Likewise. */
static void leech_whole(struct post_job *job)
{
	struct leech *l = (struct leech *)((char *)job - offsetof(struct leech, whole));

	l->events.whole(l->events.data);
}

/* Likewise. */
static void leech_told_prepared(struct post_job *job)
{
	struct leech *l = (struct leech *)((char *)job - offsetof(struct leech, prepared));

	l->events.prepared(l->events.data);
}

static int leech_make(struct leech *l, const char *uri, struct loop *loop, struct error *error)
{
	const size_t scheme = strcspn(uri, ":");
	char name[16];
	int err;

	snprintf(name, sizeof(name), "%.*s", (int)scheme, uri);
	if (!uri[scheme] || !nbd_uri_scheme(name))
		return error_set(error, -EINVAL, "'%s' is no seeder: give its URI, such as nbd://HOST/", uri);
	err = nbd_uri_parse(name, uri + scheme + 1, &l->uri, error);
	if (!err)
		err = nbd_credentials(&l->uri, &l->credentials, error);
	if (err)
		return err;
	l->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = l->interrupt < 0 ? -errno : post_open(&l->post);
	if (!err)
		err = post_attach(&l->post, loop);
	return err ? error_set(error, err, "cannot make an eventfd: %s", strerror(-err)) : 0;
}

int leech_open(struct loop *loop, const struct leech_options *options, const char *uri,
	       struct managed *managed, uint64_t before, const char *device,
	       const struct leech_events *events, struct leech **out, struct error *error)
{
	struct leech *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return error_set(error, -ENOMEM, "out of memory");
	*out = l;
	l->options = options;
	l->managed = managed;
	l->before = before;
	l->device = device;
	l->events = *events;
	l->interrupt = -1;
	l->post.wake.fd = -1;
	l->over.run = leech_over;
	l->whole.run = leech_whole;
	l->prepared.run = leech_told_prepared;
	pthread_mutex_init(&l->lock, NULL);
	err = leech_make(l, uri, loop, error);
	if (err)
		return err;
	err = -pthread_create(&l->thread, NULL, leech_main, l);
	l->started = !err;
	return err ? error_set(error, err, "cannot start a thread: %s", strerror(-err)) : 0;
}

/* In which phase may nothing be asked for any more? */
static int leech_is_over(enum leech_phase phase, struct error *error)
{
	if (phase == LEECH_ARRIVING || phase == LEECH_COMPLETE)
		return error_set(error, -EALREADY, "its region is in use here already");
	if (phase == LEECH_LOST)
		return error_set(error, -EREMOTE, "its region has gone to another leecher: remove this device");
	if (phase == LEECH_FAILED)
		return error_set(error, -ECONNABORTED, "its migration has failed: the helper's log says why");
	return 0;
}

int leech_finalize(struct leech *l, struct error *error)
{
	int err;

	pthread_mutex_lock(&l->lock);
	err = leech_is_over(l->phase, error);
	if (!err && l->grouped && (l->phase != LEECH_PREPARED || l->verdict == VERDICT_UNDO))
		err = error_set(error, -EBUSY, "it is one of a group that is being finalized");
	else if (!err && l->grouped)
		l->verdict = VERDICT_GO;
	else if (!err)
		atomic_store(&l->asked, true);
	pthread_mutex_unlock(&l->lock);
	return err;
}

int leech_prepare(struct leech *l, struct error *error)
{
	int err;

	pthread_mutex_lock(&l->lock);
	err = leech_is_over(l->phase, error);
	if (!err && (l->grouped || l->phase == LEECH_FINALIZING || atomic_load(&l->asked)))
		err = error_set(error, -EBUSY, "it is being finalized already");
	if (!err) {
		l->grouped = true;
		atomic_store(&l->asked, true);
	}
	pthread_mutex_unlock(&l->lock);
	return err;
}

int leech_undo(struct leech *l, struct error *error)
{
	int err = 0;

	pthread_mutex_lock(&l->lock);
	if (!l->grouped || l->verdict == VERDICT_GO)
		err = error_set(error, -EALREADY, "it is not one of a group that could be undone");
	else
		l->verdict = VERDICT_UNDO;
	pthread_mutex_unlock(&l->lock);
	return err;
}

bool leech_has_region(struct leech *l)
{
	enum leech_phase phase = leech_phase(l);

	return phase == LEECH_ARRIVING || phase == LEECH_COMPLETE;
}

bool leech_is_between(struct leech *l)
{
	enum leech_phase phase = leech_phase(l);

	return phase == LEECH_FINALIZING || phase == LEECH_PREPARED || phase == LEECH_ARRIVING;
}

void leech_summary(struct leech *l, char *text, unsigned int size)
{
	const struct leech_times *t = &l->times;

	pthread_mutex_lock(&l->lock);
	snprintf(text, size,
		 "stopped for %.2f ms (%.2f to write back and freeze before, %.2f for writes on their way, %.2f to list, %.2f network, %.2f to take over, %.2f first I/O)",
		 (double)t->downtime / MS, (double)t->freeze / MS, (double)t->drain / MS,
		 (double)t->list / MS, (double)(t->network + t->receive) / MS,
		 (double)t->apply / MS, (double)t->first / MS);
	pthread_mutex_unlock(&l->lock);
}

static bool times_tell(cJSON *object, const struct leech_times *t)
{
	cJSON *times = cJSON_AddObjectToObject(object, "downtime");

	return times && json_add_u64(times, "ns", t->downtime) &&
	       json_add_u64(times, "suspend_ns", t->suspend) &&
	       json_add_u64(times, "freeze_ns", t->freeze) &&
	       json_add_u64(times, "drain_ns", t->drain) && json_add_u64(times, "list_ns", t->list) &&
	       json_add_u64(times, "network_ns", t->network) &&
	       json_add_u64(times, "receive_ns", t->receive) &&
	       json_add_u64(times, "apply_ns", t->apply) && json_add_u64(times, "first_io_ns", t->first);
}

bool leech_tell(cJSON *object, struct leech *l)
{
	cJSON *one = cJSON_AddObjectToObject(object, "migration");
	bool fine;

	if (!one)
		return false;
	pthread_mutex_lock(&l->lock);
	fine = cJSON_AddStringToObject(one, "phase", phase_names[l->phase]) &&
	       json_add_u64(one, "round", l->round) && json_add_u64(one, "dirty", l->dirty) &&
	       json_add_u64(one, "received", atomic_load(&l->link.received) +
			    atomic_load(&l->managed->backend->received)) &&
	       json_add_u64(one, "rtt_ns", l->rtt) && json_add_u64(one, "expected_ns", l->expected);
	if (fine && l->times.downtime)
		fine = times_tell(one, &l->times);
	pthread_mutex_unlock(&l->lock);
	return fine;
}

void leech_close(struct leech *l)
{
	if (!l)
		return;
	atomic_store(&l->stop, true);
	if (l->interrupt >= 0)
		eventfd_write(l->interrupt, 1);
	if (l->started)
		pthread_join(l->thread, NULL);
	if (l->post.loop)
		post_detach(&l->post);
	if (l->post.wake.fd >= 0)
		post_close(&l->post);
	if (l->interrupt >= 0)
		close(l->interrupt);
	note_remove(l->device, NOTE_LEECH);
	tls_credentials_free(l->credentials);
	dirty_free(&l->list);
	dirty_free(&l->lost);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
