/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Servers that dial their clients: nbd+listen. The client listens, and takes a connection of those that wait for it
 * whenever it would connect; the server, migrate/dial.c, keeps one waiting. Source:
 * Documentation/protocol/migrate.rst, "The other way round".
 */
#ifndef R3MAP_NBD_REVERSE_H
#define R3MAP_NBD_REVERSE_H

#include <stdint.h>

struct error;
struct nbd_uri;

#define NBD_REVERSE_WORD	"r3mapgo!"	/* 8 bytes, from who listens: this one is used from now on */
#define NBD_REVERSE_BYTES	8u

/*
 * A connection that was dialled to the address of @uri, which is listened on from the first call until the process ends.
 * Any thread; blocks as nbd_wait() does. 0, and *@fd, which does not block and is the caller's; or a negative errno with a
 * sentence.
 */
int nbd_reverse_take(const struct nbd_uri *uri, uint64_t deadline_ns, int *fd, struct error *error);
/* Waits, without an end, until there is one. For a program that does nothing else yet. */
int nbd_reverse_wait(const struct nbd_uri *uri, struct error *error);

#endif
