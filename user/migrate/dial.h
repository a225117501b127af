/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A seeder that dials a leecher which listens: a thread keeps a connection waiting there, and once that is used hands it
 * to the server, as if it had been accepted, and makes the next one.
 */
#ifndef R3MAP_MIGRATE_DIAL_H
#define R3MAP_MIGRATE_DIAL_H

struct dial;
struct error;
struct server;

/*
 * @server: started, outlives it. @address: HOST[:PORT]. 0 or a negative errno with a sentence; that nobody listens
 * there yet is none.
 */
int dial_start(struct server *server, const char *address, struct dial **dial, struct error *error);
/* Waits for the thread's end, which may take as long as the resolver; @dial may be NULL. */
void dial_stop(struct dial *dial);

#endif
