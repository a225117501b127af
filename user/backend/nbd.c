// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd://HOST[:PORT]/NAME and its kind: a region that an NBD server has.
 *
 * One connection a channel. Several are made only if the server says that a flush on one covers
 * them all (CAN_MULTI_CONN). The connection that open made, to learn what the export is, becomes
 * the first channel's, so that attaching costs one handshake. A later one must offer the same, or
 * it is refused: it may be another export by now. Each reconnects by itself.
 *
 * The struct outlives nbd_close() as long as a thread that connects still uses its URI.
 */
#include <errno.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>

#include "schemes.h"
#include "../lib/error.h"
#include "../lib/loop.h"
#include "../nbd/client.h"
#include "../nbd/handshake.h"
#include "../nbd/same.h"
#include "../nbd/unflushed.h"
#include "../tls/credentials.h"

#define CONNECT_TIME	10000000000ull	/* ns for reaching the server and for negotiating */

struct nbd_backend {
	struct backend backend;
	struct nbd_uri uri;
	struct nbd_wish wish;		/* what the client can do with a connection */
	struct nbd_export export;
	struct nbd_unflushed unflushed;
	struct backend_listener *listener;	/* or NULL */
	struct stream spare;		/* the connection of open, until a channel takes it */
	_Atomic bool spare_taken;
	_Atomic unsigned int channels;
	_Atomic unsigned int users;	/* this backend, and channels that may connect again */
};

struct nbd_channel {
	struct backend_channel channel;
	struct nbd_client *client;
};

static struct nbd_backend *nbd_from(struct backend *backend)
{
	return (struct nbd_backend *)backend;
}

static struct nbd_client *client_of(struct backend_channel *channel)
{
	return ((struct nbd_channel *)channel)->client;
}

static int connection_make(const struct nbd_backend *nbd, struct stream *stream,
			   struct nbd_export *export, struct error *error)
{
	uint64_t deadline = loop_now() + CONNECT_TIME;
	int code;

	code = nbd_connect(&nbd->uri, deadline, stream, error);
	if (code)
		return code;
	code = nbd_handshake(stream, &nbd->uri, &nbd->wish, deadline, export, error);
	if (code)
		nbd_disconnect(stream);
	return code;
}

/* What a dialer does, in its thread. */
static int connect_again(void *context, struct stream *stream, struct nbd_export *export,
			 struct error *error)
{
	const struct nbd_backend *nbd = context;

	return connection_make(nbd, stream, export, error);
}

static void user_leave(void *context)
{
	struct nbd_backend *nbd = context;

	if (atomic_fetch_sub(&nbd->users, 1) > 1)
		return;
	tls_credentials_free(nbd->wish.credentials);
	free(nbd->backend.name);
	free(nbd);
}

static void info_fill(struct backend_info *info, const struct nbd_uri *uri,
		      const struct nbd_export *export)
{
	*info = (struct backend_info) {
		.size = export->size,
		.block_min = export->block_min,
		.block_preferred = export->block_preferred,
		.max_io = export->payload_max,
		.channels_max = export->flags & NBD_FLAG_CAN_MULTI_CONN ? 0 : 1,
		.read_only = export->flags & NBD_FLAG_READ_ONLY,
		.can_flush = export->flags & NBD_FLAG_SEND_FLUSH,
		.can_fua = export->flags & NBD_FLAG_SEND_FUA,
		.can_discard = export->flags & NBD_FLAG_SEND_TRIM,
		.can_zeroes = export->flags & NBD_FLAG_SEND_WRITE_ZEROES,
		.can_fast_zero = export->flags & NBD_FLAG_SEND_FAST_ZERO,
		.can_cache = export->flags & NBD_FLAG_SEND_CACHE,
		.can_extents = export->has_allocation,
		.rotational = export->flags & NBD_FLAG_ROTATIONAL,
		.waits = true,
		.near = uri->transport == NBD_UNIX,
	};
}

/*
 * Structured replies over a unix socket slow some servers down: what the network puts together is
 * three system calls a reply there. What they save, holes that are not sent, is worth little on
 * one machine. So they are left out, except for a server that knows the extended ones.
 */
static void wish_set(struct nbd_backend *nbd)
{
	const struct nbd_uri *uri = &nbd->uri;

	nbd->wish.headers = uri->headers_chosen ? uri->headers : NBD_HEADERS_EXTENDED;
	nbd->wish.allocation = true;
	if (!uri->headers_chosen && uri->transport == NBD_UNIX)
		nbd->wish.least = NBD_HEADERS_EXTENDED;
}

static int any_open(const struct backend_ops *ops, const char *rest, struct backend **backend,
		    struct error *error)
{
	struct nbd_backend *nbd;
	int code;

	nbd = calloc(1, sizeof(*nbd));
	if (!nbd)
		return error_set(error, -ENOMEM, "out of memory");
	code = nbd_uri_parse(ops->scheme, rest, &nbd->uri, error);
	if (code)
		goto free_nbd;
	nbd->backend.ops = ops;
	nbd->backend.name = nbd_uri_format(&nbd->uri);
	if (!nbd->backend.name) {
		code = error_set(error, -ENOMEM, "out of memory");
		goto free_nbd;
	}
	wish_set(nbd);
	code = nbd_credentials(&nbd->uri, &nbd->wish.credentials, error);
	if (!code)
		code = connection_make(nbd, &nbd->spare, &nbd->export, error);
	if (code) {
		error_prefix(error, "%s", nbd->backend.name);
		goto free_nbd;
	}
	/* Another connection must be as good, and asking for more costs round trips. */
	nbd->wish.headers = nbd->export.headers;
	nbd->wish.allocation = nbd->export.has_allocation;
	atomic_init(&nbd->users, 1);
	info_fill(&nbd->backend.info, &nbd->uri, &nbd->export);
	*backend = &nbd->backend;
	return 0;

free_nbd:
	tls_credentials_free(nbd->wish.credentials);
	free(nbd->backend.name);
	free(nbd);
	return code;
}

static void nbd_close(struct backend *backend)
{
	struct nbd_backend *nbd = nbd_from(backend);

	if (!atomic_load(&nbd->spare_taken)) {
		nbd_goodbye(&nbd->spare, nbd->export.headers);
		nbd_disconnect(&nbd->spare);
	}
	user_leave(nbd);
}

/* A connection for one more channel. */
static int connection_take(struct nbd_backend *nbd, struct stream *stream,
			   struct nbd_export *export, struct error *error)
{
	int code;

	if (!atomic_exchange(&nbd->spare_taken, true)) {
		*stream = nbd->spare;
		*export = nbd->export;
		return 0;
	}
	code = connection_make(nbd, stream, export, error);
	if (code)
		return code;
	code = nbd_export_same(&nbd->export, export, error);
	if (code) {
		nbd_goodbye(stream, export->headers);
		nbd_disconnect(stream);
	}
	return code;
}

static int nbd_channel_open(struct backend *backend, struct loop *loop,
			    struct backend_channel **channel, struct error *error)
{
	struct nbd_backend *nbd = nbd_from(backend);
	const struct nbd_client_config config = {
		.name = backend->name,
		.timeout_ms = nbd->uri.timeout * 1000,
		.reconnect_ms = nbd->uri.reconnect * 1000,
		.dial = { connect_again, user_leave, nbd },
		.unflushed = nbd->uri.flush_strict ? &nbd->unflushed : NULL,
		.listener = nbd->listener,
		.received = &backend->received,
	};
	struct nbd_export export;
	struct nbd_channel *c;
	struct stream stream;
	int code;

	if (atomic_fetch_add(&nbd->channels, 1) && backend->info.channels_max == 1) {
		code = error_set(error, -EBUSY,
			"the server does not allow several connections to this export: use one queue");
		goto uncount;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		code = error_set(error, -ENOMEM, "out of memory");
		goto uncount;
	}
	code = connection_take(nbd, &stream, &export, error);
	if (code)
		goto free_channel;
	if (config.reconnect_ms)
		atomic_fetch_add(&nbd->users, 1);
	code = nbd_client_new(stream, &export, &config, loop, &c->client);
	if (code) {
		error_set(error, code, "cannot use the connection: %s", strerror(-code));
		goto free_channel;
	}
	c->channel.backend = backend;
	*channel = &c->channel;
	return 0;

free_channel:
	free(c);
uncount:
	atomic_fetch_sub(&nbd->channels, 1);
	return error_prefix(error, "%s", backend->name), code;
}

static void nbd_listen(struct backend *backend, struct backend_listener *listener)
{
	nbd_from(backend)->listener = listener;
}

static void nbd_channel_close(struct backend_channel *channel)
{
	nbd_client_free(client_of(channel));
	atomic_fetch_sub(&nbd_from(channel->backend)->channels, 1);
	free(channel);
}

static void nbd_submit(struct backend_channel *channel, struct backend_io *io)
{
	nbd_client_submit(client_of(channel), io);
}

static void nbd_kick(struct backend_channel *channel)
{
	nbd_client_kick(client_of(channel));
}

#define NBD_SCHEME(symbol, word, form, sentence)						\
static int symbol ## _open(const char *rest, struct backend **backend, struct error *error)	\
{												\
	return any_open(&backend_ ## symbol, rest, backend, error);				\
}												\
												\
const struct backend_ops backend_ ## symbol = {							\
	.scheme = word,										\
	.synopsis = word ":" form,								\
	.help = sentence,									\
	.open = symbol ## _open,								\
	.close = nbd_close,									\
	.listen = nbd_listen,									\
	.channel_open = nbd_channel_open,							\
	.channel_close = nbd_channel_close,							\
	.submit = nbd_submit,									\
	.kick = nbd_kick,									\
}

NBD_SCHEME(nbd, "nbd", "//HOST[:PORT]/NAME",
	   "export NAME of the NBD server on HOST, over TCP without encryption; port 10809 "
	   "if not given");
NBD_SCHEME(nbds, "nbds", "//[USER@]HOST[:PORT]/NAME[?tls-certificates=DIR|tls-psk-file=FILE]",
	   "the same with TLS, or not at all");
NBD_SCHEME(nbd_unix, "nbd+unix", "///NAME?socket=PATH",
	   "export NAME of the NBD server that listens on the unix socket PATH");
NBD_SCHEME(nbds_unix, "nbds+unix",
	   "//[USER@]/NAME?socket=PATH[&tls-certificates=DIR|&tls-psk-file=FILE]",
	   "the same with TLS, or not at all");
NBD_SCHEME(nbd_vsock, "nbd+vsock", "//CID[:PORT]/NAME",
	   "export NAME of the NBD server in virtual machine CID, or on this one's host: 2");
NBD_SCHEME(nbds_vsock, "nbds+vsock",
	   "//[USER@]CID[:PORT]/NAME[?tls-certificates=DIR|tls-psk-file=FILE]",
	   "the same with TLS, or not at all");
NBD_SCHEME(nbd_listen, "nbd+listen", "//[HOST][:PORT]/NAME",
	   "export NAME of the NBD server that dials this host, r3map seed --dial; HOST is an "
	   "address of this one");
NBD_SCHEME(nbds_listen, "nbds+listen",
	   "//[USER@][HOST][:PORT]/NAME[?tls-certificates=DIR|tls-psk-file=FILE]",
	   "the same with TLS, or not at all");
