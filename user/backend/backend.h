/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a region's bytes live: one ops table per scheme (mem:, file:, nbd: ...), all asynchronous.
 *
 * A struct backend is a region that was opened once; it may be used by several threads. Each thread
 * opens a channel of its own and submits requests to that; a channel is never shared by threads,
 * needs no locks and calls back only in its own thread: from within backend_submit(),
 * backend_kick() or from the loop it was opened on. Backends that never wait complete
 * inside backend_submit().
 *
 * After a batch of submits the submitter calls backend_kick() once. Submits made within done()
 * need no kick of their own: whoever called done() kicks afterwards, the backend if it ran from
 * the loop. A done() must not close the channel. A backend that never waits calls done() on the
 * submitter's stack, so a done() that submits again without end would recurse without end: leave
 * that to the loop.
 *
 * Nothing here may exit the process, print, or allocate per request without a bound: the caller
 * may be in the path of memory reclaim.
 */
#ifndef R3MAP_BACKEND_H
#define R3MAP_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct error;
struct loop;

enum backend_op {
	/* The same numbers as enum r3map_op; backend.c asserts it. */
	BACKEND_READ,
	BACKEND_WRITE,
	BACKEND_FLUSH,
	BACKEND_DISCARD,
	BACKEND_WRITE_ZEROES,
	/* Of user space only: the module never asks for these. */
	BACKEND_EXTENTS,	/* which parts of the range hold data: see struct backend_extents */
	BACKEND_CACHE,		/* the range is read soon: bring it nearer. A hint */
};

#define BACKEND_OPS		(BACKEND_CACHE + 1)

#define BACKEND_FUA		(1u << 0)	/* WRITE, WRITE_ZEROES: durable before done */
#define BACKEND_NO_UNMAP	(1u << 1)	/* WRITE_ZEROES: keep the space allocated */
/*
 * WRITE_ZEROES: fail with -EOPNOTSUPP, and change nothing, unless it is faster than a WRITE of
 * zeroes.
 */
#define BACKEND_FAST_ZERO	(1u << 2)
#define BACKEND_ONE		(1u << 3)	/* EXTENTS: the first one is enough */

#define BACKEND_EXTENT_HOLE	(1u << 0)	/* no space is allocated */
#define BACKEND_EXTENT_ZERO	(1u << 1)	/* reads as zeroes */

struct backend_extent {
	uint64_t length;		/* bytes, > 0, a multiple of block_min */
	uint32_t flags;			/* BACKEND_EXTENT_*; 0: data, or unknown */
};

/*
 * The answer to EXTENTS, valid if it completes with 0: contiguous from the request's offset,
 * never beyond its end, neighbours with equal flags merged. At least one; they stop short of the
 * range's end where @room is used up, or where looking further would take long: ask again from
 * there. It tells what was true at some moment between submit and done: a write that runs
 * meanwhile may or may not be seen.
 */
struct backend_extents {
	uint32_t room;			/* of extent[], >= 1; the submitter's */
	uint32_t used;
	struct backend_extent extent[];
};

/*
 * Who wants to know that a server is out of reach. @told: in the thread of a channel whose
 * connection was lost, or is there again; true and false alternate for each channel.
 */
struct backend_listener {
	void (*told)(struct backend_listener *listener, bool lost);
};

/* What a region is and can do; filled in by open, constant afterwards. */
struct backend_info {
	uint64_t size;			/* bytes */
	uint32_t block_min;		/* bytes: offset and length must be multiples; a power of two */
	uint32_t block_preferred;	/* bytes: good size, a power of two, >= block_min */
	uint32_t max_io;		/* bytes of the largest READ or WRITE, 0: no limit */
	uint32_t channels_max;		/* how many channels are useful, 0: no limit */
	bool read_only;
	bool can_flush;			/* FLUSH is needed for durability and works */
	bool can_fua;			/* BACKEND_FUA is understood; if not, backend_submit() emulates it */
	bool can_discard;
	bool can_zeroes;
	bool can_fast_zero;		/* BACKEND_FAST_ZERO may succeed; if not, it never does */
	bool can_extents;		/* if not, all is told to be data */
	bool can_cache;			/* if not, CACHE does nothing, successfully */
	bool can_map_writes;		/* what is to be written may be put in place: backend_map() */
	bool rotational;
	bool waits;			/* requests may complete after backend_submit() has returned */
	bool near;			/* they take microseconds: no network is in between */
};

struct backend {
	const struct backend_ops *ops;
	struct backend_info info;
	char *name;			/* the spec in canonical form, without secrets; owned */
	_Atomic uint64_t received;	/* bytes that have come from its server, of an NBD one */
};

struct backend_channel {
	struct backend *backend;
};

/*
 * One request. The submitter owns it and its buffer until done() is called, exactly once; from
 * backend_submit() to done() the backend may use @link and @backend_data and read everything else.
 */
struct backend_io {
	enum backend_op op;
	uint32_t flags;			/* BACKEND_* */
	uint64_t offset;		/* bytes; offset + length <= size was checked by backend_submit() */
	uint32_t length;		/* bytes; 0 for FLUSH */
	void *buf;			/* length bytes for READ and WRITE, else NULL */
	struct backend_extents *extents;	/* for EXTENTS: the submitter's, like buf */

	/* error: 0 or a negative errno. May submit again. */
	void (*done)(struct backend_io *io, int error);
	void *owner;			/* the submitter's */

	struct backend_io *link;	/* the backend's */
	uint64_t backend_data;		/* the backend's */

	struct {			/* backend.c's: a FUA write is a write, then a flush */
		void (*done)(struct backend_io *io, int error);
		struct backend_channel *channel;
		enum backend_op op;
	} fua;
};

struct backend_ops {
	const char *scheme;		/* without the colon: "mem" */
	const char *synopsis;		/* one line for --help: "mem:SIZE" */
	const char *help;		/* one sentence for --help and the manual */

	/*
	 * @rest: the text after "scheme:". Returns 0 and sets *@backend (with ops, info and name),
	 * or a negative errno with one sentence in @error. May block, bounded.
	 */
	int (*open)(const char *rest, struct backend **backend, struct error *error);
	/* All channels are closed. Frees @backend, with its name. */
	void (*close)(struct backend *backend);

	/* @loop: of the calling thread, outlives the channel. */
	int (*channel_open)(struct backend *backend, struct loop *loop,
			    struct backend_channel **channel, struct error *error);
	/* Completes what is in flight with -ECANCELED, then frees @channel. */
	void (*channel_close)(struct backend_channel *channel);

	/* Must lead to exactly one io->done(), possibly before it returns. */
	void (*submit)(struct backend_channel *channel, struct backend_io *io);
	/* Optional: a batch of submits is over, send what was gathered. */
	void (*kick)(struct backend_channel *channel);

	/* Optional: see backend_listen(). */
	void (*listen)(struct backend *backend, struct backend_listener *listener);
	/* Optional: see backend_map(), which has checked the range. From any thread. */
	void *(*map)(struct backend *backend, uint64_t offset, uint32_t length);
};

/* Opens @spec, "scheme:rest". Returns 0 or a negative errno with one sentence in @error. */
int backend_open(const char *spec, struct backend **backend, struct error *error);
void backend_close(struct backend *backend);
/*
 * @listener is told from now on, until the channels are closed; before the first is opened. A
 * backend without connections tells nothing.
 */
void backend_listen(struct backend *backend, struct backend_listener *listener);
int backend_channel_open(struct backend *backend, struct loop *loop,
			 struct backend_channel **channel, struct error *error);
void backend_channel_close(struct backend_channel *channel);
/*
 * Checks range, alignment, read-only and op (fails with -EINVAL, -EPERM, -EOPNOTSUPP through
 * done()), answers a FLUSH that nothing needs, and EXTENTS and CACHE where the backend cannot,
 * refuses BACKEND_FAST_ZERO where the backend cannot, emulates FUA where needed, and passes the
 * rest on to the backend. Flags that mean nothing for the op are ignored. EXTENTS and CACHE are
 * not bound by max_io and work on a region that is read-only.
 */
void backend_submit(struct backend_channel *channel, struct backend_io *io);
void backend_kick(struct backend_channel *channel);

/*
 * Where these bytes can be read directly, instead of by a READ into a buffer: valid until
 * backend_close(), may be read by any thread and by system calls. What another request writes
 * meanwhile is seen there. NULL: this backend has no such place, or the range is not within the
 * region. Does not block.
 *
 * If info.can_map_writes, bytes may be put there as well. The region does not know of them until a
 * WRITE of them has come, with this place as its buf. It has to come, also for what was put there only in
 * part: until it is done, the bytes may be told to be a hole. Else this is not to be written.
 */
void *backend_map(struct backend *backend, uint64_t offset, uint32_t length);

/* "read", "write", "flush", "discard", "zero", "extents", "cache"; NULL for another number. */
const char *backend_op_name(unsigned int op);

/* All schemes, NULL-terminated, for --help, completion and the tests. */
extern const struct backend_ops *const backend_schemes[];

/* The part of a --help that tells what BACKEND may be. */
void backend_help(FILE *to);

#endif
