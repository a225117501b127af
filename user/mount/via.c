// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's NBD client as the device. See via.h.
 *
 * The end of a mount with a pipeline has an order. Nobody has the device open any more, so all that
 * was written is in the pipeline. It is synced, which may take long; then it is locked and synced
 * again, which does not, and catches what came meanwhile. Only then the device goes. Whatever fails
 * on the way leaves everything as it was: the device is served on, and nothing is lost.
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
#include "backend/backend.h"
#include "chunk/pipeline.h"
#include "chunk/stage.h"
#include "chunk/synced.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/post.h"
#include "lib/run.h"
#include "lib/signals.h"
#include "mount/door.h"
#include "mount/holders.h"
#include "mount/hooks.h"
#include "mount/mount.h"
#include "mount/node.h"
#include "mount/parameters.h"
#include "mount/ready.h"
#include "mount/reclaim.h"
#include "mount/store.h"
#include "mount/tell.h"
#include "mount/trouble.h"
#include "mount/via.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/knbd.h"
#include "serve/peer.h"
#include "serve/serve.h"
#include "serve/thread.h"

#define MS			1000000ULL	/* ns */
#define CONNECTIONS		8u	/* as many as the module's devices have queues by default */
#define PAYLOAD			(32u << 20)	/* bytes: the client never sends more */
#define FIRST_LOOK		5		/* ms between looks at what was pulled */
#define RETRY_BUSY		(20 * MS)	/* ns: a prober of udev is gone by then */
#define RETRY_QUIET		(2000 * MS)	/* ns for which "busy" is not worth telling */
#define RETRY_SLOW		(1000 * MS)

/* The client is the kernel: it may be slow to take its answers, and is not given up for that. */
static const struct serve_limits via_limits = {
	.connections = CONNECTIONS,
	.export_connections = CONNECTIONS,
	.payload = PAYLOAD,
	.requests = 1024,
	.memory = 2 * PAYLOAD,
	.stall = UINT32_MAX,
	.shutdown = 30000,
};

enum via_phase {
	VIA_SERVING,
	VIA_BUSY,		/* is to be unmounted, and somebody has it open */
	VIA_SYNCING,		/* is to be unmounted */
	VIA_SETTLING,		/* is to be unmounted, and nothing else holds it up */
	VIA_OVER,		/* the device is gone */
};

struct via_watch {
	struct loop_source source;	/* the kernel's end of a connection */
	struct via *via;
};

struct via {
	const struct mount_options *options;
	struct control *control;
	struct device device;		/* what it shall be like */
	struct backend *region;		/* what is served; the server's once it is its export */
	struct pipeline *pipeline;	/* which the region is then, or NULL */
	struct server server;
	struct via_watch watches[CONNECTIONS];
	uint32_t index;
	char path[NODE_PATH];		/* /dev/nbdN */
	bool connected;
	struct door *door;

	struct loop *loop;
	struct loop_source signals, child;
	struct loop_timer retry;
	pid_t child_pid;		/* 0: there is none, or it has ended */
	int status;			/* exit status of the program */

	enum via_phase phase;
	bool signalled;			/* a signal or the command's end wants it unmounted */
	bool forced;
	bool told_busy;
	uint64_t unmount_since;		/* ns */
	uint64_t signal_last;		/* ns */

	/* What the pipeline is asked for, one at a time. */
	struct post post;		/* its answers come back by this */
	struct post_job answer;
	struct pipeline_wait wait;
	bool waiting;
	int result;
	bool sync_wanted, sync_served;	/* of r3map sync: the next, or this one */
	struct hooks *hooks;
	struct reach reach;
	struct hook_sync entering;	/* what is waited for is a sync, and this what they answer */
	bool inside;			/* and hear of its end */
	struct error error;		/* why it must end; code 0: nothing wrong */
};

static const char *disk_of(const struct via *v)
{
	return strrchr(v->path, '/') + 1;
}

/* --- asking the pipeline ------------------------------------------------------------------ */

/* In the pipeline's thread. */
static void wait_done(struct pipeline_wait *wait, int error)
{
	struct via *v = wait->owner;

	v->result = error;
	post_send(&v->post, &v->answer);
}

static void via_ask(struct via *v, void (*ask)(struct pipeline *pipeline,
					       struct pipeline_wait *wait))
{
	v->waiting = true;
	v->wait.done = wait_done;
	v->wait.owner = v;
	ask(v->pipeline, &v->wait);
}

static void via_answered(struct post_job *job);

/* The hooks have answered. */
static void via_go(struct hook_sync *entering, int error)
{
	struct via *v = (struct via *)((char *)entering - offsetof(struct via, entering));

	v->inside = !error;
	v->result = error;
	if (error || !v->pipeline)	/* without one, a flush did it already */
		via_answered(&v->answer);
	else
		via_ask(v, pipeline_sync);
}

/* A sync that hooks are to hear of. */
static void via_enter(struct via *v)
{
	if (!hooks_sync_wanted(v->hooks)) {
		via_ask(v, pipeline_sync);
		return;
	}
	v->waiting = true;
	hooks_sync_enter(v->hooks, &v->entering);
}

/* Why the last one failed. */
static const char *via_why(const struct via *v)
{
	return v->result == HOOK_REFUSED ? "a hook, before-sync, refuses it: the helper's log says more" :
	       strerror(-v->result);
}

/* For r3map sync, unless an unmount is under way, which does more. */
static void via_sync(struct via *v)
{
	if (v->waiting || !v->sync_wanted || v->phase != VIA_SERVING)
		return;
	v->sync_wanted = false;
	v->sync_served = true;
	via_enter(v);
}

/* --- unmounting --------------------------------------------------------------------------- */

static void via_retry_in(struct via *v, uint64_t ns)
{
	if (loop_timer_set(v->loop, &v->retry, loop_now() + ns))
		log_warn("out of memory for a timer: send the signal again to unmount");
}

/* It cannot be unmounted now: everything goes on. */
static void via_refuse(struct via *v, int code, const char *why)
{
	v->phase = VIA_SERVING;
	if (v->pipeline)
		pipeline_unlock(v->pipeline);
	door_answer(v->door, DOOR_UMOUNT, code, why);
	via_sync(v);
}

static void via_gone(struct via *v)
{
	v->phase = VIA_OVER;
	loop_timer_cancel(v->loop, &v->retry);
}

static void via_disconnect(struct via *v)
{
	struct error error = { 0 };

	for (unsigned int i = 0; i < v->server.thread_count; i++)
		loop_remove(v->loop, &v->watches[i].source);
	if (v->connected && knbd_disconnect(v->control, v->index, &error))
		log_error("%s", error.text);
	v->connected = false;
	via_gone(v);
}

/* Somebody has it open. True: that may have been told. */
static bool via_is_busy(struct via *v)
{
	char holders[400], why[512];

	if (!v->connected || !holders_find(disk_of(v), holders, sizeof(holders)))
		return false;
	if (loop_now() - v->unmount_since < RETRY_QUIET) {
		v->phase = VIA_BUSY;
		via_retry_in(v, RETRY_BUSY);
		return true;
	}
	snprintf(why, sizeof(why), "cannot unmount %s, it is in use: %s; release it, or give --force",
		 v->path, holders);
	via_refuse(v, -EBUSY, why);
	if (!v->signalled)
		return true;
	if (!v->told_busy)
		log_warn("cannot unmount %s, it is in use (%s): it is still served; release it%s, or signal twice to remove it by force",
			 v->path, holders, v->options->run ? "" : " and signal again");
	v->told_busy = true;
	/* The command of --run has ended: nobody is left who would ask again. */
	if (v->options->run && !v->child_pid)
		via_retry_in(v, RETRY_SLOW);
	else
		v->signalled = false;
	return true;
}

/* As far as it goes; what is waited for comes back here. */
static void via_unmount(struct via *v)
{
	struct pipeline_facts facts;

	if (v->phase == VIA_OVER || v->waiting)	/* via_answered() comes */
		return;
	if (via_is_busy(v))
		return;
	if (!v->pipeline) {
		via_disconnect(v);
		return;
	}
	v->phase = VIA_SYNCING;
	pipeline_facts(v->pipeline, &facts);
	if (facts.dirty)
		via_enter(v);
	else
		via_ask(v, pipeline_sync);
}

static void via_unmount_begin(struct via *v)
{
	notify_systemd("STOPPING=1");
	v->told_busy = false;
	v->unmount_since = loop_now();
	if (v->phase == VIA_SERVING)
		v->phase = VIA_BUSY;
	via_unmount(v);
}

/* By force: what is under way fails, what is not at the backend is lost. */
static void via_force(struct via *v)
{
	struct pipeline_facts facts = { 0 };

	if (v->phase == VIA_OVER)
		return;
	v->forced = true;
	if (v->pipeline)
		pipeline_facts(v->pipeline, &facts);
	if (facts.dirty)
		log_warn("%s is removed by force: up to %" PRIu64 " bytes may not be at %s", v->path,
			 facts.dirty, v->region->name);
	via_disconnect(v);
}

static void via_unmount_failed(struct via *v)
{
	char why[512];

	snprintf(why, sizeof(why),
		 "cannot unmount %s without losing what was written (--force does), bringing it to %s fails: %s",
		 v->path, v->region->name, via_why(v));
	via_refuse(v, v->result, why);
	/* Without a device nobody else can ask. */
	if (!v->signalled && v->connected)
		return;
	log_error("cannot unmount %s, since what was written cannot be brought to %s: %s; it is kept and tried again, signal twice to give it up",
		  v->path, v->region->name, via_why(v));
	via_retry_in(v, RETRY_SLOW);
}

/* The pipeline has answered. */
static void via_answered(struct post_job *job)
{
	struct via *v = (struct via *)((char *)job - offsetof(struct via, answer));
	char why[512];

	v->waiting = false;
	if (v->inside)
		hooks_sync_leave(v->hooks, v->result);
	v->inside = false;
	if (v->sync_served) {
		v->sync_served = false;
		snprintf(why, sizeof(why),
			 "cannot bring %s to its backend: %s; what was written is kept, try again",
			 v->path, via_why(v));
		/* Some may have come too late for this one: after another, all are told. */
		if (!v->sync_wanted || v->result)
			door_answer(v->door, DOOR_SYNC, v->result, v->result ? why : "");
		if (v->result)
			v->sync_wanted = false;
		if (v->phase == VIA_BUSY)
			via_unmount(v);
		else
			via_sync(v);
		return;
	}
	if (v->phase == VIA_OVER)
		return;
	if (v->result) {
		via_unmount_failed(v);
	} else if (v->phase == VIA_SYNCING) {
		v->phase = VIA_SETTLING;
		via_ask(v, pipeline_settle);
	} else if (!via_is_busy(v)) {
		via_disconnect(v);
	} else if (v->phase == VIA_BUSY) {	/* not for long, perhaps */
		pipeline_unlock(v->pipeline);
	}
}

static void via_retry(struct loop_timer *timer)
{
	via_unmount((struct via *)((char *)timer - offsetof(struct via, retry)));
}

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

/* The names are those of the module's counters. */
static bool via_counters(cJSON *object, const struct pipeline_facts *facts)
{
	const struct synced_counts *counts = facts->counts;
	const struct {
		unsigned int counter;
		uint64_t number;
	} list[] = {
		{ R3MAP_A_COUNTER_READS, counts->op[BACKEND_READ] },
		{ R3MAP_A_COUNTER_READ_BYTES, counts->bytes[BACKEND_READ] },
		{ R3MAP_A_COUNTER_WRITES, counts->op[BACKEND_WRITE] },
		{ R3MAP_A_COUNTER_WRITE_BYTES, counts->bytes[BACKEND_WRITE] },
		{ R3MAP_A_COUNTER_DISCARDS, counts->op[BACKEND_DISCARD] },
		{ R3MAP_A_COUNTER_ZEROES, counts->op[BACKEND_WRITE_ZEROES] },
		{ R3MAP_A_COUNTER_ERRORS, counts->errors },
		{ R3MAP_A_COUNTER_HITS, counts->hits },
		{ R3MAP_A_COUNTER_MISSES, counts->misses },
		{ R3MAP_A_COUNTER_DEMANDS, latency_count(&counts->demanded) },
		{ R3MAP_A_COUNTER_COALESCED, latency_count(&counts->coalesced) },
		{ R3MAP_A_COUNTER_FETCHES, counts->fetches },
		{ R3MAP_A_COUNTER_FETCH_BYTES, counts->fetch_bytes },
		{ R3MAP_A_COUNTER_FILL_BYTES, counts->fill_bytes },
		{ R3MAP_A_COUNTER_PUSH_BYTES, facts->push_bytes },
	};

	object = cJSON_AddObjectToObject(object, "counters");
	for (unsigned int i = 0; object && i < sizeof(list) / sizeof(list[0]); i++)
		if (!json_add_u64(object, device_counter_name(list[i].counter), list[i].number))
			return false;
	return object;
}

static bool via_latency(cJSON *object, const struct via *v, const struct synced_counts *counts)
{
	object = cJSON_AddObjectToObject(object, "latency");
	return object && tell_kind(object, "hits", &counts->hit) &&
	       tell_kind(object, "demands", &counts->demanded) &&
	       tell_kind(object, "coalesced", &counts->coalesced) &&
	       tell_latency(object, pipeline_managed(v->pipeline));
}

static char *via_facts(const struct via *v)
{
	cJSON *object = cJSON_CreateObject();
	struct pipeline_facts facts = { 0 };
	char *text = NULL;
	bool well;

	if (!object)
		return NULL;
	well = cJSON_AddStringToObject(object, "device", v->path) &&
	       cJSON_AddStringToObject(object, "via", "nbd") &&
	       cJSON_AddStringToObject(object, "backend", v->region->name) &&
	       json_add_u64(object, "size", v->device.size) &&
	       json_add_u64(object, "helper_pid", (uint64_t)getpid()) &&
	       json_add_u64(object, "connections", v->server.thread_count);
	if (well && v->pipeline) {
		pipeline_facts(v->pipeline, &facts);
		well = json_add_u64(object, "chunk", v->device.chunk) &&
		       cJSON_AddStringToObject(object, "flush", device_flush_name(v->device.flush)) &&
		       json_add_u64(object, "local", facts.local) &&
		       json_add_u64(object, "dirty", facts.dirty) &&
		       tell_pull(object, pipeline_managed(v->pipeline)) &&
		       tell_trouble(object, pipeline_managed(v->pipeline), &v->reach) &&
		       via_counters(object, &facts) && via_latency(object, v, facts.counts);
	}
	if (well)
		text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	return text;
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
	char *text;

	switch (word) {
	case DOOR_SHOW:
		text = via_facts(v);
		door_answer(v->door, word, text ? 0 : -ENOMEM, text ? text : "out of memory");
		cJSON_free(text);
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
	server->thread_count = v->device.queues < CONNECTIONS ? v->device.queues : CONNECTIONS;
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
	int sockets[CONNECTIONS];
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
	return err ? err : door_open(v->loop, disk_of(v), via_asked, v, &v->door, error);
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
	v->entering.go = via_go;
	err = via_region(v, v->region, error);
	if (!err)
		err = knbd_open(&v->control, error);
	if (err)
		return err;
	v->signals.ready = via_signal;
	v->retry.fire = via_retry;
	v->answer.run = via_answered;
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
	for (unsigned int i = 0; i < CONNECTIONS; i++)
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
