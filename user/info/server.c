// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Questions to an NBD server, and their answers kept: see server.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "lib/error.h"
#include "lib/loop.h"
#include "nbd/list.h"
#include "tls/credentials.h"

#define ONE_TIME	10000000000ull	/* ns */
#define ALL_TIME	60000000000ull

const char *server_flag_name(unsigned int bit)
{
	static const char *const names[] = {
		"has-flags", "read-only", "flush", "fua", "rotational", "trim", "write-zeroes",
		"df", "multi-conn", "resize", "cache", "fast-zero", "block-status-payload",
	};

	return bit < sizeof(names) / sizeof(names[0]) ? names[bit] : NULL;
}

static void export_free(struct server_export *e)
{
	unsigned int i;

	for (i = 0; i < e->contexts_count; i++)
		free(e->contexts[i]);
	free(e->name);
	free(e->description);
	free(e->canonical);
	free(e->refused);
}

void server_free(struct server *server)
{
	unsigned int i;

	if (!server)
		return;
	for (i = 0; i < server->count; i++)
		export_free(&server->exports[i]);
	free(server);
}

/* One more export of that name. */
static int export_add(struct server **server, const char *name, const char *description)
{
	unsigned int count = (*server)->count;
	struct server_export *e;
	struct server *larger;

	larger = realloc(*server, sizeof(*larger) + (count + 1) * sizeof(larger->exports[0]));
	if (!larger)
		return -ENOMEM;
	*server = larger;
	e = &larger->exports[count];
	memset(e, 0, sizeof(*e));
	e->name = strdup(name);
	e->description = strdup(description);
	e->canonical = strdup("");
	e->refused = strdup("");
	if (!e->name || !e->description || !e->canonical || !e->refused) {
		export_free(e);
		return -ENOMEM;
	}
	larger->count++;
	return 0;
}

static int listed_add(const char *name, const char *description, void *owner)
{
	return export_add(owner, name, description);
}

static int context_add(const char *context, void *owner)
{
	struct server_export *e = owner;
	char *copy;

	if (e->contexts_count == SERVER_CONTEXTS_MAX)
		return 0;
	copy = strdup(context);
	if (!copy)
		return -ENOMEM;
	e->contexts[e->contexts_count++] = copy;
	return 0;
}

/* Puts a copy of @text in place of *@to. */
static int text_set(char **to, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int details_take(struct server_export *e, const struct nbd_details *details)
{
	int code = 0;

	if (details->description[0])
		code = text_set(&e->description, details->description);
	if (!code && details->name[0] && strcmp(details->name, e->name))
		code = text_set(&e->canonical, details->name);
	return code;
}

/* The metadata contexts of an export. A server that refuses to tell has none to offer. */
static int contexts_ask(struct nbd_inquiry *inquiry, struct server_export *e, struct error *error)
{
	int code;

	if (nbd_inquiry_headers(inquiry) == NBD_HEADERS_SIMPLE)
		return 0;
	code = nbd_inquiry_contexts(inquiry, e->name, context_add, e, error);
	if (!code || !nbd_inquiry_usable(inquiry))
		return code;
	*error = (struct error) { 0 };
	return 0;
}

static int export_ask(struct nbd_inquiry *inquiry, struct server_export *e, struct error *error)
{
	struct nbd_details details;
	int code;

	code = nbd_inquiry_export(inquiry, e->name, &e->export, &details, error);
	if (!code)
		code = details_take(e, &details);
	return code ? code : contexts_ask(inquiry, e, error);
}

/*
 * The only export that is of interest, so that it may be used if that is how to learn about it:
 * where INFO is not known, and where it tells a size of 0, as nbd-server does, which does not open
 * an export before it is used.
 */
static int one_ask(struct nbd_inquiry *inquiry, struct server_export *e, struct error *error)
{
	int code = export_ask(inquiry, e, error);

	if (code != -EOPNOTSUPP && (code || e->export.size))
		return code;
	*error = (struct error) { 0 };
	return nbd_inquiry_enter(inquiry, e->name, &e->export, error);
}

/* One of several, where a refusal is a fact about this export and no reason to end. */
static int listed_ask(struct nbd_inquiry *inquiry, struct server_export *e, struct error *error)
{
	int code = export_ask(inquiry, e, error);

	if (!code || !nbd_inquiry_usable(inquiry))
		return code;
	code = text_set(&e->refused, error->text);
	*error = (struct error) { 0 };
	return code;
}

static int all_ask(struct nbd_inquiry *inquiry, struct server **server, struct error *error)
{
	unsigned int i;
	int code;

	code = nbd_inquiry_list(inquiry, listed_add, server, error);
	for (i = 0; !code && i < (*server)->count; i++)
		code = listed_ask(inquiry, &(*server)->exports[i], error);
	return code;
}

int server_ask(const struct nbd_uri *uri, bool all, struct server **server, struct error *error)
{
	struct nbd_wish wish = { .headers = NBD_HEADERS_EXTENDED };
	uint64_t deadline = loop_now() + (all ? ALL_TIME : ONE_TIME);
	struct nbd_inquiry *inquiry;
	int code;

	*server = calloc(1, sizeof(**server));
	if (!*server)
		return error_set(error, -ENOMEM, "out of memory");
	code = nbd_credentials(uri, &wish.credentials, error);
	if (!code)
		code = nbd_inquiry_open(uri, &wish, deadline, &inquiry, error);
	if (code)
		goto free_credentials;
	(*server)->protocol = nbd_inquiry_protocol(inquiry);
	(*server)->headers = nbd_inquiry_headers(inquiry);
	nbd_inquiry_tls(inquiry, (*server)->tls, sizeof((*server)->tls));
	if (all) {
		code = all_ask(inquiry, server, error);
	} else {
		code = export_add(server, uri->name, "");
		if (!code)
			code = one_ask(inquiry, &(*server)->exports[0], error);
	}
	if (code == -ENOMEM)
		error_set(error, code, "out of memory");
	nbd_inquiry_close(inquiry);
free_credentials:
	tls_credentials_free(wish.credentials);
	if (code) {
		server_free(*server);
		*server = NULL;
	}
	return code;
}
