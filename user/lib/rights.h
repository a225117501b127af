/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors over a unix socket, with the bytes that they belong to. Any thread; nothing here waits.
 */
#ifndef R3MAP_RIGHTS_H
#define R3MAP_RIGHTS_H

#include <stddef.h>
#include <sys/types.h>

#define RIGHTS_MAX	4u	/* descriptors that come with a message, at most */

/*
 * Sends @length bytes, and @count descriptors, which stay the caller's. 0, or a negative errno: -EAGAIN: the peer
 * does not read.
 */
int rights_send(int socket, const void *data, size_t length, const int *fds, unsigned int count);
/*
 * Receives up to @length bytes, and *@count descriptors, @most at most, which are the caller's and close-on-exec. Returns
 * the bytes, 0 at the peer's end, or a negative errno: -EAGAIN: nothing is there; -EPROTO: there was more of either;
 * then all that came is closed.
 */
ssize_t rights_receive(int socket, void *data, size_t length, int *fds, unsigned int most,
		       unsigned int *count);
/* Closes what came. */
void rights_close(const int *fds, unsigned int count);

#endif
