// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's life: see serve.h.
 *
 * The main thread opens exports and sockets, accepts, and waits for a reason to end; threads do
 * the rest. The order of the end: no new connections, threads finish what is under way and flush
 * their channels, backends close.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOG_PREFIX "serve: "
#include "lib/descriptors.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/run.h"
#include "lib/signals.h"
#include "serve/listen.h"
#include "serve/serve.h"

struct serve {
	const struct serve_options *options;
	struct server server;
	struct loop *loop;
	struct listeners listeners;
	struct loop_source signals;
	struct loop_source child;	/* a pidfd, of --run */
	pid_t child_pid;
	char folder[32];		/* of the socket of --run, or "" */
	bool signalled;
	bool ended;
};

static void serve_child(struct loop_source *source, uint32_t events)
{
	struct serve *serve = (struct serve *)((char *)source - offsetof(struct serve, child));

	(void)events;
	serve->ended = true;
}

/* The first signal ends in order, or asks the command to, whose end is ours; a second at once. */
static void serve_signal(struct loop_source *source, uint32_t events)
{
	struct serve *serve = (struct serve *)((char *)source - offsetof(struct serve, signals));
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (serve->signalled)
		_exit(1);
	serve->signalled = true;
	if (serve->child_pid)
		kill(serve->child_pid, (int)info.ssi_signo);
	else
		serve->ended = true;
}

/* Ends with the parent, also if that has gone already. */
static int parent_watch(struct error *error)
{
	pid_t parent = getppid();

	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return error_set(error, -errno, "cannot watch the parent: %s", strerror(errno));
	if (getppid() != parent)
		raise(SIGTERM);
	return 0;
}

/* A socket of its own for the command of --run, where no address is given. */
static int run_socket(struct serve *serve, struct error *error)
{
	char path[sizeof(serve->folder) + 8];

	strcpy(serve->folder, "/tmp/r3map-XXXXXX");
	if (!mkdtemp(serve->folder)) {
		serve->folder[0] = '\0';
		return error_set(error, -errno, "cannot make a folder in /tmp: %s",
				 strerror(errno));
	}
	snprintf(path, sizeof(path), "%s/sock", serve->folder);
	return listen_unix(&serve->listeners, path, error);
}

static int sockets_open(struct serve *serve, struct error *error)
{
	const struct serve_options *options = serve->options;
	unsigned int activated, i;
	int code;

	code = listen_activated(&serve->listeners, &activated, error);
	for (i = 0; i < options->listen.count && !code; i++)
		code = listen_tcp(&serve->listeners, options->listen.items[i], error);
	if (!code && options->unix_socket)
		code = listen_unix(&serve->listeners, options->unix_socket, error);
	if (code || serve->listeners.count)
		return code;
	return options->run ? run_socket(serve, error) :
			      listen_tcp(&serve->listeners, "localhost", error);
}

static int exports_open(struct serve *serve, char **backends, int count, struct error *error)
{
	const struct serve_options *options = serve->options;
	struct exports *exports = &serve->server.exports;
	unsigned int i;
	int code = 0;
	int n;

	for (i = 0; i < options->exports.count && !code; i++)
		code = exports_add(exports, options->exports.items[i], &options->limits,
				   options->read_only, error);
	for (n = 0; n < count && !code; n++)
		code = exports_add(exports, backends[n], &options->limits, options->read_only,
				   error);
	for (i = 0; i < options->descriptions.count && !code; i++)
		code = exports_describe(exports, options->descriptions.items[i], error);
	if (!code && !exports->count)
		code = error_set(error, -EINVAL,
				 "there is nothing to serve: give a BACKEND or --export NAME=BACKEND");
	return code;
}

static int command_start(struct serve *serve, struct error *error)
{
	const struct listener *listener = &serve->listeners.list[0];
	const struct export *export = serve->server.exports.by_default;
	char *uri;
	int code;

	uri = listen_uri(listener, serve->server.tls == TLS_REQUIRE,
			 export ? export->name : "", -1);
	if (!uri || setenv("R3MAP_URI", uri, 1) < 0 || setenv("uri", uri, 1) < 0 ||
	    (listener->path && setenv("unixsocket", listener->path, 1) < 0)) {
		free(uri);
		return error_set(error, -ENOMEM, "out of memory");
	}
	free(uri);
	code = run_start(serve->options->run, descriptors_restore, &serve->child_pid,
			 &serve->child.fd, error);
	if (code)
		return code;
	serve->child.ready = serve_child;
	code = loop_add(serve->loop, &serve->child, EPOLLIN);
	return code ? error_set(error, code, "cannot watch the command: %s", strerror(-code)) : 0;
}

/* The URI of each listener and export, a line each. */
static char *uris_format(const struct serve *serve)
{
	bool tls = serve->server.tls == TLS_REQUIRE;
	unsigned int i, n;
	char *text = NULL;
	size_t size;
	FILE *out;

	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	for (i = 0; i < serve->listeners.count; i++) {
		for (n = 0; n < serve->server.exports.count; n++) {
			char *uri = listen_uri(&serve->listeners.list[i], tls,
					       serve->server.exports.list[n].name, -1);

			if (uri)
				fprintf(out, "%s\n", uri);
			free(uri);
		}
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static int serve_ready(struct serve *serve, int pipe, int log, struct error *error)
{
	char *uris;
	int code = 0;

	notify_systemd("READY=1");
	if (serve->options->run)
		return command_start(serve, error);
	uris = uris_format(serve);
	if (!uris)
		return error_set(error, -ENOMEM, "out of memory");
	if (pipe >= 0)
		code = notify_ready(pipe, uris, log);
	else if (fputs(uris, stdout) == EOF || fflush(stdout) == EOF)
		log_warn("cannot print the URI: %s", strerror(errno));
	free(uris);
	return code ? error_set(error, code, "whoever waited for the server is gone") : 0;
}

static int serve_up(struct serve *serve, char **backends, int count, struct error *error)
{
	const struct serve_options *options = serve->options;
	int code;

	descriptors_raise();
	serve->server.limits = options->limits;
	serve->server.thread_count = server_threads(options);
	code = loop_new(&serve->loop);
	if (code)
		return error_set(error, code, "cannot make an event loop: %s", strerror(-code));
	serve->listeners.loop = serve->loop;
	serve->listeners.server = &serve->server;
	serve->signals.ready = serve_signal;
	code = signals_watch(serve->loop, &serve->signals, error);
	if (!code && options->exit_with_parent)
		code = parent_watch(error);
	if (!code)
		code = server_secure(&serve->server, options, error);
	if (!code)
		code = exports_open(serve, backends, count, error);
	if (!code)
		code = exports_settle(&serve->server.exports, options->by_default,
				      serve->server.thread_count, error);
	if (!code)
		code = sockets_open(serve, error);
	if (!code)
		code = server_start(&serve->server, error);
	if (code)
		return code;
	code = listen_start(&serve->listeners);
	return code ? error_set(error, code, "cannot accept connections: %s", strerror(-code)) : 0;
}

/* From here on a signal ends the process at once. */
static void signals_close(struct serve *serve)
{
	sigset_t set;

	if (serve->signals.fd < 0)
		return;
	close(serve->signals.fd);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

/* In reverse. Returns 0, or why something may not be durable. */
static int serve_down(struct serve *serve)
{
	int code;

	if (serve->loop)
		listen_stop(&serve->listeners);
	if (*serve->folder)
		rmdir(serve->folder);
	code = server_end(&serve->server);
	if (serve->child_pid)
		close(serve->child.fd);
	loop_free(serve->loop);
	return code;
}

static int serve_wait(struct serve *serve)
{
	int code = 0;

	while (!code && !serve->ended)
		code = loop_once(serve->loop, UINT64_MAX);
	return code;
}

int serve_run(const struct serve_options *options, char **backends, int count,
	      struct error *error)
{
	struct serve serve = { .options = options, .signals.fd = -1 };
	int pipe = -1, log = -1, status = 0;
	int code = 0;

	if (options->log) {
		log = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (log < 0)
			return error_set(error, -errno, "cannot open the log %s: %s", options->log,
					 strerror(errno));
	}
	if (options->daemon)
		code = notify_fork(&pipe, error);
	if (!code)
		code = serve_up(&serve, backends, count, error);
	if (!code)
		code = serve_ready(&serve, pipe, log, error);
	if (!code)
		code = serve_wait(&serve);
	notify_systemd("STOPPING=1");
	signals_close(&serve);
	if (serve.child_pid)
		status = run_status(serve.child_pid);
	if (serve_down(&serve) && !code)
		code = error_set(error, -EIO,
				 "not everything that clients wrote could be made durable");
	return code ? code : status;
}
