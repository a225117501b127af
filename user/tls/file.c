// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The files of credentials: see file.h.
 *
 * What has expired is told here, where its owner looks, and not first by the peer that
 * refuses it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"

static int text_read(int fd, gnutls_datum_t *text)
{
	size_t room = 16384, used = 0;
	unsigned char *data, *more;
	ssize_t got;
	int code;

	data = malloc(room);
	if (!data)
		return -ENOMEM;
	for (;;) {
		got = read(fd, data + used, room - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		used += (size_t)got;
		if (used < room)
			continue;
		errno = EFBIG;
		more = room < FILE_BYTES_MAX ? malloc(2 * room) : NULL;
		if (!more) {
			got = -1;
			break;
		}
		/* Not realloc(), which may leave a copy of a key behind. */
		memcpy(more, data, used);
		explicit_bzero(data, used);
		free(data);
		data = more;
		room *= 2;
	}
	code = -errno;
	*text = (gnutls_datum_t) { data, (unsigned int)used };
	if (got == 0)
		return 0;
	file_free(text);
	return code;
}

int file_read(const char *path, gnutls_datum_t *text, struct error *error)
{
	int fd, code;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	code = fd < 0 ? -errno : text_read(fd, text);
	if (fd >= 0)
		close(fd);
	if (code)
		error_set(error, code, "cannot read %s: %s", path, strerror(-code));
	return code;
}

void file_free(gnutls_datum_t *text)
{
	explicit_bzero(text->data, text->size);
	free(text->data);
	*text = (gnutls_datum_t) { 0 };
}

char *file_path(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

bool file_exists(const char *folder, const char *name)
{
	char *path = file_path(folder, name);
	bool exists = path && !access(path, F_OK);

	free(path);
	return exists;
}

static int no_memory(struct error *error, const char *folder)
{
	return error_set(error, -ENOMEM, "no memory for the certificates in %s", folder);
}

/* Whether @crt can be used today. */
static int time_check(gnutls_x509_crt_t crt, const char *path, struct error *error)
{
	time_t now = time(NULL), end = sym_gnutls_x509_crt_get_expiration_time(crt);
	char day[32];
	struct tm tm;

	if (now >= sym_gnutls_x509_crt_get_activation_time(crt) && now <= end)
		return 0;
	if (now <= end)
		return error_set(error, -EKEYREJECTED,
				 "the certificate %s is not valid yet: check the clock", path);
	if (!gmtime_r(&end, &tm) || !strftime(day, sizeof(day), "%F", &tm))
		strcpy(day, "?");
	return error_set(error, -EKEYEXPIRED,
			 "the certificate %s has expired on %s: renew it, or check the clock", path,
			 day);
}

static void chain_free(gnutls_x509_crt_t *crts, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		sym_gnutls_x509_crt_deinit(crts[i]);
	tls_library_free(crts);
}

static int chain_read(const char *path, gnutls_x509_crt_t **crts, unsigned int *count,
		      struct error *error)
{
	gnutls_datum_t text;
	int code;

	code = file_read(path, &text, error);
	if (code)
		return code;
	code = sym_gnutls_x509_crt_list_import2(crts, count, &text, GNUTLS_X509_FMT_PEM, 0);
	file_free(&text);
	if (code == GNUTLS_E_MEMORY_ERROR)
		return error_set(error, -ENOMEM, "no memory for %s", path);
	if (code < 0)
		return error_set(error, -EINVAL, "%s does not hold a PEM certificate: %s", path,
				 sym_gnutls_strerror(code));
	return 0;
}

int file_load_authorities(gnutls_certificate_credentials_t x509, const char *folder,
			  struct error *error)
{
	char *path = file_path(folder, "ca-cert.pem");
	unsigned int i, count;
	gnutls_x509_crt_t *crts;
	int code;

	if (!path)
		return no_memory(error, folder);
	code = chain_read(path, &crts, &count, error);
	if (code)
		goto out;
	/* One that is valid is enough: a new one is put beside the old one before that ends. */
	for (i = 0; i < count; i++) {
		code = time_check(crts[i], path, error);
		if (!code)
			break;
	}
	if (!code && sym_gnutls_certificate_set_x509_trust(x509, crts, (int)count) < 0)
		code = no_memory(error, folder);
	chain_free(crts, count);
out:
	free(path);
	return code;
}

static int revoked_check(const gnutls_datum_t *text, const char *path, struct error *error)
{
	gnutls_x509_crl_t crl;
	time_t next;
	int code;

	if (sym_gnutls_x509_crl_init(&crl) < 0)
		return error_set(error, -ENOMEM, "no memory for %s", path);
	code = sym_gnutls_x509_crl_import(crl, text, GNUTLS_X509_FMT_PEM);
	next = code < 0 ? -1 : sym_gnutls_x509_crl_get_next_update(crl);
	sym_gnutls_x509_crl_deinit(crl);
	if (code < 0)
		return error_set(error, -EINVAL, "%s does not hold a PEM revocation list: %s", path,
				 sym_gnutls_strerror(code));
	if (next != (time_t)-1 && next < time(NULL))
		return error_set(error, -EKEYEXPIRED,
				 "the revocation list %s is out of date: get a new one from the "
				 "authority, or remove it", path);
	return 0;
}

int file_load_revoked(gnutls_certificate_credentials_t x509, const char *folder,
		      struct error *error)
{
	char *path = file_path(folder, "ca-crl.pem");
	struct error why = { 0 };
	gnutls_datum_t text;
	int code;

	if (!path)
		return no_memory(error, folder);
	code = file_read(path, &text, &why);
	if (!code) {
		code = revoked_check(&text, path, error);
		if (!code && sym_gnutls_certificate_set_x509_crl_mem(x509, &text,
								 GNUTLS_X509_FMT_PEM) < 0)
			code = error_set(error, -EINVAL,
					 "%s is not of an authority in ca-cert.pem", path);
		file_free(&text);
	} else if (code == -ENOENT) {
		code = 0;
	} else {
		error_set(error, code, "%s", why.text);
	}
	free(path);
	return code;
}

static int key_read(const char *path, gnutls_x509_privkey_t *key, struct error *error)
{
	gnutls_datum_t text;
	int code;

	code = file_read(path, &text, error);
	if (code)
		return code;
	code = sym_gnutls_x509_privkey_init(key);
	if (code < 0) {
		file_free(&text);
		return error_set(error, -ENOMEM, "no memory for %s", path);
	}
	code = sym_gnutls_x509_privkey_import2(*key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
	file_free(&text);
	if (code >= 0)
		return 0;
	sym_gnutls_x509_privkey_deinit(*key);
	if (code == GNUTLS_E_DECRYPTION_FAILED)
		return error_set(error, -EINVAL,
				 "the key %s has a password: store it without one", path);
	return error_set(error, -EINVAL, "%s does not hold a PEM private key: %s", path,
			 sym_gnutls_strerror(code));
}

static int pair_load(gnutls_certificate_credentials_t x509, const char *cert_path,
		     const char *key_path, struct error *error)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t *crts;
	unsigned int i, count;
	int code;

	code = chain_read(cert_path, &crts, &count, error);
	if (code)
		return code;
	for (i = 0; !code && i < count; i++)
		code = time_check(crts[i], cert_path, error);
	if (!code)
		code = key_read(key_path, &key, error);
	if (code)
		goto out;
	code = sym_gnutls_certificate_set_x509_key(x509, crts, (int)count, key);
	sym_gnutls_x509_privkey_deinit(key);
	if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		code = error_set(error, -EINVAL, "the key %s is not the one of the certificate %s",
				 key_path, cert_path);
	else if (code < 0)
		code = error_set(error, -EINVAL, "cannot use the certificate %s: %s", cert_path,
				 sym_gnutls_strerror(code));
	else
		code = 0;
out:
	chain_free(crts, count);
	return code;
}

int file_load_pair(gnutls_certificate_credentials_t x509, const char *folder, const char *role,
		   struct error *error)
{
	char *cert_path = NULL, *key_path = NULL;
	int code;

	if (asprintf(&cert_path, "%s/%s-cert.pem", folder, role) < 0)
		cert_path = NULL;
	if (asprintf(&key_path, "%s/%s-key.pem", folder, role) < 0)
		key_path = NULL;
	if (cert_path && key_path)
		code = pair_load(x509, cert_path, key_path, error);
	else
		code = no_memory(error, folder);
	free(cert_path);
	free(key_path);
	return code;
}
