/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs of the user's that a mount runs when something happens to it (--hook).
 *
 * They run one at a time, in the order of what happened, each for a bounded time, and nothing of
 * the device waits for them, but a sync for before-sync. They belong to the main thread's loop;
 * what other threads tell comes there by a post.
 *
 * Syncs go in rounds: before-sync, all syncs that had been asked for, after-sync. What is asked for
 * meanwhile waits for the next round. So a program that freezes something before a sync and thaws
 * it after it is never called twice in a row for the same.
 */
#ifndef R3MAP_MOUNT_HOOKS_H
#define R3MAP_MOUNT_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct error;
struct hooks;
struct loop;
struct opt_list;

enum hook_event {
	HOOK_READY,
	HOOK_ALL_LOCAL,
	HOOK_BEFORE_SYNC,
	HOOK_AFTER_SYNC,
	HOOK_LOST,
	HOOK_RECOVERED,
	HOOK_EVENTS,
};

#define HOOK_REFUSED	(-EBUSY)	/* a sync that before-sync did not want; the module keeps this code */

/* Are all of @list EVENT=PROGRAM? 0 or -EINVAL with a sentence. */
int hooks_check(const struct opt_list *list, struct error *error);
/* Is there one of @list for @event? @list is checked. */
bool hooks_listed(const struct opt_list *list, enum hook_event event);

/*
 * @list, checked and borrowed, and empty: then *@hooks is NULL, which the other functions take and
 * do nothing for. @timeout: ms for each program. @child: as for program_start(). 0 or a negative
 * errno with a sentence.
 */
int hooks_new(struct loop *loop, const struct opt_list *list, uint32_t timeout, void (*child)(void),
	      struct hooks **hooks, struct error *error);
/*
 * What is to be told of the connections to the backend (reach_listen() of trouble.h), which is closed before
 * hooks_free(); NULL without hooks.
 */
struct backend_listener *hooks_listener(struct hooks *hooks);
/* The device answers: runs ready, and whatever has happened. Both are borrowed. */
void hooks_begin(struct hooks *hooks, const char *device, const char *backend);
/*
 * Nothing happens any more: waits until all programs have ended; with @force these are killed, and
 * what has not run never will. Syncs that wait are refused. The loop goes on meanwhile.
 */
void hooks_end(struct hooks *hooks, bool force);
void hooks_free(struct hooks *hooks);

/* From any thread: the whole region is local. Once. */
void hooks_all_local(struct hooks *hooks);

/* Somebody wants a sync; embedded. */
struct hook_sync {
	/*
	 * In the loop's thread. With an error, HOOK_REFUSED, it is not to be, and
	 * hooks_sync_leave() not called.
	 */
	void (*go)(struct hook_sync *sync, int error);
	struct hook_sync *next;		/* hooks.c's */
};

/* Is there a program for syncs at all? If not, nobody need enter. */
bool hooks_sync_wanted(const struct hooks *hooks);
/* From any thread. */
void hooks_sync_enter(struct hooks *hooks, struct hook_sync *sync);
/* From any thread: it is over; @error: 0 or a negative errno. */
void hooks_sync_leave(struct hooks *hooks, int error);

#endif
