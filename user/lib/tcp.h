/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP sockets to be listened on.
 */
#ifndef R3MAP_TCP_H
#define R3MAP_TCP_H

struct addrinfo;

/*
 * A socket that is bound to @address, close-on-exec and non-blocking, and does not listen yet. One of
 * IPv6 is of that alone: the addresses of a name are listened on one by one. Returns it, or a
 * negative errno.
 */
int tcp_bind(const struct addrinfo *address);

#endif
