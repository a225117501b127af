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
#include <unistd.h>

#define LOG_PREFIX "mount: "
#include "lib/log.h"
#include "lib/notify.h"
#include "lib/run.h"
#include "lib/signals.h"
#include "mount/mount_state.h"
#include "mount/parameters.h"
#include "mount/ready.h"
#include "mount/reclaim.h"
#include "mount/via.h"

#define MS			1000000ULL	/* ns */
#define FIRST_LOOK		5		/* ms between looks at what was pulled */
#define LOOK			(1000 * MS)	/* ns between lines of --progress */
#define REPAIR_AGAIN		(1000 * MS)

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
		loop_timer_set(m->loop, &m->repair, loop_now() + REPAIR_AGAIN);
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
