// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Listening: see listen.h.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_PREFIX "serve: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/size.h"
#include "lib/tcp.h"
#include "lib/unix.h"
#include "nbd/protocol.h"
#include "serve/listen.h"
#include "serve/thread.h"

#define BACKLOG		1024
#define ACCEPT_ROUNDS	64		/* connections before the signals get their turn */
#define AGAIN_NS	100000000ull	/* pause when there are no descriptors */
#define UNIX_SEND_BUFFER (2 << 20)	/* bytes; the usual 208 KiB is less than a large answer */
#define ACTIVATED_FIRST	3		/* SD_LISTEN_FDS_START */

static struct listener *listener_add(struct listeners *listeners, int fd, struct error *error)
{
	struct listener *listener;

	if (listeners->count == LISTENERS_MAX) {
		error_set(error, -E2BIG, "at most %d addresses can be listened on",
			  LISTENERS_MAX);
		return NULL;
	}
	listener = &listeners->list[listeners->count++];
	*listener = (struct listener) { .source.fd = fd, .listeners = listeners };
	return listener;
}

/* Splits @address; *@port is untouched if it has none. @host is "" for every address. */
static int address_split(const char *address, char *host, size_t room, const char **port,
			 struct error *error)
{
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : strlen(address);
	uint64_t number;

	if (*address == '[') {
		const char *end = strchr(address, ']');

		if (!end || (end[1] && end[1] != ':'))
			return error_set(error, -EINVAL,
				"--listen %s: write an IPv6 address as [ADDRESS] or [ADDRESS]:PORT",
				address);
		colon = end[1] ? end + 1 : NULL;
		address++;
		length = (size_t)(end - address);
	} else if (colon && strchr(address, ':') != colon) {
		return error_set(error, -EINVAL,
			"--listen %s: write an IPv6 address as [ADDRESS] or [ADDRESS]:PORT", address);
	}
	if (colon) {
		if (number_parse(colon + 1, 0, 65535, &number, NULL))
			return error_set(error, -EINVAL, "--listen: '%s' is not a port", colon + 1);
		*port = colon + 1;
	}
	if (length >= room)
		return error_set(error, -EINVAL, "--listen: the host's name is too long");
	memcpy(host, address, length);
	host[length] = '\0';
	return 0;
}

static int tcp_listen(struct listeners *listeners, const struct addrinfo *one,
		      struct error *error)
{
	int fd = tcp_bind(one), code;

	if (fd < 0)
		return fd;
	if (!listeners->later && listen(fd, BACKLOG) < 0) {
		code = -errno;
		close(fd);
		return code;
	}
	if (!listener_add(listeners, fd, error)) {
		close(fd);
		return -E2BIG;
	}
	return 0;
}

int listen_tcp(struct listeners *listeners, const char *address, struct error *error)
{
	const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *all, *one;
	unsigned int before = listeners->count;
	char host[256];
	const char *port = listeners->port ? listeners->port : NBD_PORT;
	int code, failed = -EADDRNOTAVAIL;

	code = address_split(address, host, sizeof(host), &port, error);
	if (code)
		return code;
	code = getaddrinfo(*host ? host : NULL, port, &hints, &all);
	if (code)
		return error_set(error, -EADDRNOTAVAIL, "--listen %s: %s", address,
				 gai_strerror(code));
	for (one = all; one; one = one->ai_next) {
		code = tcp_listen(listeners, one, error);
		/* A host without IPv6 still has it in its tables of names. */
		if (code && code != -EADDRNOTAVAIL && code != -EAFNOSUPPORT)
			break;
		if (code)
			failed = code;
		else
			failed = 0;
		code = 0;
	}
	freeaddrinfo(all);
	if (listeners->count > before && !code)
		return 0;
	if (!code)
		code = failed;
	if (error->text[0])
		return code;
	return error_set(error, code, "cannot listen on %s: %s%s", address, strerror(-code),
			 code == -EADDRINUSE ? "; is another server running there?" : "");
}

int listen_unix(struct listeners *listeners, const char *path, struct error *error)
{
	struct listener *listener;
	int fd = listeners->later ? unix_bind(path, SOCK_STREAM, error) :
				    unix_listen(path, SOCK_STREAM, BACKLOG, error);

	if (fd < 0)
		return fd;
	listener = listener_add(listeners, fd, error);
	if (!listener) {
		unlink(path);
		close(fd);
		return error->code;
	}
	listener->path = realpath(path, NULL);	/* --daemon changes the folder */
	return 0;
}

/* An environment variable as a number, and gone: children must not take it for theirs. */
static bool env_take(const char *name, uint64_t *number)
{
	const char *text = getenv(name);
	bool fine = text && !number_parse(text, 0, INT32_MAX, number, NULL);

	unsetenv(name);
	return fine;
}

int listen_activated(struct listeners *listeners, unsigned int *count, struct error *error)
{
	uint64_t pid, fds, i;
	bool ours;

	ours = env_take("LISTEN_PID", &pid);
	ours = env_take("LISTEN_FDS", &fds) && ours && pid == (uint64_t)getpid();
	unsetenv("LISTEN_FDNAMES");
	*count = 0;
	if (!ours)
		return 0;
	for (i = 0; i < fds; i++) {
		int fd = ACTIVATED_FIRST + (int)i;
		int listening = 0, type = 0;
		socklen_t size = sizeof(int);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 ||
		    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || !listening ||
		    type != SOCK_STREAM)
			return error_set(error, -EINVAL,
				"descriptor %d of LISTEN_FDS is not a listening stream socket", fd);
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
		    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
			return error_set(error, -errno, "descriptor %d of LISTEN_FDS: %s", fd,
					 strerror(errno));
		if (!listener_add(listeners, fd, error))
			return error->code;
		++*count;
	}
	return 0;
}

static void peer_name(const struct sockaddr_storage *address, socklen_t length, char *text,
		      size_t room)
{
	char host[48], port[8];

	if (address->ss_family == AF_UNIX ||
	    getnameinfo((const struct sockaddr *)address, length, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(text, room, "unix client");
	else
		snprintf(text, room, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static void socket_prepare(int fd, int family)
{
	const int on = 1, bytes = UNIX_SEND_BUFFER;

	if (family == AF_UNIX) {
		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static void connection_take(struct listeners *listeners, int fd,
			    const struct sockaddr_storage *address, socklen_t length)
{
	struct server *server = listeners->server;
	char name[64];
	bool full;

	peer_name(address, length, name, sizeof(name));
	if (listeners->take) {
		socket_prepare(fd, address->ss_family);
		listeners->take(listeners, fd, name);
		return;
	}
	socket_prepare(fd, address->ss_family);
	full = !server_give(server, listeners->next++, fd, name);
	if (full && !listeners->full_told)
		log_warn("%s is turned away: there are %u connections already "
			 "(--max-connections)", name, server->limits.connections);
	listeners->full_told = full;
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct listeners *listeners = ((struct listener *)source)->listeners;
	int rounds = ACCEPT_ROUNDS;
	unsigned int i;

	(void)events;
	while (rounds--) {
		struct sockaddr_storage address = { 0 };
		socklen_t length = sizeof(address);
		int fd;

		fd = accept4(source->fd, (struct sockaddr *)&address, &length,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			connection_take(listeners, fd, &address, length);
			continue;
		}
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
			return;		/* none left, or one that has gone again */
		log_warn("cannot accept a connection: %s", strerror(errno));
		for (i = 0; i < listeners->count; i++)
			loop_remove(listeners->loop, &listeners->list[i].source);
		if (loop_timer_set(listeners->loop, &listeners->again, loop_now() + AGAIN_NS))
			listen_start(listeners);
		return;
	}
}

static void listen_again(struct loop_timer *timer)
{
	listen_start((struct listeners *)((char *)timer - offsetof(struct listeners, again)));
}

int listen_start(struct listeners *listeners)
{
	unsigned int i;
	int error = 0;

	listeners->again.fire = listen_again;
	for (i = 0; i < listeners->count && !error; i++) {
		listeners->list[i].source.ready = listener_ready;
		if (listeners->later && listen(listeners->list[i].source.fd, BACKLOG) < 0)
			error = -errno;
		else
			error = loop_add(listeners->loop, &listeners->list[i].source, EPOLLIN);
	}
	return error;
}

void listen_stop(struct listeners *listeners)
{
	loop_timer_cancel(listeners->loop, &listeners->again);
	while (listeners->count) {
		struct listener *listener = &listeners->list[--listeners->count];

		loop_remove(listeners->loop, &listener->source);
		close(listener->source.fd);
		if (listener->path)
			unlink(listener->path);
		free(listener->path);
	}
}

static void percent_encode(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, isalnum((unsigned char)*text) || strchr("-._~/", *text) ? "%c" : "%%%02X",
			(unsigned char)*text);
}

/* The numbers of this end of @fd, where it is of TCP; else these are left as they are. */
static void uri_numbers(int fd, char host[64], char port[8])
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);

	if (!getsockname(fd, (struct sockaddr *)&address, &length) && address.ss_family != AF_UNIX)
		getnameinfo((struct sockaddr *)&address, length, host, 64, port, port ? 8 : 0,
			    NI_NUMERICHOST | NI_NUMERICSERV);
}

char *listen_uri(const struct listener *listener, bool tls, const char *name, int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);
	char host[64] = "localhost", port[8] = "";
	const char *scheme = tls ? "nbds" : "nbd";
	char *text = NULL;
	size_t size;
	FILE *out;

	if (getsockname(listener->source.fd, (struct sockaddr *)&address, &length) < 0)
		return NULL;
	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	if (address.ss_family == AF_UNIX) {
		const struct sockaddr_un *unix_address = (struct sockaddr_un *)&address;
		char *real = *unix_address->sun_path ? realpath(unix_address->sun_path, NULL) : NULL;

		fprintf(out, "%s+unix:///", scheme);
		percent_encode(out, name);
		fprintf(out, "?socket=");
		percent_encode(out, real ? real : unix_address->sun_path);
		free(real);
	} else {
		uri_numbers(listener->source.fd, host, port);
		/* By number: where "localhost" has one kind of address only, it may be the other. */
		if (!strcmp(host, "0.0.0.0") || !strcmp(host, "::")) {
			strcpy(host, host[0] == '0' ? "127.0.0.1" : "::1");
			uri_numbers(fd, host, NULL);
		}
		fprintf(out, strchr(host, ':') ? "%s://[%s]" : "%s://%s", scheme, host);
		if (strcmp(port, NBD_PORT))
			fprintf(out, ":%s", port);
		fputc('/', out);
		percent_encode(out, name);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
