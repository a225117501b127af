// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map receive: keeps a folder as what senders, or a hub, have.
 */
#include <string.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "sync/message.h"
#include "sync/receive.h"

static const struct receive_options receive_defaults = {
	.connections = 64,
	.memory = 256u << 20,
	.window = 64u << 20,
	.limits = WIRE_LIMITS,
};

#define R(field) OPT(receive_options, field)

static const struct opt receive_opts[] = {
	{ OPT_LIST, "listen", 'l', R(listen), .value = "ADDRESS",
	  .help = "wait for senders on HOST, HOST:PORT, [IPv6]:PORT, :PORT for all, or unix:PATH (default: localhost:10810)" },
	{ OPT_STRING, "from", 'f', R(from), .value = "ADDRESS",
	  .help = "receive from the hub at HOST:PORT or unix:PATH instead" },
	{ OPT_LIST, "device", 'd', R(devices), .value = "NAME=PATH",
	  .help = "what is called NAME goes to the device, or file, PATH" },
	{ OPT_FLAG, "once", '1', R(once),
	  .help = "end when one sender has said goodbye, or all that the hub has is here" },
	{ OPT_FLAG, "keep", 'k', R(keep), .help = "remove no file that is gone at the sender" },
	{ OPT_FLAG, "fsync", 0, R(durable),
	  .help = "what is confirmed is on the disk, not in the page cache only" },
	{ OPT_U32, "threads", 0, R(threads), .value = "N", .min = 1, .max = 256,
	  .help = "threads that hash and write (default: one per CPU, up to 8)" },
	OPT_JSON(receive_options),
	{ OPT_FLAG, "tls", 0, R(security.tls), .help = "TLS, with the certificates of the usual folder" },
	{ OPT_STRING, "tls-certificates", 0, R(security.files.certificates), .value = "DIR",
	  .help = "TLS, with ca-cert.pem, and server-cert.pem and -key.pem, or for --from client-*.pem" },
	{ OPT_STRING, "tls-psk", 0, R(security.files.psk), .value = "FILE",
	  .help = "TLS, with the keys of FILE, a line USER:HEX each" },
	{ OPT_STRING, "tls-user", 0, R(security.files.username), .value = "USER",
	  .help = "with --from: whose key of that file (default: the only one)" },
	{ OPT_FLAG, "tls-verify-peer", 0, R(security.verify_peer),
	  .help = "let in only senders with a certificate of ca-cert.pem" },
	{ OPT_LIST, "tls-allow", 0, R(security.allow), .value = "SUBJECT",
	  .help = "of those, let in only this subject, as in CN=host" },
	{ OPT_U32, "max-connections", 0, R(connections), .value = "N", .min = 1,
	  .help = "senders at a time (default: 64)" },
	{ OPT_SIZE64, "max-memory", 0, R(memory), .value = "SIZE", .min = 65536,
	  .help = "memory for the hashes of all that is open (default: 256M)" },
	{ OPT_SIZE64, "max-window", 0, R(window), .value = "SIZE", .max = 1ull << 40,
	  .help = "data of a sender that has come and is not written, besides two chunks a file (default: 64M)" },
	{ OPT_TIME, "handshake-timeout", 0, R(limits.handshake), .value = "TIME", .min = 1,
	  .help = "a sender has to say who it is within it (default: 10s)" },
	{ OPT_TIME, "idle-timeout", 0, R(limits.idle), .value = "TIME", .min = 1,
	  .help = "a sender is lost that says nothing, or takes nothing, for so long (default: 60s)" },
	{ OPT_END },
};

static int receive_main(const void *settings, int argc, char **argv, struct error *error)
{
	const struct receive_options *options = settings;

	(void)argc;
	if (options->from && options->listen.count)
		return command_usage(error, "--from and --listen exclude each other: a hub is connected to, senders connect");
	if (options->from && options->security.verify_peer)
		return command_usage(error, "--tls-verify-peer is for senders that connect: a hub is always verified");
	for (unsigned int i = 0; i < options->devices.count; i++)
		if (!strchr(options->devices.items[i], '='))
			return command_usage(error, "--device needs NAME=PATH");
	if (security_check(&options->security, error))
		return EXIT_USAGE;
	return receive_run(options, argv[0], error);
}

const struct command command_receive = {
	.name = "receive",
	.arguments = "[OPTION]... DIR",
	.summary = "Keep a folder as what a sender or a hub has",
	.options = receive_opts,
	.defaults = &receive_defaults,
	.settings_size = sizeof(receive_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = receive_main,
};
