/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server offers: backends by name. Made before the first connection, constant afterwards
 * but for the counters, so threads read it without a lock.
 */
#ifndef R3MAP_SERVE_EXPORT_H
#define R3MAP_SERVE_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "nbd/request.h"
#include "serve/limits.h"

struct error;

#define SERVE_HOME_ANY	UINT32_MAX

#define EXPORT_CONTEXTS	4u		/* of an export, with base:allocation */

/* A metadata context besides base:allocation. */
struct export_context {
	const char *name;		/* "r3map:dirty"; prefix and name are without wildcards */
	/*
	 * What there is at @offset, as extents with the flags that the client is told, up to *@extents' room or
	 * @length, at least one. To be quick. Any thread of the server. 0 or a negative errno.
	 */
	int (*look)(void *data, uint64_t offset, uint32_t length, struct backend_extents *extents);
	void *data;
};

struct export {
	const char *name;		/* owned; "" for the unnamed one */
	const char *description;	/* borrowed, or NULL */
	struct backend *backend;
	bool borrowed;			/* the backend is */
	unsigned int index;
	bool read_only;
	uint32_t payload_max;		/* bytes of a READ or WRITE, a multiple of block_min */
	/*
	 * The one thread whose connections may use it, if the backend bears only one channel:
	 * others hand theirs over. Else SERVE_HOME_ANY.
	 */
	uint32_t home;
	struct export_context contexts[EXPORT_CONTEXTS - 1];
	unsigned int context_count;
	_Atomic uint32_t connections;
	_Atomic uint64_t sent;		/* bytes of answers, before TLS */
};

struct exports {
	struct export *list;
	unsigned int count;
	struct export *by_default;	/* what the name "" means; NULL: nothing */
};

/*
 * Opens @spec, "NAME=BACKEND" or "BACKEND" (the export without a name), and adds it, within
 * @limits of name and payload. Returns 0 or a negative errno with a sentence.
 */
int exports_add(struct exports *exports, const char *spec, const struct serve_limits *limits,
		bool read_only, struct error *error);
/*
 * The same of one that is open, without a name. It becomes the exports' own if this succeeds, unless
 * it is @borrowed.
 */
int exports_add_open(struct exports *exports, struct backend *backend, bool borrowed,
		     const struct serve_limits *limits, bool read_only, struct error *error);
/*
 * After the last exports_add(): "" means @name, or the export without a name, or the only one.
 * @threads: how many threads there will be. Returns 0 or -ENOENT with a sentence.
 */
int exports_settle(struct exports *exports, const char *name, unsigned int threads,
		   struct error *error);
/* "NAME=TEXT", borrowed. 0 or a negative errno with a sentence. */
int exports_describe(struct exports *exports, const char *spec, struct error *error);
/* The export that clients call @name; NULL: there is none. */
struct export *exports_find(const struct exports *exports, const char *name);
/* A further context of the export that was added last, before exports_settle(). Borrows the name. */
void exports_add_context(struct exports *exports, const struct export_context *context);
/* What is called @number in the protocol, from 0, which is base:allocation; NULL: there is none. */
const char *export_context_name(const struct export *export, unsigned int number);
/* Closes all backends; nobody uses them any more. */
void exports_free(struct exports *exports);

/* NBD_FLAG_* that a connection with @headers is told. */
uint16_t export_flags(const struct export *export, enum nbd_headers headers);

#endif
