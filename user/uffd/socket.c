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
#include "uffd/socket.h"

#define STRAYS		8	/* descriptors that are looked at; the kernel closes the rest */

int uffd_send(int socket, const struct uffd_message *message, const int *fds, unsigned int count,
	      char *buf)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * UFFD_FDS_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec data = { .iov_base = buf, .iov_len = uffd_encode(message, buf) };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1 };
	struct cmsghdr *rights;

	if (count) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
	}
	return sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void uffd_close_all(const int *fds, unsigned int count)
{
	while (count)
		close(fds[--count]);
}

/* Takes the descriptors out; false: there are more than any message has, and all are closed. */
static bool rights_take(struct msghdr *header, int fds[UFFD_FDS_MAX], unsigned int *count)
{
	struct cmsghdr *one;
	bool fine = !(header->msg_flags & MSG_CTRUNC);

	*count = 0;
	for (one = CMSG_FIRSTHDR(header); one; one = CMSG_NXTHDR(header, one)) {
		size_t had = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < had; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(one) + i * sizeof(int), sizeof(fd));
			if (*count < UFFD_FDS_MAX) {
				fds[(*count)++] = fd;
			} else {
				close(fd);
				fine = false;
			}
		}
	}
	if (fine)
		return true;
	uffd_close_all(fds, *count);
	*count = 0;
	return false;
}

int uffd_receive(int socket, struct uffd_message *message, int fds[UFFD_FDS_MAX],
		 unsigned int *count, char *buf)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * STRAYS)];
		struct cmsghdr align;
	} control;
	struct iovec data = { .iov_base = buf, .iov_len = UFFD_MESSAGE_MAX };
	struct msghdr header = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	*count = 0;
	do {
		got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (!rights_take(&header, fds, count))
		return -EPROTO;
	/* An empty packet is no end, but looks like one; nobody has a use for it. */
	if (!got && !*count)
		return 0;
	if (header.msg_flags & MSG_TRUNC || !uffd_decode(buf, (size_t)got, message)) {
		uffd_close_all(fds, *count);
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
	uffd_close_all(fds, count);
	if (!count && message->type == type)
		return 0;
	if (message->type == UFFD_ERROR)
		return error_set(error, message->outcome.code, "the handler refuses: %s",
				 message->outcome.text);
	return error_set(error, -EPROTO, "the handler says what it should not: are both of one version?");
}
