// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Options of r3map_open(). See options.h.
 *
 * What an option means and which values it takes, r3map mount knows, so an option that is new there
 * needs nothing here. Refused are those with which the library could not do its part.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libr3map/fail.h"
#include "libr3map/options.h"

static const struct {
	const char *name;
	const char *why;
} refused[] = {
	{ "daemon", "the helper always is one" },
	{ "run", "the program that calls the library takes its place" },
	{ "progress", "a helper in the background has nobody to show it to: see r3map show --watch" },
	{ "recover", "a region is opened, not taken over" },
	{ "force", "it is for --recover" },
	{ "help", "see r3map-mount(8)" },
};

/* Is @option "@name" or "@name=..."? */
static bool option_is(const char *option, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(option, name, length) && (!option[length] || option[length] == '=');
}

static int option_check(const char *option, char **error)
{
	size_t length = strspn(option, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (!length || option[0] == '-' || (option[length] && option[length] != '='))
		return fail(error, EINVAL,
			    "'%s' is no option: write NAME or NAME=VALUE as for r3map mount, without the dashes",
			    option);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (option_is(option, refused[i].name))
			return fail(error, EINVAL, "the option %s is not for libr3map: %s",
				    refused[i].name, refused[i].why);
	if (!strcmp(option, "order=-"))
		return fail(error, EINVAL,
			    "order=- reads standard input, which the helper does not have: give a file");
	return 0;
}

static int option_add(struct options *options, const char *option, char **error)
{
	char *word;

	if (options->used == sizeof(options->words) / sizeof(options->words[0]))
		return fail(error, EINVAL, "there are too many options");
	if (asprintf(&word, "--%s", option) < 0)
		return fail(error, ENOMEM, "out of memory");
	options->words[options->used++] = word;
	return 0;
}

int options_read(struct options *options, const char *const *list, char **error)
{
	memset(options, 0, sizeof(*options));
	options->program = "r3map";
	for (; list && *list; list++) {
		if (!strncmp(*list, "program=", 8)) {
			options->program = *list + 8;
			continue;
		}
		if (option_check(*list, error) || option_add(options, *list, error))
			return -1;
		if (!strcmp(*list, "read-only"))
			options->read_only = true;
	}
	if (!*options->program)
		return fail(error, EINVAL, "program= needs the path of r3map");
	return 0;
}

void options_free(struct options *options)
{
	while (options->used)
		free(options->words[--options->used]);
}
