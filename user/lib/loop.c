// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One thread's event loop: see loop.h.
 *
 * Events of one epoll_wait() are kept in the loop while they are delivered, so that a source that
 * is removed by an earlier callback is forgotten there as well: nothing of a removed source is
 * touched again. Timers are a binary heap of pointers that only grows, so cancelling and
 * re-arming never allocates.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

#define LOOP_EVENTS	64	/* taken by one epoll_wait() */
#define LOOP_TIMERS	64	/* room for timers at the start */

struct loop {
	int epoll;
	struct loop_source wake;	/* an eventfd, readable after loop_stop() */
	atomic_bool stopped;

	struct epoll_event events[LOOP_EVENTS];
	int events_got;			/* how many of them are being delivered */
	int events_at;			/* the one whose callback runs */

	struct loop_source **sources;	/* all that are added, for loop_busy() */
	unsigned int sources_used;
	unsigned int sources_room;

	struct loop_timer **timers;	/* a heap by deadline; timers[0] is the next */
	unsigned int timers_used;
	unsigned int timers_room;

	struct loop_task *tasks;	/* in order, by next */
	struct loop_task **tasks_tail;
};

uint64_t loop_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Makes room for one more pointer. Returns the array, moved perhaps, or NULL: out of memory. */
static void *array_reserve(void *array, unsigned int used, unsigned int *room)
{
	void *grown;

	if (used < *room)
		return array;
	grown = reallocarray(array, *room * 2, sizeof(void *));
	if (grown)
		*room *= 2;
	return grown;
}

static void wake_ready(struct loop_source *source, uint32_t events)
{
	uint64_t count;
	ssize_t got;

	(void)events;
	got = read(source->fd, &count, sizeof(count));
	(void)got;
}

int loop_new(struct loop **loop)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct loop *l;
	int error;

	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->tasks_tail = &l->tasks;
	l->timers_room = LOOP_TIMERS;
	l->timers = calloc(l->timers_room, sizeof(*l->timers));
	l->sources_room = LOOP_TIMERS;
	l->sources = calloc(l->sources_room, sizeof(*l->sources));
	error = -ENOMEM;
	if (!l->timers || !l->sources)
		goto free_loop;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		error = -errno;
		goto free_loop;
	}
	l->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake.fd < 0) {
		error = -errno;
		goto close_epoll;
	}
	l->wake.ready = wake_ready;
	event.data.ptr = &l->wake;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wake.fd, &event) < 0) {
		error = -errno;
		goto close_wake;
	}
	*loop = l;
	return 0;

close_wake:
	close(l->wake.fd);
close_epoll:
	close(l->epoll);
free_loop:
	free(l->sources);
	free(l->timers);
	free(l);
	return error;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	close(loop->wake.fd);
	close(loop->epoll);
	free(loop->sources);
	free(loop->timers);
	free(loop);
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (source->added && source->events == events)
		return 0;
	if (!source->added) {
		struct loop_source **sources = array_reserve(loop->sources, loop->sources_used,
							     &loop->sources_room);

		if (!sources)
			return -ENOMEM;
		loop->sources = sources;
	}
	if (epoll_ctl(loop->epoll, source->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
		      source->fd, &event) < 0)
		return -errno;
	if (!source->added)
		loop->sources[loop->sources_used++] = source;
	source->added = true;
	source->events = events;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	unsigned int i;
	int n;

	if (!source->added)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->added = false;
	source->events = 0;
	for (i = 0; loop->sources[i] != source; i++)
		;
	loop->sources[i] = loop->sources[--loop->sources_used];
	for (n = loop->events_at; n < loop->events_got; n++)
		if (loop->events[n].data.ptr == source)
			loop->events[n].data.ptr = NULL;
}

static void timer_place(struct loop *loop, struct loop_timer *timer, unsigned int slot)
{
	loop->timers[slot] = timer;
	timer->slot = slot;
}

static void timer_up(struct loop *loop, struct loop_timer *timer, unsigned int slot)
{
	while (slot) {
		unsigned int parent = (slot - 1) / 2;

		if (loop->timers[parent]->deadline <= timer->deadline)
			break;
		timer_place(loop, loop->timers[parent], slot);
		slot = parent;
	}
	timer_place(loop, timer, slot);
}

static void timer_down(struct loop *loop, struct loop_timer *timer, unsigned int slot)
{
	for (;;) {
		unsigned int child = 2 * slot + 1;

		if (child >= loop->timers_used)
			break;
		if (child + 1 < loop->timers_used &&
		    loop->timers[child + 1]->deadline < loop->timers[child]->deadline)
			child++;
		if (loop->timers[child]->deadline >= timer->deadline)
			break;
		timer_place(loop, loop->timers[child], slot);
		slot = child;
	}
	timer_place(loop, timer, slot);
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns)
{
	struct loop_timer **timers;

	loop_timer_cancel(loop, timer);
	timers = array_reserve(loop->timers, loop->timers_used, &loop->timers_room);
	if (!timers)
		return -ENOMEM;
	loop->timers = timers;
	timer->deadline = deadline_ns ? deadline_ns : 1;
	timer_up(loop, timer, loop->timers_used++);
	return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	unsigned int slot = timer->slot;
	struct loop_timer *last;

	if (!timer->deadline)
		return;
	timer->deadline = 0;
	last = loop->timers[--loop->timers_used];
	if (last == timer)
		return;
	if (slot && loop->timers[(slot - 1) / 2]->deadline > last->deadline)
		timer_up(loop, last, slot);
	else
		timer_down(loop, last, slot);
}

/* No more than were armed at first: a callback that re-arms in the past must not keep us. */
static void timers_fire(struct loop *loop)
{
	unsigned int most = loop->timers_used;
	uint64_t now;

	if (!most)
		return;
	now = loop_now();
	while (most-- && loop->timers_used && loop->timers[0]->deadline <= now) {
		struct loop_timer *timer = loop->timers[0];

		loop_timer_cancel(loop, timer);
		timer->fire(timer);
	}
}

void loop_task_queue(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	*loop->tasks_tail = task;
	loop->tasks_tail = &task->next;
}

void loop_task_cancel(struct loop *loop, struct loop_task *task)
{
	struct loop_task **at;

	if (!task->queued)
		return;
	for (at = &loop->tasks; *at != task; at = &(*at)->next)
		;
	*at = task->next;
	if (!*at)
		loop->tasks_tail = at;
	task->queued = false;
}

/* No more than were queued at first: a task that queues itself must not keep us. */
static void tasks_run(struct loop *loop)
{
	unsigned int most = 0;
	struct loop_task *task;

	for (task = loop->tasks; task; task = task->next)
		most++;
	while (most-- && loop->tasks) {
		task = loop->tasks;
		loop_task_cancel(loop, task);
		task->run(task);
	}
}

static int events_wait(struct loop *loop, uint64_t deadline_ns)
{
	struct timespec wait;
	uint64_t now, left;
	int got;

	if (loop->tasks)
		deadline_ns = 0;
	else if (loop->timers_used && loop->timers[0]->deadline < deadline_ns)
		deadline_ns = loop->timers[0]->deadline;
	if (deadline_ns == UINT64_MAX)
		return epoll_wait(loop->epoll, loop->events, LOOP_EVENTS, -1);
	now = deadline_ns ? loop_now() : 0;
	left = deadline_ns > now ? deadline_ns - now : 0;
	if (!left)
		return epoll_wait(loop->epoll, loop->events, LOOP_EVENTS, 0);
	wait.tv_sec = (time_t)(left / 1000000000);
	wait.tv_nsec = (long)(left % 1000000000);
	got = epoll_pwait2(loop->epoll, loop->events, LOOP_EVENTS, &wait, NULL);
	if (got >= 0 || errno != ENOSYS)
		return got;
	/* Before Linux 5.11. Rounded up, since a timer must not be early; a day will do. */
	left = (left + 999999) / 1000000;
	return epoll_wait(loop->epoll, loop->events, LOOP_EVENTS,
			  left < 86400000 ? (int)left : 86400000);
}

int loop_once(struct loop *loop, uint64_t deadline_ns)
{
	int got;

	got = events_wait(loop, deadline_ns);
	if (got < 0 && errno != EINTR)
		return -errno;
	loop->events_got = got < 0 ? 0 : got;
	for (loop->events_at = 0; loop->events_at < loop->events_got; loop->events_at++) {
		struct epoll_event *event = &loop->events[loop->events_at];
		struct loop_source *source = event->data.ptr;

		if (source)
			source->ready(source, event->events);
	}
	loop->events_got = 0;
	timers_fire(loop);
	tasks_run(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int error = 0;

	while (!error && !atomic_load(&loop->stopped))
		error = loop_once(loop, UINT64_MAX);
	atomic_store(&loop->stopped, false);
	return error;
}

void loop_stop(struct loop *loop)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t wrote;

	atomic_store(&loop->stopped, true);
	wrote = write(loop->wake.fd, &one, sizeof(one));
	(void)wrote;
	errno = saved;
}

bool loop_busy(const struct loop *loop, const struct loop_source *except)
{
	unsigned int i;

	if (loop->timers_used || loop->tasks)
		return true;
	for (i = 0; i < loop->sources_used; i++)
		if (loop->sources[i] != except && !loop->sources[i]->idle)
			return true;
	return false;
}
