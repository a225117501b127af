// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Listening for servers: see reverse.h.
 *
 * What waits is in the queues of the kernel: nobody accepts a connection before it is of use.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reverse.h"
#include "uri.h"
#include "wait.h"
#include "../lib/error.h"
#include "../lib/tcp.h"

#define SOCKETS		8	/* of one name */
#define BACKLOG		16

struct reverse {
	struct reverse *next;
	char host[sizeof(((struct nbd_uri *)0)->host)];
	char port[sizeof(((struct nbd_uri *)0)->port)];
	int ready;		/* an epoll descriptor: somebody waits on one of these */
	int fds[SOCKETS];
	unsigned int count;
};

/* All that are listened on. They stay: who is lost dials again. */
static struct reverse *reverses;
static pthread_mutex_t reverses_lock = PTHREAD_MUTEX_INITIALIZER;

static int socket_listen(struct reverse *r, const struct addrinfo *one)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = tcp_bind(one), err = 0;

	if (fd < 0)
		return fd;
	if (listen(fd, BACKLOG) < 0 || epoll_ctl(r->ready, EPOLL_CTL_ADD, fd, &event) < 0) {
		err = -errno;
		close(fd);
	} else {
		r->fds[r->count++] = fd;
	}
	return err;
}

static int reverse_open(struct reverse *r, struct error *error)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *all, *one;
	int err = -EADDRNOTAVAIL, code;

	code = getaddrinfo(r->host[0] ? r->host : NULL, r->port, &hints, &all);
	if (code)
		return error_set(error, -EADDRNOTAVAIL, "cannot listen on %s: %s", r->host,
				 gai_strerror(code));
	r->ready = epoll_create1(EPOLL_CLOEXEC);
	if (r->ready < 0)
		err = -errno;
	/* A host without IPv6 still has it in its tables of names. */
	for (one = r->ready < 0 ? NULL : all; one && r->count < SOCKETS; one = one->ai_next) {
		code = socket_listen(r, one);
		if (code && code != -EADDRNOTAVAIL && code != -EAFNOSUPPORT)
			err = code;
	}
	freeaddrinfo(all);
	if (r->count)
		return 0;
	if (r->ready >= 0)
		close(r->ready);
	return error_set(error, err, "cannot listen on %s port %s: %s", r->host[0] ? r->host : "any address",
			 r->port, strerror(-err));
}

/* The one of @uri; NULL, with a sentence: it cannot be. */
static struct reverse *reverse_of(const struct nbd_uri *uri, struct error *error)
{
	struct reverse *r;

	pthread_mutex_lock(&reverses_lock);
	for (r = reverses; r; r = r->next)
		if (!strcmp(r->host, uri->host) && !strcmp(r->port, uri->port))
			break;
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (r) {
			memcpy(r->host, uri->host, sizeof(r->host));
			memcpy(r->port, uri->port, sizeof(r->port));
		} else {
			error_set(error, -ENOMEM, "out of memory");
		}
		if (r && reverse_open(r, error)) {
			free(r);
			r = NULL;
		} else if (r) {
			r->next = reverses;
			reverses = r;
		}
	}
	pthread_mutex_unlock(&reverses_lock);
	return r;
}

/* Has the other end of @fd gone while it waited? */
static bool is_gone(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return got >= 0 || errno != EAGAIN;	/* it has nothing to say before it is used */
}

/* The first that waits, or -1. */
static int reverse_accept(const struct reverse *r)
{
	for (unsigned int i = 0; i < r->count; i++) {
		int fd;

		while ((fd = accept4(r->fds[i], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
			if (!is_gone(fd))
				return fd;
			close(fd);
		}
	}
	return -1;
}

int nbd_reverse_take(const struct nbd_uri *uri, uint64_t deadline_ns, int *fd, struct error *error)
{
	struct reverse *r = reverse_of(uri, error);
	int err = 0;

	if (!r)
		return error->code;
	while (!err && (*fd = reverse_accept(r)) < 0)
		err = nbd_wait(r->ready, POLLIN, deadline_ns);
	if (err)
		return error_set(error, err, "no server has dialled port %s here: %s", uri->port, strerror(-err));
	return 0;
}

int nbd_reverse_wait(const struct nbd_uri *uri, struct error *error)
{
	struct reverse *r = reverse_of(uri, error);
	struct pollfd pollfd = { .events = POLLIN };

	if (!r)
		return error->code;
	pollfd.fd = r->ready;
	while (poll(&pollfd, 1, -1) < 0)
		if (errno != EINTR)
			return error_set(error, -errno, "cannot wait: %s", strerror(errno));
	return 0;
}
