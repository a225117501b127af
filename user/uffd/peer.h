/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One client of a handler: a connection, its memory, and a thread that does everything for it.
 * Peers share the backend and nothing else, so one that is slow, dead or malicious harms no other.
 */
#ifndef R3MAP_UFFD_PEER_H
#define R3MAP_UFFD_PEER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "uffd/fill.h"

struct backend;

/* What all peers of a handler share; constant. */
struct peer_context {
	struct backend *backend;
	struct fill_settings settings;
	struct uffd_hello hello;
};

struct uffd_peer;

/*
 * Takes over @socket, non-blocking, and starts the thread. @number: for messages. 0 or a negative
 * errno with a sentence; the socket is closed then.
 */
int uffd_peer_start(const struct peer_context *context, int socket, unsigned int number,
		    struct uffd_peer **peer, struct error *error);
/* Has it ended by itself? From any thread. */
bool uffd_peer_ended(const struct uffd_peer *peer);
/* Ends it if it has not, waits for its thread, and frees it. */
void uffd_peer_stop(struct uffd_peer *peer);

#endif
