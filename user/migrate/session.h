/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a seeder knows of one leecher: the epoch that is its, and how far it is. A session outlives the
 * connection for a while, so that a leecher that comes back goes on where it was.
 *
 *	tracking ── FINALIZE ──► final ── COMMIT ──► committed
 *	    ▲                     │ ABORT, or undone here
 *	    └─────────────────────┘
 *
 * From the moment the answer to FINALIZE is sent the region is the leecher's, unless it says ABORT: this
 * side does not take it back by itself, since it cannot know whether the leecher has heard.
 *
 * All functions are for holders of the lock.
 */
#ifndef R3MAP_MIGRATE_SESSION_H
#define R3MAP_MIGRATE_SESSION_H

#include <linux/r3map.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "migrate/dirty.h"
#include "migrate/message.h"
#include "nl/epoch.h"

struct error;

#define SESSIONS	R3MAP_MAX_EPOCHS
#define SESSION_KEEP	60000		/* ms that one waits for a leecher that was lost */

struct session {
	uint64_t number;		/* hard to guess; 0: free */
	bool linked;			/* a connection is using it */
	uint64_t left;			/* ns: since when none is */
	struct epoch epoch;		/* its control is that of the connection that uses it */
	uint32_t taken;			/* TAKEs that were answered */
	struct dirty told;		/* by the last of them: again, if it was not received */
	struct dirty fresh;		/* room for the next one */
	bool spoiled;			/* something was taken and could not be told: all counts as written */
	uint64_t taken_at;		/* ns: of the last of them */
	uint64_t rate;			/* bytes a second that its leecher would have written at most, while linked; 0: any */
	bool final;
	bool committed;
	char uri[MIGRATE_URI_MAX + 1];	/* where its leecher lets others follow, once it is */
	struct migrate_finalized times;
	uint64_t held_since;		/* ns */
	uint64_t local;			/* bytes at the leecher, as it says */
	uint32_t round;
	bool all;			/* everything is there */
	bool dismissed;			/* it was told that another one has the region */
};

struct sessions {
	pthread_mutex_t lock;
	pthread_cond_t dismissed;	/* a session is, or its connection is gone */
	uint32_t index;			/* the device; constant */
	uint64_t generation;
	uint64_t size;			/* bytes */
	struct session list[SESSIONS];
};

/*
 * A new session with an epoch of its own, through @control. 0 or a negative errno with a sentence; -EBUSY if
 * there are as many as there can be and all are used.
 */
int session_new(struct sessions *sessions, struct control *control, struct session **session,
		struct error *error);
/* The one that a leecher has lost. -ENOENT: there is none; -EBUSY: it is in use. */
int session_resume(struct sessions *sessions, struct control *control, uint64_t number,
		   struct session **session, struct error *error);
/* The connection is gone. */
void session_leave(struct sessions *sessions, struct session *session);
/* It is over; @control is for the epoch. */
void session_end(struct session *session, struct control *control);
/* The one that was finalized, or NULL. */
struct session *session_final(struct sessions *sessions);
/* Does another one than @session use the region for good? */
bool session_is_late(struct sessions *sessions, const struct session *session);
/* It is told so. */
void session_dismiss(struct sessions *sessions, struct session *session);
/* Waits until all but @winner are told so, or gone, for up to @ms. */
void sessions_dismiss(struct sessions *sessions, const struct session *winner, uint32_t ms);
/* Undone by sessions_free(). */
void sessions_init(struct sessions *sessions);
/* Nobody comes back any more. */
void sessions_free(struct sessions *sessions);

/*
 * Answers TAKE: what was written since the last one whose answer was @received, in @session->told. That is not changed
 * before the leecher says that it has it, or has asked for it again: until then its pages may be on their way. With @keep
 * it is told by the next one as well: to clear it would take as long as to tell it, and is in vain if there is none. 0 or
 * a negative errno with a sentence.
 */
int session_take(struct session *session, uint32_t received, bool keep, struct error *error);

/*
 * Its leecher finds that rounds do not become shorter: half of what was written since the last list but one, or of
 * the rate that there is, is to be the rate, but not less than @least. @before: ns, when that list was taken.
 */
void session_slow(struct session *session, uint64_t before, uint64_t least);
/* The lowest rate of those that are linked, or 0. */
uint64_t sessions_rate(struct sessions *sessions);

#endif
