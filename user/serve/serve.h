/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An NBD server: exports, limits, TLS, listening sockets and threads; nothing of a client.
 */
#ifndef R3MAP_SERVE_SERVE_H
#define R3MAP_SERVE_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/opt.h"
#include "serve/export.h"
#include "serve/limits.h"
#include "tls/credentials.h"

struct server_thread;
struct stream;

/* Who takes over connections that ask for something else than NBD, NBD_OPT_MIGRATE. */
struct server_guest {
	/*
	 * In a thread of the server: *@stream is its own from now on, @address for its log. To be quick.
	 */
	void (*take)(struct server_guest *guest, const struct stream *stream, const char *address);
};

/* By enum tls_mode. */
extern const char *const serve_tls_words[];

struct serve_options {
	struct opt_list listen;		/* HOST[:PORT]... */
	const char *unix_socket;	/* PATH, or NULL */
	struct opt_list exports;	/* NAME=BACKEND */
	struct opt_list descriptions;	/* NAME=TEXT */
	const char *by_default;		/* the export that "" means, or NULL */
	bool read_only;
	const char *run;
	bool exit_with_parent;
	bool daemon;
	const char *log;
	uint32_t threads;		/* 0: one per CPU, up to 8 */
	int tls;			/* enum tls_mode; -1: on if there is a certificate or PSK option */
	struct tls_files tls_files;
	bool tls_verify_peer;
	struct opt_list tls_allow;	/* subjects */
	struct serve_limits limits;
};

/* What all connections share; constant once threads run, but for the counter. */
struct server {
	struct exports exports;
	struct serve_limits limits;
	enum tls_mode tls;
	struct tls_credentials *credentials;
	struct server_guest *guest;	/* or NULL */
	struct server_thread *threads;
	unsigned int thread_count;
	unsigned int started;		/* of these */
	_Atomic uint32_t connections;
};

/*
 * server.c: the parts of a server that are the same wherever it lives. Each 0, or a negative errno with
 * a sentence; undone by server_end(), also after a failure.
 */
int server_secure(struct server *server, const struct serve_options *options,
		  struct error *error);
/* thread_count is set: as many as server_threads() says, or fewer. */
int server_start(struct server *server, struct error *error);
unsigned int server_threads(const struct serve_options *options);
/*
 * A connection that was made, @fd, which becomes the server's; @address for its log. @which: of the threads, any
 * number. From any thread, once it is started. False: there are too many, it was closed.
 */
bool server_give(struct server *server, unsigned int which, int fd, const char *address);
/* In reverse; nobody accepts connections any more. Returns 0, or why something may not be durable. */
int server_end(struct server *server);

/*
 * Serves until a signal, or the end of the command of --run. @backends: further exports, "[NAME=]
 * BACKEND". Returns an exit status, or a negative errno with a sentence.
 */
int serve_run(const struct serve_options *options, char **backends, int count,
	      struct error *error);

#endif
