/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of credentials: read, and checked for what their owner can mend. Each error is a
 * sentence that names the file.
 */
#ifndef R3MAP_TLS_FILE_H
#define R3MAP_TLS_FILE_H

#include <stdbool.h>
#include "library.h"

#define FILE_BYTES_MAX	(4u << 20)	/* a whole system's authorities are a quarter of it */

/* Reads all of @path. 0 or a negative errno; -ENOENT only if it is not there. */
int file_read(const char *path, gnutls_datum_t *text, struct error *error);
/* Wipes it. */
void file_free(gnutls_datum_t *text);

/* The file @name of @folder, "FOLDER/NAME", to be freed; NULL: no memory. */
char *file_path(const char *folder, const char *name);
bool file_exists(const char *folder, const char *name);

/*
 * These add what is in files of @folder to @x509: the authorities of ca-cert.pem, the list
 * ca-crl.pem of what they revoked (nothing if there is no such file), and the pair
 * @role-cert.pem and @role-key.pem. 0 or a negative errno.
 */
int file_load_authorities(gnutls_certificate_credentials_t x509, const char *folder,
			  struct error *error);
int file_load_revoked(gnutls_certificate_credentials_t x509, const char *folder,
		      struct error *error);
int file_load_pair(gnutls_certificate_credentials_t x509, const char *folder, const char *role,
		   struct error *error);

#endif
