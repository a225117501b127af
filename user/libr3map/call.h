/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running r3map and hearing what comes of it.
 */
#ifndef LIBR3MAP_CALL_H
#define LIBR3MAP_CALL_H

#define CALL_WORDS	80	/* of an argument list with its NULL */
#define CALL_TEXT	4096	/* bytes of what is kept of each output, with the NUL */

struct call {
	const char *words[CALL_WORDS];	/* the program and its arguments */
	unsigned int used;
	char out[CALL_TEXT];		/* the start of its standard output */
	char said[CALL_TEXT];		/* the end of its standard error output */
};

/* Forgets everything but @program. */
void call_begin(struct call *call, const char *program);
/* 0, or -1: there are too many. @word is borrowed. */
int call_add(struct call *call, const char *word);
/*
 * Runs it and waits for its end. 0: it ended with status 0. -1, and *@error is its own sentence, or
 * why it could not be run.
 */
int call_run(struct call *call, char **error);

#endif
