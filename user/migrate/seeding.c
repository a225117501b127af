// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One control link, the seeder's side. See seeding.h.
 *
 * Asking and answering are strictly in turn, so everything is one function after the other. The lock of the
 * sessions is not held while anything is waited for, but for the kernel's answers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_PREFIX "seed: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "migrate/link.h"
#include "migrate/note.h"
#include "migrate/seeding.h"
#include "nbd/wait.h"
#include "nl/control.h"

#define MS		1000000ULL	/* ns */
#define LIFE		(30000 * MS)	/* ns without a word after which a leecher is lost */
#define SEND		(30000 * MS)	/* ns that it may take to be told */
#define DEADLINE_MOST	60000u		/* ms */
#define DISMISS		2500u		/* ms: each leecher asks something once a second */
#define LINKS_MOST	(2 * SESSIONS)	/* old ones may not be known to be lost yet */
#define STACK_SIZE	(512u << 10)	/* bytes: locked in memory, so not the usual 8 MiB */

struct seeding {
	struct seedings *all;
	struct control *control;
	struct session *session;	/* once it tracks */
	char address[64];
	struct link link;
};

static uint64_t seeding_until(void)
{
	return loop_now() + SEND;
}

static int seeding_refuse(struct seeding *s, const struct error *error)
{
	struct migrate_message m = { .type = MIGRATE_ERROR };
	struct error lost = { 0 };

	m.error.code = error->code ? error->code : -EIO;
	snprintf(m.error.text, sizeof(m.error.text), "%.*s", (int)MIGRATE_TEXT_MAX, error->text);
	return link_send(&s->link, &m, seeding_until(), &lost);
}

static int seeding_okay(struct seeding *s, struct error *error)
{
	const struct migrate_message m = { .type = MIGRATE_OK };

	return link_send(&s->link, &m, seeding_until(), error);
}

/* --- what is asked ------------------------------------------------------------------------ */

/* @session, NULL for one that is to be, comes too late. The lock is held. */
static int seeding_late(struct sessions *sessions, struct session *session, struct error *error)
{
	const char *uri;

	if (!session_is_late(sessions, session))
		return 0;
	if (session)
		session_dismiss(sessions, session);
	uri = session_final(sessions)->uri;
	return error_set(error, -EREMOTE, "the region has gone to another leecher, and is in use there%s%s%s",
			 *uri ? "; 'r3map leech " : "", uri, *uri ? "' follows it from there" : "");
}

/*
 * The rate of the device is what the leechers together ask for, but for the time in which it is finalized: with that the
 * module's ends. It takes none either before all of that is undone, so this is to be called again. The lock is held.
 */
static void seeding_throttle(struct seedings *all, struct control *control)
{
	struct sessions *sessions = &all->sessions;
	uint64_t rate = all->resting ? 0 : sessions_rate(sessions);
	struct error error = { 0 };

	if (rate == all->rate)
		return;
	if (device_throttle(control, sessions->index, sessions->generation, rate, &error)) {
		if (rate != all->refused)
			log_warn("how fast is written cannot be changed yet: %s", error.text);
		all->refused = rate;
		return;
	}
	all->refused = rate;
	if (rate)
		log_info("a leecher cannot follow: no more than %" PRIu64 " bytes a second are written from now on", rate);
	else
		log_info("writers are not slowed down any more");
	all->rate = rate;
}

/* A finalize begins, or is undone. */
static void seeding_set_resting(struct seedings *all, struct control *control, bool resting)
{
	pthread_mutex_lock(&all->sessions.lock);
	all->resting = resting;
	seeding_throttle(all, control);
	pthread_mutex_unlock(&all->sessions.lock);
}

static int seeding_track(struct seeding *s, const struct migrate_track *track, struct error *error)
{
	struct sessions *sessions = &s->all->sessions;
	struct migrate_message m = { .type = MIGRATE_TRACKED };
	int err;

	if (s->session)
		return error_set(error, -EALREADY, "this connection tracks already");
	pthread_mutex_lock(&sessions->lock);
	err = track->session ? 0 : seeding_late(sessions, NULL, error);
	if (!err && track->session)
		err = session_resume(sessions, s->control, track->session, &s->session, error);
	else if (!err && session_final(sessions))
		err = error_set(error, -EBUSY, "the region is going to another leecher");
	else if (!err)
		err = session_new(sessions, s->control, &s->session, error);
	if (!err) {
		m.tracked = (struct migrate_tracked) {
			.session = s->session->number,
			.size = s->all->sessions.size,
			.grain = s->session->epoch.grain,
			.final = s->session->final,
		};
		seeding_throttle(s->all, s->control);
	}
	pthread_mutex_unlock(&sessions->lock);
	if (err)
		return err;
	log_info("%s %s", s->address, track->session ? "is here again" : "follows what is written");
	return link_send(&s->link, &m, seeding_until(), error);
}

static int seeding_take(struct seeding *s, const struct migrate_take *take, struct error *error)
{
	const uint64_t before = s->session->taken_at;
	/* The answer to the same was lost, and writers have been slowed down for it. */
	const bool again = take->received != s->session->taken;
	int err;

	pthread_mutex_lock(&s->all->sessions.lock);
	if (s->session->final)
		err = error_set(error, -EALREADY, "the region is this leecher's already");
	else
		err = session_take(s->session, take->received, false, error);
	if (!err && take->slow && !again && s->all->throttle)
		session_slow(s->session, before, s->all->throttle);
	seeding_throttle(s->all, s->control);
	pthread_mutex_unlock(&s->all->sessions.lock);
	/* Nobody else touches what was told while the connection lasts. */
	return err ? err : link_send_dirty(&s->link, &s->session->told, seeding_until(), error);
}

static int seeding_note(const struct seedings *all, enum note_seed how_far, struct error *error)
{
	return note_write(all->device, NOTE_SEED, all->sessions.generation, how_far, error);
}

/* The application goes on; the order is held. */
static void seeding_resume(struct seedings *all)
{
	char words[256];

	stop_resume(all->stop, all->device);
	if (all->stopped)
		log_info("%s goes on after %.2f ms", stop_words(all->stop, words, sizeof(words)),
			 (double)(loop_now() - all->stopped) / MS);
	all->stopped = 0;
}

/* It stops. 0, and *@took ns, or a negative errno with a sentence. */
static int seeding_suspend(struct seedings *all, uint32_t deadline, uint64_t *took,
			   struct error *error)
{
	uint64_t begun = loop_now();
	char words[256];
	int err;

	*took = 0;
	if (!stop_any(all->stop))
		return 0;
	err = stop_suspend(all->stop, all->device, deadline, error);
	if (err)
		return err;
	all->stopped = begun;
	*took = loop_now() - begun;
	log_info("%s stopped in %.2f ms", stop_words(all->stop, words, sizeof(words)), (double)*took / MS);
	return 0;
}

/* Everything stands still, and s->session->told has what the leecher lacks; or nothing has happened. */
static int seeding_rest(struct seeding *s, const struct migrate_finalize *finalize,
			struct error *error)
{
	uint32_t deadline = finalize->deadline < DEADLINE_MOST ? finalize->deadline : DEADLINE_MOST;
	struct sessions *sessions = &s->all->sessions;
	struct session *session = s->session;
	struct finalized finalized;
	uint64_t suspend;
	int err;

	err = seeding_note(s->all, NOTE_STOPPING, error);
	if (err)
		return err;
	seeding_set_resting(s->all, s->control, true);
	err = seeding_suspend(s->all, deadline, &suspend, error);
	if (err)
		goto forget;
	err = device_finalize(s->control, sessions->index, sessions->generation, deadline,
			      s->all->hold_time, &finalized, error);
	if (err)
		goto resume;
	pthread_mutex_lock(&sessions->lock);
	err = session_take(session, finalize->received, true, error);
	if (!err) {
		session->held_since = finalized.held_since;
		session->times = (struct migrate_finalized) {
			.suspend = suspend,
			.freeze = finalized.freeze,
			.drain = finalized.drain,
		};
	}
	if (!err) {
		err = seeding_note(s->all, NOTE_GIVEN, error);
		session->final = !err;
	}
	pthread_mutex_unlock(&sessions->lock);
	if (!err)
		return 0;
	device_release(s->control, sessions->index, sessions->generation, NULL);
resume:
	seeding_resume(s->all);
forget:
	seeding_set_resting(s->all, s->control, false);
	note_remove(s->all->device, NOTE_SEED);
	return err;
}

/* Only who has the order changes it. */
static struct session *seeding_final(struct seedings *all)
{
	struct session *session;

	pthread_mutex_lock(&all->sessions.lock);
	session = session_final(&all->sessions);
	pthread_mutex_unlock(&all->sessions.lock);
	return session;
}

static int seeding_finalize(struct seeding *s, const struct migrate_finalize *finalize,
			    struct error *error)
{
	struct migrate_message m = { .type = MIGRATE_FINALIZED };
	int err = 0;

	pthread_mutex_lock(&s->all->order);
	if (!s->session->final) {
		if (seeding_final(s->all))
			err = error_set(error, -EBUSY, "the region is going to another leecher");
		else
			err = seeding_rest(s, finalize, error);
		if (err)
			log_warn("%s was not given the region: %s", s->address, error->text);
		else
			log_info("%s has the region; writes wait here", s->address);
	}
	pthread_mutex_unlock(&s->all->order);
	if (err)
		return err;
	m.finalized = s->session->times;
	m.finalized.held = loop_now() - s->session->held_since;
	err = link_send(&s->link, &m, seeding_until(), error);
	return err ? err : link_send_dirty(&s->link, &s->session->told, seeding_until(), error);
}

static int seeding_commit(struct seeding *s, const struct migrate_commit *commit,
			  struct error *error)
{
	struct sessions *sessions = &s->all->sessions;
	struct error note = { 0 };
	int err = 0;

	pthread_mutex_lock(&s->all->order);
	if (!s->session->final) {
		err = error_set(error, -EINVAL, "the region is not this leecher's");
	} else if (!s->session->committed) {
		err = device_retire(s->control, sessions->index, sessions->generation, error);
		pthread_mutex_lock(&sessions->lock);
		s->session->committed = !err;
		memcpy(s->session->uri, commit->uri, sizeof(commit->uri));
		pthread_mutex_unlock(&sessions->lock);
		/* Without it another helper offers an undo, which the module refuses. */
		if (!err && seeding_note(s->all, NOTE_TAKEN, &note))
			log_warn("%s", note.text);
	}
	pthread_mutex_unlock(&s->all->order);
	return err ? err : seeding_okay(s, error);
}

/*
 * Writes go on here. @session: whose the region was; NULL: an earlier helper may have given it away. The order
 * is held.
 */
static int take_back(struct seedings *all, struct session *session, struct control *control,
		     struct error *error)
{
	int err;

	if (session && session->committed)
		return error_set(error, -EPERM, "the region is in use at its leecher: it cannot be taken back");
	err = device_release(control, all->sessions.index, all->sessions.generation, error);
	if (err == -EALREADY && !session)
		return error_set(error, err, "the region was not given to anybody");
	if (err && err != -EALREADY)
		return err;
	pthread_mutex_lock(&all->sessions.lock);
	if (session)
		session->final = false;
	pthread_mutex_unlock(&all->sessions.lock);
	seeding_set_resting(all, control, false);
	note_remove(all->device, NOTE_SEED);
	seeding_resume(all);
	return 0;
}

static int seeding_abort(struct seeding *s, struct error *error)
{
	int err = 0;

	pthread_mutex_lock(&s->all->order);
	if (s->session->final) {
		err = take_back(s->all, s->session, s->control, error);
		if (!err)
			log_warn("%s does not take the region: writes go on here", s->address);
	}
	pthread_mutex_unlock(&s->all->order);
	return err ? err : seeding_okay(s, error);
}

static int seeding_done(struct seeding *s, struct error *error)
{
	int err;

	if (!s->session->committed)
		return error_set(error, -EINVAL, "the region is not this leecher's");
	pthread_mutex_lock(&s->all->sessions.lock);
	s->session->all = true;
	s->session->local = s->all->sessions.size;
	pthread_mutex_unlock(&s->all->sessions.lock);
	log_info("%s has all of the region", s->address);
	err = seeding_okay(s, error);
	pthread_mutex_lock(&s->all->sessions.lock);
	sessions_dismiss(&s->all->sessions, s->session, DISMISS);
	pthread_mutex_unlock(&s->all->sessions.lock);
	if (!atomic_exchange(&s->all->gone, true))
		post_send(&s->all->post, &s->all->told);
	return err;
}

static int seeding_progress(struct seeding *s, const struct migrate_progress *progress,
			    struct error *error)
{
	pthread_mutex_lock(&s->all->sessions.lock);
	s->session->local = progress->local < s->all->sessions.size ? progress->local : s->all->sessions.size;
	s->session->round = progress->round;
	pthread_mutex_unlock(&s->all->sessions.lock);
	return seeding_okay(s, error);
}

static int seeding_answer(struct seeding *s, const struct migrate_message *m, struct error *error)
{
	int err;

	if (m->type == MIGRATE_TRACK)
		return seeding_track(s, &m->track, error);
	if (!s->session)
		return error_set(error, -EINVAL, "%s came before TRACK", migrate_name(m->type));
	pthread_mutex_lock(&s->all->sessions.lock);
	err = seeding_late(&s->all->sessions, s->session, error);
	pthread_mutex_unlock(&s->all->sessions.lock);
	if (err)
		return err;
	switch (m->type) {
	case MIGRATE_TAKE:
		return seeding_take(s, &m->take, error);
	case MIGRATE_FINALIZE:
		return seeding_finalize(s, &m->finalize, error);
	case MIGRATE_COMMIT:
		return seeding_commit(s, &m->commit, error);
	case MIGRATE_ABORT:
		return seeding_abort(s, error);
	case MIGRATE_DONE:
		return seeding_done(s, error);
	case MIGRATE_PROGRESS:
		return seeding_progress(s, &m->progress, error);
	default:
		return error_set(error, -EINVAL, "%s is no question", migrate_name(m->type));
	}
}

/* --- the thread --------------------------------------------------------------------------- */

static int seeding_serve(struct seeding *s, struct error *error)
{
	struct migrate_message m;
	int err;

	for (;;) {
		err = link_receive(&s->link, &m, loop_now() + LIFE, error);
		if (err)
			return err;
		err = seeding_answer(s, &m, error);
		atomic_fetch_add(&s->all->sent, atomic_exchange(&s->link.sent, 0));
		if (!err)
			continue;
		if (s->link.lost || seeding_refuse(s, error))
			return err;
		*error = (struct error) { 0 };
	}
}

static void seeding_leave(struct seeding *s)
{
	pthread_mutex_lock(&s->all->sessions.lock);
	if (s->session) {
		session_leave(&s->all->sessions, s->session);
		if (s->control)
			seeding_throttle(s->all, s->control);
	}
	pthread_mutex_unlock(&s->all->sessions.lock);
}

static void *seeding_main(void *data)
{
	struct error error = { 0 };
	struct seeding *s = data;
	struct seedings *all = s->all;
	int err;

	nbd_wait_interrupt(all->interrupt);
	err = control_open(&s->control, &error);
	if (err)
		seeding_refuse(s, &error);
	else
		err = seeding_serve(s, &error);
	if (s->session && !s->session->all && err != -ECANCELED)
		log_warn("%s: %s", s->address, error.text);
	seeding_leave(s);
	if (s->control)
		control_close(s->control);
	link_close(&s->link);
	free(s);
	atomic_fetch_sub(&all->running, 1);
	return NULL;
}

int seeding_start(struct seedings *all, const struct stream *stream, const char *address)
{
	struct seeding *s = calloc(1, sizeof(*s));
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (!s)
		return -ENOMEM;
	if (atomic_load(&all->running) >= LINKS_MOST) {
		free(s);
		return -EBUSY;
	}
	s->all = all;
	s->link.stream = *stream;
	snprintf(s->address, sizeof(s->address), "%s", address);
	atomic_fetch_add(&all->running, 1);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = -pthread_create(&thread, &attr, seeding_main, s);
	pthread_attr_destroy(&attr);
	if (err) {
		atomic_fetch_sub(&all->running, 1);
		free(s);
	}
	return err;
}

int seeding_adopt(struct seedings *all, uint64_t before, struct error *error)
{
	struct control *control;
	uint64_t how_far;
	int err;

	if (!note_read(all->device, NOTE_SEED, before, &how_far))
		return 0;
	if (how_far == NOTE_TAKEN) {
		log_info("the region is in use at a leecher, and is served here for what is missing there; unmount it then");
		return seeding_note(all, how_far, error);
	}
	if (how_far != NOTE_STOPPING) {
		log_warn("an earlier helper has given the region to a leecher: if that is lost, 'r3map finalize --undo %s' takes it back",
			 all->device);
		return seeding_note(all, NOTE_GIVEN, error);
	}
	err = control_open(&control, error);
	if (err)
		return err;
	/* What the module has taken back by itself is not held. */
	err = take_back(all, NULL, control, error);
	control_close(control);
	if (err == -EALREADY) {
		note_remove(all->device, NOTE_SEED);
		seeding_resume(all);
		*error = (struct error) { 0 };
		err = 0;
	}
	if (!err)
		log_warn("an earlier helper was about to give the region away, and had told nobody: it is used here");
	return err;
}

int seeding_undo(struct seedings *all, struct error *error)
{
	struct control *control;
	int err;

	err = control_open(&control, error);
	if (err)
		return err;
	if (pthread_mutex_trylock(&all->order)) {
		control_close(control);
		return error_set(error, -EBUSY, "the device is being finalized: try again");
	}
	err = take_back(all, seeding_final(all), control, error);
	if (!err)
		log_warn("the region was taken back by hand: writes go on here");
	pthread_mutex_unlock(&all->order);
	control_close(control);
	return err;
}
