// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_uring on a loop: see ring.h.
 *
 * The ring's own descriptor is what the loop waits for: it is readable while completions are
 * there, so no eventfd has to be read. More requests than the completion queue holds wait here.
 * A transfer that came short is continued; only a read of nothing is the end of the file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "ring.h"
#include "../lib/loop.h"

#define RING_SUBMITS	128
#define RING_DEPTH	1024		/* requests at the kernel, and room for completions */
#define RETRY_NS	1000000		/* until a submit that found no memory is tried again */

struct ring {
	struct loop_source source;
	struct loop_timer retry;
	struct loop *loop;
	struct io_uring uring;
	int fd;
	void (*refused)(void *context, struct backend_io *io);
	void (*eof)(void *context, struct backend_io *io);
	void *context;
	unsigned int in_flight;		/* prepared or at the kernel */
	bool closing;
	struct backend_io *waiting;	/* for in_flight to fall, in order, by io->link */
	struct backend_io **waiting_tail;
};

/* Tells the kernel of what is prepared. A failure is a lack of memory: it passes. */
static void ring_flush(struct ring *ring)
{
	int got;

	do {
		got = io_uring_submit(&ring->uring);
	} while (got == -EINTR);
	if (got < 0)
		loop_timer_set(ring->loop, &ring->retry, loop_now() + RETRY_NS);
}

/* Returns false if the submission queue is full and the kernel takes nothing now. */
static bool ring_prepare(struct ring *ring, struct backend_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
	uint32_t done = (uint32_t)io->backend_data;

	if (!sqe) {
		ring_flush(ring);
		sqe = io_uring_get_sqe(&ring->uring);
		if (!sqe)
			return false;
	}
	switch (io->op) {
	case BACKEND_READ:
		io_uring_prep_read(sqe, ring->fd, (char *)io->buf + done, io->length - done,
				   io->offset + done);
		break;
	case BACKEND_WRITE:
		io_uring_prep_write(sqe, ring->fd, (char *)io->buf + done, io->length - done,
				    io->offset + done);
		if (io->flags & BACKEND_FUA)
			sqe->rw_flags = RWF_DSYNC;
		break;
	default:
		io_uring_prep_fsync(sqe, ring->fd, IORING_FSYNC_DATASYNC);
		break;
	}
	io_uring_sqe_set_data(sqe, io);
	ring->in_flight++;
	ring->source.idle = false;
	return true;
}

void ring_submit(struct ring *ring, struct backend_io *io)
{
	if (!ring->waiting && ring->in_flight < RING_DEPTH && ring_prepare(ring, io))
		return;
	io->link = NULL;
	*ring->waiting_tail = io;
	ring->waiting_tail = &io->link;
}

static void waiting_prepare(struct ring *ring)
{
	while (ring->waiting && ring->in_flight < RING_DEPTH) {
		struct backend_io *io = ring->waiting;
		struct backend_io *next = io->link;

		if (!ring_prepare(ring, io))
			return;
		ring->waiting = next;
		if (!next)
			ring->waiting_tail = &ring->waiting;
	}
}

void ring_kick(struct ring *ring)
{
	if (io_uring_sq_ready(&ring->uring))
		ring_flush(ring);
}

static void io_complete(struct ring *ring, struct backend_io *io, int result)
{
	if (result == -ECANCELED || (result >= 0 && io->op == BACKEND_FLUSH)) {
		io->done(io, result);
	} else if (ring->closing && (result == -EAGAIN || result == -EINTR)) {
		io->done(io, -ECANCELED);
	} else if (result == -EAGAIN || result == -EINTR) {
		ring->refused(ring->context, io);
	} else if (result < 0) {
		io->done(io, result);
	} else if (result == 0) {
		if (io->op == BACKEND_READ)
			ring->eof(ring->context, io);
		io->done(io, -EIO);
	} else {
		io->backend_data += (uint32_t)result;
		if (io->backend_data >= io->length)
			io->done(io, 0);
		else if (ring->closing)
			io->done(io, -ECANCELED);
		else
			ring_submit(ring, io);
	}
}

static void completions_take(struct ring *ring)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&ring->uring, &cqe) == 0 && cqe) {
		struct backend_io *io = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&ring->uring, cqe);
		if (!io)	/* the answer to a cancel */
			continue;
		if (--ring->in_flight == 0)
			ring->source.idle = true;
		io_complete(ring, io, result);
	}
}

static void ring_ready(struct loop_source *source, uint32_t events)
{
	struct ring *ring = (struct ring *)source;

	(void)events;
	completions_take(ring);
	waiting_prepare(ring);
	ring_kick(ring);
}

static void retry_fire(struct loop_timer *timer)
{
	struct ring *ring = (struct ring *)((char *)timer - offsetof(struct ring, retry));

	waiting_prepare(ring);
	ring_kick(ring);
}

static int uring_start(struct io_uring *uring)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN,
		.cq_entries = RING_DEPTH,
	};
	int error;

	error = io_uring_queue_init_params(RING_SUBMITS, uring, &params);
	if (error == -EINVAL) {		/* before Linux 5.19 */
		params = (struct io_uring_params) {
			.flags = IORING_SETUP_CQSIZE, .cq_entries = RING_DEPTH,
		};
		error = io_uring_queue_init_params(RING_SUBMITS, uring, &params);
	}
	return error;
}

int ring_new(struct loop *loop, int fd, void (*refused)(void *context, struct backend_io *io),
	     void (*eof)(void *context, struct backend_io *io), void *context,
	     struct ring **ring)
{
	struct ring *r;
	int error;

	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->fd = fd;
	r->refused = refused;
	r->eof = eof;
	r->context = context;
	r->waiting_tail = &r->waiting;
	r->retry.fire = retry_fire;
	error = uring_start(&r->uring);
	if (error)
		goto free_ring;
	io_uring_ring_dontfork(&r->uring);
	r->source = (struct loop_source) {
		.fd = r->uring.ring_fd, .ready = ring_ready, .idle = true,
	};
	error = loop_add(loop, &r->source, EPOLLIN);
	if (error)
		goto exit_uring;
	*ring = r;
	return 0;

exit_uring:
	io_uring_queue_exit(&r->uring);
free_ring:
	free(r);
	return error;
}

void ring_free(struct ring *ring)
{
	struct io_uring_sync_cancel_reg cancel = {
		.flags = IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY,
		.timeout = { -1, -1 },
	};
	struct backend_io *io;

	if (!ring)
		return;
	ring->closing = true;
	loop_timer_cancel(ring->loop, &ring->retry);
	ring_kick(ring);
	if (ring->in_flight)	/* since Linux 6.0; before, all is waited for */
		io_uring_register_sync_cancel(&ring->uring, &cancel);
	completions_take(ring);
	while (ring->in_flight) {
		io_uring_submit_and_wait(&ring->uring, 1);
		completions_take(ring);
	}
	while ((io = ring->waiting)) {
		ring->waiting = io->link;
		io->done(io, -ECANCELED);
	}
	loop_timer_cancel(ring->loop, &ring->retry);
	loop_remove(ring->loop, &ring->source);
	io_uring_queue_exit(&ring->uring);
	free(ring);
}
