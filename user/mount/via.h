/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r3map mount --via nbd: the life of a mount whose device is the kernel's NBD client.
 *
 * The client talks over socket pairs to the server of serve/, in this same process; behind that is
 * the backend, or with --managed the pipeline of chunk/. Threads: those of the server, one for each
 * connection, and the main thread, which does nothing that the others wait for, and no I/O of the
 * device: it sets up and takes down, waits for signals, the command of --run, and the door
 * (door.h).
 */
#ifndef R3MAP_MOUNT_VIA_H
#define R3MAP_MOUNT_VIA_H

struct error;
struct mount_options;

/*
 * As mount_serve(), in the process that stays. @pipe: of notify_fork(), or -1; @log: for
 * notify_ready().
 */
int via_serve(const struct mount_options *options, const char *backend, int pipe, int log,
	      struct error *error);

#endif
