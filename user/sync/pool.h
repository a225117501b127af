/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that read, hash and write for a loop that must not wait.
 */
#ifndef R3MAP_SYNC_POOL_H
#define R3MAP_SYNC_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "lib/post.h"
#include "sync/message.h"

#define POOL_SCRATCH	SYNC_CHUNK_MAX	/* bytes of memory that a thread lends to its job */

/* Embedded by whoever submits it, who leaves it alone until it is done. */
struct pool_job {
	/* In a thread of the pool. @scratch: POOL_SCRATCH bytes, until it returns. */
	void (*run)(struct pool_job *job, void *scratch);
	void (*done)(struct pool_job *job);	/* then, in the loop's thread */
	void (*drop)(struct pool_job *job);	/* or, in pool_free(), this. NULL: nothing */
	struct post_job post;			/* the pool's, as the rest */
	struct pool *pool;
	struct pool_job *next;
};

struct pool {
	struct post post;
	pthread_mutex_t lock;		/* guards all but the threads themselves */
	pthread_cond_t work;
	struct pool_job *first, **last;
	bool ending;
	unsigned int threads;
	pthread_t thread[];
};

struct error;
struct loop;

/*
 * @threads: 0: one for each CPU, 8 at most. done() is called in @loop. Returns 0 and *@pool, or a negative
 * errno with a sentence.
 */
int pool_new(struct loop *loop, unsigned int threads, struct pool **pool, struct error *error);
/* In the loop's thread. What was submitted and is not done is dropped, in any order. NULL: nothing. */
void pool_free(struct pool *pool);

/* In the loop's thread; jobs begin in the order in which they come. */
void pool_submit(struct pool *pool, struct pool_job *job);

#endif
