/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Background: the puller and the pusher, as long as there is a channel. See stage.h.
 *
 * They are the ones that serve devices of the module (mount/pull.c, mount/push.c); what they ask
 * the module for there, claims and dirty chunks, the stages behind answer here. A FLUSH is the
 * pusher's business, if it is to mean that what was written is at the backend.
 */
#ifndef R3MAP_CHUNK_BACKGROUND_H
#define R3MAP_CHUNK_BACKGROUND_H

#include <stdbool.h>

struct backend;
struct error;
struct managed;

/*
 * @inner: a synced stage. @managed: borrowed; all is filled in but what the first queue's thread
 * has. @remote_flush: a FLUSH is answered by the pusher; if not, it is passed on.
 */
int background_new(struct backend *inner, struct managed *managed, bool remote_flush,
		   struct backend **stage, struct error *error);

#endif
