// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The seeder. See seed.h.
 */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_PREFIX "seed: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "migrate/context.h"
#include "migrate/dial.h"
#include "migrate/note.h"
#include "migrate/seed.h"
#include "migrate/seeding.h"
#include "nbd/handshake.h"
#include "nl/device.h"
#include "serve/listen.h"

#define END_WAIT	5000		/* ms that links may take to end */

struct seed {
	const struct seed_options *options;
	bool begun;
	struct server server;
	struct listeners listeners;
	struct server_guest guest;
	struct dial *dials[OPT_LIST_MAX];
	struct seedings seedings;
	struct contexts contexts;
	void (*gone)(void *data);
	void *data;
};

/* In a thread of the server. */
static void seed_take(struct server_guest *guest, const struct stream *stream, const char *address)
{
	struct seed *seed = (struct seed *)((char *)guest - offsetof(struct seed, guest));
	struct stream mine = *stream;
	int err = seeding_start(&seed->seedings, stream, address);

	if (!err)
		return;
	log_warn("%s cannot be served: %s", address, strerror(-err));
	nbd_disconnect(&mine);
}

/* In the main thread. */
static void seed_told(struct post_job *job)
{
	struct seed *seed = (struct seed *)((char *)job - offsetof(struct seed, seedings.told));

	seed->gone(seed->data);
}

static int seed_listen(struct seed *seed, struct error *error)
{
	const struct serve_options *options = &seed->options->serve;
	int err = 0;

	for (unsigned int i = 0; i < options->listen.count && !err; i++)
		err = listen_tcp(&seed->listeners, options->listen.items[i], error);
	if (!err && options->unix_socket)
		err = listen_unix(&seed->listeners, options->unix_socket, error);
	if (!err && !seed->listeners.count && !seed->options->dial.count)
		err = listen_tcp(&seed->listeners, "localhost", error);
	return err;
}

/* @chunk: of a managed device, or 0. */
static int seed_serve(struct seed *seed, struct backend *backend, uint32_t chunk, struct error *error)
{
	const struct serve_options *options = &seed->options->serve;
	struct server *server = &seed->server;
	int err;

	if (backend->info.channels_max == 1)
		return error_set(error, -EBUSY, "%s allows one connection only: it cannot be used and be served at the same time",
				 backend->name);
	server->limits = options->limits;
	server->guest = &seed->guest;
	server->thread_count = server_threads(options);
	err = server_secure(server, options, error);
	/* Who is no leecher may look, but not touch: it is in use. */
	if (!err)
		err = exports_add_open(&server->exports, backend, true, &server->limits, true, error);
	if (!err)
		err = contexts_open(&seed->contexts, &seed->seedings.sessions, chunk, &server->exports, error);
	if (!err)
		err = exports_settle(&server->exports, NULL, server->thread_count, error);
	if (!err)
		err = seed_listen(seed, error);
	return err ? err : server_start(server, error);
}

int seed_open(struct loop *loop, const struct seed_options *options, struct backend *backend,
	      const struct device *device, uint64_t before, const char *path, void (*gone)(void *data),
	      void *data, struct seed **out, struct error *error)
{
	struct seed *seed = calloc(1, sizeof(*seed));
	struct seedings *all;
	int err;

	if (!seed)
		return error_set(error, -ENOMEM, "out of memory");
	*out = seed;
	seed->options = options;
	seed->listeners.loop = loop;
	seed->listeners.server = &seed->server;
	seed->listeners.later = true;
	seed->guest.take = seed_take;
	seed->gone = gone;
	seed->data = data;
	all = &seed->seedings;
	all->stop = &options->stop;
	all->hold_time = options->hold_time;
	all->throttle = options->throttle;
	all->device = path;
	all->sessions.index = device->index;
	all->sessions.generation = device->generation;
	all->sessions.size = device->size;
	all->told.run = seed_told;
	sessions_init(&all->sessions);
	pthread_mutex_init(&all->order, NULL);
	all->post.wake.fd = -1;
	all->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = all->interrupt < 0 ? -errno : post_open(&all->post);
	if (!err)
		err = post_attach(&all->post, loop);
	if (err)
		return error_set(error, err, "cannot make an eventfd: %s", strerror(-err));
	err = before ? seeding_adopt(all, before, error) : 0;
	return err ? err : seed_serve(seed, backend, device->chunk, error);
}

int seed_begin(struct seed *seed, struct error *error)
{
	const struct opt_list *dial = &seed->options->dial;
	int err = listen_start(&seed->listeners);

	if (err)
		return error_set(error, err, "cannot accept connections: %s", strerror(-err));
	for (unsigned int i = 0; i < dial->count && !err; i++)
		err = dial_start(&seed->server, dial->items[i], &seed->dials[i], error);
	seed->begun = !err;
	return err;
}

char *seed_uris(const struct seed *seed)
{
	bool tls = seed->server.tls == TLS_REQUIRE;
	char *text = NULL;
	size_t size;
	FILE *out;

	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	for (unsigned int i = 0; i < seed->listeners.count; i++) {
		char *uri = listen_uri(&seed->listeners.list[i], tls, "", -1);

		fprintf(out, "%s\n", uri ? uri : "");
		free(uri);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

void seed_uri(const struct seed *seed, int fd, char *text, size_t size)
{
	char *uri = NULL;

	if (seed->listeners.count)
		uri = listen_uri(&seed->listeners.list[0], seed->server.tls == TLS_REQUIRE, "", fd);
	*text = '\0';
	if (uri && strlen(uri) < size)
		strcpy(text, uri);
	free(uri);
}

static const char *session_state(const struct session *s)
{
	return s->dismissed ? "has lost" : s->all ? "has all" : s->committed ? "has the region" : s->final ? "is given the region" :
	       s->linked ? "follows" : "is lost";
}

bool seed_tell(cJSON *object, struct seed *seed)
{
	struct sessions *sessions = &seed->seedings.sessions;
	const struct export *export = &seed->server.exports.list[0];
	bool fine;
	cJSON *list;

	if (!seed->begun)
		return true;
	list = cJSON_AddArrayToObject(object, "leechers");
	fine = list && json_add_u64(object, "sent", atomic_load(&seed->seedings.sent) + atomic_load(&export->sent));

	pthread_mutex_lock(&sessions->lock);
	for (unsigned int i = 0; fine && i < SESSIONS; i++) {
		const struct session *s = &sessions->list[i];
		cJSON *one = s->number ? cJSON_CreateObject() : NULL;

		if (!s->number)
			continue;
		fine = one && cJSON_AddItemToArray(list, one) &&
		       cJSON_AddStringToObject(one, "state", session_state(s)) &&
		       json_add_u64(one, "local", s->local) && json_add_u64(one, "round", s->round) &&
		       json_add_u64(one, "freeze_ns", s->times.freeze) &&
		       json_add_u64(one, "drain_ns", s->times.drain) &&
		       json_add_u64(one, "suspend_ns", s->times.suspend);
	}
	pthread_mutex_unlock(&sessions->lock);
	return fine;
}

int seed_undo(struct seed *seed, struct error *error)
{
	return seeding_undo(&seed->seedings, error);
}

bool seed_is_needed(struct seed *seed)
{
	struct sessions *sessions = &seed->seedings.sessions;
	const struct session *session;
	bool needed;

	pthread_mutex_lock(&sessions->lock);
	session = session_final(sessions);
	needed = session && !session->all;
	pthread_mutex_unlock(&sessions->lock);
	return needed;
}

bool seed_close(struct seed *seed)
{
	struct seedings *all;

	if (!seed)
		return true;
	all = &seed->seedings;
	listen_stop(&seed->listeners);
	for (unsigned int i = 0; i < OPT_LIST_MAX; i++)
		dial_stop(seed->dials[i]);
	server_end(&seed->server);
	contexts_close(&seed->contexts);
	if (all->interrupt >= 0)
		eventfd_write(all->interrupt, 1);
	/* They are waiting for somebody, or for a program that is bounded. */
	for (unsigned int ms = 0; atomic_load(&all->running) && ms < END_WAIT; ms++)
		usleep(1000);
	if (atomic_load(&all->running)) {
		log_warn("a leecher's thread does not end, giving it up");
		return false;
	}
	post_detach(&all->post);
	post_close(&all->post);
	if (all->interrupt >= 0)
		close(all->interrupt);
	note_remove(all->device, NOTE_SEED);
	sessions_free(&all->sessions);
	pthread_mutex_destroy(&all->order);
	free(seed);
	return true;
}
