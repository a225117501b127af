/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets that a server listens on, and the accepting of connections. Belongs to the main
 * thread's loop; accepted connections of an NBD server go to its threads in turn.
 */
#ifndef R3MAP_SERVE_LISTEN_H
#define R3MAP_SERVE_LISTEN_H

#include <stdbool.h>

#include "lib/loop.h"

#define LISTENERS_MAX	64

struct error;
struct server;

struct listener {
	struct loop_source source;
	struct listeners *listeners;
	char *path;		/* absolute, to be unlinked; or NULL */
};

struct listeners {
	struct loop *loop;
	struct server *server;		/* whose threads get the connections; or instead of it: */
	/* @fd is the callee's, connected and non-blocking; @name is the peer's, for the log. */
	void (*take)(struct listeners *listeners, int fd, const char *name);
	const char *port;		/* where an address has none; NULL: NBD's */
	bool later;		/* addresses are taken, but connections refused until listen_start() */
	struct listener list[LISTENERS_MAX];
	unsigned int count;
	struct loop_timer again;	/* after a failed accept */
	bool full_told;
	unsigned int next;		/* thread */
};

/*
 * Listens on @address: HOST, HOST:PORT, [IPv6]:PORT, :PORT for every address of this host; every
 * address that HOST has. Returns 0 or a negative errno with a sentence.
 */
int listen_tcp(struct listeners *listeners, const char *address, struct error *error);
/*
 * Listens on the unix socket @path, which is removed at the end; one that nobody serves any more is
 * replaced.
 */
int listen_unix(struct listeners *listeners, const char *path, struct error *error);
/*
 * Takes over the sockets that systemd has made, if it has (LISTEN_FDS). *@count: how many. Once,
 * before there are threads.
 */
int listen_activated(struct listeners *listeners, unsigned int *count, struct error *error);

/* Begins to accept. 0 or a negative errno. */
int listen_start(struct listeners *listeners);
/* Accepts no more, and removes the sockets' names. */
void listen_stop(struct listeners *listeners);

/*
 * The URI of a listener for export @name, percent-encoded: nbd://, nbds:// ... To be freed. One that listens on
 * every address has in it that of this end of socket @fd, of TCP; else, as without one (-1), that of this host alone.
 */
char *listen_uri(const struct listener *listener, bool tls, const char *name, int fd);

#endif
