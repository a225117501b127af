// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Dialling. See dial.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_PREFIX "seed: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "migrate/dial.h"
#include "nbd/handshake.h"
#include "nbd/reverse.h"
#include "nbd/uri.h"
#include "nbd/wait.h"
#include "serve/serve.h"

#define MS		1000000ULL	/* ns */
#define CONNECT		(20000 * MS)
#define WORD		(10000 * MS)	/* for the rest of it, once it has begun */
#define PAUSE_LEAST	(50 * MS)
#define PAUSE_MOST	(2000 * MS)
#define STACK_SIZE	(256u << 10)	/* bytes: enough for the resolver */

struct dial {
	/* Constant. */
	struct server *server;
	struct nbd_uri uri;
	int interrupt;			/* an eventfd: readable at the end */
	pthread_t thread;
	bool started;

	/* The thread's own. */
	unsigned int next;		/* thread of the server */
	bool told;			/* that it cannot be reached */
};

/* One that is used, in *@stream. 0 or a negative errno with a sentence. */
static int dial_once(struct dial *d, struct stream *stream, struct error *error)
{
	char word[NBD_REVERSE_BYTES];
	int err;

	err = nbd_connect(&d->uri, loop_now() + CONNECT, stream, error);
	if (err)
		return err;
	err = nbd_wait(stream->fd, POLLIN, UINT64_MAX);
	if (!err)
		err = nbd_receive(stream, word, sizeof(word), loop_now() + WORD);
	if (!err && memcmp(word, NBD_REVERSE_WORD, sizeof(word)))
		err = -EPROTO;
	if (!err)
		return 0;
	nbd_disconnect(stream);
	return error_set(error, err, err == -EPROTO ? "that is no leecher which listens" : "%s", strerror(-err));
}

static void *dial_main(void *data)
{
	struct dial *d = data;
	struct error error;
	struct stream stream;
	uint64_t pause = PAUSE_LEAST;
	char name[300];
	int err;

	nbd_wait_interrupt(d->interrupt);
	snprintf(name, sizeof(name), "%s:%s", d->uri.host, d->uri.port);
	for (;;) {
		error = (struct error) { 0 };
		err = dial_once(d, &stream, &error);
		if (!err) {
			server_give(d->server, d->next++, stream.fd, name);
			pause = PAUSE_LEAST;
			d->told = false;
			continue;
		}
		if (err != -ECANCELED && !d->told)
			log_warn("cannot reach the leecher at %s yet: %s", name, error.text);
		d->told = true;
		if (err == -ECANCELED || nbd_wait(-1, 0, loop_now() + pause) == -ECANCELED)
			return NULL;
		pause = pause * 2 < PAUSE_MOST ? pause * 2 : PAUSE_MOST;
	}
}

int dial_start(struct server *server, const char *address, struct dial **out, struct error *error)
{
	struct dial *d = calloc(1, sizeof(*d));
	pthread_attr_t attr;
	char *rest;
	int err;

	if (!d)
		return error_set(error, -ENOMEM, "out of memory");
	*out = d;
	d->server = server;
	d->interrupt = -1;
	if (asprintf(&rest, "//%s/", address) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	err = nbd_uri_parse("nbd", rest, &d->uri, error);
	free(rest);
	if (err)
		return error_prefix(error, "--dial %s", address);
	d->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->interrupt < 0)
		return error_set(error, -errno, "cannot make an eventfd: %s", strerror(errno));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = -pthread_create(&d->thread, &attr, dial_main, d);
	pthread_attr_destroy(&attr);
	d->started = !err;
	return err ? error_set(error, err, "cannot start a thread: %s", strerror(-err)) : 0;
}

void dial_stop(struct dial *d)
{
	if (!d)
		return;
	if (d->interrupt >= 0)
		eventfd_write(d->interrupt, 1);
	if (d->started)
		pthread_join(d->thread, NULL);
	if (d->interrupt >= 0)
		close(d->interrupt);
	free(d);
}
