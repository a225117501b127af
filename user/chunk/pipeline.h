/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages of one managed region, put together (see stage.h), with store, puller and pusher.
 *
 * The region is pipeline_region(), a backend like others. Its channel belongs to one thread; when that is
 * open, pulling and pushing begin. pipeline_sync() and what follows it are for that thread, what tells
 * figures is for any.
 */
#ifndef R3MAP_CHUNK_PIPELINE_H
#define R3MAP_CHUNK_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct error;
struct managed_options;
struct pipeline;
struct store;

enum pipeline_flush { PIPELINE_FLUSH_NONE, PIPELINE_FLUSH_STORE, PIPELINE_FLUSH_REMOTE };

struct pipeline_options {
	uint64_t size;			/* bytes of the region, at most the backend's */
	uint32_t chunk;			/* bytes, a power of two */
	enum pipeline_flush flush;	/* what a FLUSH means */
	bool read_only;
	const struct managed_options *managed;	/* borrowed */
};

struct pipeline_facts {
	uint64_t local, dirty;		/* bytes */
	uint64_t hits, misses, fetches, fill_bytes;	/* see struct synced_counts */
};

/*
 * @backend becomes the pipeline's, whatever this returns: 0, or a negative errno with a sentence.
 */
int pipeline_new(struct backend *backend, const struct pipeline_options *options,
		 struct pipeline **pipeline, struct error *error);
/* @pipeline may be NULL. Its channel is closed; the region is closed by this, and by nobody else. */
void pipeline_free(struct pipeline *pipeline);
struct backend *pipeline_region(struct pipeline *pipeline);
/* For store_unlock(). */
const struct store *pipeline_store(const struct pipeline *pipeline);

/* From any thread. */
void pipeline_facts(const struct pipeline *pipeline, struct pipeline_facts *facts);
/* From any thread: has what is to be pulled first come, or will never? Once. */
bool pipeline_first(struct pipeline *pipeline);

/* What somebody waits for. @done: in the pipeline's thread, perhaps within the call. */
struct pipeline_wait {
	void (*done)(struct pipeline_wait *wait, int error);
	void *owner;			/* the caller's */
};

/* All that was written before is at the backend, whatever a FLUSH means. One at a time. */
void pipeline_sync(struct pipeline *pipeline, struct pipeline_wait *wait);
/*
 * As pipeline_sync(), and with success nothing is under way and nothing goes on, until pipeline_unlock().
 * After a failure everything goes on.
 */
void pipeline_settle(struct pipeline *pipeline, struct pipeline_wait *wait);
void pipeline_unlock(struct pipeline *pipeline);

#endif
