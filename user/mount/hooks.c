// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that a mount runs. See hooks.h.
 *
 * Each event has one turn, which is queued at most once: so the queue needs no memory, and a
 * connection that comes and goes cannot fill it. What comes again while its turn is queued or
 * running is told by a later one: lost and recovered alternate, and the last of them is what is
 * true.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_PREFIX "hook: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/opt.h"
#include "lib/post.h"
#include "lib/program.h"
#include "mount/hooks.h"

#define MS	1000000ULL	/* ns */
#define OURS	4		/* variables */

extern char **environ;

static const char *const names[HOOK_EVENTS] = {
	[HOOK_READY] = "ready",
	[HOOK_ALL_LOCAL] = "all-local",
	[HOOK_BEFORE_SYNC] = "before-sync",
	[HOOK_AFTER_SYNC] = "after-sync",
	[HOOK_LOST] = "lost",
	[HOOK_RECOVERED] = "recovered",
};

struct turn {
	struct turn *next;
	bool queued;			/* or running */
	int code;			/* of what it tells of: 0 or a negative errno */
	int failed;			/* the first of its programs that did: HOOK_REFUSED */
};

struct hooks {
	struct loop *loop;
	const struct opt_list *list;
	uint32_t timeout;		/* ms */
	void (*child)(void);
	const char *device, *backend;	/* NULL: not yet ready */
	bool ended;

	struct turn turns[HOOK_EVENTS];
	struct turn *first, **last;	/* the first one is running, once there is a device */
	unsigned int at;		/* of the list: what its next program is */
	pid_t pid;			/* that runs, or 0 */
	const char *command;
	bool overdue;
	struct loop_source over;	/* its pidfd */
	struct loop_timer bound;

	/* Rounds of syncs. */
	bool round;			/* one is under way */
	struct hook_sync *waiting, **waiting_last;	/* for the next one */
	struct hook_sync *entering;	/* this one's, until before-sync is over */
	unsigned int inside;		/* syncs under way */
	int round_code;			/* the first error of them */

	bool lost_told;			/* lost was the last of the two that was queued */

	struct backend_listener listener;
	struct post post;
	struct post_job job;
	pthread_mutex_t lock;		/* guards what other threads tell: all that follows */
	bool posted;			/* the job is under way */
	bool local;
	unsigned int lost;		/* connections */
	struct hook_sync *entered, **entered_last;
	unsigned int left;		/* syncs */
	int left_code;
};

/* --- what the user has typed -------------------------------------------------------------- */

/* The event of @item, EVENT=PROGRAM, and its program. HOOK_EVENTS: it is none. */
static enum hook_event item_event(const char *item, const char **program)
{
	size_t length = strcspn(item, "=");
	unsigned int event;

	for (event = 0; event < HOOK_EVENTS; event++)
		if (strlen(names[event]) == length && !strncmp(names[event], item, length))
			break;
	if (!item[length] || !item[length + 1])
		return HOOK_EVENTS;
	*program = item + length + 1;
	return (enum hook_event)event;
}

int hooks_check(const struct opt_list *list, struct error *error)
{
	const char *program;

	for (unsigned int i = 0; i < list->count; i++)
		if (item_event(list->items[i], &program) == HOOK_EVENTS)
			return error_set(error, -EINVAL,
					 "--hook needs EVENT=PROGRAM, EVENT one of ready, all-local, before-sync, after-sync, lost, recovered, not '%s'",
					 list->items[i]);
	return 0;
}

bool hooks_listed(const struct opt_list *list, enum hook_event event)
{
	const char *program;

	for (unsigned int i = 0; i < list->count; i++)
		if (item_event(list->items[i], &program) == event)
			return true;
	return false;
}

/* --- programs ----------------------------------------------------------------------------- */

static void turn_step(struct hooks *hooks);

static enum hook_event turn_event(const struct hooks *hooks, const struct turn *turn)
{
	return (enum hook_event)(turn - hooks->turns);
}

static bool is_ours(const char *variable)
{
	static const char *const ours[OURS] = {
		"R3MAP_EVENT=", "R3MAP_DEVICE=", "R3MAP_BACKEND=", "R3MAP_ERROR=",
	};

	for (size_t i = 0; i < OURS; i++)
		if (!strncmp(variable, ours[i], strlen(ours[i])))
			return true;
	return false;
}

/* Ours and the process's variables; env[0] is to be freed, and it. NULL: out of memory. */
static char **turn_environment(const struct hooks *hooks, const struct turn *turn)
{
	const char *event = names[turn_event(hooks, turn)];
	const char *why = turn->code ? strerror(-turn->code) : "";
	size_t count = 0, used = OURS;
	char **env, *text;
	int length;

	while (environ[count])
		count++;
	env = calloc(count + OURS + 1, sizeof(*env));
	if (!env)
		return NULL;
	length = asprintf(&text, "R3MAP_EVENT=%s%cR3MAP_DEVICE=%s%cR3MAP_BACKEND=%s%cR3MAP_ERROR=%s",
			  event, '\0', hooks->device, '\0', hooks->backend, '\0', why);
	if (length < 0) {
		free(env);
		return NULL;
	}
	for (size_t i = 0; i < OURS; i++) {
		env[i] = text;
		text += strlen(text) + 1;
	}
	for (size_t i = 0; i < count; i++)
		if (!is_ours(environ[i]))
			env[used++] = environ[i];
	return env;
}

static int program_run(struct hooks *hooks, const struct turn *turn, const char *command)
{
	struct error error = { 0 };
	char **env = turn_environment(hooks, turn);
	int err;

	if (!env)
		return log_error("out of memory for '%s'", command), -ENOMEM;
	err = program_start(command, env, hooks->child, &hooks->pid, &hooks->over.fd, &error);
	free(env[0]);
	free(env);
	if (err) {
		log_error("%s", error.text);
		hooks->pid = 0;
		return err;
	}
	hooks->command = command;
	hooks->overdue = false;
	err = loop_add(hooks->loop, &hooks->over, EPOLLIN);
	if (!err)
		err = loop_timer_set(hooks->loop, &hooks->bound, loop_now() + hooks->timeout * MS);
	if (!err)
		return 0;
	log_error("cannot watch '%s': %s", command, strerror(-err));
	kill(-hooks->pid, SIGKILL);
	waitpid(hooks->pid, NULL, 0);
	loop_remove(hooks->loop, &hooks->over);
	close(hooks->over.fd);
	hooks->pid = 0;
	return err;
}

static void program_overdue(struct loop_timer *timer)
{
	struct hooks *hooks = (struct hooks *)((char *)timer - offsetof(struct hooks, bound));

	hooks->overdue = true;
	kill(-hooks->pid, SIGKILL);
}

static void program_over(struct loop_source *source, uint32_t events)
{
	struct hooks *hooks = (struct hooks *)((char *)source - offsetof(struct hooks, over));
	const char *event = names[turn_event(hooks, hooks->first)];
	int status = 0;

	(void)events;
	while (waitpid(hooks->pid, &status, 0) < 0 && errno == EINTR)
		;
	hooks->pid = 0;
	loop_timer_cancel(hooks->loop, &hooks->bound);
	loop_remove(hooks->loop, source);
	close(source->fd);
	if (hooks->overdue && !hooks->ended)
		log_warn("%s: '%s' was killed after %u ms", event, hooks->command, hooks->timeout);
	else if (WIFSIGNALED(status))
		log_warn("%s: '%s' was ended by signal %d", event, hooks->command, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		log_warn("%s: '%s' has ended with status %d", event, hooks->command,
			 WEXITSTATUS(status));
	if (status)
		hooks->first->failed = HOOK_REFUSED;
	turn_step(hooks);
}

/* --- turns -------------------------------------------------------------------------------- */

static void turn_queue(struct hooks *hooks, enum hook_event event, int code)
{
	struct turn *turn = &hooks->turns[event];

	turn->queued = true;
	turn->code = code;
	turn->failed = 0;
	turn->next = NULL;
	*hooks->last = turn;
	hooks->last = &turn->next;
	if (hooks->first == turn && hooks->device)
		turn_step(hooks);
}

/* Those of @sync go on, or not. */
static unsigned int syncs_go(struct hook_sync *sync, int code)
{
	struct hook_sync *next;
	unsigned int count = 0;

	for (; sync; sync = next, count++) {
		next = sync->next;
		sync->go(sync, code);
	}
	return count;
}

static void round_begin(struct hooks *hooks)
{
	if (hooks->round || !hooks->waiting)
		return;
	hooks->round = true;
	hooks->round_code = 0;
	hooks->entering = hooks->waiting;
	hooks->waiting = NULL;
	hooks->waiting_last = &hooks->waiting;
	turn_queue(hooks, HOOK_BEFORE_SYNC, 0);
}

/* before-sync is over. Whatever it has begun, after-sync ends it: also if it failed. */
static void round_go(struct hooks *hooks, int code)
{
	struct hook_sync *entering = hooks->entering;
	unsigned int count;

	hooks->entering = NULL;
	count = syncs_go(entering, code);
	if (code)
		turn_queue(hooks, HOOK_AFTER_SYNC, code);
	else
		hooks->inside = count;
}

/* Tells what has become true since, of lost and recovered, once what was told before is over. */
static void reach_tell(struct hooks *hooks)
{
	bool lost;

	if (hooks->turns[HOOK_LOST].queued || hooks->turns[HOOK_RECOVERED].queued)
		return;
	pthread_mutex_lock(&hooks->lock);
	lost = hooks->lost;
	pthread_mutex_unlock(&hooks->lock);
	if (lost == hooks->lost_told)
		return;
	hooks->lost_told = lost;
	turn_queue(hooks, lost ? HOOK_LOST : HOOK_RECOVERED, 0);
}

static void turn_over(struct hooks *hooks)
{
	struct turn *turn = hooks->first;

	hooks->first = turn->next;
	if (!hooks->first)
		hooks->last = &hooks->first;
	turn->queued = false;
	hooks->at = 0;
	switch (turn_event(hooks, turn)) {
	case HOOK_BEFORE_SYNC:
		round_go(hooks, hooks->ended ? HOOK_REFUSED : turn->failed);
		break;
	case HOOK_AFTER_SYNC:
		hooks->round = false;
		round_begin(hooks);
		break;
	case HOOK_LOST:
	case HOOK_RECOVERED:
		reach_tell(hooks);
		break;
	default:
		break;
	}
}

/* The next program of the first turn, or of the next one. */
static void turn_step(struct hooks *hooks)
{
	while (!hooks->pid && hooks->first) {
		struct turn *turn = hooks->first;
		const char *program;
		bool mine;

		/* One that refuses the sync need not be followed by others. */
		if (hooks->at == hooks->list->count || hooks->ended ||
		    (turn->failed && turn_event(hooks, turn) == HOOK_BEFORE_SYNC)) {
			turn_over(hooks);
			continue;
		}
		mine = item_event(hooks->list->items[hooks->at++], &program) ==
		       turn_event(hooks, turn);
		if (mine && program_run(hooks, turn, program))
			turn->failed = HOOK_REFUSED;
	}
}

/* --- what other threads tell -------------------------------------------------------------- */

/* With the lock held. */
static void news_post(struct hooks *hooks)
{
	if (!hooks->posted)
		post_send(&hooks->post, &hooks->job);
	hooks->posted = true;
}

static void news_take(struct post_job *job)
{
	struct hooks *hooks = (struct hooks *)((char *)job - offsetof(struct hooks, job));
	struct hook_sync *entered;
	unsigned int left;
	bool local;
	int code;

	pthread_mutex_lock(&hooks->lock);
	hooks->posted = false;
	local = hooks->local;
	hooks->local = false;
	entered = hooks->entered;
	if (entered) {
		*hooks->waiting_last = entered;
		hooks->waiting_last = hooks->entered_last;
		hooks->entered = NULL;
		hooks->entered_last = &hooks->entered;
	}
	left = hooks->left;
	code = hooks->left_code;
	hooks->left = 0;
	hooks->left_code = 0;
	pthread_mutex_unlock(&hooks->lock);

	if (local)
		turn_queue(hooks, HOOK_ALL_LOCAL, 0);
	reach_tell(hooks);
	if (!hooks->round_code)
		hooks->round_code = code;
	hooks->inside -= left;
	if (left && !hooks->inside)
		turn_queue(hooks, HOOK_AFTER_SYNC, hooks->round_code);
	round_begin(hooks);
}

void hooks_all_local(struct hooks *hooks)
{
	if (!hooks)
		return;
	pthread_mutex_lock(&hooks->lock);
	hooks->local = true;
	news_post(hooks);
	pthread_mutex_unlock(&hooks->lock);
}

static void reach_news(struct backend_listener *listener, bool lost)
{
	struct hooks *hooks = (struct hooks *)((char *)listener - offsetof(struct hooks, listener));

	pthread_mutex_lock(&hooks->lock);
	hooks->lost += lost ? 1 : -1U;
	news_post(hooks);
	pthread_mutex_unlock(&hooks->lock);
}

bool hooks_sync_wanted(const struct hooks *hooks)
{
	return hooks && (hooks_listed(hooks->list, HOOK_BEFORE_SYNC) ||
			 hooks_listed(hooks->list, HOOK_AFTER_SYNC));
}

void hooks_sync_enter(struct hooks *hooks, struct hook_sync *sync)
{
	sync->next = NULL;
	pthread_mutex_lock(&hooks->lock);
	*hooks->entered_last = sync;
	hooks->entered_last = &sync->next;
	news_post(hooks);
	pthread_mutex_unlock(&hooks->lock);
}

void hooks_sync_leave(struct hooks *hooks, int error)
{
	pthread_mutex_lock(&hooks->lock);
	hooks->left++;
	if (!hooks->left_code)
		hooks->left_code = error;
	news_post(hooks);
	pthread_mutex_unlock(&hooks->lock);
}

/* --- its life ----------------------------------------------------------------------------- */

int hooks_new(struct loop *loop, const struct opt_list *list, uint32_t timeout, void (*child)(void),
	      struct hooks **out, struct error *error)
{
	struct hooks *hooks;
	int err;

	if (!list->count)
		return 0;
	hooks = calloc(1, sizeof(*hooks));
	if (!hooks)
		return error_set(error, -ENOMEM, "out of memory");
	err = post_open(&hooks->post);
	if (!err) {
		err = post_attach(&hooks->post, loop);
		if (err)
			post_close(&hooks->post);
	}
	if (err) {
		free(hooks);
		return error_set(error, err, "cannot wait for hooks: %s", strerror(-err));
	}
	hooks->loop = loop;
	hooks->list = list;
	hooks->timeout = timeout;
	hooks->child = child;
	hooks->last = &hooks->first;
	hooks->waiting_last = &hooks->waiting;
	hooks->entered_last = &hooks->entered;
	hooks->over.ready = program_over;
	hooks->bound.fire = program_overdue;
	hooks->listener.told = reach_news;
	hooks->job.run = news_take;
	pthread_mutex_init(&hooks->lock, NULL);
	*out = hooks;
	return 0;
}

struct backend_listener *hooks_listener(struct hooks *hooks)
{
	return hooks ? &hooks->listener : NULL;
}

void hooks_begin(struct hooks *hooks, const char *device, const char *backend)
{
	struct turn *before;

	if (!hooks)
		return;
	/* Before whatever has happened on the way up. */
	before = hooks->first;
	hooks->first = NULL;
	hooks->last = &hooks->first;
	turn_queue(hooks, HOOK_READY, 0);
	hooks->first->next = before;
	for (; before; before = before->next)
		hooks->last = &before->next;
	hooks->device = device;
	hooks->backend = backend;
	turn_step(hooks);
}

void hooks_end(struct hooks *hooks, bool force)
{
	if (!hooks)
		return;
	if (force) {
		hooks->ended = true;
		if (hooks->pid)
			kill(-hooks->pid, SIGKILL);
	}
	if (!hooks->device)		/* nothing has begun */
		return;
	/* The first round takes what other threads have told. */
	do {
		if (loop_once(hooks->loop, hooks->first ? UINT64_MAX : 0))
			break;
	} while (hooks->first);
}

void hooks_free(struct hooks *hooks)
{
	if (!hooks)
		return;
	if (hooks->pid) {		/* its end was not waited for */
		kill(-hooks->pid, SIGKILL);
		waitpid(hooks->pid, NULL, 0);
		loop_remove(hooks->loop, &hooks->over);
		close(hooks->over.fd);
	}
	loop_timer_cancel(hooks->loop, &hooks->bound);
	post_detach(&hooks->post);
	post_close(&hooks->post);
	pthread_mutex_destroy(&hooks->lock);
	free(hooks);
}
