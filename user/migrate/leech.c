// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The leecher: its thread, from the beginning to the end. See leech.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_PREFIX "leech: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "migrate/leech_state.h"
#include "migrate/note.h"
#include "mount/managed.h"
#include "nbd/handshake.h"
#include "nbd/wait.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/epoch.h"
#include "tls/credentials.h"

bool leech_stopped(const struct leech *l)
{
	return atomic_load(&l->stop);
}

void leech_set_phase(struct leech *l, enum leech_phase phase)
{
	pthread_mutex_lock(&l->lock);
	l->phase = phase;
	pthread_mutex_unlock(&l->lock);
}

enum leech_phase leech_phase(struct leech *l)
{
	enum leech_phase phase;

	pthread_mutex_lock(&l->lock);
	phase = l->phase;
	pthread_mutex_unlock(&l->lock);
	return phase;
}

void leech_sleep(uint64_t ns)
{
	nbd_wait(-1, 0, loop_now() + ns);
}

bool leech_is_undone(const struct leech *l)
{
	return l->verdict == VERDICT_UNDO || l->verdict == VERDICT_LEFT;
}

void leech_outcome(struct leech *l, const struct error *error)
{
	pthread_mutex_lock(&l->lock);
	l->outcome = error ? *error : (struct error) { 0 };
	pthread_mutex_unlock(&l->lock);
	if (!atomic_exchange(&l->telling, true))
		post_send(&l->post, &l->over);
}

static int leech_arrive(struct leech *l, struct error *error)
{
	const struct migrate_message m = { .type = MIGRATE_DONE };
	struct migrate_message answer;
	int err;

	err = leech_wait_local(l, NULL, 0, error);
	if (err && err != -ECANCELED) {
		/* Without a control link as well: the data come by another way. */
		log_warn("%s", error->text);
		*error = (struct error) { 0 };
		l->alone = true;
		err = leech_wait_local(l, NULL, 0, error);
	}
	if (err)
		return err;
	managed_whole(l->managed);
	leech_set_phase(l, LEECH_COMPLETE);
	post_send(&l->post, &l->whole);
	if (!l->session || l->alone)	/* that was an earlier helper's, or the seeder is gone */
		return 0;
	if (!leech_commit(l, error) && !leech_ask(l, &m, &answer, MIGRATE_OK, error))
		note_remove(l->device, NOTE_LEECH);
	else if (!leech_stopped(l))
		log_warn("the seeder cannot be told that all is here: %s", error->text);
	return 0;
}

/*
 * A helper before this one may have begun. If bios are let go already, the rest is to come. If not, nobody has
 * watched since what was written to what is here.
 */
static int leech_begin(struct leech *l, struct error *error)
{
	struct device device;
	int err;

	err = control_open(&l->control, error);
	if (err)
		return err;
	l->chunks = l->managed->chunks;
	l->chunks.control = l->control;
	err = device_get(l->control, l->chunks.index, &device, error);
	if (err)
		return err;
	l->released = device.hold != R3MAP_HOLD_ALL;
	if (!l->released) {
		if (dirty_init(&l->lost, l->managed->size, l->managed->chunk))
			return error_set(error, -ENOMEM, "out of memory for what is written at the seeder");
		dirty_fill(&l->lost);
		return chunks_drop(&l->chunks, l->lost.word, l->lost.words, error);
	}
	leech_set_phase(l, LEECH_ARRIVING);
	managed_again(l->managed, NULL);
	if (l->before && note_read(l->device, NOTE_LEECH, l->before, &l->session))
		leech_note(l);
	return 0;
}

static int leech_go(struct leech *l, struct error *error)
{
	int err;

	err = leech_begin(l, error);
	if (!err && l->released)
		return leech_arrive(l, error);
	if (!err)
		err = leech_connect(l, error);
	/* Not before: what is read is to be watched. */
	if (!err)
		managed_again(l->managed, NULL);
	while (!err && !l->released) {
		/* If it is ours already, there is nothing to follow. */
		err = l->final ? 0 : leech_follow(l, error);
		if (err)
			return err;
		err = leech_finalize_now(l, error);
		leech_outcome(l, err ? error : NULL);
		if (err && !leech_stopped(l)) {
			log_warn("not finalized: %s", error->text);
			*error = (struct error) { 0 };
			managed_again(l->managed, NULL);
			/* Not at once, if it does so by itself. */
			leech_sleep(1000 * MS);
			err = l->linked ? 0 : leech_connect(l, error);
			if (!err && l->unwanted)
				err = leech_abort(l, error);
		}
	}
	return err ? err : leech_arrive(l, error);
}

/* Is the device being removed? Then the module refuses its helper, which may hear the reason later: no failure. */
static bool leech_is_removed(const struct leech *l)
{
	struct error error = { 0 };
	struct device now;
	int err;

	if (!l->control)
		return false;
	err = device_get(l->control, l->chunks.index, &now, &error);
	return err == -ENODEV ||
	       (!err && (now.state == R3MAP_STATE_DELETING || now.generation != l->chunks.generation));
}

static void *leech_main(void *data)
{
	struct error error = { 0 };
	struct leech *l = data;
	int err;

	nbd_wait_interrupt(l->interrupt);
	err = leech_go(l, &error);
	leech_lose(l);
	if (err && (leech_stopped(l) || leech_is_removed(l)))
		err = 0;
	if (l->control)
		control_close(l->control);
	if (err == -EREMOTE) {
		log_error("the migration is over: %s; remove this device", error.text);
		leech_set_phase(l, LEECH_LOST);
		leech_outcome(l, &error);
	} else if (err) {
		log_error("the migration has failed: %s; %s", error.text, l->released ?
			  "what is not here yet is still fetched when it is asked for" :
			  "the region is in use at the seeder as before, remove this device");
		leech_set_phase(l, LEECH_FAILED);
		leech_outcome(l, &error);
	}
	return NULL;
}

/* In the main thread. */
static void leech_over(struct post_job *job)
{
	struct leech *l = (struct leech *)((char *)job - offsetof(struct leech, over));
	struct error outcome;

	atomic_store(&l->telling, false);
	pthread_mutex_lock(&l->lock);
	outcome = l->outcome;
	pthread_mutex_unlock(&l->lock);
	l->events.finalized(l->events.data, &outcome);
}

/* Likewise. */
static void leech_whole(struct post_job *job)
{
	struct leech *l = (struct leech *)((char *)job - offsetof(struct leech, whole));

	l->events.whole(l->events.data);
}

/* Likewise. */
static void leech_told_prepared(struct post_job *job)
{
	struct leech *l = (struct leech *)((char *)job - offsetof(struct leech, prepared));

	l->events.prepared(l->events.data);
}

static int leech_make(struct leech *l, const char *uri, struct loop *loop, struct error *error)
{
	const size_t scheme = strcspn(uri, ":");
	char name[16];
	int err;

	snprintf(name, sizeof(name), "%.*s", (int)scheme, uri);
	if (!uri[scheme] || !nbd_uri_scheme(name))
		return error_set(error, -EINVAL, "'%s' is no seeder: give its URI, such as nbd://HOST/", uri);
	err = nbd_uri_parse(name, uri + scheme + 1, &l->uri, error);
	if (!err)
		err = nbd_credentials(&l->uri, &l->credentials, error);
	if (err)
		return err;
	l->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = l->interrupt < 0 ? -errno : post_open(&l->post);
	if (!err)
		err = post_attach(&l->post, loop);
	return err ? error_set(error, err, "cannot make an eventfd: %s", strerror(-err)) : 0;
}

int leech_open(struct loop *loop, const struct leech_options *options, const char *uri,
	       struct managed *managed, uint64_t before, const char *device,
	       const struct seed *onward, const struct leech_events *events, struct leech **out,
	       struct error *error)
{
	struct leech *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return error_set(error, -ENOMEM, "out of memory");
	*out = l;
	l->options = options;
	l->managed = managed;
	l->before = before;
	l->device = device;
	l->onward = onward;
	l->events = *events;
	l->interrupt = -1;
	l->post.wake.fd = -1;
	l->over.run = leech_over;
	l->whole.run = leech_whole;
	l->prepared.run = leech_told_prepared;
	pthread_mutex_init(&l->lock, NULL);
	err = leech_make(l, uri, loop, error);
	if (err)
		return err;
	err = -pthread_create(&l->thread, NULL, leech_main, l);
	l->started = !err;
	return err ? error_set(error, err, "cannot start a thread: %s", strerror(-err)) : 0;
}

void leech_close(struct leech *l)
{
	if (!l)
		return;
	atomic_store(&l->stop, true);
	if (l->interrupt >= 0)
		eventfd_write(l->interrupt, 1);
	if (l->started)
		pthread_join(l->thread, NULL);
	if (l->post.loop)
		post_detach(&l->post);
	if (l->post.wake.fd >= 0)
		post_close(&l->post);
	if (l->interrupt >= 0)
		close(l->interrupt);
	note_remove(l->device, NOTE_LEECH);
	tls_credentials_free(l->credentials);
	dirty_free(&l->list);
	dirty_free(&l->lost);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
