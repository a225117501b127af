// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client's way from the greeting to the transmission phase: see handshake.h.
 *
 *	greeting, STARTTLS			haggle.c
 *	EXTENDED_HEADERS or STRUCTURED_REPLY	haggle.c
 *	SET_META_CONTEXT
 *	GO or EXPORT_NAME			export.c
 *
 * What a server does not have is done without, except for TLS and the export itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#define LOG_PREFIX "nbd: "
#include "haggle.h"
#include "list.h"
#include "../lib/error.h"
#include "../lib/log.h"
#include "../tls/credentials.h"

#define CONTEXTS_MAX	16	/* replies to SET_META_CONTEXT */

int nbd_credentials(const struct nbd_uri *uri, struct tls_credentials **credentials,
		    struct error *error)
{
	const struct tls_files files = {
		.certificates = uri->certificates[0] ? uri->certificates : NULL,
		.psk = uri->psk[0] ? uri->psk : NULL,
		.username = uri->user[0] ? uri->user : NULL,
	};

	*credentials = NULL;
	if (!uri->tls)
		return 0;
	if (uri->trust_anybody)
		log_warn("tls-verify-peer=0: anybody on the way to the server can be the server");
	return tls_client_credentials(&files, !uri->trust_anybody, credentials, error);
}

/* One META_CONTEXT reply: it can only be about the one context that was asked for, once. */
static int context_take(struct nbd_haggle *h, struct nbd_export *export)
{
	uint32_t id = nbd_get32(&h->reply);
	size_t length = h->reply.left;
	const char *name = nbd_get(&h->reply, length);

	if (h->reply.failed)
		return nbd_haggle_broken(h, "a strange reply to SET_META_CONTEXT");
	if (length != strlen(NBD_META_BASE_ALLOCATION) ||
	    memcmp(name, NBD_META_BASE_ALLOCATION, length))
		return nbd_haggle_broken(h, "it chose a metadata context that was not asked for");
	if (export->has_allocation)
		return nbd_haggle_broken(h, "it chose a metadata context twice");
	export->has_allocation = true;
	export->allocation_id = id;
	return 0;
}

/* Any refusal means that there is no such context; on a wrong name, GO tells more. */
static int allocation_choose(struct nbd_haggle *h, const char *name, struct nbd_export *export)
{
	int replies, code;

	nbd_haggle_option(h, NBD_OPT_SET_META_CONTEXT);
	nbd_put_string(&h->option, name);
	nbd_put32(&h->option, 1);
	nbd_put_string(&h->option, NBD_META_BASE_ALLOCATION);
	code = nbd_haggle_send(h);
	for (replies = 0; !code; replies++) {
		code = nbd_haggle_reply(h, NBD_OPT_SET_META_CONTEXT);
		if (code)
			break;
		if (h->type == NBD_REP_ACK)
			return 0;
		if (h->type & NBD_REP_ERROR) {
			export->has_allocation = false;
			return 0;
		}
		if (h->type != NBD_REP_META_CONTEXT || replies >= CONTEXTS_MAX)
			return nbd_haggle_broken(h, "a strange reply to SET_META_CONTEXT (type %u)",
						 h->type);
		code = context_take(h, export);
	}
	return code;
}

/* The options between TLS and the transmission phase. */
static int options_go(struct nbd_haggle *h, const struct nbd_wish *wish, struct nbd_export *export)
{
	const char *name = h->uri->name;
	int code;

	code = nbd_haggle_headers(h, wish, &export->headers);
	if (!code && wish->allocation && export->headers != NBD_HEADERS_SIMPLE)
		code = allocation_choose(h, name, export);
	if (!code)
		code = nbd_haggle_export(h, NBD_OPT_GO, name, export, NULL);
	if (code == -ENOENT)
		nbd_list_tell(h);
	return code;
}

int nbd_handshake(struct stream *stream, const struct nbd_uri *uri, const struct nbd_wish *wish,
		  uint64_t deadline_ns, struct nbd_export *export, struct error *error)
{
	struct nbd_haggle h = {
		.stream = stream, .uri = uri, .deadline = deadline_ns, .error = error,
	};
	int code;

	nbd_export_init(export);
	code = nbd_haggle_begin(&h, wish->credentials);
	if (!code)
		code = h.fixed ? options_go(&h, wish, export) : 1;
	if (code > 0)
		code = nbd_haggle_export_name(&h, uri->name, export);
	else if (code < 0)
		nbd_haggle_abort(&h);
	return code ? code : nbd_haggle_export_check(&h, export);
}
