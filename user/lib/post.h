/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work for another thread's loop.
 */
#ifndef R3MAP_POST_H
#define R3MAP_POST_H

#include <pthread.h>

#include "lib/loop.h"

/* Embedded by whoever sends it, who leaves it alone until it runs. */
struct post_job {
	void (*run)(struct post_job *job);	/* in the loop's thread */
	struct post_job *next;			/* the post's */
};

struct post {
	struct loop_source wake;	/* an eventfd */
	struct loop *loop;		/* NULL: none is attached */
	pthread_mutex_t lock;		/* guards the next two */
	struct post_job *first, **last;
};

/* Before other threads know of it. 0 or a negative errno. */
int post_open(struct post *post);
/* No other thread sends any more, and no loop is attached. @drop in place of run(), for jobs that have not run. */
void post_drop(struct post *post, void (*drop)(struct post_job *job));
/* As before. Jobs that have not run never will. */
void post_close(struct post *post);

/* In the loop's thread: jobs run, those that were sent before as well. 0 or a negative errno. */
int post_attach(struct post *post, struct loop *loop);
/* In the loop's thread: jobs wait for another loop. */
void post_detach(struct post *post);

/* From any thread. Jobs run in the order in which they are sent, each in a callback of the loop. */
void post_send(struct post *post, struct post_job *job);

#endif
