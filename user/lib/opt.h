/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options as data: a subcommand has one typed struct of settings, one constant object of defaults
 * and one array of struct opt. The array parses the command line, and prints --help.
 *
 * Nothing here knows a subcommand, prints an error or exits: errors come back as one sentence.
 */
#ifndef R3MAP_OPT_H
#define R3MAP_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct error;

enum opt_type {
	OPT_END,	/* closes the array */
	OPT_FLAG,	/* bool: no value; sets it to true, or to false with @clear */
	OPT_U32,	/* uint32_t, @min to @max */
	OPT_SIZE32,	/* uint32_t: bytes with suffix, @min to @max */
	OPT_SIZE64,	/* uint64_t: the same */
	OPT_TIME,	/* uint32_t: milliseconds; the user types seconds or a unit: 30, 1.5, 500ms, 2m */
	OPT_CHOICE,	/* int: index of the word in @words */
	OPT_STRING,	/* const char *: borrowed from argv */
	OPT_LIST,	/* struct opt_list: may be given several times */
};

#define OPT_LIST_MAX	64	/* how often */

struct opt_list {
	unsigned int count;
	const char *items[OPT_LIST_MAX + 1];	/* borrowed from argv; NULL-terminated */
};

struct opt {
	enum opt_type type;
	const char *name;		/* without the dashes */
	char letter;			/* 0: no short form */
	bool clear;			/* OPT_FLAG: the option switches off */
	size_t offset;			/* of the field in the settings */
	const char *value;		/* what --help calls the value: "SIZE" */
	const char *help;		/* one line */
	uint64_t min, max;		/* max 0: as large as the field */
	const char *const *words;	/* OPT_CHOICE: NULL-terminated */
};

/*
 * Parses argv[1..argc). Sets fields of @settings, moves the other arguments, in order, to
 * argv[1..] and stores their number in *@rest. A "--" ends the options.
 * Returns 0, or -EINVAL with a sentence in @error.
 */
int opt_parse(const struct opt *opts, int argc, char **argv, void *settings, int *rest,
	      struct error *error);
/* One line for each option, as --help shows them. */
void opt_print(const struct opt *opts, FILE *to);

/* "30", "1.5", "500ms", "30s", "2m", "1h", "1d": to milliseconds. 0 or -EINVAL, -ERANGE. */
int opt_time(const char *text, uint32_t *ms);
#endif
