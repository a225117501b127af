/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r3map send: brings files and devices to a receiver, once, or again and again.
 */
#ifndef R3MAP_SYNC_SEND_H
#define R3MAP_SYNC_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "sync/address.h"
#include "sync/wire.h"

/* How it is found, from the second round on, what has changed of a device. */
enum send_detect {
	SEND_HASH,			/* by hashing all of it */
	SEND_EPOCH,			/* by the module, which knows what was written: only that is hashed */
	SEND_AUTO,			/* by the module where it can, else by hashing */
};

struct send_options {
	const char *to;
	uint32_t interval;		/* ms, 0: once */
	int hash;			/* index of sync_hash_words, -1: whatever both have */
	uint32_t chunk;			/* bytes */
	int detect;			/* enum send_detect */
	uint32_t threads;		/* 0: one per CPU, up to 8 */
	bool progress, json;
	struct sync_security security;
	struct wire_limits limits;
};

/*
 * Returns an exit status, or a negative errno with a sentence: it could not be done, or not all of it. With an
 * interval it goes on until a signal, and connects anew when the connection is lost.
 */
int send_run(const struct send_options *options, char *const *paths, int count,
	     struct error *error);

#endif
