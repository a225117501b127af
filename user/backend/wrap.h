/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What backends in front of another one have in common: delay: and fault:, "NAME:OPTIONS:BACKEND",
 * for tests, and the stages of chunk/.
 *
 * Every op passes through a wrapper; it offers no map, for its point is to be in the
 * way. A wrapper keeps a record per request that is under way; records come from blocks that
 * are kept until the channel closes, so their memory follows the greatest depth, not the number
 * of requests.
 */
#ifndef R3MAP_BACKEND_WRAP_H
#define R3MAP_BACKEND_WRAP_H

#include "backend.h"
#include "../lib/loop.h"

/* The start of a wrapper's own struct. */
struct wrap {
	struct backend backend;
	struct backend *inner;
	_Atomic uint64_t requests;	/* seen so far, for wrap_random() and counting */
};

struct wrap_channel;

/* A request under way. */
struct wrap_io {
	struct backend_io inner;	/* what the backend behind gets */
	struct backend_io *outer;
	struct wrap_channel *channel;
	struct loop_timer timer;	/* the wrapper's, and so are the next seven */
	int error;
	uint64_t at;			/* bytes: how far it has come */
	struct wrap_io *parent;		/* of a part */
	unsigned int parts;		/* of a parent: under way */
	bool busy;
	bool asked;
	uint64_t begun;			/* ns */
	struct wrap_io *next, *before;	/* among the held ones, or the free ones by next */
	bool held;
};

/* The start of a wrapper's own struct of a channel. */
struct wrap_channel {
	struct backend_channel channel;
	struct backend_channel *inner;
	struct loop *loop;
	struct wrap_io *free;
	struct wrap_io *held;
	struct wrap_block *blocks;
};

/*
 * Splits "OPTIONS:BACKEND": calls @set for each option of the list KEY[=VALUE],... (value NULL if
 * there is no '='), then opens BACKEND into @wrap and takes over what it can do. @set returns 0 or
 * a negative errno with @error filled in; -ENOENT without: the key is unknown.
 */
int wrap_open(struct wrap *wrap, const struct backend_ops *ops, const char *rest,
	      int (*set)(struct wrap *wrap, const char *key, const char *value,
			 struct error *error),
	      struct error *error);
/*
 * Puts @wrap, zeroed, in front of @inner, which becomes its if this succeeds, and takes over its
 * name and what it can do. 0 or -ENOMEM.
 */
int wrap_init(struct wrap *wrap, const struct backend_ops *ops, struct backend *inner,
	      struct error *error);
/* Closes what is behind, frees the name and @wrap. */
void wrap_close(struct backend *backend);
void wrap_listen(struct backend *backend, struct backend_listener *listener);

/* Opens the channel behind, and one of struct wrap_channel before it. */
int wrap_channel_open(struct backend *backend, struct loop *loop,
		      struct backend_channel **channel, struct error *error);
/* Ends held requests with -ECANCELED, closes the channel behind, frees all. */
void wrap_channel_close(struct backend_channel *channel);

/* A record for @io; NULL: it has been completed with -ENOMEM. */
struct wrap_io *wrap_take(struct wrap_channel *channel, struct backend_io *io);
/* A record for a part of @parent's request; NULL: no memory. */
struct wrap_io *wrap_part(struct wrap_io *parent);
/* The part is over: back among the free ones. */
void wrap_release(struct wrap_io *io);
/* Remembers that the request waits here, for wrap_channel_close(). */
void wrap_hold(struct wrap_io *io);
/* It goes on. */
void wrap_unhold(struct wrap_io *io);
/* Gives the request to the backend behind; kick it afterwards. Its result is the outer's. */
void wrap_pass(struct wrap_io *io);
/* All that a wrapper does with a request that is not its business: takes it, and passes it. */
void wrap_forward(struct backend_channel *channel, struct backend_io *io);
/* As wrap_pass(); @done of the wrapper is told first, and is to wrap_finish() its owner, the record. */
void wrap_pass_to(struct wrap_io *io, void (*done)(struct backend_io *inner, int error));
/* As wrap_pass(), for its first @length bytes only. */
void wrap_pass_part(struct wrap_io *io, uint32_t length);
/* Frees the record and completes the request. */
void wrap_finish(struct wrap_io *io, int error);
void wrap_kick(struct backend_channel *channel);

/* The number @n of the sequence that belongs to @seed; evenly spread. */
uint64_t wrap_random(uint64_t seed, uint64_t n);

#endif
