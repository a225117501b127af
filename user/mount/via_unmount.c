// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Syncs and the end of a mount by way of the kernel's NBD client. See via_state.h.
 *
 * The end of a mount with a pipeline has an order. Nobody has the device open any more, so all that
 * was written is in the pipeline. It is synced, which may take long; then it is locked and synced
 * again, which does not, and catches what came meanwhile. Only then the device goes. Whatever fails
 * on the way leaves everything as it was: the device is served on, and nothing is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LOG_PREFIX "mount: "
#include "lib/log.h"
#include "lib/notify.h"
#include "mount/holders.h"
#include "mount/via_state.h"
#include "nl/knbd.h"

#define MS			1000000ULL	/* ns */
#define RETRY_BUSY		(20 * MS)	/* ns: a prober of udev is gone by then */
#define RETRY_QUIET		(2000 * MS)	/* ns for which "busy" is not worth telling */
#define RETRY_SLOW		(1000 * MS)

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

void via_sync(struct via *v)
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

void via_disconnect(struct via *v)
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

	if (!v->connected || !holders_find(via_disk(v), holders, sizeof(holders)))
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

void via_unmount_begin(struct via *v)
{
	notify_systemd("STOPPING=1");
	v->told_busy = false;
	v->unmount_since = loop_now();
	if (v->phase == VIA_SERVING)
		v->phase = VIA_BUSY;
	via_unmount(v);
}

void via_force(struct via *v)
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

void via_unmount_prepare(struct via *v)
{
	v->entering.go = via_go;
	v->answer.run = via_answered;
	v->retry.fire = via_retry;
}
