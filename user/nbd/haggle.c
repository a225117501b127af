// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The greeting, TLS, options out and replies in: see haggle.h.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "haggle.h"
#include "wait.h"
#include "../lib/error.h"
#include "../lib/text.h"
#include "../tls/session.h"

/* Turns a failed receive or send into a sentence. */
static int io_failed(struct nbd_haggle *h, int code, const char *where)
{
	h->broken = true;
	if (code == -ETIMEDOUT)
		return error_set(h->error, code,
				 "the server does not answer (%s): is it an NBD server?", where);
	if (h->stream->tls)	/* it knows why: a refused certificate... */
		return tls_explain(h->stream->tls, code, h->error);
	if (code == -ECONNRESET || code == -EPIPE)
		return error_set(h->error, -ECONNRESET, "the server closed the connection (%s)",
				 where);
	return error_set(h->error, code, "%s (%s)", strerror(-code), where);
}

static int receive(struct nbd_haggle *h, void *buf, size_t length, const char *where)
{
	int code = nbd_receive(h->stream, buf, length, h->deadline);

	return code ? io_failed(h, code, where) : 0;
}

int nbd_haggle_broken(struct nbd_haggle *h, const char *format, ...)
{
	char text[300];
	va_list args;

	h->broken = true;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_set(h->error, -EPROTO, "the server broke the NBD protocol: %s", text);
}

static int greeting_read(struct nbd_haggle *h)
{
	struct nbd_greeting greeting;
	uint16_t flags;
	int code;

	code = receive(h, &greeting, offsetof(struct nbd_greeting, flags), "greeting");
	if (code)
		return code;
	if (be64toh(greeting.magic) != NBDMAGIC)
		return error_set(h->error, -EPROTO,
				 "what answers there is not an NBD server: check host and port");
	if (be64toh(greeting.version) == NBD_OLDSTYLE_MAGIC)
		return error_set(h->error, -EPROTO,
			"the server speaks the oldstyle protocol only: start it with newstyle negotiation");
	if (be64toh(greeting.version) != NBD_IHAVEOPT)
		return error_set(h->error, -EPROTO, "the server's greeting is not NBD newstyle");
	code = receive(h, &greeting.flags, sizeof(greeting.flags), "greeting");
	if (code)
		return code;
	flags = be16toh(greeting.flags);
	h->fixed = flags & NBD_FLAG_FIXED_NEWSTYLE;
	h->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	return 0;
}

void nbd_haggle_option(struct nbd_haggle *h, uint32_t option)
{
	h->option = (struct nbd_writer) { .buf = h->packet, .room = sizeof(h->packet) };
	if (!h->flags_sent)
		nbd_put32(&h->option, (h->fixed ? NBD_FLAG_FIXED_NEWSTYLE : 0) |
				      (h->no_zeroes ? NBD_FLAG_NO_ZEROES : 0));
	h->flags_sent = true;
	h->option_begin = nbd_option_begin(&h->option, option);
}

int nbd_haggle_send(struct nbd_haggle *h)
{
	int code;

	nbd_option_end(&h->option, h->option_begin);
	if (h->option.failed)
		return error_set(h->error, -EINVAL, "an option is longer than %zu bytes",
				 sizeof(h->packet));
	code = nbd_send(h->stream, h->packet, h->option.used, h->deadline);
	return code ? io_failed(h, code, "negotiation") : 0;
}

int nbd_haggle_reply(struct nbd_haggle *h, uint32_t option)
{
	struct nbd_option_reply_header header;
	uint32_t length;
	int code;

	code = receive(h, &header, sizeof(header), nbd_option_name(option));
	if (code)
		return code;
	if (be64toh(header.magic) != NBD_REP_MAGIC)
		return nbd_haggle_broken(h, "an option reply without its magic");
	if (be32toh(header.option) != option)
		return nbd_haggle_broken(h, "it answered option %u, not option %u",
					 be32toh(header.option), option);
	h->type = be32toh(header.type);
	length = be32toh(header.length);
	if (length > NBD_REPLY_DATA_MAX)
		return nbd_haggle_broken(h, "an option reply of %u bytes, at most %u make sense",
					 length, NBD_REPLY_DATA_MAX);
	code = receive(h, h->data, length, nbd_option_name(option));
	h->data[length] = '\0';		/* for an error's text */
	h->reply = (struct nbd_reader) { .at = h->data, .left = length };
	return code;
}

/* The scheme that this server wants, for "nbd" and its kind. */
static void tls_scheme(const struct nbd_uri *uri, char text[32])
{
	snprintf(text, 32, "nbds%s", nbd_uri_scheme_of(uri) + strlen(uri->tls ? "nbds" : "nbd"));
}

int nbd_haggle_refused(struct nbd_haggle *h, uint32_t option, const char *name)
{
	const char *what = nbd_option_name(option);
	const char *colon = *h->data ? ": " : "";
	char subject[NBD_MAX_STRING + 16];
	char scheme[32];

	text_clean(h->data);
	if (name)
		snprintf(subject, sizeof(subject), "export '%.200s'", name);
	else
		snprintf(subject, sizeof(subject), "%s", what);
	switch (h->type) {
	case NBD_REP_ERR_UNSUP:
		return error_set(h->error, -EOPNOTSUPP, "the server does not know %s%s%.200s", what,
				 colon, h->data);
	case NBD_REP_ERR_POLICY:
		return error_set(h->error, -EACCES, "the server does not allow %s%s%.200s", subject,
				 colon, h->data);
	case NBD_REP_ERR_PLATFORM:
		return error_set(h->error, -EOPNOTSUPP, "the server's machine cannot do %s%s%.200s",
				 what, colon, h->data);
	case NBD_REP_ERR_TLS_REQD:
		if (h->stream->tls)
			return nbd_haggle_broken(h, "it demands TLS within TLS");
		tls_scheme(h->uri, scheme);
		return error_set(h->error, -EPROTONOSUPPORT,
				 "the server demands TLS: write %s: in place of %s:", scheme,
				 nbd_uri_scheme_of(h->uri));
	case NBD_REP_ERR_UNKNOWN:
		return error_set(h->error, -ENOENT, "the server has no %s%s%.200s", subject, colon,
				 h->data);
	case NBD_REP_ERR_SHUTDOWN:
		return error_set(h->error, -ESHUTDOWN, "the server is shutting down");
	case NBD_REP_ERR_BLOCK_SIZE_REQD:
		return error_set(h->error, -EPROTO,
			"the server wants its block sizes to be asked for, although they were%s%.200s",
			colon, h->data);
	case NBD_REP_ERR_TOO_BIG:
		return error_set(h->error, -EPROTO, "%s is too long for the server%s%.200s",
				 name ? "the export's name" : what, colon, h->data);
	case NBD_REP_ERR_EXT_HEADER_REQD:
		return error_set(h->error, -EPROTO,
			"the server wants extended headers, but has not agreed to them%s%.200s",
			colon, h->data);
	default:
		return error_set(h->error, -EPROTO, "the server refused %s with error %u%s%.200s",
				 subject, h->type & ~NBD_REP_ERROR, colon, h->data);
	}
}

void nbd_haggle_abort(struct nbd_haggle *h)
{
	if (h->broken || !h->fixed)
		return;
	nbd_haggle_option(h, NBD_OPT_ABORT);
	nbd_option_end(&h->option, h->option_begin);
	/* A deadline that is over: what the socket does not take at once is left out. */
	nbd_send(h->stream, h->packet, h->option.used, 0);
	stream_bye(h->stream);
}

/* An option without data, answered with ACK or an error. Returns 1 for ACK, 0 for an error. */
static int simple_option(struct nbd_haggle *h, uint32_t option)
{
	int code;

	nbd_haggle_option(h, option);
	code = nbd_haggle_send(h);
	if (!code)
		code = nbd_haggle_reply(h, option);
	if (code)
		return code;
	if (h->type & NBD_REP_ERROR)
		return 0;
	if (h->type != NBD_REP_ACK || h->reply.left)
		return nbd_haggle_broken(h, "a strange reply to %s (type %u, %zu bytes)",
					 nbd_option_name(option), h->type, h->reply.left);
	return 1;
}

/* TLS's own handshake, on a socket that has nothing else to read. */
static int session_start(struct nbd_haggle *h, struct tls_credentials *credentials)
{
	const struct nbd_uri *uri = h->uri;
	const char *hostname = uri->hostname[0] ? uri->hostname :
			       uri->transport == NBD_TCP ? uri->host : NULL;
	struct tls_session *session;
	int code;

	code = tls_session_new(credentials, h->stream->fd, hostname, &session, h->error);
	if (code)
		return code;
	while ((code = tls_handshake(session, h->error)) == -EAGAIN) {
		code = nbd_wait(h->stream->fd, tls_wants_write(session) ? POLLOUT : POLLIN,
				h->deadline);
		if (code) {
			io_failed(h, code, "TLS handshake");
			break;
		}
	}
	if (code)
		tls_session_free(session);
	else
		h->stream->tls = session;
	return code;
}

static int tls_start(struct nbd_haggle *h, struct tls_credentials *credentials)
{
	int code;

	if (!h->fixed)
		return error_set(h->error, -EPROTONOSUPPORT,
			"the server is too old for TLS: use another one, or a tunnel");
	code = simple_option(h, NBD_OPT_STARTTLS);
	if (code < 0)
		return code;
	if (!code && (h->type == NBD_REP_ERR_UNSUP || h->type == NBD_REP_ERR_POLICY))
		return error_set(h->error, -EPROTONOSUPPORT,
			"the server has no TLS: give it certificates or keys, or do without TLS");
	if (!code)
		return nbd_haggle_refused(h, NBD_OPT_STARTTLS, NULL);
	code = session_start(h, credentials);
	h->broken = code;
	return code;
}

int nbd_haggle_begin(struct nbd_haggle *h, struct tls_credentials *credentials)
{
	int code = greeting_read(h);

	if (!code && h->uri->tls)
		code = tls_start(h, credentials);
	return code;
}

/* Errors that do not mean "not this option", but "nothing of all this". */
static bool is_final(uint32_t type)
{
	return type == NBD_REP_ERR_TLS_REQD || type == NBD_REP_ERR_SHUTDOWN;
}

int nbd_haggle_headers(struct nbd_haggle *h, const struct nbd_wish *wish,
		       enum nbd_headers *headers)
{
	static const struct {
		enum nbd_headers headers;
		uint32_t option;
	} steps[] = {
		{ NBD_HEADERS_EXTENDED, NBD_OPT_EXTENDED_HEADERS },
		{ NBD_HEADERS_STRUCTURED, NBD_OPT_STRUCTURED_REPLY },
	};
	size_t i;
	int code;

	*headers = NBD_HEADERS_SIMPLE;
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].headers > wish->headers || steps[i].headers < wish->least)
			continue;
		code = simple_option(h, steps[i].option);
		if (code < 0)
			return code;
		if (code) {
			*headers = steps[i].headers;
			break;
		}
		if (is_final(h->type))
			return nbd_haggle_refused(h, steps[i].option, NULL);
	}
	return 0;
}
