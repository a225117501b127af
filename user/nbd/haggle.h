/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Option haggling, the client's side: what comes before the transmission phase, one option at a
 * time. handshake.c haggles on the way to that phase, inquiry.c to learn about a server.
 *
 * Options are not sent ahead of replies: the protocol forbids it ("The client MUST NOT send any
 * option until it has received a final reply to any option it has sent").
 *
 * Blocks, with a deadline. The peer is not trusted: every length it sends is bounded before it is
 * used, the number of its replies is bounded, and its texts are cleaned before they are shown.
 *
 * All functions return 0 or a negative errno with one sentence in the haggle's error, if not said
 * otherwise.
 */
#ifndef R3MAP_NBD_HAGGLE_H
#define R3MAP_NBD_HAGGLE_H

#include "inquiry.h"
#include "option.h"

#define NBD_REPLY_DATA_MAX	(2 * NBD_MAX_STRING + 64)	/* bytes of one reply's data */
#define NBD_OPTION_MAX		(2 * NBD_MAX_STRING + 64)	/* bytes of one option, all of it */

struct nbd_haggle {
	struct stream *stream;
	const struct nbd_uri *uri;
	uint64_t deadline;
	struct error *error;
	bool fixed;		/* the server offered fixed newstyle: options get replies */
	bool no_zeroes;
	bool flags_sent;
	bool broken;		/* the connection is good for nothing any more */

	uint32_t type;		/* of the last reply */
	struct nbd_reader reply;	/* its data */
	char data[NBD_REPLY_DATA_MAX + 1];

	struct nbd_writer option;	/* the one that is being written */
	size_t option_begin;
	char packet[NBD_OPTION_MAX];
};

/*
 * Reads the greeting, and starts TLS if the URI wants it, with @credentials.
 * @haggle: its stream, uri, deadline and error are set, the rest is 0.
 */
int nbd_haggle_begin(struct nbd_haggle *h, struct tls_credentials *credentials);

/*
 * Begins an option; its data goes to h->option. The client's flags leave with the first one.
 * nbd_haggle_send() ends it and sends it.
 */
void nbd_haggle_option(struct nbd_haggle *h, uint32_t option);
int nbd_haggle_send(struct nbd_haggle *h);
/* Reads one reply to @option, into h->type and h->reply. An error that it tells is none here. */
int nbd_haggle_reply(struct nbd_haggle *h, uint32_t option);
/* The server broke the protocol. Returns -EPROTO with that sentence. */
int nbd_haggle_broken(struct nbd_haggle *h, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * h->type is an error: sets a sentence on the refusal of @option, for @name if that is an export's,
 * and returns its errno.
 */
int nbd_haggle_refused(struct nbd_haggle *h, uint32_t option, const char *name);
/* Tells the server that we go; it is not waited for, and may be gone already. */
void nbd_haggle_abort(struct nbd_haggle *h);

/* Asks for the best headers of those in @wish, and sets *@headers to what was granted. */
int nbd_haggle_headers(struct nbd_haggle *h, const struct nbd_wish *wish,
		       enum nbd_headers *headers);

/*
 * GO or INFO for export @name: fills in what is told of @export, and @details if not NULL. Returns
 * 1 if the server does not know the option.
 */
int nbd_haggle_export(struct nbd_haggle *h, uint32_t option, const char *name,
		      struct nbd_export *export, struct nbd_details *details);
/* The old way into the transmission phase: no answer but the export, or the connection's end. */
int nbd_haggle_export_name(struct nbd_haggle *h, const char *name, struct nbd_export *export);
/* What the protocol says of an export that nothing is told of. */
void nbd_export_init(struct nbd_export *export);
/* Refuses what cannot be worked with in @export and repairs what can. */
int nbd_haggle_export_check(struct nbd_haggle *h, struct nbd_export *export);

#endif
