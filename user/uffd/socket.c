// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages with descriptors. See socket.h.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/rights.h"
#include "uffd/socket.h"

int uffd_send(int socket, const struct uffd_message *message, const int *fds, unsigned int count,
	      char *buf)
{
	return rights_send(socket, buf, uffd_encode(message, buf), fds, count);
}

int uffd_receive(int socket, struct uffd_message *message, int fds[UFFD_FDS_MAX],
		 unsigned int *count, char *buf)
{
	ssize_t got = rights_receive(socket, buf, UFFD_MESSAGE_MAX, fds, UFFD_FDS_MAX, count);

	if (got < 0)
		return (int)got;
	/* An empty packet is no end, but looks like one; nobody has a use for it. */
	if (!got && !*count)
		return 0;
	if (!uffd_decode(buf, (size_t)got, message)) {
		rights_close(fds, *count);
		*count = 0;
		return -EPROTO;
	}
	return 1;
}

static int time_left(uint64_t deadline)
{
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return ns >= deadline ? 0 : (int)((deadline - ns + 999999) / 1000000);
}

int uffd_await(int socket, enum uffd_type type, uint64_t deadline, struct uffd_message *message,
	       char *buf, struct error *error)
{
	struct pollfd fd = { .fd = socket, .events = POLLIN };
	int fds[UFFD_FDS_MAX], got, ready;
	unsigned int count;

	for (;;) {
		ready = poll(&fd, 1, time_left(deadline));
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return error_set(error, -ETIMEDOUT,
					 "the handler does not answer: is it stopped, or another program?");
		got = uffd_receive(socket, message, fds, &count, buf);
		if (got != -EAGAIN)
			break;
	}
	if (!got)
		return error_set(error, -ECONNRESET, "the handler has closed the connection");
	if (got < 0)
		return error_set(error, got, "what listens there is no r3map uffd serve of this version");
	rights_close(fds, count);
	if (!count && message->type == type)
		return 0;
	if (message->type == UFFD_ERROR)
		return error_set(error, message->outcome.code, "the handler refuses: %s",
				 message->outcome.text);
	return error_set(error, -EPROTO, "the handler says what it should not: are both of one version?");
}
