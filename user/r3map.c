// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program r3map: finds the subcommand, reads its options, prints what went wrong.
 *
 * Exit status: 0 done, 1 failed, 2 wrong usage. "mount --run" ends with the status of its command.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/error.h"

static const struct command *const commands[] = {
	&command_mount,
	&command_umount,
	&command_serve,
	&command_seed,
	&command_leech,
	&command_finalize,
	&command_send,
	&command_receive,
	&command_hub,
	&command_list,
	&command_show,
	&command_info,
	&command_monitor,
	&command_sync,
	&command_set,
	&command_resize,
	&command_uffd,
	&command_features,
	NULL,
};

static void help_program(FILE *to)
{
	fprintf(to, "Usage: r3map COMMAND [OPTION]... [ARGUMENT]...\n\n"
		"Makes memory or storage that lives somewhere else usable as /dev/r3mapN.\n\n"
		"Commands:\n");
	for (const struct command *const *c = commands; *c; c++)
		fprintf(to, "  %-10s %s\n", (*c)->name, (*c)->summary);
	fprintf(to, "\nOptions:\n"
		"      --help                      show this text; r3map COMMAND --help: that command's\n"
		"      --version                   show the version\n"
		"\nThe manual is r3map(8).\n");
}

static void help_command(const struct command *command)
{
	static const struct opt help[] = {
		{ OPT_FLAG, "help", 'h', .help = "show this text" },
		{ OPT_END },
	};

	printf("Usage: r3map %s %s\n\n%s.\n\nOptions:\n", command->name, command->arguments,
	       command->summary);
	opt_print(command->options, stdout);
	opt_print(help, stdout);
	if (command->details)
		command->details(stdout);
	printf("\nThe manual is r3map-%s(8).\n", command->name);
}

/* --help wins over everything, wherever it stands before a "--". */
static bool help_wanted(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

static int usage(const char *command, const char *sentence)
{
	fprintf(stderr, "r3map: %s%s%s\n", command ? command : "", command ? ": " : "", sentence);
	return EXIT_USAGE;
}

static int command_call(const struct command *command, int argc, char **argv)
{
	struct error error = { 0 };
	char sentence[256];
	void *settings;
	int rest, status;

	if (help_wanted(argc, argv)) {
		help_command(command);
		return EXIT_DONE;
	}
	settings = malloc(command->settings_size);
	if (!settings) {
		fprintf(stderr, "r3map: out of memory\n");
		return EXIT_FAILED;
	}
	memcpy(settings, command->defaults, command->settings_size);
	if (opt_parse(command->options, argc, argv, settings, &rest, &error)) {
		free(settings);
		return usage(command->name, error.text);
	}
	if (rest < command->args_min || (command->args_max >= 0 && rest > command->args_max)) {
		free(settings);
		snprintf(sentence, sizeof(sentence), "%s: usage: r3map %s %s",
			 rest < command->args_min ? "an argument is missing" :
						    "there are too many arguments",
			 command->name, command->arguments);
		return usage(command->name, sentence);
	}
	status = command->run(settings, rest, argv + 1, &error);
	free(settings);
	if (error.text[0])
		fprintf(stderr, "r3map: %s\n", error.text);
	else if (status < 0)
		fprintf(stderr, "r3map: %s\n", strerror(-status));
	return status < 0 ? EXIT_FAILED : status;
}

/*
 * A caller may have closed a standard stream. Then a socket would get its number, and whoever
 * prints an error, or lets go of the streams, would do it to that socket.
 */
static void streams_open(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	char sentence[256];

	streams_open();
	if (argc < 2)
		return usage(NULL, "a command is missing: see 'r3map --help'");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help_program(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("r3map %s\n", program_version);
		return EXIT_DONE;
	}
	for (const struct command *const *c = commands; *c; c++)
		if (!strcmp((*c)->name, argv[1]))
			return command_call(*c, argc - 1, argv + 1);
	snprintf(sentence, sizeof(sentence), "there is no %s '%s': see 'r3map --help'",
		 argv[1][0] == '-' ? "option" : "command", argv[1]);
	return usage(NULL, sentence);
}
