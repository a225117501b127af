/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DEVICE_SYNC: everything that was written to a device is to be at its backend.
 */
#ifndef R3MAP_NL_SYNC_H
#define R3MAP_NL_SYNC_H

#include <stdint.h>

struct control;
struct device;
struct error;

/*
 * Asks for it; event SYNCED with *@number tells the end. Listen before you ask. Returns 0 or a
 * negative errno with a sentence.
 */
int device_sync_begin(struct control *control, const struct device *device, uint64_t *number,
		      struct error *error);

/*
 * Asks, and waits for the end of it until @deadline (ns, CLOCK_MONOTONIC). Returns 0; -ETIMEDOUT;
 * what the helper or the backend said; or another negative errno; with a sentence.
 */
int device_sync(struct control *control, const struct device *device, uint64_t deadline,
		struct error *error);

#endif
