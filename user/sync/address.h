/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the ends of a synchronisation meet: HOST, HOST:PORT, [IPv6]:PORT, and unix:PATH; and how they know
 * each other.
 */
#ifndef R3MAP_SYNC_ADDRESS_H
#define R3MAP_SYNC_ADDRESS_H

#include <stdbool.h>

#include "lib/opt.h"
#include "serve/listen.h"
#include "tls/credentials.h"

#define SYNC_PORT	"10810"
#define HUB_PORT	"10811"		/* where a hub's receivers come to */

/* What the three commands have in common. */
struct sync_security {
	bool tls;			/* with the folder of certificates that is there */
	struct tls_files files;
	bool verify_peer;		/* a server: clients need a certificate */
	struct opt_list allow;		/* their subjects */
};

/* Credentials for either end, NULL: TLS is off. Returns 0, or a negative errno with a sentence. */
int security_server(const struct sync_security *security, struct tls_credentials **credentials,
		    struct error *error);
int security_client(const struct sync_security *security, struct tls_credentials **credentials,
		    struct error *error);

/* What @security has that makes no sense: -EINVAL with a sentence. */
int security_check(const struct sync_security *security, struct error *error);

/* Listens there. @listeners: port is set. Returns 0 or a negative errno with a sentence. */
int address_listen(struct listeners *listeners, const char *address, struct error *error);
/*
 * Connects, within 20 s; waits for that. @port: where @address has none. *@fd: non-blocking. @host: the server's name for TLS, 256 bytes, ""
 * for a unix socket. Returns 0 or a negative errno with a sentence.
 */
int address_connect(const char *address, const char *port, int *fd, char *host,
		    struct error *error);
/* Begins to accept, and logs "@what ADDRESS" for each. 0 or a negative errno with a sentence. */
int address_start(struct listeners *listeners, const char *what, struct error *error);

#endif
