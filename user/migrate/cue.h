/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tells a leecher, beside its door, to finalize: SIGUSR1, or "f" and Enter on its terminal.
 */
#ifndef R3MAP_MIGRATE_CUE_H
#define R3MAP_MIGRATE_CUE_H

#include <stdbool.h>

#include "lib/loop.h"

struct error;

struct cue {
	struct loop_source signal, terminal;	/* each fd -1: there is none */
	struct loop *loop;
	void (*given)(void *data);	/* in the thread of the loop */
	void *data;
};

/* What is there before cue_open(). */
#define CUE_NOTHING	{ .signal.fd = -1, .terminal.fd = -1 }

/*
 * Waits for it, with @cue's given() and data set. Before there are threads, which inherit that SIGUSR1 is blocked.
 * @terminal: also on standard input, if that is one. 0 or a negative errno with a sentence.
 */
int cue_open(struct cue *cue, struct loop *loop, bool terminal, struct error *error);
void cue_close(struct cue *cue);

#endif
