/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd/ has one file per subcommand. Each defines one constant struct command; the table in r3map.c
 * names them all. A subcommand turns options into a call of the folder that does the work, and
 * its outcome into text; it decides nothing by itself.
 *
 * Results go to stdout, errors come back as one sentence, which r3map.c prints.
 */
#ifndef R3MAP_CMD_H
#define R3MAP_CMD_H

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/error.h"
#include "lib/opt.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	const char *arguments;		/* "[OPTION]... DEVICE" */
	const char *summary;		/* one line */
	void (*details)(FILE *to);	/* more text for --help, or NULL */
	const struct opt *options;
	const void *defaults;		/* settings before the options are read */
	size_t settings_size;
	int args_min, args_max;		/* arguments that are no options; args_max -1: any number */
	/*
	 * argv[0..argc) are the arguments. Returns an exit status, or a negative errno, which
	 * means EXIT_FAILED; a sentence in @error is printed either way.
	 */
	int (*run)(const void *settings, int argc, char **argv, struct error *error);
};

extern const struct command command_features;
extern const struct command command_finalize;
extern const struct command command_hub;
extern const struct command command_info;
extern const struct command command_leech;
extern const struct command command_list;
extern const struct command command_monitor;
extern const struct command command_mount;
extern const struct command command_receive;
extern const struct command command_resize;
extern const struct command command_seed;
extern const struct command command_send;
extern const struct command command_serve;
extern const struct command command_set;
extern const struct command command_show;
extern const struct command command_sync;
extern const struct command command_uffd;
extern const struct command command_umount;

/* For a call that makes no sense, as @sentence says: an exit status. */
static inline int command_usage(struct error *error, const char *sentence)
{
	error_set(error, -EINVAL, "%s", sentence);
	return EXIT_USAGE;
}

/* Of the sources this program was built from. */
extern const char program_version[];

#define OPT(field_struct, field)	.offset = offsetof(struct field_struct, field)
/* @...: where it is noted, as by OPT(). */
#define OPT_JSON_AT(...)	{ OPT_FLAG, "json", 'j', __VA_ARGS__, .help = "print JSON" }
#define OPT_JSON(field_struct)	OPT_JSON_AT(OPT(field_struct, json))

#endif
