// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What TCP itself needs for so many bytes: what a program that gets them over TCP has to be measured by.
 *
 *	tcp-clock serve PORT CONNECTIONS		sends as many bytes as it is asked for, on so many connections
 *	tcp-clock read HOST PORT CONNECTIONS BYTES	asks for so many, a part on each connection, all of which are
 *						open by then, and throws away what comes
 *
 * "read" writes how many milliseconds that took, from the first request to the last byte. "serve" writes
 * a line when it listens, and stays. A request is a number in 8 bytes: how many are wanted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE		(1u << 20)
#define SEND_ROOM	(4u << 20)	/* bytes of a connection; the kernel doubles it, for what it needs besides */
#define SEND_ROOM_ALL	(32u << 20)	/* and of all, or memory is what limits */
#define CONNECTIONS	64u

static char piece[PIECE];
static unsigned int connections;

static void die(const char *what)
{
	fprintf(stderr, "tcp-clock: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static struct sockaddr_in address_of(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
		errno = EINVAL;
		die(host);
	}
	return address;
}

static void *peer(void *arg)
{
	int fd = (int)(intptr_t)arg, room = SEND_ROOM;
	uint64_t left;

	if (SEND_ROOM_ALL / connections < SEND_ROOM)
		room = (int)(SEND_ROOM_ALL / connections);
	/* What is not acknowledged must have room, or that is what limits, not TCP's window. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)))
		die("send buffer");

	while (recv(fd, &left, sizeof(left), MSG_WAITALL) == sizeof(left)) {
		while (left) {
			ssize_t sent = send(fd, piece, left < PIECE ? left : PIECE, MSG_NOSIGNAL);

			if (sent < 0)
				break;
			left -= (uint64_t)sent;
		}
	}
	close(fd);
	return NULL;
}

static void serve(const char *port)
{
	struct sockaddr_in address = address_of("0.0.0.0", port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, one;
	pthread_t thread;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, CONNECTIONS))
		die("listen");
	printf("listening\n");
	fflush(stdout);
	for (;;) {
		one = accept(fd, NULL, NULL);
		if (one < 0)
			die("accept");
		errno = pthread_create(&thread, NULL, peer, (void *)(intptr_t)one);
		if (errno)
			die("thread");
		pthread_detach(thread);
	}
}

static void read_all(const char *host, const char *port, uint64_t bytes)
{
	struct sockaddr_in address = address_of(host, port);
	struct pollfd fds[CONNECTIONS];
	const uint64_t part = bytes / connections;
	uint64_t left = part * connections;
	double begin;
	ssize_t got;

	for (unsigned int i = 0; i < connections; i++) {
		fds[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		fds[i].events = POLLIN;
		if (fds[i].fd < 0 || connect(fds[i].fd, (struct sockaddr *)&address, sizeof(address)))
			die("connect");
	}
	/* the other side has accepted them by then */
	usleep(200000);
	begin = now_ms();
	for (unsigned int i = 0; i < connections; i++)
		if (send(fds[i].fd, &part, sizeof(part), 0) != sizeof(part))
			die("send");
	while (left) {
		if (poll(fds, connections, -1) < 0)
			die("poll");
		for (unsigned int i = 0; i < connections; i++) {
			if (!fds[i].revents)
				continue;
			got = recv(fds[i].fd, piece, PIECE, 0);
			if (got <= 0)
				die("receive");
			left -= (uint64_t)got;
		}
	}
	printf("%.3f\n", now_ms() - begin);
}

int main(int argc, char **argv)
{
	const int read = argc == 6 && !strcmp(argv[1], "read");

	if (read || (argc == 4 && !strcmp(argv[1], "serve")))
		connections = (unsigned int)atoi(argv[read ? 4 : 3]);
	if (!connections || connections > CONNECTIONS) {
		fprintf(stderr, "usage: tcp-clock serve PORT CONNECTIONS | read HOST PORT CONNECTIONS BYTES\n");
		return 2;
	}
	if (read)
		read_all(argv[2], argv[3], strtoull(argv[5], NULL, 0));
	else
		serve(argv[2]);
	return 0;
}
