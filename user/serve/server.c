// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The parts of a server that are the same wherever it lives: see serve.h.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/error.h"
#include "serve/serve.h"
#include "serve/thread.h"

#define THREADS_MAX	8		/* by default */

const char *const serve_tls_words[] = {
	[TLS_OFF] = "off", [TLS_ON] = "on", [TLS_REQUIRE] = "require", NULL,
};

int server_secure(struct server *server, const struct serve_options *options,
		  struct error *error)
{
	bool files = options->tls_files.certificates || options->tls_files.psk;

	server->tls = options->tls >= 0 ? (enum tls_mode)options->tls : files ? TLS_ON : TLS_OFF;
	if (server->tls == TLS_OFF)
		return 0;
	return tls_server_credentials(&options->tls_files, options->tls_verify_peer,
				      options->tls_allow.count ? options->tls_allow.items : NULL,
				      &server->credentials, error);
}

bool server_give(struct server *server, unsigned int which, int fd, const char *address)
{
	struct peer *peer;

	if (atomic_fetch_add(&server->connections, 1) >= server->limits.connections) {
		atomic_fetch_sub(&server->connections, 1);
		close(fd);
		return false;
	}
	peer = peer_new(fd, address);
	if (peer)
		thread_give(&server->threads[which % server->thread_count], peer);
	else
		atomic_fetch_sub(&server->connections, 1);
	return true;
}

unsigned int server_threads(const struct serve_options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (options->threads)
		return options->threads;
	return cpus < 1 ? 1 : cpus > THREADS_MAX ? THREADS_MAX : (unsigned int)cpus;
}

int server_start(struct server *server, struct error *error)
{
	int code;

	server->threads = calloc(server->thread_count, sizeof(*server->threads));
	if (!server->threads)
		return error_set(error, -ENOMEM, "out of memory");
	while (server->started < server->thread_count) {
		code = thread_start(&server->threads[server->started], server, server->started);
		if (code)
			return error_set(error, code, "cannot start a thread: %s",
					 strerror(-code));
		server->started++;
	}
	return 0;
}

int server_end(struct server *server)
{
	unsigned int i;
	int code = 0;

	for (i = 0; i < server->started; i++)
		thread_end(&server->threads[i]);
	for (i = 0; i < server->started; i++) {
		thread_join(&server->threads[i]);
		if (!code)
			code = server->threads[i].error;
	}
	for (i = 0; i < server->started; i++)
		thread_free(&server->threads[i]);
	free(server->threads);
	exports_free(&server->exports);
	tls_credentials_free(server->credentials);
	return code;
}
