/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r3map receive: keeps a folder as what a sender, or a hub, has.
 */
#ifndef R3MAP_SYNC_RECEIVE_H
#define R3MAP_SYNC_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "sync/address.h"
#include "sync/wire.h"

struct receive_options {
	struct opt_list listen;		/* addresses */
	const char *from;		/* of a hub, instead */
	struct opt_list devices;	/* NAME=PATH */
	bool once, keep, durable, json;
	uint32_t threads;		/* 0: one per CPU, up to 8 */
	uint32_t connections;		/* at a time */
	uint64_t memory;		/* bytes of tables */
	uint64_t window;		/* bytes of a connection that came and are not written */
	struct sync_security security;
	struct wire_limits limits;
};

/*
 * Until a signal; with @once until one sender has said goodbye, or the hub that all is there. Returns an exit
 * status, or a negative errno with a sentence.
 */
int receive_run(const struct receive_options *options, const char *folder, struct error *error);

#endif
