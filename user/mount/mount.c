// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of one mount, in the main thread: opens the backend, makes the device, starts a worker
 * for each queue, tells that it is ready, and then waits for what ends it: a signal, the command
 * of --run, somebody else's unmount, or the failure of a worker. See worker.h for the threads.
 *
 * From DEVICE_START on, memory reclaim may wait for this process: the main thread must not hold up
 * a worker, and a failure ends the process, which parks the device, rather than leave it half dead.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LOG_PREFIX "mount: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/progress.h"
#include "lib/run.h"
#include "lib/signals.h"
#include "migrate/cue.h"
#include "migrate/leech.h"
#include "migrate/seed.h"
#include "migrate/source.h"
#include "mount/door.h"
#include "mount/holders.h"
#include "mount/hooks.h"
#include "mount/managed.h"
#include "mount/mapfile.h"
#include "mount/mount.h"
#include "mount/node.h"
#include "mount/parameters.h"
#include "mount/ready.h"
#include "mount/reclaim.h"
#include "mount/report.h"
#include "mount/tell.h"
#include "mount/track.h"
#include "mount/trouble.h"
#include "mount/via.h"
#include "mount/worker.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/events.h"
#include "nl/sync.h"

#define MS			1000000ULL	/* ns */
#define FIRST_LOOK		5		/* ms between looks at what was pulled */
#define LOOK			(1000 * MS)	/* ns between lines of --progress */
#define RETRY_FIRST		(20 * MS)	/* ns: a prober of udev is gone by then */
#define RETRY_QUIET		(2000 * MS)	/* ns for which "busy" is not worth telling */
#define RETRY_SLOW		(1000 * MS)

struct mount {
	const struct mount_options *options;
	struct backend *backend;
	struct control *control;
	struct events *events;
	struct device device;		/* as the module told it */
	uint64_t before;		/* its generation with the helper before, or 0 */
	char path[NODE_PATH];		/* /dev/r3mapN */
	struct worker *workers;
	uint32_t workers_used;
	struct managed managed;		/* if device.chunk is not 0 */
	struct mapfile mapfile;		/* of a new device with --store */
	struct door *door;		/* of a managed device; NULL: it could not be opened */
	struct trackers trackers;	/* who came to it to be told what is written */
	struct hooks *hooks;
	struct reach reach;
	struct report report;		/* of it, and of pull and push */
	struct seed *seed;
	struct backend *here;		/* what leechers read of a managed device; NULL: what it is made of */
	struct leech *leech;

	struct loop *loop;
	struct loop_source signals, news, child;
	struct cue cue;			/* of a leecher */
	struct loop_timer retry;
	struct loop_timer repair;	/* of what lost events would have told */
	struct loop_timer look;		/* for --progress */
	struct progress progress;
	pid_t child_pid;		/* 0: there is none, or it has ended */
	int status;			/* exit status of the program */

	bool started;			/* DEVICE_START succeeded */
	bool unmounting;		/* a DEL is wanted */
	bool deleting;			/* and was accepted */
	bool forced;			/* by force */
	bool removed;			/* the device is gone */
	bool told_busy;
	bool gone;			/* the region is on another host */
	uint64_t syncing;		/* number of the DEVICE_SYNC that is waited for, or 0 */
	uint64_t unmount_since;		/* ns */
	uint64_t signal_last;		/* ns */
	struct error error;		/* why the helper must end; code 0: nothing wrong */
};

/* --- unmounting --- */

static void mount_retry_in(struct mount *m, uint64_t ns)
{
	if (loop_timer_set(m->loop, &m->retry, loop_now() + ns))
		log_warn("out of memory for a timer: send the signal again to unmount");
}

/* What was written goes to the backend before the device goes; mount_synced() goes on. */
static void mount_sync(struct mount *m)
{
	struct error error = { 0 };

	if (!device_sync_begin(m->control, &m->device, &m->syncing, &error))
		return;
	m->syncing = 0;
	log_error("cannot unmount %s: %s", m->path, error.text);
	mount_retry_in(m, RETRY_SLOW);
}

static void mount_delete(struct mount *m, bool force)
{
	struct device in = {
		.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION) |
			   (force ? DEVICE_HAS(FORCE) : 0),
		.index = m->device.index,
		.generation = m->device.generation,
		.force = force,
	};
	struct error error = { 0 };
	char holders[400];
	int err;

	if (m->removed || m->forced || (m->deleting && !force) || (m->syncing && !force))
		return;
	if (m->leech && !force && leech_is_between(m->leech)) {
		log_error("cannot unmount %s: not all of its region is here, and its seeder has given it up; it is kept, signal again when all is local, or twice to give it up",
			  m->path);
		m->unmounting = false;
		return;
	}
	if (m->seed && !force && seed_is_needed(m->seed)) {
		log_error("cannot unmount %s: its leecher does not have all of the region yet; it is kept, signal again later, or twice to give it up",
			  m->path);
		m->unmounting = false;
		return;
	}
	err = device_request(m->control, R3MAP_CMD_DEVICE_DEL, &in, NULL, &error);
	if (!err || err == -EALREADY) {	/* or somebody else's unmount is under way */
		m->deleting = true;
		m->forced = force;
		return;
	}
	if (err == -ENODEV || err == -ENOENT || err == -ESTALE) {	/* somebody was faster */
		m->removed = true;
		return;
	}
	if (err == -EAGAIN)
		return mount_sync(m);
	if (err != -EBUSY) {
		log_error("cannot unmount %s: %s", m->path, error.text);
		/* Short of memory; or nobody is left who would ask again. */
		if (err == -ENOMEM || (m->options->run && !m->child_pid))
			return mount_retry_in(m, RETRY_SLOW);
		m->unmounting = false;
		return;
	}
	if (loop_now() - m->unmount_since < RETRY_QUIET)
		return mount_retry_in(m, RETRY_FIRST);
	if (!m->told_busy) {
		holders_describe(m->device.index, holders, sizeof(holders));
		log_warn("cannot unmount %s, it is in use (%s): it is still served; release it%s, or signal twice to remove it by force",
			 m->path, holders, m->options->run ? "" : " and signal again");
		m->told_busy = true;
	}
	/* The command of --run has ended, or the region has gone: nobody is left who would ask again. */
	if (m->gone || (m->options->run && !m->child_pid))
		return mount_retry_in(m, RETRY_SLOW);
	m->unmounting = false;
}

static void mount_unmount(struct mount *m)
{
	m->unmounting = true;
	m->told_busy = false;
	m->unmount_since = loop_now();
	notify_systemd("STOPPING=1");
	mount_delete(m, false);
}

static void mount_retry(struct loop_timer *timer)
{
	struct mount *m = (struct mount *)((char *)timer - offsetof(struct mount, retry));

	if (m->unmounting)
		mount_delete(m, false);
}

/* --- how far the pull is --- */

/* False: there is nothing more to show. */
static bool mount_progress(struct mount *m)
{
	struct error error = { 0 };
	struct device now;

	if (!m->options->progress || !m->device.chunk ||
	    device_get(m->control, m->device.index, &now, &error))
		return false;
	progress_show(&m->progress, now.local, now.size, loop_now(),
		      atomic_load(&m->managed.pull_paused) ? "; the pull is paused" : "");
	if (now.local < now.size)
		return true;
	progress_end(&m->progress);
	return false;
}

static void mount_look(struct loop_timer *timer)
{
	struct mount *m = (struct mount *)((char *)timer - offsetof(struct mount, look));

	if (mount_progress(m))
		loop_timer_set(m->loop, timer, loop_now() + LOOK);
}

/* --- what is asked at the door --- */

static char *mount_facts(const struct mount *m)
{
	cJSON *object = cJSON_CreateObject(), *latency;
	char *text = NULL;

	bool fine = object && (!m->device.chunk || tell_pull(object, &m->managed)) &&
		    (!m->device.chunk || tell_trouble(object, &m->managed, &m->reach)) &&
		    (!m->leech || leech_tell(object, m->leech)) &&
		    (!m->seed || seed_tell(object, m->seed));

	if (fine && !m->device.chunk) {
		text = cJSON_PrintUnformatted(object);
	} else if (fine) {
		latency = cJSON_AddObjectToObject(object, "latency");
		if (latency && tell_latency(latency, &m->managed))
			text = cJSON_PrintUnformatted(object);
	}
	cJSON_Delete(object);
	return text;
}

/* Somebody wants to be told what is written. */
static void mount_track(struct mount *m)
{
	const char *why = NULL;
	int fd;

	if (m->leech && !leech_has_region(m->leech))
		why = "its region is elsewhere still, and changes there";
	else if (m->options->seed && m->options->seed->throttle)
		why = "its seeder has --throttle, which ends when nobody is told any more what is written";
	if (why) {
		door_answer(m->door, DOOR_TRACK, -EBUSY, why);
		return;
	}
	fd = door_take(m->door, DOOR_TRACK);
	if (fd >= 0)
		tracker_new(&m->trackers, fd);
}

/* The module knows the rest, and does it. */
static void mount_asked(void *data, enum door_word word, const char *argument)
{
	struct mount *m = data;
	struct error error = { 0 };
	char *text;
	int err;

	switch (word) {
	case DOOR_SHOW:
		text = mount_facts(m);
		door_answer(m->door, word, text ? 0 : -ENOMEM, text ? text : "out of memory");
		cJSON_free(text);
		break;
	case DOOR_PULL:
	case DOOR_RATE:
		err = tell_change(&m->managed, word, argument, &error);
		door_answer(m->door, word, err, error.text);
		break;
	case DOOR_FINALIZE:
	case DOOR_PREPARE:
		if (!m->leech)
			err = error_set(&error, -EOPNOTSUPP, "only a leecher is finalized: 'r3map leech'");
		else if (word == DOOR_FINALIZE)
			err = leech_finalize(m->leech, &error);
		else
			err = leech_prepare(m->leech, &error);
		if (err)	/* otherwise mount_finalized() or mount_prepared() answers */
			door_refuse(m->door, err, error.text);
		break;
	case DOOR_LEFT:
		if (m->leech)
			leech_left(m->leech);
		break;
	case DOOR_TRACK:
		mount_track(m);
		break;
	case DOOR_UNDO:
		if (m->leech && !leech_has_region(m->leech)) {
			err = leech_undo(m->leech, &error);
			if (err)	/* likewise */
				door_refuse(m->door, err, error.text);
			break;
		}
		err = m->seed ? seed_undo(m->seed, &error) :
				error_set(&error, -EOPNOTSUPP, "only a seeder can take its region back");
		door_answer(m->door, word, err, error.text);
		break;
	default:
		door_answer(m->door, word, -EOPNOTSUPP, "that is for the module to do");
	}
}

/* A finalize has ended. */
static void mount_finalized(void *data, const struct error *error)
{
	struct mount *m = data;
	char text[200];

	if (error->code) {
		door_answer(m->door, DOOR_FINALIZE, error->code, error->text);
		door_answer(m->door, DOOR_PREPARE, error->code, error->text);
		door_answer(m->door, DOOR_UNDO, 0, "");
		return;
	}
	leech_summary(m->leech, text, sizeof(text));
	door_answer(m->door, DOOR_FINALIZE, 0, text);
}

/* It waits for the others of its group. */
static void mount_prepared(void *data)
{
	struct mount *m = data;

	door_answer(m->door, DOOR_PREPARE, 0, "");
}

/* All of the region is here: it can go on from here. */
static void mount_whole(void *data)
{
	struct mount *m = data;
	struct error error = { 0 };

	if (m->seed && seed_begin(m->seed, &error))
		log_error("%s cannot be moved on: %s", m->path, error.text);
}

/* The region is at a leecher as a whole. */
static void mount_gone(void *data)
{
	struct mount *m = data;

	m->gone = true;
	mount_unmount(m);
}

/* Without it the device works as well. */
static void mount_door(struct mount *m)
{
	struct error error = { 0 };

	m->trackers = (struct trackers) { m->loop, m->control, &m->device, NULL };
	if ((m->device.chunk || m->options->seed) &&
	    door_open(m->loop, strrchr(m->path, '/') + 1, mount_asked, m, &m->door, &error))
		log_warn("%s", error.text);
}

/* --- what wakes the main thread --- */

static void mount_signal(struct loop_source *source, uint32_t events)
{
	struct mount *m = (struct mount *)((char *)source - offsetof(struct mount, signals));
	struct signalfd_siginfo info;
	bool again;

	(void)events;
	if (!signals_take(source, &info, &m->signal_last, &again))
		return;
	if (again && m->forced) {
		return;
	} else if (again) {
		if (m->child_pid)
			kill(m->child_pid, SIGKILL);
		if (m->removed)
			return;
		log_warn("second signal: %s is removed by force, what is under way fails", m->path);
		mount_delete(m, true);
	} else if (m->child_pid) {	/* its end will unmount */
		run_signal(m->child_pid, &info);
	} else {
		mount_unmount(m);
	}
}

static void mount_child(struct loop_source *source, uint32_t events)
{
	struct mount *m = (struct mount *)((char *)source - offsetof(struct mount, child));

	(void)events;
	m->status = ready_over(m->loop, source, &m->child_pid);
	if (!m->removed)
		mount_unmount(m);
}

static void mount_synced(struct mount *m, uint32_t code)
{
	m->syncing = 0;
	if (!code)
		return mount_delete(m, false);
	if (code == -HOOK_REFUSED)
		log_error("cannot unmount %s: a hook, before-sync, refuses it; it is tried again, signal twice to give up what was not written back",
			  m->path);
	else
		log_error("cannot unmount %s: writing back to %s fails: %s; it is kept and tried again, signal twice to give it up",
			  m->path, m->backend->name, strerror((int)code));
	mount_retry_in(m, RETRY_SLOW);
}

static void mount_event(const struct device *event, void *data)
{
	struct mount *m = data;

	if (event->index != m->device.index || event->generation != m->device.generation)
		return;
	if (event->event == R3MAP_EVENT_REMOVED)
		m->removed = true;
	else if (event->event == R3MAP_EVENT_SYNCED && event->sync == m->syncing)
		mount_synced(m, event->sync_errno);
	else if (event->event == R3MAP_EVENT_PARKED || event->event == R3MAP_EVENT_FAILED)
		error_set(&m->error, -EPIPE, "the kernel has given up this helper of %s", m->path);
}

/* Events were lost: ask for what they would have told. */
static void mount_repair(struct mount *m)
{
	struct error error = { 0 };
	struct device now;
	int err = device_get(m->control, m->device.index, &now, &error);

	if (err == -ENODEV || (!err && now.generation != m->device.generation))
		m->removed = true;
	else if (err)	/* short of memory, as when they were lost */
		loop_timer_set(m->loop, &m->repair, loop_now() + RETRY_SLOW);
	else if (m->syncing)	/* its end may have been among them */
		mount_sync(m);
}

static void mount_repair_again(struct loop_timer *timer)
{
	mount_repair((struct mount *)((char *)timer - offsetof(struct mount, repair)));
}

static void mount_news(struct loop_source *source, uint32_t events)
{
	struct mount *m = (struct mount *)((char *)source - offsetof(struct mount, news));
	int err = events_read(m->events, mount_event, m);

	(void)events;
	if (err == -ENOBUFS)
		mount_repair(m);
	else if (err)
		error_set(&m->error, err, "cannot receive events: %s", strerror(-err));
}

/* --- the way up --- */

/* Who only reads would be shown what the backend has not, and could not bring it there. */
static int mount_store_clean(const struct mount *m, const struct device *in, struct error *error)
{
	bool dirty;
	int err = mapfile_is_dirty(&m->mapfile, in->size, &dirty, error);

	if (!err && dirty)
		err = error_set(error, -EROFS, "%s has writes that %s has not: mount it once without --read-only",
				m->options->store, m->backend->name);
	return err;
}

/* The files of a store that outlives the mount. */
static int mount_store_file(struct mount *m, struct device *in, struct error *error)
{
	const char *path = m->options->store, *backend = m->backend->name;
	struct mapfile *mapfile = &m->mapfile;
	int fd, err;

	err = mapfile_open(mapfile, path, in->size, backend, error);
	if (!err)
		err = parameters_managed(m->options, m->backend, mapfile->chunk, in, error);
	if (!err && mapfile->found && in->flags & R3MAP_DEVICE_READ_ONLY)
		err = mount_store_clean(m, in, error);
	if (!err && !mapfile->found)
		err = mapfile_make(mapfile, path, in->size, in->chunk, backend, error);
	if (err)
		return err;
	in->map = (uint32_t)mapfile->fd;
	in->map_region = mapfile->region;
	in->present |= DEVICE_HAS(MAP) | DEVICE_HAS(MAP_REGION);
	fd = mapfile->store;
	mapfile->store = -1;
	return store_map(&m->managed.store, fd, in->size, error);
}

/* The store of a new managed device, and what the module needs to know of it. */
static int mount_store(struct mount *m, struct device *in, struct error *error)
{
	int err;

	if (m->options->leech && m->options->store) {
		err = parameters_managed(m->options, m->backend, 0, in, error);
		if (!err)
			err = store_make(&m->managed.store, m->options->store, in->size, error);
	} else if (m->options->store) {
		err = mount_store_file(m, in, error);
	} else {
		err = parameters_managed(m->options, m->backend, 0, in, error);
		if (!err)
			err = store_new(&m->managed.store, in->size, error);
	}
	if (err)
		return err;
	in->store = (uint32_t)m->managed.store.fd;
	in->present |= DEVICE_HAS(STORE);
	return 0;
}

/* The device is this helper's: what its pull and push need. */
static int mount_managed(struct mount *m, struct error *error)
{
	struct managed *managed = &m->managed;
	int fd, err;

	err = managed_init(managed, &m->options->pull_push, m->backend, m->device.size,
			   m->device.chunk, error);
	if (err)
		return err;
	managed->hooks = m->hooks;
	managed->owned = m->options->leech;
	atomic_store(&managed->resting, managed->owned);
	managed->chunks.index = m->device.index;
	managed->chunks.generation = m->device.generation;
	managed->chunks.chunk = m->device.chunk;
	err = control_open(&managed->chunks.control, error);
	if (err || managed->store.bytes)
		return err;
	err = chunks_store(&managed->chunks, &fd, error);
	return err ? err : store_map(&managed->store, fd, managed->size, error);
}

static int mount_new(struct mount *m, struct error *error)
{
	struct device in, out;
	int err;

	err = parameters_new(m->options, m->backend, &in, error);
	if (m->options->leech)
		in.flags = (in.flags & ~(uint32_t)R3MAP_DEVICE_READ_ONLY) | R3MAP_DEVICE_HELD;
	if (!err && m->options->managed)
		err = mount_store(m, &in, error);
	if (err)
		return err;
	memset(&out, 0, sizeof(out));
	err = device_request(m->control, R3MAP_CMD_DEVICE_NEW, &in, &out, error);
	if (err)
		return error_prefix(error, "cannot make a device");
	m->device = in;
	m->device.index = out.index;
	m->device.generation = out.generation;
	return 0;
}

/* The device to take over, as it is now: before the backend is opened, which may be in use. */
static int mount_find(struct mount *m, struct error *error)
{
	uint32_t index;
	int err = device_index(m->options->recover, &index, error);

	if (!err)
		err = device_get(m->control, index, &m->device, error);
	if (!err)
		err = parameters_recoverable(&m->device, error);
	return err;
}

static int mount_attach(struct mount *m, struct error *error)
{
	struct device in = m->device, out;
	int err;

	err = parameters_attach(m->options, m->backend, &in, error);
	if (err)
		return err;
	memset(&out, 0, sizeof(out));
	err = device_request(m->control, R3MAP_CMD_DEVICE_ATTACH, &in, &out, error);
	if (err)
		return error_prefix(error, "cannot take over /dev/r3map%" PRIu32, in.index);
	m->before = m->device.generation;
	m->device = out;
	return 0;
}

static int mount_workers(struct mount *m, struct error *error)
{
	const uint32_t queues = m->device.queues;
	const size_t area = parameters_area(m->options, &m->device, m->backend);
	struct error first = { 0 };
	int err = 0;

	m->workers = calloc(queues, sizeof(*m->workers));
	if (!m->workers)
		return error_set(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < queues && !err; i++) {
		struct worker *worker = &m->workers[i];

		worker->config = (struct queue_config){
			.family = control_family(m->control),
			.index = m->device.index,
			.generation = m->device.generation,
			.number = i,
			.depth = m->device.depth,
			.max_io = m->device.max_io,
			.inlined = m->device.transport == R3MAP_TRANSPORT_INLINE,
		};
		worker->backend = m->backend;
		worker->area_size = area;
		worker->managed = m->device.chunk ? &m->managed : NULL;
		worker->owner = m->loop;
		worker->queue.fd = -1;
		worker->post.wake.fd = -1;
		if (!i && hooks_sync_wanted(m->hooks)) {
			worker->hooks = m->hooks;
			err = post_open(&worker->post);
			if (err)
				return error_set(error, err, "cannot make an eventfd: %s", strerror(-err));
		}
		err = worker_start(worker, error);
		if (!err)
			m->workers_used++;
	}
	/* All are waited for, even after a failure: nothing may still be on its way up later. */
	for (uint32_t i = 0; i < m->workers_used; i++)
		if (worker_wait(&m->workers[i], &first) && !err)
			err = first.code;
	if (first.code && error->code == 0)
		*error = first;
	return err;
}

/* As DOOR_FINALIZE, but that nobody waits for an answer: the log has it. */
static void mount_cue(void *data)
{
	struct error error = { 0 };
	struct mount *m = data;

	if (!m->leech)
		error_set(&error, -EAGAIN, "it has not begun yet");
	else
		leech_finalize(m->leech, &error);
	if (error.code)
		log_error("cannot finalize %s: %s", m->path, error.text);
}

static int mount_sources(struct mount *m, struct error *error)
{
	int err;

	m->signals.ready = mount_signal;
	m->news.fd = events_fd(m->events);
	m->news.ready = mount_news;
	m->retry.fire = mount_retry;
	m->repair.fire = mount_repair_again;
	m->look.fire = mount_look;
	m->cue.given = mount_cue;
	m->cue.data = m;
	progress_init(&m->progress, stderr);
	err = signals_watch(m->loop, &m->signals, error);
	if (!err && m->options->leech)
		err = cue_open(&m->cue, m->loop, !m->options->daemon, error);
	if (err)
		return err;
	err = loop_add(m->loop, &m->news, EPOLLIN);
	return err ? error_set(error, err, "cannot wait for events: %s", strerror(-err)) : 0;
}

/*
 * The backend comes first, so that a mistake in its name is told even where there is no module;
 * but the device to take over comes before the backend.
 */
static int mount_open(struct mount *m, const char *spec, struct error *error)
{
	struct backend *backend;
	int err = 0;

	if (m->options->recover) {
		err = control_open(&m->control, error);
		if (!err)
			err = mount_find(m, error);
	}
	if (!err)
		err = backend_open(spec, &backend, error);
	if (err)
		return err;
	m->backend = backend;
	if (!m->control)
		err = control_open(&m->control, error);
	return err ? err : events_open(m->control, &m->events, error);
}

/* What is to be local before the device is there. A signal ends the wait, and with it the mount. */
static int mount_first(struct mount *m, struct error *error)
{
	const uint64_t first = m->options->pull_push.pull_first;
	struct pollfd pollfd = { .fd = m->signals.fd, .events = POLLIN };
	unsigned int looks = 0;

	if (!m->device.chunk || !first)
		return 0;
	while (sem_trywait(&m->managed.first) < 0) {
		for (uint32_t i = 0; i < m->workers_used; i++) {
			if (atomic_load(&m->workers[i].failed)) {
				*error = m->workers[i].error;
				return error->code;
			}
		}
		if (looks++ % (LOOK / MS / FIRST_LOOK) == 0)
			mount_progress(m);
		if (poll(&pollfd, 1, FIRST_LOOK) > 0)
			return error_set(error, -EINTR,
					 "interrupted before the first %" PRIu64 " bytes were there", first);
	}
	return 0;
}

/* Everything up to a device that answers. */
static int mount_up(struct mount *m, const char *backend, struct error *error)
{
	struct device start;
	int err;

	err = mount_open(m, backend, error);
	if (err)
		return err;
	err = loop_new(&m->loop);
	if (err)
		return error_set(error, err, "cannot make an event loop: %s", strerror(-err));
	err = mount_sources(m, error);
	if (!err)
		err = hooks_new(m->loop, &m->options->hooks, m->options->hook_timeout,
				reclaim_unprotect, &m->hooks, error);
	if (!err)
		err = report_open(&m->report, m->control, &m->device, &m->reach.trouble,
				  &m->managed.pull_trouble, &m->managed.push_trouble, error);
	if (err)
		return err;
	reach_listen(&m->reach, m->backend, hooks_listener(m->hooks));
	err = m->options->recover ? mount_attach(m, error) : mount_new(m, error);
	if (!err)
		err = report_begin(&m->report, m->loop, error);
	if (err)
		return err;
	node_path(m->device.index, m->path);
	if (m->device.chunk)
		err = mount_managed(m, error);
	if (err)
		return err;
	reclaim_enter();
	/* A parked device may have swap on it; a new one has not before its path is told. */
	if (m->options->lock && m->options->recover)
		err = reclaim_lock(error);
	if (!err)
		err = mount_workers(m, error);
	if (err)
		return err;
	err = mount_first(m, error);
	if (err)
		return err;
	start = m->device;
	start.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION);
	err = device_request(m->control, R3MAP_CMD_DEVICE_START, &start, NULL, error);
	if (err)
		return error_prefix(error, "cannot start %s", m->path);
	m->started = true;
	mount_door(m);
	err = node_wait(m->path, error);
	if (!err && m->options->lock && !m->options->recover)
		err = reclaim_lock(error);
	if (!err && m->options->lock && m->device.chunk)
		store_unlock(&m->managed.store);
	return err;
}

/* What a seeder or a leecher has besides. *@uris: of a seeder, to be printed and freed; or NULL. */
static int mount_migrate(struct mount *m, const char *backend, char **uris, struct error *error)
{
	const struct leech_events events = { mount_finalized, mount_prepared, mount_whole, m };
	const struct mount_options *o = m->options;
	int err = 0;

	if (!o->leech && !o->seed)
		return 0;
	/* A leecher that seeds on has all of it in its store by then. */
	if (o->seed && m->device.chunk)
		err = o->leech ? store_backend(&m->managed.store, m->path, &m->here, error) :
				 source_backend(&m->managed, m->path, &m->here, error);
	if (!err && o->seed)
		err = seed_open(m->loop, o->seed, m->here ? m->here : m->backend, &m->device, m->before,
				m->path, mount_gone, m, &m->seed, error);
	if (!err && o->leech)
		err = leech_open(m->loop, o->leech, backend, &m->managed, m->before, m->path, m->seed,
				 &events, &m->leech, error);
	else if (!err)
		err = seed_begin(m->seed, error);
	if (!err && m->seed) {
		*uris = seed_uris(m->seed);
		if (!*uris)
			err = error_set(error, -ENOMEM, "out of memory");
	}
	return err;
}

static void mount_wait(struct mount *m)
{
	bool told = false;
	int err;

	while ((!m->removed || m->child_pid) && !m->error.code) {
		if (m->removed && !told)
			log_warn("%s was removed while the command runs: waiting for its end",
				 m->path);
		told = m->removed;
		err = loop_once(m->loop, UINT64_MAX);
		if (err)
			error_set(&m->error, err, "the event loop failed: %s", strerror(-err));
		for (uint32_t i = 0; i < m->workers_used && !m->removed; i++)
			if (atomic_load(&m->workers[i].failed) && !m->error.code)
				m->error = m->workers[i].error;
	}
}

/* The device is gone, or was never started. Ends without cleaning up if a backend hangs. */
static void mount_down(struct mount *m, int status, const struct error *error)
{
	bool stopped = true;

	door_close(m->door);
	report_end(&m->report);
	trackers_close(&m->trackers);
	leech_close(m->leech);
	stopped = seed_close(m->seed);
	for (uint32_t i = 0; stopped && i < m->workers_used; i++)
		stopped = worker_stop(&m->workers[i]);
	if (!stopped) {
		log_warn("not everything ends, giving it up");
		if (error->code)	/* nobody else will print it */
			fprintf(stderr, "r3map: %s\n", error->text);
		_exit(status);
	}
	if (m->here)
		backend_close(m->here);
	managed_exit(&m->managed);
	for (uint32_t i = 0; i < m->workers_used; i++)
		post_close(&m->workers[i].post);
	store_close(&m->managed.store);
	mapfile_close(&m->mapfile);
	control_close(m->managed.chunks.control);
	if (m->backend)
		backend_close(m->backend);
	report_close(&m->report);
	hooks_free(m->hooks);
	events_close(m->events);
	control_close(m->control);
	cue_close(&m->cue);
	loop_free(m->loop);
	if (m->signals.fd >= 0)
		close(m->signals.fd);
	free(m->workers);
}

int mount_serve(const struct mount_options *options, const char *backend, struct error *error)
{
	struct mount m = {
		.options = options,
		.signals.fd = -1,
		.cue = CUE_NOTHING,
		.managed = MANAGED_NOTHING,
		.report = REPORT_NOTHING,
		.mapfile = { .fd = -1, .store = -1 },
	};
	int pipe = -1, log = -1;
	char *uris = NULL;
	int err = 0;

	if (options->log) {
		log = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (log < 0)
			return error_set(error, -errno, "cannot open the log %s: %s", options->log,
					 strerror(errno));
	}
	if (options->daemon)
		err = notify_fork(&pipe, error);
	if (!err && options->via == MOUNT_VIA_NBD)
		return via_serve(options, backend, pipe, log, error);
	if (!err)
		err = mount_up(&m, backend, error);
	if (!err && m.device.chunk)
		managed_ready(&m.managed);
	if (!err)
		err = mount_migrate(&m, backend, &uris, error);
	if (!err)
		err = ready_tell(options, &(struct ready) { m.path, uris, pipe, log }, &m.child_pid,
				 &m.child.fd, error);
	free(uris);
	if (!err && m.cue.terminal.fd >= 0)
		log_info("type f and Enter to finalize %s, or 'r3map finalize %s'", m.path, m.path);
	if (!err && m.child_pid) {
		m.child.ready = mount_child;
		err = ready_watch(m.loop, &m.child, error);
	}
	if (!err) {
		mount_look(&m.look);
		hooks_begin(m.hooks, m.path, m.backend->name);
	}
	if (err) {
		/*
		 * A device that was never started ends with its control socket; one that was would
		 * be parked, so it is removed, unless it was there before. The socket goes first:
		 * the module must not send requests to queues that are being closed one by one.
		 */
		if (m.started && !options->recover)
			mount_delete(&m, true);
		control_close(m.control);
		m.control = NULL;
		mount_down(&m, 1, error);
		return err;
	}
	mount_wait(&m);
	hooks_end(m.hooks, m.forced || m.error.code);
	if (m.error.code) {
		/* No cleaning up: the end of the process is what parks the device, all at once. */
		log_error("%s; the helper of %s ends", m.error.text, m.path);
		_exit(1);
	}
	node_forget();
	mount_down(&m, m.status, error);
	return m.status;
}
