/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix sockets by path.
 */
#ifndef R3MAP_UNIX_H
#define R3MAP_UNIX_H

struct error;

/*
 * A socket that listens on @path, SOCK_STREAM or SOCK_SEQPACKET, close-on-exec and non-blocking; a
 * socket file that nobody serves any more is replaced. Returns it, or a negative errno with a
 * sentence.
 */
int unix_listen(const char *path, int type, int backlog, struct error *error);
/* The same of one that does not listen yet: who connects is refused. */
int unix_bind(const char *path, int type, struct error *error);
/* One that is connected to who listens there. As above. */
int unix_connect(const char *path, int type, struct error *error);

#endif
