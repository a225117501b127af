// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCP sockets to be listened on. See tcp.h.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/tcp.h"

int tcp_bind(const struct addrinfo *address)
{
	const int on = 1;
	int fd, code;

	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, address->ai_addr, address->ai_addrlen))
		return fd;
	code = -errno;
	close(fd);
	return code;
}
