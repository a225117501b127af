// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map send: brings files and devices to a receiver, by what differs there.
 */
#include "cmd/cmd.h"
#include "lib/error.h"
#include "sync/hash.h"
#include "sync/send.h"

static const struct send_options send_defaults = {
	.hash = -1,
	.chunk = 65536,
	.limits = WIRE_LIMITS,
};

static const char *const detect_words[] = { "hash", "epoch", "auto", NULL };	/* enum send_detect */

#define S(field) OPT(send_options, field)

static const struct opt send_opts[] = {
	{ OPT_STRING, "to", 't', S(to), .value = "ADDRESS",
	  .help = "the receiver's or hub's HOST, HOST:PORT, [IPv6]:PORT or unix:PATH" },
	{ OPT_TIME, "interval", 'i', S(interval), .value = "TIME",
	  .help = "go on, and look for changes this often (default: once)" },
	{ OPT_CHOICE, "hash", 0, S(hash), .value = "xxh3|blake2|sha256|crc32c", .words = sync_hash_words,
	  .help = "by which chunks are compared (default: the first that the receiver has)" },
	{ OPT_SIZE32, "chunk-size", 0, S(chunk), .value = "SIZE", .min = SYNC_CHUNK_MIN,
	  .max = SYNC_CHUNK_MAX, .help = "bytes that are compared and sent as one (default: 64K)" },
	{ OPT_CHOICE, "detect", 0, S(detect), .value = "hash|epoch|auto", .words = detect_words,
	  .help = "how changes are found: all is hashed, or of r3map's devices what was written (default: hash)" },
	{ OPT_U32, "threads", 0, S(threads), .value = "N", .min = 1, .max = 256,
	  .help = "threads that read and hash (default: one per CPU, up to 8)" },
	{ OPT_FLAG, "progress", 0, S(progress), .help = "show how far it is, on stderr" },
	OPT_JSON(send_options),
	{ OPT_FLAG, "tls", 0, S(security.tls), .help = "TLS, with the certificates of the usual folder" },
	{ OPT_STRING, "tls-certificates", 0, S(security.files.certificates), .value = "DIR",
	  .help = "TLS, with ca-cert.pem, client-cert.pem and client-key.pem of DIR" },
	{ OPT_STRING, "tls-psk", 0, S(security.files.psk), .value = "FILE",
	  .help = "TLS, with the key of FILE, a line USER:HEX" },
	{ OPT_STRING, "tls-user", 0, S(security.files.username), .value = "USER",
	  .help = "whose key of that file (default: the only one)" },
	{ OPT_TIME, "handshake-timeout", 0, S(limits.handshake), .value = "TIME", .min = 1,
	  .help = "the receiver has to say who it is within it (default: 10s)" },
	{ OPT_TIME, "idle-timeout", 0, S(limits.idle), .value = "TIME", .min = 1,
	  .help = "a receiver is lost that says nothing, or takes nothing, for so long (default: 60s)" },
	{ OPT_END },
};

static int send_main(const void *settings, int argc, char **argv, struct error *error)
{
	const struct send_options *options = settings;

	if (!options->to)
		return command_usage(error, "give the receiver: --to ADDRESS");
	if (options->chunk & (options->chunk - 1))
		return command_usage(error, "--chunk-size must be a power of two");
	if (security_check(&options->security, error))
		return EXIT_USAGE;
	return send_run(options, argv, argc, error);
}

const struct command command_send = {
	.name = "send",
	.arguments = "[OPTION]... --to ADDRESS PATH...",
	.summary = "Bring files and devices to a receiver, by what differs there",
	.options = send_opts,
	.defaults = &send_defaults,
	.settings_size = sizeof(send_defaults),
	.args_min = 1,
	.args_max = -1,
	.run = send_main,
};
