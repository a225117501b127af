/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r3map uffd serve: a handler. It fills memory of other processes, which connect to its socket.
 *
 * Threads: the main one accepts, waits for signals and takes away clients that have ended; each
 * client has one of its own (peer.h).
 */
#ifndef R3MAP_UFFD_SERVE_H
#define R3MAP_UFFD_SERVE_H

#include <stdbool.h>
#include <stdint.h>

struct error;

struct uffd_serve_options {
	const char *socket;		/* its path */
	const char *improve;		/* as for improve_parse() */
	const char *order;		/* as for order_open(), but "-" */
	uint32_t around;		/* bytes that a fault brings with IMPROVE_AROUND */
	uint32_t in_flight;
	uint32_t timeout;		/* ms that the backend may take */
	bool daemon;
	const char *log;		/* or NULL */
};

/* Serves @backend until a signal. 0, or a negative errno with a sentence. */
int uffd_serve(const struct uffd_serve_options *options, const char *backend, struct error *error);

#endif
