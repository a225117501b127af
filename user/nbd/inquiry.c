// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Questions to a server: see inquiry.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "client.h"
#include "inquiry.h"
#include "list.h"
#include "../lib/error.h"
#include "../tls/session.h"

struct nbd_inquiry {
	struct stream stream;
	enum nbd_headers headers;
	bool entered;			/* the transmission phase */
	struct nbd_haggle haggle;
};

int nbd_inquiry_open(const struct nbd_uri *uri, const struct nbd_wish *wish, uint64_t deadline_ns,
		     struct nbd_inquiry **inquiry, struct error *error)
{
	struct nbd_inquiry *i;
	int code;

	i = calloc(1, sizeof(*i));
	if (!i)
		return error_set(error, -ENOMEM, "out of memory");
	code = nbd_connect(uri, deadline_ns, &i->stream, error);
	if (code)
		goto free_inquiry;
	i->haggle.stream = &i->stream;
	i->haggle.uri = uri;
	i->haggle.deadline = deadline_ns;
	i->haggle.error = error;
	code = nbd_haggle_begin(&i->haggle, wish->credentials);
	if (!code && i->haggle.fixed)
		code = nbd_haggle_headers(&i->haggle, wish, &i->headers);
	if (code)
		goto disconnect;
	*inquiry = i;
	return 0;

disconnect:
	nbd_haggle_abort(&i->haggle);
	nbd_disconnect(&i->stream);
free_inquiry:
	free(i);
	return code;
}

void nbd_inquiry_close(struct nbd_inquiry *inquiry)
{
	if (inquiry->entered)
		nbd_goodbye(&inquiry->stream, inquiry->headers);
	else
		nbd_haggle_abort(&inquiry->haggle);
	nbd_disconnect(&inquiry->stream);
	free(inquiry);
}

bool nbd_inquiry_usable(const struct nbd_inquiry *inquiry)
{
	return !inquiry->haggle.broken;
}

const char *nbd_inquiry_protocol(const struct nbd_inquiry *inquiry)
{
	return inquiry->haggle.fixed ? "fixed newstyle" : "newstyle";
}

enum nbd_headers nbd_inquiry_headers(const struct nbd_inquiry *inquiry)
{
	return inquiry->headers;
}

void nbd_inquiry_tls(const struct nbd_inquiry *inquiry, char *text, size_t size)
{
	text[0] = '\0';
	if (inquiry->stream.tls)
		tls_describe(inquiry->stream.tls, text, size);
}

/* Can it be asked one more question? */
static int inquiry_ready(struct nbd_inquiry *inquiry, struct error *error)
{
	if (inquiry->haggle.broken)
		return error_set(error, -ENOTCONN, "the connection has ended");
	inquiry->haggle.error = error;
	return 0;
}

/* The same for questions that a server needs options for. */
static int inquiry_fixed(struct nbd_inquiry *inquiry, struct error *error)
{
	if (!inquiry->haggle.fixed)
		return error_set(error, -EOPNOTSUPP, "the server is too old to be asked for that");
	return inquiry_ready(inquiry, error);
}

int nbd_inquiry_export(struct nbd_inquiry *inquiry, const char *name, struct nbd_export *export,
		       struct nbd_details *details, struct error *error)
{
	struct nbd_haggle *h = &inquiry->haggle;
	int code = inquiry_fixed(inquiry, error);

	if (code)
		return code;
	nbd_export_init(export);
	details->name[0] = '\0';
	details->description[0] = '\0';
	code = nbd_haggle_export(h, NBD_OPT_INFO, name, export, details);
	if (code > 0)
		code = nbd_haggle_refused(h, NBD_OPT_INFO, NULL);
	else if (code == -ENOENT && !h->broken)
		nbd_list_tell(h);
	export->headers = inquiry->headers;
	return code ? code : nbd_haggle_export_check(h, export);
}

int nbd_inquiry_enter(struct nbd_inquiry *inquiry, const char *name, struct nbd_export *export,
		      struct error *error)
{
	struct nbd_haggle *h = &inquiry->haggle;
	int code = inquiry_ready(inquiry, error);

	if (code)
		return code;
	nbd_export_init(export);
	code = h->fixed ? nbd_haggle_export(h, NBD_OPT_GO, name, export, NULL) : 1;
	if (code > 0)
		code = nbd_haggle_export_name(h, name, export);
	inquiry->entered = !code;
	h->broken = true;
	export->headers = inquiry->headers;
	return code ? code : nbd_haggle_export_check(h, export);
}

int nbd_inquiry_leave(struct nbd_inquiry *inquiry, uint32_t option, uint16_t version,
		      const char *name, struct stream *stream, struct error *error)
{
	struct nbd_haggle *h = &inquiry->haggle;
	int code = inquiry_fixed(inquiry, error);

	if (code)
		return code;
	nbd_haggle_option(h, option);
	nbd_put16(&h->option, version);
	nbd_put_string(&h->option, name);
	code = nbd_haggle_send(h);
	if (!code)
		code = nbd_haggle_reply(h, option);
	if (code)
		return code;
	if (h->type & NBD_REP_ERROR)
		return nbd_haggle_refused(h, option, name);
	if (h->type != NBD_REP_ACK || h->reply.left)
		return nbd_haggle_broken(h, "the server answers an option with something else");
	*stream = inquiry->stream;
	free(inquiry);
	return 0;
}

int nbd_inquiry_list(struct nbd_inquiry *inquiry,
		     int (*each)(const char *name, const char *description, void *owner),
		     void *owner, struct error *error)
{
	int code = inquiry_fixed(inquiry, error);

	return code ? code : nbd_list(&inquiry->haggle, each, owner);
}

int nbd_inquiry_contexts(struct nbd_inquiry *inquiry, const char *name,
			 int (*each)(const char *context, void *owner), void *owner,
			 struct error *error)
{
	int code = inquiry_fixed(inquiry, error);

	return code ? code : nbd_list_contexts(&inquiry->haggle, name, each, owner);
}
