/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * READ, WRITE and FLUSH of a file or block device through io_uring, completed on a loop.
 *
 * Belongs to one channel. No allocation after ring_new(). Where io_uring is missing or forbidden
 * ring_new() fails and the caller uses threads instead.
 */
#ifndef R3MAP_BACKEND_RING_H
#define R3MAP_BACKEND_RING_H

#include "backend.h"

struct ring;

/*
 * @refused: takes over a request that the kernel would not serve this way; io->backend_data bytes
 * of it are done. @eof: called when a read meets the end of the file, before the request fails
 * with -EIO. Both get @context. Returns 0 or a negative errno.
 */
int ring_new(struct loop *loop, int fd, void (*refused)(void *context, struct backend_io *io),
	     void (*eof)(void *context, struct backend_io *io), void *context,
	     struct ring **ring);
/* Cancels what can be cancelled, waits for the rest, completes all. */
void ring_free(struct ring *ring);
/* io->backend_data bytes of a READ or WRITE are done already. */
void ring_submit(struct ring *ring, struct backend_io *io);
void ring_kick(struct ring *ring);

#endif
