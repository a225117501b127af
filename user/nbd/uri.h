/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NBD URIs (doc/uri.md of the nbd project, RFC 3986):
 *
 *	nbd://HOST[:PORT]/NAME
 *	nbd+unix:///NAME?socket=PATH
 *	nbd+vsock://[CID][:PORT]/NAME
 *	nbd+listen://[HOST][:PORT]/NAME		r3map's own: the server dials, see reverse.h
 *
 * and nbds for nbd where TLS must be used, with USER@ in front of the host and the parameters
 * tls-certificates, tls-psk-file, tls-username, tls-hostname, tls-verify-peer and tls-type.
 */
#ifndef R3MAP_NBD_URI_H
#define R3MAP_NBD_URI_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "request.h"

struct error;

enum nbd_transport {
	NBD_TCP,
	NBD_UNIX,
	NBD_VSOCK,
	NBD_LISTEN,
};

struct nbd_uri {
	enum nbd_transport transport;
	bool tls;			/* or no connection */
	char host[256];			/* without the brackets of an IPv6 literal; a CID; "": unix, or any */
	char port[12];			/* decimal, not 0; to 65535, or to 4294967294 for vsock */
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	size_t socket_length;		/* bytes; may begin with a NUL: an abstract name */
	char name[NBD_MAX_STRING + 1];	/* of the export, decoded, UTF-8, without a NUL */

	/* What TLS needs, each "" if it was not given. */
	char certificates[PATH_MAX];	/* a folder */
	char psk[PATH_MAX];		/* a file */
	char user[256];			/* whose key of that file */
	char hostname[256];		/* the server's, in its certificate, if not @host */
	bool trust_anybody;		/* tls-verify-peer=0 */

	/* r3map's own. They say how, not what: the canonical form leaves them out. */
	uint32_t reconnect;		/* s that requests wait for a lost server; 0: not at all */
	uint32_t timeout;		/* s of silence after which a server is lost; 0: never */
	bool headers_chosen;		/* headers= is given: */
	enum nbd_headers headers;	/* the best ones to ask for */
	bool flush_strict;		/* flush=strict: a flush tells that writes may be lost */
};

#define NBD_RECONNECT	60u		/* s, if the URI says nothing */
#define NBD_TIMEOUT	20u		/* s, the same; less than the 30 s of a device's requests */

/* Is there such a scheme: "nbds+unix"? */
bool nbd_uri_scheme(const char *scheme);

/*
 * Parses "//HOST...", the part after "@scheme:". File names are made absolute, so that the
 * canonical form means the same in another folder. Returns 0, or -EINVAL with one sentence in
 * @error.
 */
int nbd_uri_parse(const char *scheme, const char *rest, struct nbd_uri *uri, struct error *error);

/* "nbds+unix". */
const char *nbd_uri_scheme_of(const struct nbd_uri *uri);

/*
 * The URI in canonical form, to be freed; NULL: out of memory. It has names of files in it, but
 * never what is in them.
 */
char *nbd_uri_format(const struct nbd_uri *uri);

#endif
