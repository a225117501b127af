// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map uffd: memory of one process that another one fills, without the module.
 */
#include <string.h>

#include "backend/backend.h"
#include "cmd/cmd.h"
#include "lib/error.h"
#include "uffd/improve.h"
#include "uffd/map.h"
#include "uffd/message.h"
#include "uffd/serve.h"
#include "uffd/slice.h"

struct uffd_options {
	const char *socket;
	struct uffd_serve_options serve;
	const char *run;
	struct opt_list slices;
	bool signals, write;
	uint32_t timeout;
};

static const struct uffd_options uffd_defaults = {
	.serve = { .improve = "all", .order = "sequential", .around = 64 << 10, .in_flight = 64 },
	.timeout = 30000,
};

#define U(field) OPT(uffd_options, field)

static const struct opt uffd_opts[] = {
	{ OPT_STRING, "socket", 's', U(socket), .value = "PATH",
	  .help = "the unix socket where handler and clients meet" },
	{ OPT_TIME, "timeout", 't', U(timeout), .value = "TIME", .min = 10, .max = 3600000,
	  .help = "so long a read of the backend may take, or a handler say nothing; then what is missing is lost (default: 30s)" },
	{ OPT_STRING, "improve", 0, U(serve.improve), .value = "LIST",
	  .help = "serve: names of those below, or all, or none (default: all)" },
	{ OPT_SIZE32, "around", 0, U(serve.around), .value = "SIZE", .min = 4096, .max = 16 << 20,
	  .help = "serve: what a fault brings, a power of two (default: 64K)" },
	{ OPT_U32, "in-flight", 0, U(serve.in_flight), .value = "N", .min = 1, .max = 4096,
	  .help = "serve: faults that are served at a time (default: 64)" },
	{ OPT_STRING, "order", 0, U(serve.order), .value = "sequential|reverse|FILE",
	  .help = "serve: what comes first in the background; FILE has lines OFFSET LENGTH (default: sequential)" },
	{ OPT_FLAG, "daemon", 0, U(serve.daemon),
	  .help = "serve: go into the background; returns once clients can come" },
	{ OPT_STRING, "log", 0, U(serve.log), .value = "FILE",
	  .help = "serve: with --daemon: append messages to FILE" },
	{ OPT_STRING, "run", 0, U(run), .value = "CMD",
	  .help = "map: run CMD by sh with the memory as its standard input, end with its status" },
	{ OPT_FLAG, "write", 'w', U(write),
	  .help = "map: the output of CMD becomes the content of the memory, from its start" },
	{ OPT_LIST, "slice", 0, U(slices), .value = "OFFSET+LENGTH",
	  .help = "map: only this part, in whole pages (default: all); may be repeated" },
	{ OPT_FLAG, "signals", 0, U(signals),
	  .help = "map: by SIGSEGV and mprotect(2) in place of userfaultfd, to compare with" },
	{ OPT_END },
};

static void uffd_details(FILE *to)
{
	fprintf(to, "\nWhat --improve can switch:\n");
	for (const struct improvement *one = improvements; one->name; one++)
		fprintf(to, "  %-10s %s\n", one->name, one->help);
	backend_help(to);
}

static int serve(const struct uffd_options *options, int argc, char **argv, struct error *error)
{
	struct uffd_serve_options serving = options->serve;

	if (argc != 2)
		return command_usage(error, "serve needs one BACKEND");
	if (options->run || options->slices.count || options->signals || options->write)
		return command_usage(error, "--run, --write, --slice and --signals are for r3map uffd map");
	if (serving.log && !serving.daemon)
		return command_usage(error, "--log is for --daemon; redirect stderr instead");
	if (!strcmp(serving.order, "-"))
		return command_usage(error, "--order - cannot be shared by clients: give a file");
	if (serving.around & (serving.around - 1))
		return command_usage(error, "--around has to be a power of two");
	serving.socket = options->socket;
	serving.timeout = options->timeout;
	return uffd_serve(&serving, argv[1], error);
}

/* Was anything said that only a handler has? */
static bool says_serve(const struct uffd_options *options)
{
	return memcmp(&options->serve, &uffd_defaults.serve, sizeof(options->serve));
}

static int map(const struct uffd_options *options, int argc, struct error *error)
{
	struct uffd_slice slices[UFFD_REGIONS_MAX];
	const struct uffd_map_options mapping = {
		.socket = options->socket,
		.run = options->run,
		.client = { .slices = slices, .count = options->slices.count,
			    .signals = options->signals, .timeout = options->timeout },
		.write = options->write,
	};

	if (argc != 1)
		return command_usage(error, "map takes no BACKEND: the handler has it");
	if (says_serve(options))
		return command_usage(error, "map takes --socket, --run, --write, --slice, --signals and --timeout only");
	if (!options->run)
		return command_usage(error, "map needs --run CMD");
	for (unsigned int i = 0; i < options->slices.count; i++)
		if (uffd_slice_parse(options->slices.items[i], &slices[i], error))
			return EXIT_USAGE;
	return uffd_map(&mapping, error);
}

static int uffd_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct uffd_options *options = settings;

	if (strcmp(argv[0], "serve") && strcmp(argv[0], "map"))
		return command_usage(error, "give serve BACKEND, or map");
	if (!options->socket)
		return command_usage(error, "--socket PATH is missing: where handler and clients meet");
	return strcmp(argv[0], "map") ? serve(options, argc, argv, error) : map(options, argc, error);
}

const struct command command_uffd = {
	.name = "uffd",
	.arguments = "[OPTION]... serve BACKEND | map",
	.summary = "Fill memory of programs from a backend, by userfaultfd",
	.details = uffd_details,
	.options = uffd_opts,
	.defaults = &uffd_defaults,
	.settings_size = sizeof(uffd_defaults),
	.args_min = 1,
	.args_max = 2,
	.run = uffd_run,
};
