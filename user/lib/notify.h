/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is told that this process is ready: the parent that waits (--daemon) and systemd.
 */
#ifndef R3MAP_NOTIFY_H
#define R3MAP_NOTIFY_H

struct error;

/* Sends @state ("READY=1") to $NOTIFY_SOCKET, if that is set. */
void notify_systemd(const char *state);

/*
 * Forks. In the child, returns 0: it has a session of its own, and *@pipe is where it reports. In
 * the parent, does not return: prints what the child reports and exits with its status.
 */
int notify_fork(int *pipe, struct error *error);
/*
 * The child is ready: the parent prints @line, or lines, and exits 0. The standard streams are let
 * go; stderr becomes @log, a descriptor, or nothing if that is -1. 0, or -EPIPE: the parent is gone.
 */
int notify_ready(int pipe, const char *line, int log);

#endif
