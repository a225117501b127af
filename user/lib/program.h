/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program beside this one, which has nothing of this process but its standard error output.
 */
#ifndef R3MAP_PROGRAM_H
#define R3MAP_PROGRAM_H

#include <sys/types.h>

struct error;

/*
 * Starts "sh -c @command" with the environment @env, in a process group of its own. @child: as for
 * run_start(); it shares this process's memory and must change none of it. Copies no memory, and
 * may be called while there are other threads. Returns 0, *@pid and *@pidfd, which becomes readable
 * when the program has ended and is the caller's to close; or a negative errno with a sentence.
 */
int program_start(const char *command, char *const *env, void (*child)(void), pid_t *pid,
		  int *pidfd, struct error *error);

#endif
