/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events: what happened to a device, told to whoever listens.
 */
#ifndef R3MAP_EVENT_H
#define R3MAP_EVENT_H

#include <linux/r3map.h>

struct r3map_device;

/*
 * Sends @event with the present facts to the group "events" of all network namespaces. Nobody is
 * waited for, and a listener that missed it finds the same facts in a dump. Context: dev->lock is
 * held; the path of memory reclaim.
 */
void r3map_event_send(struct r3map_device *dev, enum r3map_event event);
/* The same for SYNCED: DEVICE_SYNC number @sync has ended with @error, an errno or 0. */
void r3map_event_send_synced(struct r3map_device *dev, u64 sync, u32 error);
/* The same for FINALIZED: it has ended with @error, an errno or 0. */
void r3map_event_send_finalized(struct r3map_device *dev, u32 error);

#endif
