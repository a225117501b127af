// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The server's handshake: see negotiate.h.
 *
 * One option at a time is gathered in a buffer and answered. What is longer than any option that
 * makes sense is skipped and refused, what is longer than that ends the connection. The number of
 * options is bounded, and the time by the peer's deadline.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/message.h"
#include "nbd/option.h"
#include "serve/negotiate.h"
#include "serve/thread.h"

#define CLIENT_FLAGS	4u		/* bytes */
#define OUT_MAX		(1u << 20)	/* bytes of replies that wait for a client to read them */

struct negotiation {
	bool flags_known;		/* the client's were received */
	bool no_zeroes;
	bool secured;			/* TLS is up */
	uint32_t options;		/* seen so far */
	uint32_t refused;		/* option whose data is skipped */
	uint32_t skip;			/* bytes of it to come */
	const struct export *context;	/* that SET_META_CONTEXT chose for, or NULL */
	uint32_t contexts;		/* what it chose: a bit each */
	char name[NBD_MAX_STRING + 1];	/* of an export, as the option has it */
	size_t used;
	char buf[sizeof(struct nbd_option_header) + SERVE_OPTION_MAX];
};

/* Room for @length bytes more to be sent. False: the peer is dead. */
static bool out_reserve(struct peer *peer, size_t length)
{
	struct peer_out *out = &peer->out;
	size_t room = out->room ? out->room : 512;
	char *grown;

	while (room < out->used + length)
		room *= 2;
	if (room > OUT_MAX) {
		peer_die(peer, "it does not read the answers to its options");
		return false;
	}
	if (room == out->room)
		return true;
	grown = realloc(out->buf, room);
	if (!grown) {
		peer_die(peer, "out of memory");
		return false;
	}
	out->buf = grown;
	out->room = room;
	return true;
}

static struct nbd_writer out_writer(const struct peer *peer)
{
	return (struct nbd_writer) {
		.buf = peer->out.buf, .room = peer->out.room, .used = peer->out.used,
	};
}

/* @to has been written to, within what was reserved. */
static void out_take(struct peer *peer, const struct nbd_writer *to)
{
	peer->out.used = to->used;
	peer_wake(peer);
}

/* A reply of @length bytes of data. */
static void reply(struct peer *peer, uint32_t option, uint32_t type, const void *data,
		  size_t length)
{
	struct nbd_writer to;
	size_t begin;

	if (peer->dead || !out_reserve(peer, sizeof(struct nbd_option_reply_header) + length))
		return;
	to = out_writer(peer);
	begin = nbd_option_reply_begin(&to, option, type);
	nbd_put(&to, data, length);
	nbd_option_reply_end(&to, begin);
	out_take(peer, &to);
}

static void refuse(struct peer *peer, uint32_t option, uint32_t type, const char *text)
{
	reply(peer, option, type, text, strlen(text));
}

static void acknowledge(struct peer *peer, uint32_t option)
{
	reply(peer, option, NBD_REP_ACK, NULL, 0);
}

static const struct server *server_of(const struct peer *peer)
{
	return peer->thread->server;
}

static void list(struct peer *peer, uint32_t option, struct nbd_reader *from)
{
	const struct exports *exports = &server_of(peer)->exports;
	unsigned int i;

	if (from->left) {
		refuse(peer, option, NBD_REP_ERR_INVALID, "LIST has no data");
		return;
	}
	for (i = 0; i < exports->count && !peer->dead; i++) {
		const struct export *export = &exports->list[i];
		const char *text = export->description ? export->description : "";
		struct nbd_writer to;
		size_t begin;

		if (!out_reserve(peer, sizeof(struct nbd_option_reply_header) + 4 +
				 strlen(export->name) + strlen(text)))
			return;
		to = out_writer(peer);
		begin = nbd_option_reply_begin(&to, option, NBD_REP_SERVER);
		nbd_put_string(&to, export->name);
		nbd_put(&to, text, strlen(text));
		nbd_option_reply_end(&to, begin);
		out_take(peer, &to);
	}
	acknowledge(peer, option);
}

static void starttls(struct peer *peer, uint32_t option, struct nbd_reader *from)
{
	if (from->left)
		refuse(peer, option, NBD_REP_ERR_INVALID, "STARTTLS has no data");
	else if (peer->negotiation->secured)
		refuse(peer, option, NBD_REP_ERR_INVALID, "TLS is on already");
	else if (server_of(peer)->tls == TLS_OFF)
		refuse(peer, option, NBD_REP_ERR_POLICY, "this server has no TLS");
	else {
		acknowledge(peer, option);
		peer->phase = PEER_TLS;
	}
}

static void headers(struct peer *peer, uint32_t option, struct nbd_reader *from)
{
	enum nbd_headers wanted = option == NBD_OPT_EXTENDED_HEADERS ? NBD_HEADERS_EXTENDED :
								       NBD_HEADERS_STRUCTURED;

	if (from->left) {
		refuse(peer, option, NBD_REP_ERR_INVALID, "this option has no data");
	} else if (wanted < peer->headers) {
		refuse(peer, option, NBD_REP_ERR_EXT_HEADER_REQD,
		       "extended headers were agreed on already");
	} else if (wanted == peer->headers) {
		refuse(peer, option, NBD_REP_ERR_INVALID, "this was agreed on already");
	} else {
		peer->headers = wanted;
		acknowledge(peer, option);
	}
}

/* Is @name what @query means, or, in a list, one of its kind? */
static bool query_matches(const char *name, const char *query, size_t length, bool listing)
{
	const size_t prefix = (size_t)(strchr(name, ':') - name) + 1;

	return (length == strlen(name) && !memcmp(query, name, length)) ||
	       (listing && length == prefix && !memcmp(query, name, prefix));
}

/* Those of @export that are among @queries, which are well-formed: a bit each. None, in a list, means all. */
static uint32_t queries_match(const struct export *export, struct nbd_reader *from, uint32_t queries,
			      bool listing)
{
	const char *name;
	uint32_t found = 0;

	if (listing && !queries)
		return UINT32_MAX;
	while (queries--) {
		uint32_t length = nbd_get32(from);
		const char *query = nbd_get(from, length);

		for (unsigned int i = 0; (name = export_context_name(export, i)); i++)
			if (query_matches(name, query, length, listing))
				found |= 1u << i;
	}
	return found;
}

/* The export that the option names, in n->name; NULL: there is none, and the client was told. */
static struct export *export_named(struct peer *peer, uint32_t option)
{
	const struct server *server = server_of(peer);
	const char *name = peer->negotiation->name;
	struct export *export = NULL;

	if (strlen(name) > server->limits.name) {
		refuse(peer, option, NBD_REP_ERR_TOO_BIG, "the name of the export is too long");
	} else {
		export = exports_find(&server->exports, name);
		if (!export)
			refuse(peer, option, NBD_REP_ERR_UNKNOWN, "there is no such export");
	}
	return export;
}

static void context_reply(struct peer *peer, uint32_t option, uint32_t id, const char *name)
{
	char data[sizeof(id) + NBD_MAX_STRING];
	struct nbd_writer to = { .buf = data, .room = sizeof(data) };

	nbd_put32(&to, id);
	nbd_put(&to, name, strlen(name));
	reply(peer, option, NBD_REP_META_CONTEXT, data, to.used);
}

static void meta_context(struct peer *peer, uint32_t option, struct nbd_reader *from)
{
	bool listing = option == NBD_OPT_LIST_META_CONTEXT;
	struct negotiation *n = peer->negotiation;
	const struct export *export;
	struct nbd_reader again;
	uint32_t queries, i, found;
	const char *name;

	if (!listing)		/* every SET replaces the one before, also if it fails */
		n->context = NULL;
	nbd_get_string(from, n->name);
	queries = nbd_get32(from);
	again = *from;
	for (i = 0; i < queries && !from->failed; i++) {
		uint32_t length = nbd_get32(from);

		if (nbd_get(from, length) && length > NBD_MAX_STRING)
			from->failed = true;
	}
	if (from->failed || from->left) {
		refuse(peer, option, NBD_REP_ERR_INVALID, "the option is malformed");
		return;
	}
	if (peer->headers == NBD_HEADERS_SIMPLE) {
		refuse(peer, option, NBD_REP_ERR_INVALID, "this needs structured replies first");
		return;
	}
	export = export_named(peer, option);
	if (!export)
		return;
	found = queries_match(export, &again, queries, listing);
	for (i = 0; (name = export_context_name(export, i)); i++)
		if (found & 1u << i)
			context_reply(peer, option, listing ? 0 : PEER_CONTEXT_ALLOCATION + i, name);
	if (!listing && found) {
		n->context = export;
		n->contexts = found;
	}
	acknowledge(peer, option);
}

/* Counts the connection; false: there are too many. */
static bool export_enter(struct peer *peer, struct export *export)
{
	if (atomic_fetch_add(&export->connections, 1) >=
	    server_of(peer)->limits.export_connections) {
		atomic_fetch_sub(&export->connections, 1);
		return false;
	}
	peer->export = export;
	return true;
}

/* From here on it is the export's: the handshake is over, once what was said has left. */
static void enter(struct peer *peer)
{
	if (peer->negotiation->context == peer->export)
		peer->contexts = peer->negotiation->contexts;
	peer_begin_requests(peer);
}

static void export_name(struct peer *peer, const char *data, size_t length)
{
	struct negotiation *n = peer->negotiation;
	static const char zeroes[NBD_EXPORT_NAME_ZEROES];
	struct nbd_reader from = { .at = data, .left = length };
	struct export *export = NULL;
	struct nbd_writer to;
	const char *name;

	/* There is no way to refuse but to go. */
	if (length > server_of(peer)->limits.name) {
		peer_die(peer, "it asked for an export by a name of %zu bytes", length);
		return;
	}
	name = nbd_get(&from, length);
	if (!length || !memchr(name, '\0', length)) {
		memcpy(n->name, name, length);
		n->name[length] = '\0';
		export = exports_find(&server_of(peer)->exports, n->name);
	}
	if (!export) {
		peer_die(peer, "it asked for an export that there is not");
		return;
	}
	if (!export_enter(peer, export)) {
		peer_die(peer, "there are too many connections to export '%s'", export->name);
		return;
	}
	if (!out_reserve(peer, sizeof(struct nbd_export_name_reply) + sizeof(zeroes)))
		return;
	to = out_writer(peer);
	nbd_put64(&to, export->backend->info.size);
	nbd_put16(&to, export_flags(export, peer->headers));
	if (!n->no_zeroes)
		nbd_put(&to, zeroes, sizeof(zeroes));
	out_take(peer, &to);
	enter(peer);
}

static void info_text(struct peer *peer, uint32_t option, uint16_t info, const char *text)
{
	char data[2 + NBD_MAX_STRING];
	struct nbd_writer to = { .buf = data, .room = sizeof(data) };

	nbd_put16(&to, info);
	nbd_put(&to, text, strlen(text));
	reply(peer, option, NBD_REP_INFO, data, to.used);
}

static void info_export(struct peer *peer, uint32_t option, const struct export *export)
{
	char data[sizeof(struct nbd_info_export)];
	struct nbd_writer to = { .buf = data, .room = sizeof(data) };

	nbd_put16(&to, NBD_INFO_EXPORT);
	nbd_put64(&to, export->backend->info.size);
	nbd_put16(&to, export_flags(export, peer->headers));
	reply(peer, option, NBD_REP_INFO, data, to.used);
}

static void info_block_size(struct peer *peer, uint32_t option, const struct export *export)
{
	char data[sizeof(struct nbd_info_block_size)];
	struct nbd_writer to = { .buf = data, .room = sizeof(data) };
	uint32_t preferred = export->backend->info.block_preferred;

	/* Both it and the minimum are powers of two, and the minimum is never beyond the maximum. */
	while (preferred > export->payload_max)
		preferred >>= 1;
	nbd_put16(&to, NBD_INFO_BLOCK_SIZE);
	nbd_put32(&to, export->backend->info.block_min);
	nbd_put32(&to, preferred);
	nbd_put32(&to, export->payload_max);
	reply(peer, option, NBD_REP_INFO, data, to.used);
}

/* INFO and GO. */
static void go(struct peer *peer, uint32_t option, struct nbd_reader *from)
{
	bool want_name = false, want_description = false;
	struct negotiation *n = peer->negotiation;
	struct export *export;
	uint16_t wanted, i;

	nbd_get_string(from, n->name);
	wanted = nbd_get16(from);
	for (i = 0; i < wanted && !from->failed; i++) {
		uint16_t info = nbd_get16(from);

		want_name |= info == NBD_INFO_NAME;
		want_description |= info == NBD_INFO_DESCRIPTION;
	}
	if (from->failed || from->left) {
		refuse(peer, option, NBD_REP_ERR_INVALID, "the option is malformed");
		return;
	}
	export = export_named(peer, option);
	if (!export)
		return;
	if (option == NBD_OPT_GO && !export_enter(peer, export)) {
		refuse(peer, option, NBD_REP_ERR_POLICY,
		       "there are too many connections to this export");
		return;
	}
	info_export(peer, option, export);
	if (want_name)
		info_text(peer, option, NBD_INFO_NAME, export->name);
	if (want_description && export->description)
		info_text(peer, option, NBD_INFO_DESCRIPTION, export->description);
	info_block_size(peer, option, export);
	acknowledge(peer, option);
	if (option == NBD_OPT_GO && !peer->dead)
		enter(peer);
}

/* It is a leecher, which wants a control link. Nothing more of NBD comes on this connection. */
static void migrate(struct peer *peer, uint32_t option, struct nbd_reader *from)
{
	uint16_t version = nbd_get16(from);

	nbd_get_string(from, peer->negotiation->name);
	if (!server_of(peer)->guest) {
		refuse(peer, option, NBD_REP_ERR_UNSUP, "this server does not know this option");
	} else if (from->failed || from->left) {
		refuse(peer, option, NBD_REP_ERR_INVALID, "the option is malformed");
	} else if (version != MIGRATE_VERSION) {
		refuse(peer, option, NBD_REP_ERR_PLATFORM,
		       "this seeder has version 2 of the control messages");
	} else if (export_named(peer, option)) {
		acknowledge(peer, option);
		peer->phase = PEER_LEAVING;
	}
}

static void option_take(struct peer *peer, uint32_t option, const char *data, uint32_t length)
{
	struct nbd_reader from = { .at = data, .left = length };
	struct negotiation *n = peer->negotiation;

	if (server_of(peer)->tls == TLS_REQUIRE && !n->secured && option != NBD_OPT_STARTTLS &&
	    option != NBD_OPT_ABORT) {
		if (option == NBD_OPT_EXPORT_NAME)
			peer_die(peer, "it does not use TLS, which is required");
		else
			refuse(peer, option, NBD_REP_ERR_TLS_REQD, "STARTTLS has to come first");
		return;
	}
	switch (option) {
	case NBD_OPT_EXPORT_NAME:
		export_name(peer, data, length);
		break;
	case NBD_OPT_ABORT:
		acknowledge(peer, option);
		peer_close(peer);
		break;
	case NBD_OPT_LIST:
		list(peer, option, &from);
		break;
	case NBD_OPT_STARTTLS:
		starttls(peer, option, &from);
		break;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		go(peer, option, &from);
		break;
	case NBD_OPT_STRUCTURED_REPLY:
	case NBD_OPT_EXTENDED_HEADERS:
		headers(peer, option, &from);
		break;
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		meta_context(peer, option, &from);
		break;
	case NBD_OPT_MIGRATE:
		migrate(peer, option, &from);
		break;
	default:
		refuse(peer, option, NBD_REP_ERR_UNSUP, "this server does not know this option");
	}
}

/* Fills the buffer to @want bytes. False: there are not so many yet. */
static bool gather(struct negotiation *n, size_t want, const char **data, size_t *length)
{
	size_t more = want - n->used;

	if (n->used >= want)
		return true;
	if (more > *length)
		more = *length;
	memcpy(n->buf + n->used, *data, more);
	n->used += more;
	*data += more;
	*length -= more;
	return n->used == want;
}

static void flags_take(struct peer *peer)
{
	struct negotiation *n = peer->negotiation;
	struct nbd_reader from = { .at = n->buf, .left = CLIENT_FLAGS };
	uint32_t flags = nbd_get32(&from);

	if (flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) {
		peer_die(peer, "it has the unknown client flags 0x%x", flags);
		return;
	}
	n->flags_known = true;
	n->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	n->used = 0;
}

/* The header of an option is in the buffer. Returns false if its data is not to be gathered. */
static bool option_begin(struct peer *peer, uint32_t *option, uint32_t *length)
{
	struct negotiation *n = peer->negotiation;
	struct nbd_reader from = { .at = n->buf, .left = sizeof(struct nbd_option_header) };

	if (nbd_get64(&from) != NBD_IHAVEOPT) {
		peer_die(peer, "what it sent is not an NBD option");
		return false;
	}
	*option = nbd_get32(&from);
	*length = nbd_get32(&from);
	if (*length <= SERVE_OPTION_MAX)
		return true;
	if (*length > SERVE_OPTION_SKIP || *option == NBD_OPT_EXPORT_NAME) {
		peer_die(peer, "it announced an option of %u bytes", *length);
		return false;
	}
	n->refused = *option;
	n->skip = *length;
	n->used = 0;
	return false;
}

/* A client that asks about every export it was told of needs two options for each. */
static void option_count(struct peer *peer)
{
	const struct server *server = server_of(peer);
	uint64_t most = server->limits.options + 2ull * server->exports.count;

	if (++peer->negotiation->options > most)
		peer_die(peer, "it sent more than %llu options", (unsigned long long)most);
}

static void option_skip(struct peer *peer, const char **data, size_t *length)
{
	struct negotiation *n = peer->negotiation;
	uint32_t some = *length < n->skip ? (uint32_t)*length : n->skip;

	*data += some;
	*length -= some;
	n->skip -= some;
	if (n->skip)
		return;
	refuse(peer, n->refused, NBD_REP_ERR_TOO_BIG, "the option is too long");
	option_count(peer);
}

size_t negotiate_take(struct peer *peer, const char *data, size_t length)
{
	struct negotiation *n = peer->negotiation;
	const char *start = data;

	while (length && peer->phase == PEER_OPTIONS && !peer->dead && !peer->closing) {
		uint32_t option, option_length;

		if (n->skip) {
			option_skip(peer, &data, &length);
			continue;
		}
		if (!n->flags_known) {
			if (gather(n, CLIENT_FLAGS, &data, &length))
				flags_take(peer);
			continue;
		}
		if (!gather(n, sizeof(struct nbd_option_header), &data, &length) ||
		    !option_begin(peer, &option, &option_length) ||
		    !gather(n, sizeof(struct nbd_option_header) + option_length, &data, &length))
			continue;
		n->used = 0;
		option_take(peer, option, n->buf + sizeof(struct nbd_option_header),
			    option_length);
		if (peer->phase == PEER_OPTIONS && !peer->dead)
			option_count(peer);
	}
	return (size_t)(data - start);
}

int negotiate_begin(struct peer *peer)
{
	struct nbd_writer to;

	peer->negotiation = calloc(1, sizeof(*peer->negotiation));
	if (!peer->negotiation || !out_reserve(peer, sizeof(struct nbd_greeting)))
		return -ENOMEM;
	to = out_writer(peer);
	nbd_put64(&to, NBDMAGIC);
	nbd_put64(&to, NBD_IHAVEOPT);
	nbd_put16(&to, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	out_take(peer, &to);
	return 0;
}

void negotiate_secured(struct peer *peer)
{
	peer->negotiation->secured = true;
	peer->negotiation->context = NULL;
	peer->headers = NBD_HEADERS_SIMPLE;
	peer->phase = PEER_OPTIONS;
}

void negotiate_free(struct peer *peer)
{
	free(peer->negotiation);
	peer->negotiation = NULL;
}
