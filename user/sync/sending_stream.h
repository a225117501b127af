/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One stream of a sending connection, and the batches that it is read and sent in. For sending.c.
 */
#ifndef R3MAP_SYNC_SENDING_STREAM_H
#define R3MAP_SYNC_SENDING_STREAM_H

#include "chunk/bits.h"
#include "sync/pool.h"
#include "sync/region.h"
#include "sync/sending.h"

enum sending_state {
	SENDING_OPENING,	/* OPEN was said */
	SENDING_GROUPS,		/* hashes of groups come */
	SENDING_LEARNING,	/* they have come; the region is not known yet */
	SENDING_CHUNKS,		/* hashes of chunks come */
	SENDING_DATA,		/* what is dirty is sent */
	SENDING_COMMIT,		/* COMMIT was said, and nothing since */
	SENDING_STRONG,		/* strong hashes come */
	SENDING_FAILED,		/* to be closed */
};

struct sending_stream {
	struct sending_stream *next;		/* of the connection's */
	struct sending_stream *region_next;	/* of the region's */
	struct sending *sending;
	struct sending_entry *entry;
	struct region *region;
	uint32_t number;
	enum sending_state state;
	uint32_t credit;			/* bytes */
	uint64_t size;				/* that the receiver was told */
	uint64_t cut;				/* the least that the region has had since */
	struct bits dirty;			/* chunks that the receiver is to get */
	uint64_t cursor;			/* bytes: where to look for these */
	bool empty;				/* the receiver has zeroes only */
	bool resized;				/* region->size is not @size */
	bool touched;				/* something was said since the last COMMIT */
	bool known;				/* the region is, and this stream has heard of it */
	unsigned char *groups;			/* the receiver's, until they are compared */
	uint64_t groups_got;
	uint64_t missing;			/* hashes that were asked for and have not come */
	uint64_t next_strong;			/* chunk */
	unsigned int flying;			/* batches of it */
	unsigned int tries;			/* COMMITs that were answered with DIFFERS in a row */
	uint64_t version;			/* that COMMIT was about */
	unsigned char root[SYNC_ROOT];		/* of it */
};

/* OPEN. Returns 0, or a negative errno with a sentence. */
int sending_stream_open(struct sending *sending, struct sending_entry *entry,
			struct region *region, struct error *error);
/* CLOSE; no batch of it is flying. Tells the owner that the region is not used. */
void sending_stream_close(struct sending_stream *stream);
/* What the receiver says of it. Returns 0, or a negative errno with a sentence: the connection is to end. */
int sending_stream_message(struct sending_stream *stream, const struct sync_message *m,
			   struct error *error);
/* Does what can be done now. */
void sending_stream_go_on(struct sending_stream *stream);
/* It has failed, and is closed once nothing of it is flying. */
void sending_stream_fail(struct sending_stream *stream, const struct error *error);
/* Is there nothing to do for it, until something changes or another version is due? */
bool sending_stream_idle(const struct sending_stream *stream);

/* sending.c: @entry has got a stream, or lost it, or is due, or is not any more. */
void sending_place(struct sending_entry *entry, struct sending *sending);

/* batch.c: takes dirty chunks as far as credit and memory go, and reads and sends them. */
void sending_batches(struct sending_stream *stream);
void sending_batches_free(struct sending *sending);

#endif
