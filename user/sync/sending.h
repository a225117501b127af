/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sending end of one connection: brings regions to where a receiver has what they have, and goes on
 * as they change.
 *
 * Each region is an entry. One that is due gets a stream: the receiver's hashes are compared with
 * ours, what differs is sent as far as the receiver gives credit, and when nothing is left both agree on the hash of
 * the whole. Streams do not wait for each other. An entry keeps its stream until another one needs
 * it; so what changes later is known from the tables, and is not compared again.
 *
 * Belongs to the loop's thread.
 */
#ifndef R3MAP_SYNC_SENDING_H
#define R3MAP_SYNC_SENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "chunk/bits.h"
#include "sync/hash.h"
#include "sync/names.h"
#include "sync/wire.h"

struct pool;
struct region;
struct sending;
struct sending_entry;

/* What the owner of a connection does for it. */
struct sending_ops {
	/*
	 * The region of @entry, open, its hashes as agreed on. Returns 0 and *@region, or a negative errno with a
	 * sentence.
	 */
	int (*open)(struct sending *sending, struct sending_entry *entry, struct region **region,
		    struct error *error);
	/* The stream that it was opened for is no more. */
	void (*close)(struct sending *sending, struct sending_entry *entry, struct region *region);
	/*
	 * The receiver has @entry's region, and it is not known; sending_known() is to be called when it is, or
	 * sending_lost(). @empty: the receiver has zeroes only: all data may be taken for changed, unread.
	 */
	void (*learn)(struct sending *sending, struct region *region, bool empty);
	/* It was committed, in version entry->done; or it has failed, with @error. */
	void (*committed)(struct sending *sending, struct sending_entry *entry,
			  const unsigned char root[SYNC_ROOT]);
	void (*failed)(struct sending *sending, struct sending_entry *entry,
		       const struct error *error);
	/* No entry is due. May be called again and again. */
	void (*idle)(struct sending *sending);
	/* The receiver has answered ROUND, or END: what sending_round() or sending_end() has said. */
	void (*answered)(struct sending *sending, enum sync_type type);
	/* The connection has ended, code 0: in order; none of its jobs is left. sending_free() is to be called. */
	void (*ended)(struct sending *sending, const struct error *error);
};

/* Entries in the order in which they came to it; each is in one list. */
struct sending_list {
	struct sending_entry *first, **last;
};

struct sending_entry {
	struct sending_entry *next, **link;
	struct sending_list *list;
	struct name named;		/* unless it is gone */
	char *name;
	void *data;			/* the owner's */
	uint64_t due;			/* the version that the receiver is to have; 0: none */
	uint64_t done;			/* that it has */
	bool failed;			/* given up until it is due anew */
	bool gone;			/* to be freed */
	struct sending_stream *stream;	/* or NULL */
};

/* Since the connection began. */
struct sending_counts {
	uint64_t data;			/* bytes of chunks that were sent */
	uint64_t zero;			/* bytes that were sent as zeroes */
	uint64_t chunks;		/* that were sent, either way */
	uint64_t repaired;		/* times that the whole differed although all chunks seemed the same */
};

struct sending {
	struct wire_owner owner;
	struct wire wire;
	struct loop *loop;
	struct pool *pool;
	const struct sending_ops *ops;
	void *data;			/* the owner's */
	struct sync_hello offer;	/* what we said */
	struct hashing hashing;		/* agreed on */
	bool ready;			/* it is */
	bool over;			/* the connection has ended: */
	struct error why;
	struct sending_list waiting;	/* due, without a stream */
	struct sending_list gone;	/* to be dropped when they have no stream */
	struct sending_list rest;
	struct names names;		/* of all but those that are gone */
	struct sending_stream *streams;	/* in the order in which they have their turn */
	unsigned int open, most;	/* streams */
	uint32_t numbered;		/* streams so far */
	uint64_t round;			/* ROUND was said, and has no answer; 0: none */
	bool goodbye;			/* END was said */
	struct loop_task pump;
	struct batch *spare;
	unsigned int batches, flying;	/* all of them; with the pool */
	struct sending_counts counts;
};

struct sending_setup {
	struct loop *loop;
	struct pool *pool;
	const struct sending_ops *ops;
	void *data;
	uint8_t hashes[SYNC_HASHES];	/* enum sync_hash, the best first, 0: none */
	uint32_t chunk;			/* bytes, unless the receiver wants another size */
	struct tls_credentials *credentials;
	const char *hostname, *address;
	struct wire_limits limits;
};

/* @fd: connected, and the callee's. Returns 0 and *@sending, or a negative errno with a sentence. */
int sending_new(const struct sending_setup *setup, int fd, struct sending **sending,
		struct error *error);
/* From ended() on, or when the pool is freed. Its regions are closed, by ops->close(), before it returns. */
void sending_free(struct sending *sending);

/* A new entry, the only one of its name, which is due when somebody says so. NULL: out of memory. */
struct sending_entry *sending_add(struct sending *sending, const char *name, void *data);
/* The one called @name, or NULL. */
struct sending_entry *sending_find(const struct sending *sending, const char *name);
/* It is gone: the receiver is told, and the entry is freed, which may be later. */
void sending_remove(struct sending *sending, struct sending_entry *entry);
/* Version @version of it is to be sent. */
void sending_due(struct sending *sending, struct sending_entry *entry, uint64_t version);
/* Its stream, if it has one, is closed, and opened anew if it is due. */
void sending_restart(struct sending *sending, struct sending_entry *entry);
/* One at a time: the next is said when answered() was called. @round: not 0. */
void sending_round(struct sending *sending, uint64_t round);
void sending_end(struct sending *sending);

/* For all streams that a region is on: */
/* Its tables are valid. @all: what is data in it is to be sent, as the receiver has none of it. */
void sending_known(struct region *region, bool all);
/* A chunk has changed, and the tables have it. */
void sending_changed(struct region *region, uint64_t chunk);
/* It has another size, and the tables are for that. */
void sending_resized(struct region *region);
/* It may be committed now; look whether something is to be done. */
void sending_settled(struct region *region);
/* It cannot be read. */
void sending_lost(struct region *region, const struct error *error);

/* Bytes of all regions with a stream, and how many of these are not known to be at the receiver. */
void sending_progress(const struct sending *sending, uint64_t *total, uint64_t *left);

#endif
