/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The facts about an NBD server and one or all of its exports, gathered without using any of them.
 */
#ifndef R3MAP_INFO_SERVER_H
#define R3MAP_INFO_SERVER_H

#include "nbd/inquiry.h"

#define SERVER_CONTEXTS_MAX	64	/* contexts of one export; further ones are left out */

struct server_export {
	char *name;			/* as it is asked for */
	char *description;		/* "" if not told */
	char *canonical;		/* another name that the server gave it, or "" */
	struct nbd_export export;	/* if refused is "" */
	char *refused;			/* why the server tells nothing about it, or "" */
	char *contexts[SERVER_CONTEXTS_MAX];
	unsigned int contexts_count;
};

struct server {
	const char *protocol;		/* "fixed newstyle" */
	enum nbd_headers headers;
	char tls[64];			/* "" without TLS */
	unsigned int count;
	struct server_export exports[];
};

/*
 * Asks the server of @uri about its export, or about @all it has. Blocks, for 10 s or, with @all, a
 * minute at most. Returns 0 and *@server, or a negative errno with one sentence in @error.
 */
int server_ask(const struct nbd_uri *uri, bool all, struct server **server, struct error *error);
void server_free(struct server *server);

/* The transmission flag with number @bit: "read-only"; NULL for an unknown one. */
const char *server_flag_name(unsigned int bit);

#endif
