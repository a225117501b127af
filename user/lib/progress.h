/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far long work has come, for people: a bar, a rate and how long it will take. On a terminal
 * one line that changes; elsewhere a line each time.
 *
 *	45% [#########           ] 115M of 256M, 31M/s, 5 s left
 */
#ifndef R3MAP_LIB_PROGRESS_H
#define R3MAP_LIB_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRESS_TEXT	160		/* bytes that are enough for progress_format() */

struct progress {
	FILE *to;
	bool terminal;
	bool begun;
	uint64_t done;			/* bytes, when it was looked at last */
	uint64_t looked;		/* ns, CLOCK_MONOTONIC */
	double rate;			/* bytes a second, of late */
};

/* @rate: bytes a second, 0: unknown. Returns @text. */
char *progress_format(uint64_t done, uint64_t total, uint64_t rate, char text[PROGRESS_TEXT]);

void progress_init(struct progress *progress, FILE *to);
/* @now: ns, CLOCK_MONOTONIC; @more: text for the end of the line. */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t now,
		   const char *more);
/* The line stays as it is. */
void progress_end(struct progress *progress);

#endif
