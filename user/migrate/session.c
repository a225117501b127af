// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sessions of a seeder. See session.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define LOG_PREFIX "seed: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "migrate/session.h"

#define MS	1000000ULL	/* ns */

static uint64_t session_number(void)
{
	uint64_t number = 0;

	while (!number)
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			number = 0;
	return number;
}

/* A free one, or the one whose leecher has been gone for longest, and too long. */
static struct session *session_place(struct sessions *sessions, struct control *control)
{
	struct session *oldest = NULL;

	for (unsigned int i = 0; i < SESSIONS; i++) {
		struct session *s = &sessions->list[i];

		if (!s->number)
			return s;
		if (!s->linked && !s->final && (!oldest || s->left < oldest->left))
			oldest = s;
	}
	if (!oldest || loop_now() - oldest->left < SESSION_KEEP * MS)
		return NULL;
	session_end(oldest, control);
	return oldest;
}

int session_new(struct sessions *sessions, struct control *control, struct session **out,
		struct error *error)
{
	struct session *s = session_place(sessions, control);
	int err;

	if (!s)
		return error_set(error, -EBUSY, "this seeder has %u leechers, and can have no more",
				 SESSIONS);
	*s = (struct session) {
		.epoch = { control, sessions->index, sessions->generation, sessions->size, 0, 0 },
	};
	err = epoch_open(&s->epoch, error);
	if (err)
		return err;
	err = dirty_init_file(&s->told, sessions->size, s->epoch.grain);
	if (!err)
		err = dirty_init_file(&s->fresh, sessions->size, s->epoch.grain);
	if (err) {
		session_end(s, control);
		return error_set(error, err, "no memory for what is written: %s", strerror(-err));
	}
	s->number = session_number();
	s->linked = true;
	s->taken_at = loop_now();
	*out = s;
	return 0;
}

int session_resume(struct sessions *sessions, struct control *control, uint64_t number,
		   struct session **out, struct error *error)
{
	for (unsigned int i = 0; i < SESSIONS; i++) {
		struct session *s = &sessions->list[i];

		if (s->number != number)
			continue;
		if (s->linked)
			return error_set(error, -EBUSY, "the connection that was lost is not known to be so yet");
		s->linked = true;
		s->epoch.control = control;
		*out = s;
		return 0;
	}
	return error_set(error, -ENOENT, "this seeder does not know the leecher any more");
}

void session_leave(struct sessions *sessions, struct session *session)
{
	session->linked = false;
	pthread_cond_broadcast(&sessions->dismissed);
	session->left = loop_now();
	session->epoch.control = NULL;
}

void session_end(struct session *session, struct control *control)
{
	struct error error = { 0 };

	session->epoch.control = control;
	if (control && epoch_close(&session->epoch, &error))
		log_warn("cannot stop watching what is written: %s", error.text);
	dirty_free(&session->told);
	dirty_free(&session->fresh);
	memset(session, 0, sizeof(*session));
}

struct session *session_final(struct sessions *sessions)
{
	for (unsigned int i = 0; i < SESSIONS; i++)
		if (sessions->list[i].number && sessions->list[i].final)
			return &sessions->list[i];
	return NULL;
}

bool session_is_late(struct sessions *sessions, const struct session *session)
{
	const struct session *final = session_final(sessions);

	return final && final != session && final->committed;
}

void session_dismiss(struct sessions *sessions, struct session *session)
{
	session->dismissed = true;
	pthread_cond_broadcast(&sessions->dismissed);
}

static bool sessions_wait(const struct sessions *sessions, const struct session *winner)
{
	for (unsigned int i = 0; i < SESSIONS; i++) {
		const struct session *s = &sessions->list[i];

		if (s->number && s != winner && s->linked && !s->dismissed)
			return true;
	}
	return false;
}

void sessions_dismiss(struct sessions *sessions, const struct session *winner, uint32_t ms)
{
	const uint64_t until = loop_now() + ms * MS;
	const struct timespec time = {
		.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000),
	};

	while (sessions_wait(sessions, winner) && loop_now() < until)
		pthread_cond_clockwait(&sessions->dismissed, &sessions->lock, CLOCK_MONOTONIC, &time);
}

void sessions_init(struct sessions *sessions)
{
	pthread_mutex_init(&sessions->lock, NULL);
	pthread_cond_init(&sessions->dismissed, NULL);
}

void sessions_free(struct sessions *sessions)
{
	for (unsigned int i = 0; i < SESSIONS; i++) {
		dirty_free(&sessions->list[i].told);
		dirty_free(&sessions->list[i].fresh);
	}
	pthread_cond_destroy(&sessions->dismissed);
	pthread_mutex_destroy(&sessions->lock);
}

int session_take(struct session *session, uint32_t received, bool keep, struct error *error)
{
	const struct dirty told = session->told;
	int err;

	if (received != session->taken && received + 1 != session->taken)
		return error_set(error, -EINVAL, "the leecher has received %" PRIu32 " answers of %" PRIu32,
				 received, session->taken);
	if (keep)
		err = epoch_peek(&session->epoch, 0, session->fresh.word, session->fresh.words, error);
	else
		err = epoch_take(&session->epoch, session->fresh.word, session->fresh.words, error);
	if (err && !keep)
		session->spoiled = true;
	if (err)
		return err;
	if (session->spoiled)
		dirty_fill(&session->fresh);
	/* What was told and not received is told again with what has come since. */
	if (received != session->taken)
		dirty_merge(&session->fresh, &told);
	session->told = session->fresh;
	session->fresh = told;
	session->spoiled = false;
	session->taken = received + 1;
	session->taken_at = loop_now();
	return 0;
}

void session_slow(struct session *session, uint64_t before, uint64_t least)
{
	uint64_t ms = (session->taken_at - before) / MS + 1;
	uint64_t rate = session->rate ? session->rate : dirty_bytes(&session->told) / ms * 1000;

	session->rate = rate / 2 > least ? rate / 2 : least;
}

uint64_t sessions_rate(struct sessions *sessions)
{
	uint64_t rate = 0;

	for (unsigned int i = 0; i < SESSIONS; i++) {
		const struct session *s = &sessions->list[i];

		if (s->number && s->linked && s->rate && (!rate || s->rate < rate))
			rate = s->rate;
	}
	return rate;
}
