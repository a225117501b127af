/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Synced: a local copy of a remote region, made chunk by chunk as it is needed. See stage.h.
 *
 * A chunk is absent, busy or present. A busy one belongs to a fetch of this stage, or to a claim of
 * whoever fills the store in the background; nobody else touches its bytes in the store, and
 * requests that need the chunk wait. So what is filled late cannot overwrite what was written:
 * while it is filled the write waits, and what was written is present, and not to be claimed. A loose
 * claim leaves its chunks to who writes all of one, until it is made firm: only then is the chunk busy.
 *
 *	read                       present: from the store; absent: fetched first
 *	write, zeroes: all of it   present afterwards, without a fetch
 *	write, zeroes: a part      fetched first
 *	discard: all of it         zeroes, and present
 *	discard: a part            absent: nothing is done
 *	flush                      the store's
 */
#ifndef R3MAP_CHUNK_SYNCED_H
#define R3MAP_CHUNK_SYNCED_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/latency.h"
#include "nl/chunks.h"

struct backend;
struct backend_channel;
struct error;
struct store;

/* All of them bytes or numbers since the stage is there, without errors. From any thread. */
struct synced_counts {
	_Atomic uint64_t hits;		/* requests that needed no chunk that was not present */
	_Atomic uint64_t misses;	/* and that did */
	_Atomic uint64_t fetches;	/* requests to the remote because of them */
	_Atomic uint64_t fetch_bytes;
	_Atomic uint64_t fill_bytes;	/* filled by a claim */
	_Atomic uint64_t op[R3MAP_OP_WRITE_ZEROES + 1];	/* requests, by enum backend_op */
	_Atomic uint64_t bytes[R3MAP_OP_WRITE + 1];	/* of reads and writes */
	_Atomic uint64_t errors;	/* requests that failed */
	/* How long requests were here, by what they had to wait for. */
	struct latency hit;		/* nothing */
	struct latency demanded;	/* a fetch of their own */
	struct latency coalesced;	/* another's fetch, or a claim, only */
};

struct synced_options {
	const struct store *store;	/* borrowed: where fetches put their bytes */
	uint32_t chunk;			/* bytes, a power of two */
	uint32_t fetch_max;		/* bytes of one fetch, at most; >= chunk */
	/* A fetch begins. May be NULL. */
	void (*missed)(void *data, uint64_t offset, uint32_t length);
	/* And it is over. May be NULL. */
	void (*fetched)(void *data, uint32_t length);
	void *data;
};

/* @remote and @local, which is @options->store as a backend, become its if it succeeds. */
int synced_new(struct backend *remote, struct backend *local, const struct synced_options *options,
	       struct backend **stage, struct error *error);

/* The channel to the remote, of the stage's own; NULL: there is none yet, or no more. */
struct backend_channel *synced_remote(struct backend *stage);
const struct synced_counts *synced_counts(const struct backend *stage);
/* How many bytes are present. From any thread. */
uint64_t synced_bytes(const struct backend *stage);

/* See chunks_claim(), chunks_firm() and chunks_fill(). */
int synced_claim(struct backend *stage, uint64_t offset, uint64_t length, uint64_t max, bool loose,
		 struct chunk_extents *extents, struct error *error);
int synced_firm(struct backend *stage, uint64_t offset, uint64_t length,
		struct chunk_extents *extents, struct error *error);
int synced_fill(struct backend *stage, const struct r3map_extent *extents, unsigned int count,
		int code, struct error *error);

#endif
