// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's NBD client as the device. See via.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_PREFIX "mount: "
#include "chunk/stage.h"
#include "lib/log.h"
#include "lib/run.h"
#include "lib/signals.h"
#include "mount/parameters.h"
#include "mount/ready.h"
#include "mount/reclaim.h"
#include "mount/store.h"
#include "mount/tell.h"
#include "mount/via.h"
#include "mount/via_state.h"
#include "nl/knbd.h"
#include "serve/peer.h"
#include "serve/thread.h"

#define PAYLOAD			(32u << 20)	/* bytes: the client never sends more */
#define FIRST_LOOK		5		/* ms between looks at what was pulled */

/* The client is the kernel: it may be slow to take its answers, and is not given up for that. */
static const struct serve_limits via_limits = {
	.connections = VIA_CONNECTIONS,
	.export_connections = VIA_CONNECTIONS,
	.payload = PAYLOAD,
	.requests = 1024,
	.memory = 2 * PAYLOAD,
	.stall = UINT32_MAX,
	.shutdown = 30000,
};

/* --- what wakes the main thread ----------------------------------------------------------- */

static void via_signal(struct loop_source *source, uint32_t events)
{
	struct via *v = (struct via *)((char *)source - offsetof(struct via, signals));
	struct signalfd_siginfo info;
	bool again;

	(void)events;
	if (!signals_take(source, &info, &v->signal_last, &again))
		return;
	if (again) {
		if (v->child_pid)
			kill(v->child_pid, SIGKILL);
		if (v->phase == VIA_OVER)
			return;
		log_warn("second signal: %s is removed by force, what is under way fails", v->path);
		via_force(v);
	} else if (v->child_pid) {	/* its end will unmount */
		run_signal(v->child_pid, &info);
	} else {
		v->signalled = true;
		via_unmount_begin(v);
	}
}

static void via_child(struct loop_source *source, uint32_t events)
{
	struct via *v = (struct via *)((char *)source - offsetof(struct via, child));

	(void)events;
	v->status = ready_over(v->loop, source, &v->child_pid);
	v->signalled = true;
	via_unmount_begin(v);
}

/* A connection has ended, and it was not us: somebody has disconnected the device. */
static void via_lost(struct loop_source *source, uint32_t events)
{
	struct via *v = ((struct via_watch *)source)->via;

	(void)events;
	loop_remove(v->loop, source);
	if (!v->connected || v->phase == VIA_OVER)
		return;
	log_warn("%s was disconnected by somebody else, or one of its connections has failed",
		 v->path);
	/* In the first case it may be another's by now. */
	if (knbd_owner(v->index) == (uint32_t)getpid())
		knbd_disconnect(v->control, v->index, &(struct error){ 0 });
	v->connected = false;
	via_unmount_begin(v);
}

/* The pull is to change. */
static void via_change(struct via *v, enum door_word word, const char *argument)
{
	struct error error = { 0 };
	int err = v->pipeline ? tell_change(pipeline_managed(v->pipeline), word, argument, &error) :
				error_set(&error, -EOPNOTSUPP, "%s is not managed: nothing is pulled",
					  v->path);

	door_answer(v->door, word, err, error.text);
}

static void via_asked(void *data, enum door_word word, const char *argument)
{
	struct via *v = data;

	switch (word) {
	case DOOR_SHOW:
		tell_shown(v->door, via_show(v));
		break;
	case DOOR_SYNC:
		if (!v->pipeline && !hooks_sync_wanted(v->hooks)) {	/* a flush did it already */
			door_answer(v->door, word, 0, "");
			break;
		}
		v->sync_wanted = true;
		via_sync(v);
		break;
	case DOOR_UMOUNT:
		if (v->phase == VIA_SERVING)
			via_unmount_begin(v);
		break;
	case DOOR_FORCE:
		via_force(v);
		break;
	default:
		via_change(v, word, argument);
	}
}

/* --- the way up --------------------------------------------------------------------------- */

/* The region that is served: the backend as it is, or what makes a managed region of it. */
static int via_region(struct via *v, struct backend *backend, struct error *error)
{
	const struct mount_options *options = v->options;
	struct pipeline_options pipeline = {
		.flush = options->flush == MOUNT_FLUSH_REMOTE ? PIPELINE_FLUSH_REMOTE :
			 options->flush == MOUNT_FLUSH_DURABLE ? PIPELINE_FLUSH_STORE :
			 PIPELINE_FLUSH_NONE,
		.read_only = options->read_only,
		.managed = &options->pull_push,
		.hooks = v->hooks,
	};
	int err;

	v->region = backend;
	err = parameters_new(options, backend, &v->device, error);
	if (!err && options->managed)
		err = parameters_managed(options, backend, 0, &v->device, error);
	if (err)
		return err;
	if (options->managed) {
		pipeline.size = v->device.size;
		pipeline.chunk = v->device.chunk;
		v->region = NULL;
		err = pipeline_new(backend, &pipeline, &v->pipeline, error);
		if (!err)
			v->region = pipeline_region(v->pipeline);
		return err;
	}
	if (backend->info.max_io && backend->info.max_io < PAYLOAD)
		return chunked_new(backend, v->device.size, 0, &v->region, error);
	return 0;
}

static int via_server(struct via *v, struct error *error)
{
	struct server *server = &v->server;
	const uint32_t channels = v->region->info.channels_max;
	int err;

	server->limits = via_limits;
	server->thread_count = v->device.queues < VIA_CONNECTIONS ? v->device.queues : VIA_CONNECTIONS;
	if (channels && channels < server->thread_count)
		server->thread_count = channels;
	err = exports_add_open(&server->exports, v->region, false, &server->limits,
			       v->options->read_only, error);
	if (!err)
		err = exports_settle(&server->exports, NULL, server->thread_count, error);
	return err ? err : server_start(server, error);
}

/* A connection for each thread: one end to it, the other one for the kernel. */
static int via_connections(struct via *v, struct error *error)
{
	struct server *server = &v->server;
	struct peer *peer;
	int pair[2];

	for (unsigned int i = 0; i < server->thread_count; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return error_set(error, -errno, "cannot make a connection: %s",
					 strerror(errno));
		v->watches[i].source = (struct loop_source) { .fd = pair[0], .ready = via_lost };
		v->watches[i].via = v;
		peer = fcntl(pair[1], F_SETFL, O_NONBLOCK) < 0 ? NULL : peer_new(pair[1], "the kernel");
		if (!peer)
			return error_set(error, -ENOMEM, "out of memory");
		atomic_fetch_add(&server->connections, 1);
		peer_introduce(peer, &server->exports.list[0]);
		thread_give(&server->threads[i], peer);
	}
	return v->pipeline ? pipeline_opened(v->pipeline, error) : 0;
}

/* What is to be local before the device is there. A signal ends the wait, and with it the mount. */
static int via_first(struct via *v, struct error *error)
{
	struct pollfd pollfd = { .fd = v->signals.fd, .events = POLLIN };

	if (!v->pipeline)
		return 0;
	while (!pipeline_first(v->pipeline))
		if (poll(&pollfd, 1, FIRST_LOOK) > 0)
			return error_set(error, -EINTR,
					 "interrupted before the first %" PRIu64 " bytes were there",
					 v->options->pull_push.pull_first);
	return 0;
}

static int via_connect(struct via *v, struct error *error)
{
	int sockets[VIA_CONNECTIONS];
	struct knbd_setup setup = {
		.index = v->options->index == MOUNT_AUTO ? KNBD_ANY : v->options->index,
		.size = v->device.size,
		.block = v->device.logical_block,
		.flags = export_flags(&v->server.exports.list[0], NBD_HEADERS_SIMPLE),
		.sockets = sockets,
		.count = v->server.thread_count,
	};
	int err;

	for (unsigned int i = 0; i < setup.count; i++)
		sockets[i] = v->watches[i].source.fd;
	err = knbd_connect(v->control, &setup, &v->index, error);
	if (err)
		return err;
	v->connected = true;
	snprintf(v->path, sizeof(v->path), "/dev/nbd%" PRIu32, v->index);
	for (unsigned int i = 0; i < setup.count && !err; i++)
		err = loop_add(v->loop, &v->watches[i].source, EPOLLRDHUP);
	if (err)
		return error_set(error, err, "cannot watch a connection: %s", strerror(-err));
	err = node_wait(v->path, error);
	return err ? err : door_open(v->loop, via_disk(v), via_asked, v, &v->door, error);
}

/* The backend comes first, so that a mistake in its name is told even where there is no module. */
static int via_open(struct via *v, const char *spec, struct error *error)
{
	int err = backend_open(spec, &v->region, error);

	if (err)
		return err;
	err = loop_new(&v->loop);
	if (err)
		return error_set(error, err, "cannot make an event loop: %s", strerror(-err));
	err = post_attach(&v->post, v->loop);
	if (err)
		return error_set(error, err, "cannot wait for answers: %s", strerror(-err));
	err = hooks_new(v->loop, &v->options->hooks, v->options->hook_timeout, reclaim_unprotect,
			&v->hooks, error);
	if (err)
		return err;
	reach_listen(&v->reach, v->region, hooks_listener(v->hooks));
	via_unmount_prepare(v);
	err = via_region(v, v->region, error);
	if (!err)
		err = knbd_open(&v->control, error);
	if (err)
		return err;
	v->signals.ready = via_signal;
	return signals_watch(v->loop, &v->signals, error);
}

static int via_up(struct via *v, const char *spec, struct error *error)
{
	int err = via_open(v, spec, error);

	if (err)
		return err;
	reclaim_enter();
	err = via_server(v, error);
	if (!err)
		err = via_connections(v, error);
	if (!err)
		err = via_first(v, error);
	if (!err)
		err = via_connect(v, error);
	if (!err && v->options->lock)
		err = reclaim_lock(error);
	if (!err && v->options->lock && v->pipeline)
		store_unlock(pipeline_store(v->pipeline));
	return err;
}

/* --- the way down ------------------------------------------------------------------------- */

/* The device is gone, or never was. 0, or why something may not be at the backend. */
static int via_down(struct via *v)
{
	struct server *server = &v->server;
	int err;

	if (v->pipeline && server->started)
		pipeline_unlock(v->pipeline);
	for (unsigned int i = 0; i < VIA_CONNECTIONS; i++)
		if (v->watches[i].via)
			close(v->watches[i].source.fd);
	if (!server->exports.count)	/* it never became the server's */
		backend_close(v->region);
	err = server_end(server);
	v->pipeline = NULL;
	v->region = NULL;
	memset(server, 0, sizeof(*server));
	return err;
}

/* What is left when the device and its backend are gone. */
static void via_free(struct via *v)
{
	door_close(v->door);
	hooks_free(v->hooks);
	post_detach(&v->post);
	post_close(&v->post);
	if (v->signals.fd >= 0) {
		if (v->loop)
			loop_remove(v->loop, &v->signals);
		close(v->signals.fd);
	}
	loop_free(v->loop);
	control_close(v->control);
}

static void via_wait(struct via *v)
{
	while (v->phase != VIA_OVER && !v->error.code) {
		int err = loop_once(v->loop, UINT64_MAX);

		if (err)
			error_set(&v->error, err, "the event loop failed: %s", strerror(-err));
	}
}

/* The device is gone: whoever asked for that is told; the command of --run is waited for. */
static int via_end(struct via *v)
{
	const char *why = "the device is gone, but not all that was written could be made durable";
	int err;

	/* A sync that hooks are asked about is refused; others wait for no hook. */
	hooks_end(v->hooks, v->forced || v->error.code);
	err = via_down(v);

	if (err)
		log_error("%s: %s", v->path, why);
	/* Who is told that the device is gone finds nothing of it. */
	door_hide(v->door);
	door_answer(v->door, DOOR_SYNC, err, err ? why : "");
	door_answer(v->door, DOOR_UMOUNT, err, err ? why : "");
	door_answer(v->door, DOOR_FORCE, 0, "");
	if (v->child_pid)
		log_warn("%s was removed while the command runs: waiting for its end", v->path);
	while (v->child_pid)
		if (loop_once(v->loop, UINT64_MAX))
			break;
	return v->options->run ? v->status : err ? 1 : 0;
}

int via_serve(const struct mount_options *options, const char *backend, int pipe, int log,
	      struct error *error)
{
	struct via v = { .options = options, .signals.fd = -1 };
	int status = 1, err = post_open(&v.post);

	if (err)
		return error_set(error, err, "cannot make an eventfd: %s", strerror(-err));
	err = via_up(&v, backend, error);
	if (!err && v.pipeline)
		managed_ready(pipeline_managed(v.pipeline));
	if (!err)
		err = ready_tell(options, &(struct ready) { v.path, NULL, pipe, log }, &v.child_pid,
				 &v.child.fd, error);
	if (!err && v.child_pid) {
		v.child.ready = via_child;
		err = ready_watch(v.loop, &v.child, error);
	}
	if (err) {
		if (v.connected)
			via_disconnect(&v);
		via_down(&v);
	} else {
		hooks_begin(v.hooks, v.path, v.region->name);
		via_wait(&v);
		if (v.error.code) {
			*error = v.error;
			err = error->code;
			via_disconnect(&v);
		}
		status = via_end(&v);
	}
	node_forget();
	via_free(&v);
	return err ? err : status;
}
