// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptors over a socket. See rights.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/rights.h"

#define STRAYS		8	/* descriptors that are looked at; the kernel closes the rest */

int rights_send(int socket, const void *data, size_t length, const int *fds, unsigned int count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * RIGHTS_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = length };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
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

void rights_close(const int *fds, unsigned int count)
{
	while (count)
		close(fds[--count]);
}

/* Takes the descriptors out; false: there are more than @most, and all are closed. */
static bool rights_take(struct msghdr *header, int *fds, unsigned int most, unsigned int *count)
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
			if (*count < most) {
				fds[(*count)++] = fd;
			} else {
				close(fd);
				fine = false;
			}
		}
	}
	if (fine)
		return true;
	rights_close(fds, *count);
	*count = 0;
	return false;
}

ssize_t rights_receive(int socket, void *data, size_t length, int *fds, unsigned int most,
		       unsigned int *count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * STRAYS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = length };
	struct msghdr header = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	*count = 0;
	do {
		got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (!rights_take(&header, fds, most, count))
		return -EPROTO;
	if (header.msg_flags & MSG_TRUNC) {
		rights_close(fds, *count);
		*count = 0;
		return -EPROTO;
	}
	return got;
}
