/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * r3map uffd map: memory that a handler fills, for a command that reads it as its standard input.
 *
 * Threads: the main one waits for signals and the command's end; one reads the memory and writes it
 * to the command; with write, one reads what the command says and writes it to the memory. A page
 * that cannot be had ends these, with a sentence, not the process.
 */
#ifndef R3MAP_UFFD_MAP_H
#define R3MAP_UFFD_MAP_H

#include <stdbool.h>

#include "uffd/client.h"

struct uffd_map_options {
	const char *socket;
	const char *run;
	struct uffd_client_options client;
	bool write;			/* the command's output becomes the memory's content */
};

/* The command's exit status, or a negative errno with a sentence. */
int uffd_map(const struct uffd_map_options *options, struct error *error);

#endif
