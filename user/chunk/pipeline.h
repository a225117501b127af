/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stages of one managed region, put together (see stage.h), with store, puller and pusher: a
 * backend like others.
 *
 * Its one channel belongs to one thread; when that is open, pulling and pushing begin. Everything
 * below may be called from any thread unless it says otherwise.
 */
#ifndef R3MAP_CHUNK_PIPELINE_H
#define R3MAP_CHUNK_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/post.h"
#include "mount/managed.h"

struct backend;
struct error;
struct hooks;
struct pipeline;
struct store;
struct synced_counts;

enum pipeline_flush { PIPELINE_FLUSH_NONE, PIPELINE_FLUSH_STORE, PIPELINE_FLUSH_REMOTE };

struct pipeline_options {
	uint64_t size;			/* bytes of the region, at most the backend's */
	uint32_t chunk;			/* bytes, a power of two */
	enum pipeline_flush flush;	/* what a FLUSH means */
	bool read_only;
	const struct managed_options *managed;	/* borrowed */
	struct hooks *hooks;		/* told when all is local, or NULL */
};

struct pipeline_facts {
	uint64_t local, dirty;		/* bytes */
	uint64_t push_bytes;		/* written back */
	const struct synced_counts *counts;
};

/*
 * @backend becomes the pipeline's, whatever this returns: 0, or a negative errno with a sentence.
 * backend_close() of pipeline_region() ends it, once its channel is closed, and with it what is
 * borrowed here.
 */
int pipeline_new(struct backend *backend, const struct pipeline_options *options,
		 struct pipeline **pipeline, struct error *error);
struct backend *pipeline_region(struct pipeline *pipeline);
/* For store_unlock(). */
const struct store *pipeline_store(const struct pipeline *pipeline);

/* Waits until the channel has been opened: 0, or why it could not be, with a sentence. Once. */
int pipeline_opened(struct pipeline *pipeline, struct error *error);
/* Has what is to be pulled first come, or will it never? True once. */
bool pipeline_first(struct pipeline *pipeline);
/* Its pull and push. */
struct managed *pipeline_managed(struct pipeline *pipeline);
void pipeline_facts(const struct pipeline *pipeline, struct pipeline_facts *facts);

/*
 * What somebody waits for, one at a time. @done: in the thread of the channel, from its loop;
 * perhaps never if the channel closes before.
 */
struct pipeline_wait {
	void (*done)(struct pipeline_wait *wait, int error);
	void *owner;			/* the caller's */
	struct pipeline *pipeline;	/* the pipeline's, like what follows */
	struct post_job job;
	struct managed_flush flush;
	bool settle;
};

/* All that was written before is at the backend, whatever a FLUSH means. */
void pipeline_sync(struct pipeline *pipeline, struct pipeline_wait *wait);
/*
 * As pipeline_sync(), and with success nothing is under way and nothing goes on, until
 * pipeline_unlock(). After a failure everything goes on.
 */
void pipeline_settle(struct pipeline *pipeline, struct pipeline_wait *wait);
void pipeline_unlock(struct pipeline *pipeline);

#endif
