/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lockable: a gate. While it is locked, requests wait before it, and nothing is under way behind
 * it. See stage.h.
 */
#ifndef R3MAP_CHUNK_LOCKABLE_H
#define R3MAP_CHUNK_LOCKABLE_H

struct backend;
struct error;

int lockable_new(struct backend *inner, struct backend **stage, struct error *error);
/*
 * Locks @stage, which is not locked, and has a channel. @locked(@data) when nothing is under way
 * any more, perhaps within this call; never if it is unlocked before.
 */
void lockable_lock(struct backend *stage, void (*locked)(void *data), void *data);
/* Lets through what has waited. Of one that is not locked: no effect. */
void lockable_unlock(struct backend *stage);

#endif
