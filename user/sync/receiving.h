/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiving end of one connection: tells what it has, and applies what it is sent, in place.
 *
 * Nothing is kept about what was received but the data itself: whoever begins again, after whatever end, hashes
 * what is there. So a chunk that was half written is never taken for one that came.
 *
 * What a stream is told is done in its order, by one thread of the pool at a time; streams do not wait
 * for each other. Credit bounds what a stream may have sent and is not done.
 *
 * Belongs to the loop's thread.
 */
#ifndef R3MAP_SYNC_RECEIVING_H
#define R3MAP_SYNC_RECEIVING_H

#include <stdbool.h>
#include <stdint.h>

#include "sync/folder.h"
#include "sync/hash.h"
#include "sync/wire.h"

struct pool;
struct receiving;
struct region;

struct receiving_ops {
	/* Has this sender, of this name or "", the right to send? False: *error says why not. NULL: all. */
	bool (*allowed)(struct receiving *receiving, struct error *error);
	/* The region is what the sender has, in a new version. */
	void (*committed)(struct receiving *receiving, struct holding *holding,
			  const unsigned char root[SYNC_ROOT]);
	/* A name is gone, or with @error could not be removed; @was as of folder_remove(), or NULL. */
	void (*removed)(struct receiving *receiving, const char *name, struct region *was,
			const struct error *error);
	/* The sender has said that this round is complete, or END. */
	void (*told)(struct receiving *receiving, enum sync_type type);
	/* The connection has ended, code 0: in order; no job is left. receiving_free() is to be called. */
	void (*ended)(struct receiving *receiving, const struct error *error);
};

struct receiving {
	struct wire_owner owner;
	struct wire wire;
	struct loop *loop;
	struct pool *pool;
	struct folder *folder;
	const struct receiving_ops *ops;
	void *data;			/* the owner's */
	struct sync_hello offer;	/* what we said */
	struct hashing hashing;		/* agreed on, unless it is the owner's: */
	const struct hashing *used;
	bool durable;			/* before COMMITTED what came is on the disk */
	bool over;			/* the connection has ended */
	struct error why;
	struct loop_task end;
	struct receiving_stream *streams;
	unsigned int open, all;		/* not closed by the sender; and those that are at work still */
	uint32_t numbered;		/* the largest number of a stream so far */
	uint64_t budget;		/* bytes of credit that may still be given beyond the least */
	uint64_t data_bytes;		/* of chunks that came */
	struct error trouble;		/* why the last stream that failed did; code 0: none has */
};

struct receiving_setup {
	struct loop *loop;
	struct pool *pool;
	struct folder *folder;
	const struct receiving_ops *ops;
	void *data;
	/* NULL: whatever the sender likes of all that there is. Else this, and chunks of this size. */
	const struct hashing *hashing;
	bool durable;
	uint64_t budget;
	struct tls_credentials *credentials;
	const char *hostname, *address;
	struct wire_limits limits;
};

/* @fd: connected, and the callee's. Returns 0 and *@receiving, or a negative errno with a sentence. */
int receiving_new(const struct receiving_setup *setup, int fd, struct receiving **receiving,
		  struct error *error);
/* From ended() on, or when the pool is freed. */
void receiving_free(struct receiving *receiving);

#endif
