/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that can only be served by a call that blocks: a few threads run them, the loop of the
 * channel completes them.
 *
 * Belongs to one channel and one loop; only the work function runs elsewhere. No allocation after
 * threads_new(): requests are queued by io->link, results kept in io->backend_data.
 */
#ifndef R3MAP_BACKEND_THREADS_H
#define R3MAP_BACKEND_THREADS_H

#include "backend.h"

struct threads;

/*
 * Starts @count threads, at least 1, at most 16. @work: called in one of them; returns 0 or a
 * negative errno, which the request completes with. Returns 0 or a negative errno.
 */
int threads_new(struct loop *loop, unsigned int count,
		int (*work)(void *context, struct backend_io *io), void *context,
		struct threads **threads);
/* Completes what waits with -ECANCELED, waits for what runs and completes that as it ends. */
void threads_free(struct threads *threads);
void threads_submit(struct threads *threads, struct backend_io *io);

#endif
