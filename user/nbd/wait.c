// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Blocking with a deadline: see wait.h. Tries first and polls only when it must, since a peer on
 * the same machine has usually answered already.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "wait.h"
#include "../lib/loop.h"
#include "../tls/stream.h"

/* What ends the waiting of this thread, or -1. */
static _Thread_local int interrupt = -1;

void nbd_wait_interrupt(int fd)
{
	interrupt = fd;
}

int nbd_wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd pollfds[2] = {
		{ .fd = fd, .events = events },
		{ .fd = interrupt, .events = POLLIN },	/* poll() passes over -1 */
	};
	struct timespec left;
	uint64_t now;
	int got;

	do {
		now = loop_now();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		left.tv_sec = (time_t)((deadline_ns - now) / 1000000000);
		left.tv_nsec = (long)((deadline_ns - now) % 1000000000);
		got = ppoll(pollfds, 2, &left, NULL);
	} while (got == 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		return -errno;
	return pollfds[1].revents ? -ECANCELED : 0;
}

int nbd_pause(uint64_t deadline_ns)
{
	uint64_t now = loop_now();
	int code;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	code = nbd_wait(-1, 0, now + 1000000);
	return code == -ETIMEDOUT ? 0 : code;
}

int nbd_receive(struct stream *stream, void *buf, size_t length, uint64_t deadline_ns)
{
	struct iovec rest = { .iov_base = buf, .iov_len = length };
	ssize_t got;
	int error;

	while (rest.iov_len) {
		got = stream_readv(stream, &rest, 1);
		if (got > 0) {
			rest.iov_base = (char *)rest.iov_base + got;
			rest.iov_len -= (size_t)got;
		} else if (got == 0) {
			return -ECONNRESET;
		} else if (got != -EAGAIN) {
			return (int)got;
		} else if (!stream_pending(stream)) {
			error = nbd_wait(stream->fd, POLLIN, deadline_ns);
			if (error)
				return error;
		}
		/* A byte at a time is no way round the deadline. */
		if (rest.iov_len && loop_now() >= deadline_ns)
			return -ETIMEDOUT;
	}
	return 0;
}

int nbd_send_all(struct stream *stream, struct iovec *iov, int count, uint64_t deadline_ns)
{
	ssize_t sent = 0;
	int error;

	for (;;) {
		for (; count && (size_t)sent >= iov->iov_len; iov++, count--)
			sent -= (ssize_t)iov->iov_len;
		if (!count)
			return 0;
		iov->iov_base = (char *)iov->iov_base + sent;
		iov->iov_len -= (size_t)sent;
		sent = stream_writev(stream, iov, count);
		if (sent >= 0)
			continue;
		if (sent != -EAGAIN)
			return (int)sent;
		error = nbd_wait(stream->fd, POLLOUT, deadline_ns);
		if (error)
			return error;
		sent = 0;
	}
}

int nbd_send(struct stream *stream, const void *buf, size_t length, uint64_t deadline_ns)
{
	struct iovec all = { .iov_base = (void *)buf, .iov_len = length };

	return nbd_send_all(stream, &all, 1, deadline_ns);
}

int nbd_send_file(struct stream *stream, int file, off_t offset, size_t length, uint64_t deadline_ns)
{
	const off_t end = offset + (off_t)length;
	ssize_t sent;
	int error;

	while (offset < end) {
		sent = stream_send_file(stream, file, &offset, (size_t)(end - offset));
		if (sent > 0)
			continue;
		if (sent != -EAGAIN)
			return sent ? (int)sent : -ENODATA;
		error = nbd_wait(stream->fd, POLLOUT, deadline_ns);
		if (error)
			return error;
	}
	return 0;
}
