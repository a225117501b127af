/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking an NBD server about itself, without entering the transmission phase: a server that ends
 * with its last client, or has room for one only, does not count this as one.
 *
 * Blocks, with a deadline for all of it. A refusal of one question leaves the others possible.
 */
#ifndef R3MAP_NBD_INQUIRY_H
#define R3MAP_NBD_INQUIRY_H

#include "handshake.h"

struct nbd_inquiry;

struct nbd_details {
	char name[NBD_MAX_STRING + 1];		/* the export's canonical one; "" if not told */
	char description[NBD_MAX_STRING + 1];	/* "" if not told */
};

/*
 * Connects to the server of @uri, which outlives the inquiry, and negotiates all but an export.
 * Returns 0 or a negative errno with one sentence in @error.
 */
int nbd_inquiry_open(const struct nbd_uri *uri, const struct nbd_wish *wish, uint64_t deadline_ns,
		     struct nbd_inquiry **inquiry, struct error *error);
void nbd_inquiry_close(struct nbd_inquiry *inquiry);

/* False: the connection has ended, further questions fail. */
bool nbd_inquiry_usable(const struct nbd_inquiry *inquiry);

/* "newstyle", and "fixed newstyle" for a server with which options can be negotiated. */
const char *nbd_inquiry_protocol(const struct nbd_inquiry *inquiry);
/* What was agreed on. */
enum nbd_headers nbd_inquiry_headers(const struct nbd_inquiry *inquiry);
/* "TLS1.3 AES-256-GCM"; "" without TLS. */
void nbd_inquiry_tls(const struct nbd_inquiry *inquiry, char *text, size_t size);

/* The export @name. -EOPNOTSUPP: the server does not know INFO. */
int nbd_inquiry_export(struct nbd_inquiry *inquiry, const char *name, struct nbd_export *export,
		       struct nbd_details *details, struct error *error);
/*
 * The same by entering the transmission phase, with GO or the old way, EXPORT_NAME, which every
 * server has. So it ends the inquiry, and makes us a client.
 */
int nbd_inquiry_enter(struct nbd_inquiry *inquiry, const char *name, struct nbd_export *export,
		      struct error *error);
/*
 * Asks by @option, which is none of NBD's own, to make something else of the connection: @version of
 * that, for export @name. After success *@stream is the caller's, and the inquiry is gone.
 */
int nbd_inquiry_leave(struct nbd_inquiry *inquiry, uint32_t option, uint16_t version,
		      const char *name, struct stream *stream, struct error *error);
/*
 * The server's exports, and the metadata contexts of one: a call of @each for each, with texts that
 * are printable and end with the call. What @each returns, if not 0, ends it.
 */
int nbd_inquiry_list(struct nbd_inquiry *inquiry,
		     int (*each)(const char *name, const char *description, void *owner),
		     void *owner, struct error *error);
int nbd_inquiry_contexts(struct nbd_inquiry *inquiry, const char *name,
			 int (*each)(const char *context, void *owner), void *owner,
			 struct error *error);

#endif
