/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes it safe that memory reclaim waits for this process: writing back a dirty page of the
 * device must never need memory that only writing it back could free.
 */
#ifndef R3MAP_MOUNT_RECLAIM_H
#define R3MAP_MOUNT_RECLAIM_H

struct error;

/*
 * Tells the kernel that this process (threads started later inherit it) is part of the I/O path,
 * and keeps the OOM killer away, as far as the kernel lets us.
 */
void reclaim_enter(void);
/*
 * Locks the memory that is there and all that will be touched. Returns 0, or a negative errno
 * with a sentence. Before anybody may swap to the device.
 */
int reclaim_lock(struct error *error);
/* For a child before exec(): undoes what it would inherit. Async-signal-safe. */
void reclaim_unprotect(void);

#endif
