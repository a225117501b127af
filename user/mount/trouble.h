/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong with a device now, and since when: for r3map show, which a helper answers with what it has
 * noted here, and for who is told of it (report.h). Everything may be called from any thread, and waits
 * for nothing.
 */
#ifndef R3MAP_MOUNT_TROUBLE_H
#define R3MAP_MOUNT_TROUBLE_H

#include <stdatomic.h>
#include <stdint.h>

#include "backend/backend.h"

/* Who hears of what begins, changes and ends; embedded. */
struct trouble_listener {
	void (*changed)(struct trouble_listener *listener);	/* from any thread; waits for nothing */
};

/* Of one kind. Zeroed: there is none. */
struct trouble {
	struct trouble_listener *listener;	/* constant once others know of this; or NULL */
	_Atomic uint64_t since;		/* ns, CLOCK_MONOTONIC; 0: nothing is wrong */
	_Atomic int code;		/* a negative errno: what was noted last */
};

/* @code: a negative errno. It goes on for as long as nobody says that it is over. */
void trouble_note(struct trouble *trouble, int code);
void trouble_over(struct trouble *trouble);

/* The connections to a backend: trouble, as long as one of them is lost. Zeroed: nobody listens. */
struct reach {
	struct backend_listener listener;
	struct backend_listener *next;	/* hears of it, too, or NULL */
	_Atomic uint32_t lost;		/* connections */
	struct trouble trouble;
};

/* Listens to @backend, before it has channels; @reach is there until it is closed. @next: borrowed, or NULL. */
void reach_listen(struct reach *reach, struct backend *backend, struct backend_listener *next);

#endif
