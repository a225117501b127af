/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metadata contexts of a seeder's export, for whoever looks at it by NBD: what was written, and no leecher was told
 * yet, and what is here. Source: Documentation/protocol/migrate.rst, "Metadata contexts".
 */
#ifndef R3MAP_MIGRATE_CONTEXT_H
#define R3MAP_MIGRATE_CONTEXT_H

#include "migrate/dirty.h"

struct control;
struct error;
struct exports;
struct sessions;

/* Of one seeder. */
struct contexts {
	struct sessions *sessions;	/* whose lock guards the rest */
	uint32_t chunk;			/* bytes, of a managed device; 0: a direct one; constant */
	struct control *control;
	struct dirty seen;		/* what was dirty when somebody last asked; made for the first session */
};

/*
 * Adds them to the export that was added last. @chunk: bytes of a chunk of a managed device, or 0. 0 or a negative
 * errno with a sentence.
 */
int contexts_open(struct contexts *contexts, struct sessions *sessions, uint32_t chunk,
		  struct exports *exports, struct error *error);
/* The server has ended. */
void contexts_close(struct contexts *contexts);

#endif
