/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocking with a deadline on a non-blocking stream, for connecting and negotiating. Not for
 * the transmission phase, which never blocks.
 */
#ifndef R3MAP_NBD_WAIT_H
#define R3MAP_NBD_WAIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct iovec;
struct stream;

/* Until poll() reports @events. 0, -ETIMEDOUT, -ECANCELED or another negative errno. */
int nbd_wait(int fd, short events, uint64_t deadline_ns);
/* Sleeps for a millisecond. 0, -ECANCELED, or -ETIMEDOUT if the deadline has passed. */
int nbd_pause(uint64_t deadline_ns);
/*
 * From now on, whatever this thread waits for here ends with -ECANCELED once @fd is readable. For
 * a thread that must be stopped while it connects. -1: no more.
 */
void nbd_wait_interrupt(int fd);
/*
 * All @length bytes, or a negative errno; -ECONNRESET if the peer closed before the last one. What
 * is there at once is taken whatever the deadline.
 */
int nbd_receive(struct stream *stream, void *buf, size_t length, uint64_t deadline_ns);
int nbd_send(struct stream *stream, const void *buf, size_t length, uint64_t deadline_ns);
/* The same of @count pieces, which are changed by it. */
int nbd_send_all(struct stream *stream, struct iovec *iov, int count, uint64_t deadline_ns);
/* The same of @length bytes of @file from @offset on, as of stream_send_file(); -ENODATA: it has not so many. */
int nbd_send_file(struct stream *stream, int file, off_t offset, size_t length, uint64_t deadline_ns);

#endif
