/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r3map hub: one upload, many receivers. It is a receiver of its sender, with a folder, and a sender of
 * what is in that for each of its receivers.
 *
 * What comes is applied in the folder, and marked for every receiver in a map of a bit for each chunk;
 * each takes from the folder what it is marked, as fast as it can. So a slow one costs its map, and holds up nobody; what
 * is written over before it came to that is sent once.
 */
#ifndef R3MAP_SYNC_HUB_H
#define R3MAP_SYNC_HUB_H

#include <stdbool.h>
#include <stdint.h>

#include "sync/address.h"
#include "sync/wire.h"

struct hub_options {
	struct opt_list listen;		/* for senders */
	struct opt_list offer;		/* for receivers */
	struct opt_list senders;	/* who may send: subjects, or identities of keys; none: all */
	int hash;			/* index of sync_hash_words */
	uint32_t chunk;			/* bytes */
	bool keep, durable, json;
	uint32_t threads;		/* 0: one per CPU, up to 8 */
	uint32_t connections;		/* senders, and receivers, at a time */
	uint64_t memory;		/* bytes of tables */
	uint64_t window;		/* bytes of a sender that came and are not written */
	struct sync_security security;
	struct wire_limits limits;
};

/* Until a signal. Returns an exit status, or a negative errno with a sentence. */
int hub_run(const struct hub_options *options, const char *folder, struct error *error);

#endif
