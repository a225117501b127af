/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of r3map_open(), as those of r3map mount.
 */
#ifndef LIBR3MAP_OPTIONS_H
#define LIBR3MAP_OPTIONS_H

#include <stdbool.h>

struct options {
	const char *program;	/* borrowed from the caller's */
	bool read_only;
	char *words[64];	/* for r3map mount, owned */
	unsigned int used;
};

/* 0, or -1 with a sentence. options_free() either way. */
int options_read(struct options *options, const char *const *list, char **error);
void options_free(struct options *options);

#endif
