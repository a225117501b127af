// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reaches an NBD server: TCP to every address of a host in turn, a unix socket,
 * vsock, or one that has dialled here. See handshake.h.
 *
 * Every connect is non-blocking and waited for with poll, because a plain one to a host that drops
 * packets takes two minutes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "handshake.h"
#include "reverse.h"
#include "wait.h"
#include "../lib/error.h"
#include "../tls/session.h"

/* Bytes on the way to a unix server; the usual 208 KiB is less than two large writes. */
#define UNIX_SEND_BUFFER	(2 << 20)

/* Seconds: a dead peer is noticed after KEEP_IDLE + KEEP_COUNT * KEEP_INTERVAL. */
#define KEEP_IDLE	10
#define KEEP_INTERVAL	5
#define KEEP_COUNT	3

/* Returns 0 or a negative errno; *@fd is open only if 0. */
static int socket_connect(int family, const struct sockaddr *address, socklen_t length,
			  uint64_t deadline_ns, int *fd)
{
	socklen_t size = sizeof(int);
	int code = 0;
	int s;

	s = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return -errno;
	if (connect(s, address, length) < 0) {
		code = -errno;
		if (code == -EINPROGRESS) {
			code = nbd_wait(s, POLLOUT, deadline_ns);
			if (!code && getsockopt(s, SOL_SOCKET, SO_ERROR, &code, &size) == 0)
				code = -code;
		}
	}
	if (code)
		close(s);
	else
		*fd = s;
	return code;
}

static int unix_connect(const struct nbd_uri *uri, uint64_t deadline_ns, int *fd,
			struct error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int bytes = UNIX_SEND_BUFFER;
	socklen_t length;
	int code;

	memcpy(address.sun_path, uri->socket, uri->socket_length);
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + uri->socket_length);
	if (uri->socket[0])
		length++;	/* a path includes its NUL, an abstract name has none */
	code = socket_connect(AF_UNIX, (struct sockaddr *)&address, length, deadline_ns, fd);
	/* The server's queue of new connections is full: a unix socket tells so at once. */
	while (code == -EAGAIN && !nbd_pause(deadline_ns))
		code = socket_connect(AF_UNIX, (struct sockaddr *)&address, length, deadline_ns, fd);
	if (code)
		return error_set(error, code,
				 "cannot connect to %s%s: %s; is the NBD server running there?",
				 uri->socket[0] ? "" : "@",
				 uri->socket[0] ? uri->socket : uri->socket + 1, strerror(-code));
	if (setsockopt(*fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return 0;
}

static void tcp_set(int fd, int option, int value)
{
	setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));
}

/* No delay, and an end to a connection whose peer has gone without a word. */
static void tcp_tune(int fd)
{
	const int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	tcp_set(fd, TCP_NODELAY, 1);
	tcp_set(fd, TCP_KEEPIDLE, KEEP_IDLE);
	tcp_set(fd, TCP_KEEPINTVL, KEEP_INTERVAL);
	tcp_set(fd, TCP_KEEPCNT, KEEP_COUNT);
	/* Keep-alive looks at an idle connection only; this one at what is not acknowledged. */
	tcp_set(fd, TCP_USER_TIMEOUT, 1000 * (KEEP_IDLE + KEEP_COUNT * KEEP_INTERVAL));
}

static int tcp_connect(const struct nbd_uri *uri, uint64_t deadline_ns, int *fd,
		       struct error *error)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *all, *one;
	int code;

	code = getaddrinfo(uri->host, uri->port, &hints, &all);
	if (code)
		return error_set(error, code == EAI_SYSTEM ? -errno : -EHOSTUNREACH,
				 "cannot find host %s: %s", uri->host,
				 code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
	code = -EHOSTUNREACH;
	for (one = all; one; one = one->ai_next) {
		code = socket_connect(one->ai_family, one->ai_addr, one->ai_addrlen, deadline_ns,
				      fd);
		if (!code || code == -ETIMEDOUT)
			break;
	}
	freeaddrinfo(all);
	if (code)
		return error_set(error, code,
				 "cannot connect to %s port %s: %s; is the NBD server running there?",
				 uri->host, uri->port, strerror(-code));
	tcp_tune(*fd);
	return 0;
}

/* To another machine of the same host, without a network. */
static int vsock_connect(const struct nbd_uri *uri, uint64_t deadline_ns, int *fd,
			 struct error *error)
{
	const struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_cid = (unsigned int)strtoul(uri->host, NULL, 10),
		.svm_port = (unsigned int)strtoul(uri->port, NULL, 10),
	};
	int code;

	code = socket_connect(AF_VSOCK, (const struct sockaddr *)&address, sizeof(address),
			      deadline_ns, fd);
	if (code == -EAFNOSUPPORT)
		return error_set(error, code,
				 "this kernel has no vsock: load the module vsock, or use another way");
	if (code)
		return error_set(error, code,
				 "cannot connect to machine %s port %s: %s; is the NBD server running there?",
				 uri->host, uri->port, strerror(-code));
	return 0;
}

/* One of those that the server has dialled. */
static int listen_connect(const struct nbd_uri *uri, uint64_t deadline_ns, struct stream *stream,
			  struct error *error)
{
	int code = nbd_reverse_take(uri, deadline_ns, &stream->fd, error);

	if (code)
		return code;
	tcp_tune(stream->fd);
	code = nbd_send(stream, NBD_REVERSE_WORD, NBD_REVERSE_BYTES, deadline_ns);
	if (!code)
		return 0;
	nbd_disconnect(stream);
	return error_set(error, code, "the server that has dialled is gone: %s", strerror(-code));
}

int nbd_connect(const struct nbd_uri *uri, uint64_t deadline_ns, struct stream *stream,
		struct error *error)
{
	*stream = (struct stream) { .fd = -1 };
	switch (uri->transport) {
	case NBD_UNIX:
		return unix_connect(uri, deadline_ns, &stream->fd, error);
	case NBD_VSOCK:
		return vsock_connect(uri, deadline_ns, &stream->fd, error);
	case NBD_LISTEN:
		return listen_connect(uri, deadline_ns, stream, error);
	default:
		return tcp_connect(uri, deadline_ns, &stream->fd, error);
	}
}

void nbd_disconnect(struct stream *stream)
{
	tls_session_free(stream->tls);
	close(stream->fd);
	*stream = (struct stream) { .fd = -1 };
}
