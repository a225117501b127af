// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The leecher's control link: finding the seeder, again if it is lost, and what is asked there. See leech_state.h.
 */
#include <errno.h>
#include <inttypes.h>

#define LOG_PREFIX "leech: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "migrate/leech_state.h"
#include "migrate/note.h"
#include "migrate/seed.h"
#include "mount/managed.h"

#define PROGRESS	(1000 * MS)		/* ns between signs of life */
#define RECONNECT	(60000 * MS)		/* ns that a lost seeder is looked for */
#define RETRY_MOST	(2000 * MS)

void leech_lose(struct leech *l)
{
	if (l->linked)
		link_close(&l->link);
	l->linked = false;
}

/* Another helper is to know what the seeder calls it. Without that the seeder does not go by itself, no more. */
void leech_note(const struct leech *l)
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

int leech_connect(struct leech *l, struct error *error)
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

bool leech_again(struct leech *l, int *err, struct error *error)
{
	if (!*err || leech_stopped(l) || (l->linked && !l->link.lost))
		return false;
	leech_lose(l);
	*err = leech_connect(l, error);
	return !*err;
}

/* An answer has come to what was asked at @begun. */
static void link_note_rtt(struct leech *l, uint64_t begun)
{
	uint64_t took = loop_now() - begun;

	pthread_mutex_lock(&l->lock);
	if (!l->rtt || took < l->rtt)
		l->rtt = took;
	pthread_mutex_unlock(&l->lock);
}

int leech_ask(struct leech *l, const struct migrate_message *question,
	      struct migrate_message *answer, enum migrate_type type, struct error *error)
{
	uint64_t begun;
	int err;

	do {
		begun = loop_now();
		*answer = *question;
		err = l->linked ? link_ask(&l->link, answer, type, begun + ANSWER, error) : -EPIPE;
	} while (leech_again(l, &err, error));
	if (!err)
		link_note_rtt(l, begun);
	return err;
}

int leech_take(struct leech *l, struct error *error)
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
	link_note_rtt(l, begun);
	return 0;
}

int leech_commit(struct leech *l, struct error *error)
{
	struct migrate_message m = { .type = MIGRATE_COMMIT }, answer;
	int err = 0;

	if (l->onward && l->linked)
		seed_uri(l->onward, l->link.stream.fd, m.commit.uri, sizeof(m.commit.uri));
	if (l->released && !l->committed)
		err = leech_ask(l, &m, &answer, MIGRATE_OK, error);
	l->committed = l->released && !err;
	return err;
}

int leech_progress(struct leech *l, uint64_t local, struct error *error)
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
