/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages and descriptors over the unix socket between client and handler.
 */
#ifndef R3MAP_UFFD_SOCKET_H
#define R3MAP_UFFD_SOCKET_H

#include "uffd/message.h"

#define UFFD_FDS_MAX	2u	/* that come with a message */

/*
 * Sends @message, with descriptors @fds, which stay the caller's. Does not wait. 0, or a negative
 * errno: -EAGAIN: the peer does not read. @buf: UFFD_MESSAGE_MAX bytes of the caller.
 */
int uffd_send(int socket, const struct uffd_message *message, const int *fds, unsigned int count,
	      char *buf);
/*
 * Receives one, and what came with it: *@count descriptors, the caller's. Does not wait. 1: there
 * is a message; 0: the peer has closed; or a negative errno: -EAGAIN: nothing is there; -EPROTO: it
 * was none, or had more descriptors than any message has; all that came was closed.
 */
int uffd_receive(int socket, struct uffd_message *message, int fds[UFFD_FDS_MAX],
		 unsigned int *count, char *buf);

/*
 * Waits for @type until @deadline (ns, CLOCK_MONOTONIC), no descriptors with it. An ERROR of the
 * peer, its end, another message and the time are told as a sentence. 0 or a negative errno.
 */
int uffd_await(int socket, enum uffd_type type, uint64_t deadline, struct uffd_message *message,
	       char *buf, struct error *error);

#endif
