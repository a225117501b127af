/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One thread's event loop: epoll, timers, and tasks that end a round; nothing else.
 *
 * A loop belongs to one thread; no function may be called from another one except loop_stop().
 * Callbacks run one at a time and may add, change and remove any source, their own included.
 */
#ifndef R3MAP_LOOP_H
#define R3MAP_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;

/* Embedded by its user, who owns it; zero-initialise, then fill in fd and ready. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source, uint32_t events);	/* EPOLLIN, EPOLLOUT ... */
	bool idle;		/* the owner's: nothing is expected from it now, see loop_busy() */
	uint32_t events;	/* the loop's: what is waited for */
	bool added;		/* the loop's */
};

/* A one-shot timer, embedded by its user. */
struct loop_timer {
	void (*fire)(struct loop_timer *timer);
	uint64_t deadline;	/* the loop's: CLOCK_MONOTONIC nanoseconds, 0: not armed */
	unsigned int slot;	/* the loop's */
};

/* Work for the end of the current round, embedded by its user. */
struct loop_task {
	void (*run)(struct loop_task *task);
	struct loop_task *next;	/* the loop's */
	bool queued;		/* the loop's */
};

/* 0 or a negative errno. */
int loop_new(struct loop **loop);
/* No source is added and no timer armed any more; the sources' descriptors are their owners'. */
void loop_free(struct loop *loop);

/* Waits for @events on source->fd, or changes what is waited for. 0 or a negative errno. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);

/* Arms or re-arms. 0 or -ENOMEM. */
int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/*
 * Runs @task once, after all callbacks of this loop_once(), whose waiting it ends if it is called
 * outside of one: for what is cheaper done once for many events, as sending is. Queued already: no
 * effect. A task may queue itself or others; those run in the next round.
 */
void loop_task_queue(struct loop *loop, struct loop_task *task);
void loop_task_cancel(struct loop *loop, struct loop_task *task);

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t loop_now(void);

/*
 * Waits once, at most until @deadline_ns (UINT64_MAX: no limit), and runs what is ready.
 * Returns 0 or a negative errno.
 */
int loop_once(struct loop *loop, uint64_t deadline_ns);
/* Runs loop_once() until loop_stop(). */
int loop_run(struct loop *loop);
/* May be called from any thread and from a signal handler. */
void loop_stop(struct loop *loop);
/*
 * True if anything but @except (may be NULL) can make progress: an added source that is not idle,
 * a timer or a task. If not, the caller may block on @except's descriptor alone and save the loop's wait.
 * An idle source may still get bad news (its peer closed): that may be noticed late.
 */
bool loop_busy(const struct loop *loop, const struct loop_source *except);

#endif
