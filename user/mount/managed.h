/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the helper of a managed device does beside answering requests: it fills the store with
 * what is not there yet (pull.c), and brings what was written to the backend (push.c).
 *
 * Both live in the thread of the first queue: they share its loop and its channel, since a server
 * may allow no more than one connection. The module sends every FLUSH to that queue. FETCH
 * requests come to all queues; they touch nothing but the store.
 *
 * A chunk's bytes in the store are written here only between a FETCH and its answer, or a CLAIM
 * and its FILL. Pushes read what may be changing: what is written during a push is dirty again
 * after it.
 */
#ifndef R3MAP_MOUNT_MANAGED_H
#define R3MAP_MOUNT_MANAGED_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/latency.h"
#include "lib/post.h"
#include "mount/ahead.h"
#include "mount/store.h"
#include "mount/trouble.h"
#include "nl/chunks.h"

struct backend;
struct backend_channel;
struct backend_io;
struct hooks;
struct loop;
struct pull;
struct push;
struct ranges;

/* What the user wants of a managed mount. */
struct managed_options {
	uint32_t pull_workers;		/* chunks on their way at a time; 0: pull nothing */
	uint32_t push_workers;		/* writes on their way at a time */
	uint32_t push_interval;		/* ms between pushes; 0: only when asked */
	uint64_t pull_first;		/* bytes to be there before the device is ready */
	uint64_t pull_rate;		/* bytes a second, to begin with; 0: no limit */
	const char *order;		/* see order.h */
	const char *record;		/* file for the order of the misses, or NULL */
};

struct managed {
	/* Constant once the threads are started. */
	const struct managed_options *options;
	struct backend *backend;
	struct store store;
	struct chunks chunks;		/* with a control socket of its own: of the first queue's thread */
	uint64_t size;			/* bytes of the device */
	uint32_t chunk;			/* bytes */
	uint32_t max_io;		/* bytes of the largest request to the backend */
	int record;			/* descriptor, or -1 */
	_Atomic bool record_failed;
	struct hooks *hooks;		/* told when all is local, or NULL */
	bool owned;			/* the region moves here: nothing is written back */

	/* Of all threads. */
	_Atomic uint64_t missed;	/* where the newest FETCH ended; UINT64_MAX: pull.c knows it */
	sem_t first;			/* posted once: what pull_first asks for is there */
	_Atomic uint64_t ready;		/* ns, CLOCK_MONOTONIC: since when somebody can read; 0: not yet */
	atomic_bool used;		/* and has missed something */
	atomic_bool resting;		/* owned: the pull claims nothing, for now */
	atomic_bool rest_wanted;	/* and is to say so by @rested */
	sem_t rested;
	atomic_bool again;		/* chunks were dropped: the pull begins anew, with */
	_Atomic(struct ranges *) only;	/* these ranges, or with all if NULL; set before @again */
	int all_local;			/* an eventfd; owned: written when a pass of the pull has found it so */
	atomic_bool whole;		/* owned: everything is here, for good */
	_Atomic uint64_t pull_rate;	/* bytes a second; 0: no limit */
	_Atomic uint64_t pull_paused;	/* ns, CLOCK_MONOTONIC: since when; 0: it runs */
	struct ahead ahead;		/* of a device that is pulled: what readers will ask for */
	struct latency pulls;		/* of a chunk, from its claim until its bytes are here */
	struct latency pushes;		/* of a row of chunks, from taking it until it is written */
	struct trouble pull_trouble;	/* chunks that could not be pulled */
	struct trouble push_trouble;	/* and pushed */
	struct post post;		/* to the first queue's thread */
	struct post_job changed;	/* something of these; on its way if @changing */
	atomic_bool changing;

	/* The first queue's thread's. */
	struct loop *loop;
	struct backend_channel *channel;
	struct pull *pull;
	struct push *push;
	struct error error;		/* the helper is to end, see managed_broke() */
};

/*
 * Fills in @managed, zeroed, but for the store and whose the chunks are. @size: of the device,
 * @chunk: of its map. 0 or a negative errno with a sentence; undone by managed_exit(), also after a
 * failure.
 */
int managed_init(struct managed *managed, const struct managed_options *options,
		 struct backend *backend, uint64_t size, uint32_t chunk, struct error *error);
/* What is there when nothing was pulled yet, and managed_exit() may have: before all others. */
#define MANAGED_NOTHING	{ .store.fd = -1, .record = -1, .all_local = -1, .post.wake.fd = -1 }
/* The store is the caller's. */
void managed_exit(struct managed *managed);
/* In the first queue's thread, once its channel is open. 0 or a negative errno with a sentence. */
int managed_start(struct managed *managed, struct loop *loop, struct backend_channel *channel,
		  struct error *error);
/* The device is gone: nothing that still comes back matters. */
void managed_halt(struct managed *managed);
/* The channel has been closed: nothing is under way any more. */
void managed_stop(struct managed *managed);

/*
 * The module does not take what pull or push tells it: @error. That ends the helper, so that another
 * one can take over; if the device is not ours any more, that has been seen elsewhere.
 */
void managed_broke(struct managed *managed, const struct error *error);

/*
 * The pull rests, or goes on; no more than @rate bytes a second, 0: no limit. From one other thread.
 * What is under way comes in.
 */
void managed_pause(struct managed *managed, bool pause);
void managed_rate(struct managed *managed, uint64_t rate);

/*
 * Of an owned region, from one other thread: the pull claims nothing more, and has forgotten what the backend has
 * told it; true, or false if it does not say so within @timeout_ms. Or it begins anew, since chunks have been
 * dropped: with @only, which is taken over, if everything else is local; NULL: with all of the region. Or everything
 * is here, for good.
 */
bool managed_rest(struct managed *managed, uint32_t timeout_ms);
void managed_again(struct managed *managed, struct ranges *only);
void managed_whole(struct managed *managed);

/* The device is about to be told of. From any thread. */
void managed_ready(struct managed *managed);
/* A FETCH has come, in any thread. @beside: the backend is asked for it on the channel that the pull has. */
void managed_missed(struct managed *managed, uint64_t offset, uint32_t length, bool beside);
/* What was asked for beside the pull has come, or will not. */
void managed_fetched(struct managed *managed, uint32_t length);
/* A FLUSH request has come: @done(@owner, error) when all that is dirty is at the backend. */
struct managed_flush {
	void (*done)(struct managed_flush *flush, int error);
	struct managed_flush *next;	/* push.c's */
};
void managed_flush(struct managed *managed, struct managed_flush *flush);

/* pull.c: fills everything in the background. As managed_start(). */
int pull_new(struct managed *managed, struct pull **pull, struct error *error);
/* managed->pull_rate, pull_paused, resting or again have changed. */
void pull_changed(struct pull *pull);
/* Somebody has missed bytes, and the backend is asked for them on the same channel; that is over. */
void pull_missed(struct pull *pull, uint32_t length);
void pull_fetched(struct pull *pull, uint32_t length);
void pull_halt(struct pull *pull);
void pull_free(struct pull *pull);

/* push.c */
int push_new(struct managed *managed, struct push **push, struct error *error);
void push_halt(struct push *push);
void push_free(struct push *push);
void push_flush(struct push *push, struct managed_flush *flush);

/*
 * What is to be told about chunks, gathered: in any order here, in ascending order and merged in
 * the message.
 */
struct chunk_news {
	unsigned int count;
	struct r3map_extent extent[R3MAP_MAX_EXTENTS];
};

/* True if it is full now: tell it. */
bool chunk_news_add(struct chunk_news *news, uint64_t offset, uint64_t length);
/* Sorts and merges; what is left is to be told. */
void chunk_news_order(struct chunk_news *news);

#endif
