/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who we are and whom we trust: certificates, keys and pre-shared keys, read once from files.
 *
 * Credentials are made when a program starts and may block on the disk for that. From then on they
 * do not change and may be used by all threads; they outlive the sessions made with them.
 */
#ifndef R3MAP_TLS_CREDENTIALS_H
#define R3MAP_TLS_CREDENTIALS_H

#include <stdbool.h>

#include "../lib/error.h"

struct tls_credentials;

/* What a user asks for; how a protocol gets from one to the other is the protocol's. */
enum tls_mode {
	TLS_OFF,	/* never */
	TLS_ON,		/* where the peer can; open to a downgrade by anybody on the way */
	TLS_REQUIRE,	/* or no connection */
};

/*
 * Where things are; borrowed during the call that gets it. All may be NULL.
 *
 * @certificates: a folder with the file names that QEMU and nbdkit use: ca-cert.pem, ca-crl.pem
 *	(optional), server-cert.pem, server-key.pem, client-cert.pem, client-key.pem. NULL: the
 *	first that exists of $HOME/.pki/r3map and $HOME/.config/pki/r3map, or for root
 *	/etc/pki/r3map.
 * @psk: a file of lines "identity:key in hexadecimal", as psktool writes it
 * @username: a client's identity in @psk; NULL: the only one there
 * @priority: the library's priority string; NULL: TLS 1.3 and 1.2, its usual algorithms. With @psk
 *	it must allow a key exchange with PSK.
 */
struct tls_files {
	const char *certificates;
	const char *psk;
	const char *username;
	const char *priority;
};

/*
 * A server with certificates, a PSK file, or both. With @files->psk and no @files->certificates it
 * has the PSK only; there is no search for a folder then.
 *
 * @verify_peer: a client must show a certificate that ca-cert.pem vouches for (or have a PSK)
 * @allowed_subjects: NULL, or a NULL-terminated list (copied): the certificate's subject must be
 *	one of these, written as tls_peer() gives it ("CN=name,O=firm", RFC 4514) or as "CN=name"
 *	for any subject with this one common name. Needs @verify_peer; does not apply to PSK, whose
 *	identities are listed in their file.
 *
 * Returns 0 and *@c, or a negative errno with one sentence that names the file at fault.
 */
int tls_server_credentials(const struct tls_files *files, bool verify_peer,
			   const char *const *allowed_subjects, struct tls_credentials **c,
			   struct error *error);

/*
 * A client. With @files->psk it authenticates itself and the server by that alone (and
 * @files->certificates must be NULL). Otherwise ca-cert.pem of the folder vouches for the server,
 * or without any folder what the system trusts; the client's own pair is shown if it exists.
 *
 * @verify_server: false: neither name nor authority is checked, so anybody on the way can be the
 *	server; the caller warns of that. Does not matter with PSK.
 */
int tls_client_credentials(const struct tls_files *files, bool verify_server,
			   struct tls_credentials **c, struct error *error);

/* No session with @c is left. NULL: nothing. */
void tls_credentials_free(struct tls_credentials *c);

#endif
