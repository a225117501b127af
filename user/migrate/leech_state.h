/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of a leecher, for the files leech*.c of this folder. Everybody else uses leech.h. What returns int
 * returns 0 or a negative errno with a sentence, -ECANCELED without one if it is to end. All of it is for the leecher's
 * own thread, unless it is said.
 */
#ifndef R3MAP_MIGRATE_LEECH_STATE_H
#define R3MAP_MIGRATE_LEECH_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/post.h"
#include "migrate/dirty.h"
#include "migrate/leech.h"
#include "migrate/link.h"
#include "nbd/uri.h"
#include "nl/chunks.h"

#define MS		1000000ULL		/* ns */
#define ANSWER		(20000 * MS)		/* ns for an answer that costs the seeder nothing */

struct control;
struct managed;
struct seed;
struct tls_credentials;

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

/* What is decided about a group that this is one of. */
enum leech_verdict {
	VERDICT_NONE,
	VERDICT_GO,
	VERDICT_UNDO,
	VERDICT_LEFT,		/* the same, since nobody is there to decide */
};

struct leech {
	/* Constant. */
	const struct leech_options *options;
	struct managed *managed;
	uint64_t before;		/* generation with the helper before, or 0 */
	const char *device;
	const struct seed *onward;	/* what seeds it on, or NULL */
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

/* leech.c */

/* Is it to end? Any thread. */
bool leech_stopped(const struct leech *l);
/* Sleeps, unless it is to end. */
void leech_sleep(uint64_t ns);
/* Any thread. */
enum leech_phase leech_phase(struct leech *l);
void leech_set_phase(struct leech *l, enum leech_phase phase);
/* Is what was prepared, or is being, to be given up? Any thread, which holds l->lock. */
bool leech_is_undone(const struct leech *l);
/* Who has asked for a finalize, if somebody has, hears how it went. */
void leech_outcome(struct leech *l, const struct error *error);

/* leech_link.c: the control link, and what is said on it */

/* The session that was lost, or the first one; for as long as a seeder is looked for. */
int leech_connect(struct leech *l, struct error *error);
/* Without a link from now on. */
void leech_lose(struct leech *l);
/*
 * *@err is that of a question that may be asked twice. True: the link was lost, and there is a new one
 * for it.
 */
bool leech_again(struct leech *l, int *err, struct error *error);
/* Asks, in a new connection if the old one is lost. */
int leech_ask(struct leech *l, const struct migrate_message *question,
	      struct migrate_message *answer, enum migrate_type type, struct error *error);
/* What was written since the last time, in l->list. */
int leech_take(struct leech *l, struct error *error);
/* Bios are let go. Until the seeder knows, somebody there may take the region back. */
int leech_commit(struct leech *l, struct error *error);
/* A sign of life, and how far it is; once a second. */
int leech_progress(struct leech *l, uint64_t local, struct error *error);
/* Another helper is to know what the seeder calls it. */
void leech_note(const struct leech *l);

/* leech_round.c: from the first byte to the finalize */

/*
 * Waits until all is local; *@early, unless it is NULL: a finalize is wanted before. Until @until at most, if it is
 * not 0; then the seeder, which may be what is too slow, is not told how far it is.
 */
int leech_wait_local(struct leech *l, bool *early, uint64_t until, struct error *error);
/* What was told last, in chunks. */
struct dirty *leech_lost(struct leech *l);
/* It is remote again. */
int leech_drop(struct leech *l, struct error *error);
/* Nothing more is claimed by the pull. */
int leech_rest_pull(struct leech *l, struct error *error);
/* Pulls, and follows in rounds, until it is to be finalized. */
int leech_follow(struct leech *l, struct error *error);

/* leech_final.c: the finalize */

/* 0: bios are let go. */
int leech_finalize_now(struct leech *l, struct error *error);
/*
 * The seeder is told that it is not wanted after all. Until it is, nobody here may go on as if it
 * were.
 */
int leech_abort(struct leech *l, struct error *error);

#endif
