// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map hub: forwards what one sender brings to many receivers.
 */
#include "cmd/cmd.h"
#include "lib/error.h"
#include "sync/hash.h"
#include "sync/hub.h"

static const struct hub_options hub_defaults = {
	.chunk = 65536,
	.connections = 64,
	.memory = 256u << 20,
	.window = 64u << 20,
	.limits = WIRE_LIMITS,
};

#define H(field) OPT(hub_options, field)

static const struct opt hub_opts[] = {
	{ OPT_LIST, "listen", 'l', H(listen), .value = "ADDRESS",
	  .help = "wait for senders on HOST, HOST:PORT, [IPv6]:PORT, :PORT for all, or unix:PATH (default: localhost:10810)" },
	{ OPT_LIST, "offer", 'o', H(offer), .value = "ADDRESS",
	  .help = "wait for receivers there (default: localhost:10811)" },
	{ OPT_LIST, "sender", 's', H(senders), .value = "SUBJECT",
	  .help = "take only what this one sends, by certificate, as in CN=host, or by the name of its key" },
	{ OPT_CHOICE, "hash", 0, H(hash), .value = "xxh3|blake2|sha256|crc32c", .words = sync_hash_words,
	  .help = "by which chunks are compared (default: xxh3)" },
	{ OPT_SIZE32, "chunk-size", 0, H(chunk), .value = "SIZE", .min = SYNC_CHUNK_MIN,
	  .max = SYNC_CHUNK_MAX, .help = "bytes that are compared and sent as one, by all (default: 64K)" },
	{ OPT_FLAG, "keep", 'k', H(keep), .help = "remove no file that is gone at the sender" },
	{ OPT_FLAG, "fsync", 0, H(durable),
	  .help = "what is confirmed is on the disk, not in the page cache only" },
	{ OPT_U32, "threads", 0, H(threads), .value = "N", .min = 1, .max = 256,
	  .help = "threads that read, hash and write (default: one per CPU, up to 8)" },
	OPT_JSON(hub_options),
	{ OPT_FLAG, "tls", 0, H(security.tls), .help = "TLS, with the certificates of the usual folder" },
	{ OPT_STRING, "tls-certificates", 0, H(security.files.certificates), .value = "DIR",
	  .help = "TLS, with ca-cert.pem, server-cert.pem and server-key.pem of DIR" },
	{ OPT_STRING, "tls-psk", 0, H(security.files.psk), .value = "FILE",
	  .help = "TLS, with the keys of FILE, a line USER:HEX each" },
	{ OPT_FLAG, "tls-verify-peer", 0, H(security.verify_peer),
	  .help = "let in only those with a certificate of ca-cert.pem" },
	{ OPT_LIST, "tls-allow", 0, H(security.allow), .value = "SUBJECT",
	  .help = "of those, let in only this subject, as in CN=host" },
	{ OPT_U32, "max-connections", 0, H(connections), .value = "N", .min = 1,
	  .help = "senders, and receivers, at a time (default: 64)" },
	{ OPT_SIZE64, "max-memory", 0, H(memory), .value = "SIZE", .min = 65536,
	  .help = "memory for the hashes of all that is there (default: 256M)" },
	{ OPT_SIZE64, "max-window", 0, H(window), .value = "SIZE", .max = 1ull << 40,
	  .help = "data of a sender that has come and is not written, besides two chunks a file (default: 64M)" },
	{ OPT_TIME, "handshake-timeout", 0, H(limits.handshake), .value = "TIME", .min = 1,
	  .help = "the other end has to say who it is within it (default: 10s)" },
	{ OPT_TIME, "idle-timeout", 0, H(limits.idle), .value = "TIME", .min = 1,
	  .help = "an end is lost that says nothing, or takes nothing, for so long (default: 60s)" },
	{ OPT_END },
};

static int hub_main(const void *settings, int argc, char **argv, struct error *error)
{
	const struct hub_options *options = settings;
	bool known = options->security.verify_peer || options->security.files.psk;

	(void)argc;
	if (options->chunk & (options->chunk - 1))
		return command_usage(error, "--chunk-size must be a power of two");
	if (options->senders.count && !known)
		return command_usage(error, "--sender needs --tls-verify-peer or --tls-psk: without, nobody knows who sends");
	if (security_check(&options->security, error))
		return EXIT_USAGE;
	return hub_run(options, argv[0], error);
}

const struct command command_hub = {
	.name = "hub",
	.arguments = "[OPTION]... DIR",
	.summary = "Forward what a sender brings to many receivers",
	.options = hub_opts,
	.defaults = &hub_defaults,
	.settings_size = sizeof(hub_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = hub_main,
};
