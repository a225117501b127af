/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that serves connections: a loop, a channel to each backend that one of its connections
 * uses, buffers. Connections share all of it, so an idle one costs next to nothing.
 *
 * Other threads only put peers into the inbox and ask it to end.
 */
#ifndef R3MAP_SERVE_THREAD_H
#define R3MAP_SERVE_THREAD_H

#include <pthread.h>

#include "lib/loop.h"
#include "serve/buffer.h"
#include "serve/peer.h"
#include "serve/serve.h"

#define THREAD_RX	(256u << 10)	/* bytes of one read */

struct server_thread {
	const struct server *server;
	unsigned int index;
	pthread_t id;
	struct loop *loop;

	pthread_mutex_t lock;		/* guards the next two */
	struct peer *inbox;		/* in reverse order */
	bool ending;
	struct loop_source wake;	/* an eventfd: look at the two above */

	/* The thread's own. */
	struct backend_channel **channels;	/* by export, opened when first needed */
	struct thread_flush *flushes;		/* by export, the last of each channel */
	struct buffer_pool buffers;
	struct request *requests;	/* free ones */
	struct peer *peers;
	bool drains;			/* no new requests; ends with the last peer */
	struct loop_timer drained;	/* then it ends anyway */
	int error;			/* of the end: something may not be durable; read after join */
	char rx[THREAD_RX];		/* nothing stays in it between two callbacks */
};

/* Starts the thread. 0 or a negative errno. */
int thread_start(struct server_thread *thread, const struct server *server, unsigned int index);
/* From any thread. The thread takes over @peer. */
void thread_give(struct server_thread *thread, struct peer *peer);
/*
 * Asks for the end: connections finish what is under way within a bound, and all channels are
 * flushed within another. Any thread.
 */
void thread_end(struct server_thread *thread);
/* Waits for the thread's end; after thread_end(). */
void thread_join(struct server_thread *thread);
/* Frees what the thread has; after all threads were joined, since they hand over to each other. */
void thread_free(struct server_thread *thread);

/* The thread's channel to @export, opened if need be; NULL, and logged: that failed. */
struct backend_channel *thread_channel(struct server_thread *thread, const struct export *export);

#endif
