// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map serve: offers backends to NBD clients.
 */
#include "backend/backend.h"
#include "cmd/cmd.h"
#include "lib/error.h"
#include "nbd/protocol.h"
#include "serve/serve.h"

static const struct serve_options serve_defaults = {
	.tls = -1,
	.limits = SERVE_LIMITS,
};

#define S(field) OPT(serve_options, field)

static const struct opt serve_opts[] = {
	{ OPT_LIST, "listen", 'l', S(listen), .value = "ADDRESS",
	  .help = "listen on HOST, HOST:PORT, [IPv6]:PORT, or :PORT for all (default: localhost:10809)" },
	{ OPT_STRING, "unix", 'U', S(unix_socket), .value = "PATH",
	  .help = "listen on the unix socket PATH" },
	{ OPT_LIST, "export", 'e', S(exports), .value = "NAME=BACKEND",
	  .help = "offer BACKEND as the export NAME" },
	{ OPT_LIST, "description", 'D', S(descriptions), .value = "NAME=TEXT",
	  .help = "what clients are told of the export NAME" },
	{ OPT_STRING, "default", 0, S(by_default), .value = "NAME",
	  .help = "the export for clients that name none (default: the one without a name, or the only one)" },
	{ OPT_FLAG, "read-only", 'r', S(read_only), .help = "refuse writes to all exports" },
	{ OPT_STRING, "run", 0, S(run), .value = "CMD",
	  .help = "run CMD by sh with R3MAP_URI set, end with it and its status" },
	{ OPT_FLAG, "exit-with-parent", 0, S(exit_with_parent),
	  .help = "end when the parent process ends" },
	{ OPT_FLAG, "daemon", 0, S(daemon),
	  .help = "go into the background; returns once the server is ready" },
	{ OPT_STRING, "log", 0, S(log), .value = "FILE",
	  .help = "with --daemon: append messages to FILE" },
	{ OPT_U32, "threads", 't', S(threads), .value = "N", .min = 1, .max = 256,
	  .help = "threads that serve (default: one per CPU, up to 8)" },
	{ OPT_CHOICE, "tls", 0, S(tls), .value = "off|on|require", .words = serve_tls_words,
	  .help = "encryption (default: on if --tls-certificates or --tls-psk is given, else off)" },
	{ OPT_STRING, "tls-certificates", 0, S(tls_files.certificates), .value = "DIR",
	  .help = "folder of ca-cert.pem, server-cert.pem and server-key.pem" },
	{ OPT_STRING, "tls-psk", 0, S(tls_files.psk), .value = "FILE",
	  .help = "pre-shared keys, a line USER:HEX each" },
	{ OPT_FLAG, "tls-verify-peer", 0, S(tls_verify_peer),
	  .help = "let in only clients with a certificate of ca-cert.pem" },
	{ OPT_LIST, "tls-allow", 0, S(tls_allow), .value = "SUBJECT",
	  .help = "of those, let in only this subject, as in CN=host" },
	{ OPT_STRING, "tls-priority", 0, S(tls_files.priority), .value = "TEXT",
	  .help = "GnuTLS priority string" },
	{ OPT_U32, "max-connections", 0, S(limits.connections), .value = "N", .min = 1,
	  .help = "connections in all (default: 1024)" },
	{ OPT_U32, "max-export-connections", 0, S(limits.export_connections), .value = "N",
	  .min = 1, .help = "connections to one export (default: 256)" },
	{ OPT_U32, "max-requests", 0, S(limits.requests), .value = "N", .min = 1, .max = 65536,
	  .help = "requests of a connection that are under way (default: 1024)" },
	{ OPT_SIZE32, "max-payload", 0, S(limits.payload), .value = "SIZE", .min = 4096,
	  .max = 64u << 20, .help = "largest read or write (default: 32M)" },
	{ OPT_SIZE64, "max-memory", 0, S(limits.memory), .value = "SIZE", .min = 4096,
	  .help = "payloads of a connection that are under way (default: 64M)" },
	{ OPT_U32, "max-options", 0, S(limits.options), .value = "N", .min = 1,
	  .help = "options in one handshake, and two for each export (default: 64)" },
	{ OPT_U32, "max-name", 0, S(limits.name), .value = "N", .min = 1, .max = NBD_MAX_STRING,
	  .help = "bytes of an export's name (default: 4096)" },
	{ OPT_TIME, "handshake-timeout", 0, S(limits.handshake), .value = "TIME", .min = 1,
	  .help = "a handshake may take so long (default: 10s)" },
	{ OPT_TIME, "stall-timeout", 0, S(limits.stall), .value = "TIME", .min = 1,
	  .help = "a client may stop so long within a request, or not take answers (default: 60s)" },
	{ OPT_TIME, "idle-timeout", 0, S(limits.idle), .value = "TIME",
	  .help = "a connection without requests ends after it, 0 for never (default: 0)" },
	{ OPT_TIME, "shutdown-timeout", 0, S(limits.shutdown), .value = "TIME", .min = 1,
	  .help = "at the end, making all exports durable may take so long (default: 60s)" },
	{ OPT_END },
};

static int serve_main(const void *settings, int argc, char **argv, struct error *error)
{
	const struct serve_options *options = settings;
	bool files = options->tls_files.certificates || options->tls_files.psk;

	if (!argc && !options->exports.count)
		return command_usage(error, "there is nothing to serve: give a BACKEND or --export NAME=BACKEND");
	if (options->run && options->daemon)
		return command_usage(error, "--run and --daemon exclude each other: the server of --run ends with its command");
	if (options->exit_with_parent && options->daemon)
		return command_usage(error, "--exit-with-parent and --daemon exclude each other: a daemon's parent ends at once");
	if (options->log && !options->daemon)
		return command_usage(error, "--log is for --daemon; redirect stderr instead");
	if (options->tls == TLS_OFF && (files || options->tls_verify_peer))
		return command_usage(error, "--tls off and the other TLS options exclude each other");
	if (options->tls_allow.count && !options->tls_verify_peer)
		return command_usage(error, "--tls-allow needs --tls-verify-peer: who has shown no certificate has no subject");
	if (options->tls_allow.count && options->tls_files.psk)
		return command_usage(error, "--tls-allow and --tls-psk exclude each other: who has a key has no subject; take users out of the file of keys instead");
	if (options->limits.memory < options->limits.payload)
		return command_usage(error, "--max-memory must be at least --max-payload");
	return serve_run(options, argv, argc, error);
}

const struct command command_serve = {
	.name = "serve",
	.arguments = "[OPTION]... [NAME=]BACKEND...",
	.summary = "Offer backends to NBD clients, until a signal",
	.details = backend_help,
	.options = serve_opts,
	.defaults = &serve_defaults,
	.settings_size = sizeof(serve_defaults),
	.args_min = 0,
	.args_max = -1,
	.run = serve_main,
};
