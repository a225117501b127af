/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling the memory of one client: faults come, bytes are read from the backend, and given to the
 * client. What improve.h names is switched here: without any of it, this is one fault of one page
 * after the other.
 *
 * Belongs to the thread of the client's peer (peer.h), with its loop. For each page there are two
 * bits: filled (the client has it) and busy (a fill has it under way), so nothing is fetched twice.
 */
#ifndef R3MAP_UFFD_FILL_H
#define R3MAP_UFFD_FILL_H

#include "chunk/bits.h"
#include "backend/backend.h"
#include "lib/loop.h"
#include "uffd/message.h"
#include "uffd/populate.h"

#define FILL_EVENTS	64u	/* faults of one read(2), at most */

/* Of all clients of a handler; constant. */
struct fill_settings {
	uint32_t improve;		/* IMPROVE_* */
	uint32_t page;			/* bytes */
	uint32_t chunk;			/* bytes that one fault brings; a multiple of page */
	uint32_t in_flight;		/* faults whose bytes are on their way, at most */
	const char *order;		/* as for order_open() */
	uint64_t timeout;		/* ns that a request may take */
};

/* What it took: what each improvement changes, but for time. Bytes where nothing else is said. */
struct fill_counts {
	uint64_t reads;			/* of the userfaultfd, that brought faults */
	uint64_t faults;
	uint64_t demands, background;	/* fills that somebody waited for, and others */
	uint64_t most;			/* fills at a time */
	uint64_t copied, mapped, zeroes, poisoned;	/* how the client got them */
};

/* Whom it tells. */
struct fill_owner {
	/* These bytes cannot be had, and the kernel has no POISON to say so. */
	void (*failed)(struct fill_owner *owner, uint64_t offset, uint64_t length, int code);
	/* What fill_fetch() has asked for. */
	void (*fetched)(struct fill_owner *owner, uint64_t offset, uint64_t length, int code);
	/* The client's memory is gone. Later, not from within a call. */
	void (*gone)(struct fill_owner *owner);
};

struct filler {
	/* Set before filler_open(), constant afterwards. */
	const struct fill_settings *settings;
	struct fill_owner *owner;
	struct backend *backend;
	struct backend_channel *channel;
	struct loop *loop;
	struct uffd_region regions[UFFD_REGIONS_MAX];
	unsigned int region_count;
	int uffd;			/* or -1: no userfaultfd, fill_fetch() */
	uint8_t *shared;		/* the memfd, of the whole backend; NULL: private */
	bool protect;			/* what is given is write-protected */

	/* The filler's. */
	uint64_t size;			/* bytes, whole pages */
	struct bits filled, busy;
	struct bits single;		/* to be fetched page by page: together they failed */
	struct loop_source events;
	bool paused;			/* no events are taken */
	uint64_t waiting[FILL_EVENTS];	/* addresses: read, and too many for now */
	unsigned int waiting_used;
	unsigned int demands;		/* fills that somebody waits for, under way */
	struct fill *fills;		/* free ones */
	struct fill *under_way;
	unsigned int flying;		/* of these */
	struct fill_counts counts;
	uint64_t fetching;		/* fill_fetch()'s offset; UINT64_MAX: none */
	uint64_t missed;		/* end of the last fault's bytes: a reader goes on */
	struct loop_task gone;
	bool is_gone;
	struct populate populate;
};

/* 0 or a negative errno with a sentence; filler_close() either way. */
int filler_open(struct filler *filler, struct error *error);
/*
 * The channel is closed already: nothing is under way. Everything in the struct that filler_open()
 * has made is given back.
 */
void filler_close(struct filler *filler);

/*
 * The client, without userfaultfd, asks for the chunk of byte @offset. One at a time: 0 or -EBUSY,
 * -EINVAL.
 */
int fill_fetch(struct filler *filler, uint64_t offset);

/* For populate.c. */

/* Whose memory shows byte @offset; NULL: none. */
const struct uffd_region *fill_region(const struct filler *filler, uint64_t offset);
/* So many bytes from @at upwards, up to @to, are neither here nor on their way. */
uint64_t fill_free(const struct filler *filler, uint64_t at, uint64_t to);
/* So many are here, or on their way. */
uint64_t fill_taken(const struct filler *filler, uint64_t at, uint64_t to);
/* Begins to fetch the bytes from @from to @to, which are free and in @region. @demand: somebody waits. */
void fill_start(struct filler *filler, const struct uffd_region *region, uint64_t from,
		uint64_t to, bool demand);

#endif
