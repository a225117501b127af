/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The module's multicast events. A listener that is too slow loses some: that is told, and one
 * dump (device_list()) repairs it, since a dump has the same facts.
 */
#ifndef R3MAP_NL_EVENTS_H
#define R3MAP_NL_EVENTS_H

struct control;
struct device;
struct error;
struct events;

/* Listens from now on. @control is used during the call only. 0 or a negative errno. */
int events_open(struct control *control, struct events **events, struct error *error);
void events_close(struct events *events);

/* Becomes readable when there is an event. Non-blocking. */
int events_fd(const struct events *events);

/*
 * Calls @each for every event there is. Returns 0; -ENOBUFS if some were lost (those that were
 * left have been delivered): look at a dump; or another negative errno.
 */
int events_read(struct events *events, void (*each)(const struct device *device, void *data),
		void *data);

#endif
