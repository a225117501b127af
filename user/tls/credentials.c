// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Credentials: see credentials.h. The files are read by file.c and psk.c.
 *
 * With PSK only, key exchanges without PSK are off, lest somebody without the key offers a
 * certificate instead. Exchanges with PSK are those with forward secrecy.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "state.h"

/* ChaCha last: with PSK the library would prefer it to AES, at a quarter of the speed. */
/* CCM is left out: with TLS 1.3 the library would read its records, and hangs at a wrong one. */
#define PRIORITY	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" \
			":-CHACHA20-POLY1305:+CHACHA20-POLY1305:-AES-128-CCM:-AES-256-CCM"
#define WITH_PSK	":+ECDHE-PSK:+DHE-PSK"
/* The clients' libraries have the same preference, and most clients keep it. */
#define OF_SERVER	":%SERVER_PRECEDENCE"
#define WITHOUT_X509	":-KX-ALL"

static int no_memory(struct error *error)
{
	return error_set(error, -ENOMEM, "no memory for TLS credentials");
}

static int credentials_new(bool server, bool verify, struct tls_credentials **c,
			   struct error *error)
{
	int code;

	code = tls_library_load(error);
	if (code)
		return code;
	if (!sym_gnutls_check_version("3.7.0"))
		return error_set(error, -ENOSYS, "the GnuTLS library here is older than 3.7.0: "
				 "update the package libgnutls30");
	*c = calloc(1, sizeof(**c));
	if (!*c)
		return no_memory(error);
	(*c)->server = server;
	(*c)->verify = verify;
	return 0;
}

static int priority_set(struct tls_credentials *c, const char *wanted, struct error *error)
{
	bool psk = c->psk_server || c->psk_client;
	const char *text = wanted, *at = NULL;
	char ours[200];

	if (!text) {
		snprintf(ours, sizeof(ours), "%s%s%s%s", PRIORITY,
			 psk && !c->x509 ? WITHOUT_X509 : "", psk ? WITH_PSK : "",
			 c->server ? OF_SERVER : "");
		text = ours;
	}
	if (sym_gnutls_priority_init2(&c->priority, text, &at, 0) >= 0)
		return 0;
	c->priority = NULL;
	return error_set(error, -EINVAL, "the TLS priority string is not understood at \"%s\": see "
			 "\"Priority Strings\" in the manual of GnuTLS", at && *at ? at : text);
}

/* Sets *@folder to where the certificates are, to be freed, or to NULL. */
static int folder_find(const char *wanted, char **folder, struct error *error)
{
	static const char *const below_home[] = { "/.pki/r3map", "/.config/pki/r3map" };
	const char *home = getenv("HOME");
	size_t i;

	*folder = NULL;
	if (wanted) {
		if (access(wanted, R_OK | X_OK))
			return error_set(error, -errno,
					 "cannot use the folder of certificates %s: %s", wanted,
					 strerror(errno));
		*folder = strdup(wanted);
		return *folder ? 0 : no_memory(error);
	}
	if (geteuid() == 0) {
		*folder = strdup("/etc/pki/r3map");
		if (!*folder)
			return no_memory(error);
		if (!access(*folder, F_OK))
			return 0;
		free(*folder);
		*folder = NULL;
		return 0;
	}
	for (i = 0; home && *home && i < sizeof(below_home) / sizeof(below_home[0]); i++) {
		*folder = file_path(home, below_home[i] + 1);
		if (!*folder)
			return no_memory(error);
		if (!access(*folder, F_OK))
			return 0;
		free(*folder);
		*folder = NULL;
	}
	return 0;
}

static int subjects_set(struct tls_credentials *c, const char *const *allowed,
			struct error *error)
{
	size_t count = 0, i;

	if (!allowed)
		return 0;
	if (!c->verify)
		return error_set(error, -EINVAL, "a list of allowed subjects means nothing without "
				 "verifying the clients: ask for both");
	while (allowed[count])
		count++;
	c->subjects = calloc(count + 1, sizeof(*c->subjects));
	if (!c->subjects)
		return no_memory(error);
	for (i = 0; i < count; i++) {
		c->subjects[i] = strdup(allowed[i]);
		if (!c->subjects[i])
			return no_memory(error);
	}
	return 0;
}

static int authority_load(struct tls_credentials *c, const char *folder, struct error *error)
{
	int code;

	code = file_load_authorities(c->x509, folder, error);
	if (!code)
		code = file_load_revoked(c->x509, folder, error);
	if (code)
		return code;
	c->authority = file_path(folder, "ca-cert.pem");
	return c->authority ? 0 : no_memory(error);
}

static int server_x509(struct tls_credentials *c, const char *wanted, struct error *error)
{
	char *folder;
	int code;

	code = folder_find(wanted, &folder, error);
	if (code)
		return code;
	if (!folder)
		return error_set(error, -ENOENT, "TLS needs a certificate: give the folder with "
				 "server-cert.pem and server-key.pem, or a PSK file");
	if (sym_gnutls_certificate_allocate_credentials(&c->x509) < 0) {
		c->x509 = NULL;
		code = no_memory(error);
	}
	if (!code)
		code = file_load_pair(c->x509, folder, "server", error);
	if (!code && c->verify)
		code = authority_load(c, folder, error);
	free(folder);
	return code;
}

/* The library frees the key it is given here. @gnutls carries its tls_session. */
static int server_key(gnutls_session_t gnutls, const gnutls_datum_t *identity,
		      gnutls_datum_t *key)
{
	struct tls_session *s = sym_gnutls_session_get_ptr(gnutls);
	const struct psk *psk = psk_find(&s->c->psk, identity->data, identity->size);

	s->psk_asked = true;
	s->psk_unknown = !psk;
	if (!psk)
		return 1;	/* the handshake goes on, and fails, as with a wrong key */
	key->data = tls_library_malloc(psk->length);
	if (!key->data)
		return -1;
	memcpy(key->data, psk->key, psk->length);
	key->size = (unsigned int)psk->length;
	return 0;
}

static int server_psk(struct tls_credentials *c, const char *path, struct error *error)
{
	int code;

	code = psk_load(path, &c->psk, error);
	if (code)
		return code;
	if (sym_gnutls_psk_allocate_server_credentials(&c->psk_server) < 0) {
		c->psk_server = NULL;
		return no_memory(error);
	}
	sym_gnutls_psk_set_server_credentials_function2(c->psk_server, server_key);
	return 0;
}

int tls_server_credentials(const struct tls_files *files, bool verify_peer,
			   const char *const *allowed_subjects, struct tls_credentials **c,
			   struct error *error)
{
	struct tls_credentials *new;
	int code;

	code = credentials_new(true, verify_peer, &new, error);
	if (code)
		return code;
	code = subjects_set(new, allowed_subjects, error);
	if (!code && files->psk)
		code = server_psk(new, files->psk, error);
	if (!code && (files->certificates || !files->psk))
		code = server_x509(new, files->certificates, error);
	if (!code)
		code = priority_set(new, files->priority, error);
	if (code)
		tls_credentials_free(new);
	else
		*c = new;
	return code;
}

static int client_x509(struct tls_credentials *c, const char *wanted, struct error *error)
{
	char *folder;
	int code;

	code = folder_find(wanted, &folder, error);
	if (code)
		return code;
	if (sym_gnutls_certificate_allocate_credentials(&c->x509) < 0) {
		c->x509 = NULL;
		code = no_memory(error);
	} else if (!folder) {
		c->authority = strdup("the authorities that the system trusts");
		if (!c->authority)
			code = no_memory(error);
		else if (c->verify && sym_gnutls_certificate_set_x509_system_trust(c->x509) <= 0)
			code = error_set(error, -ENOENT, "the system trusts no authority: install "
					 "the package ca-certificates or give a folder with "
					 "ca-cert.pem");
	} else {
		if (c->verify)
			code = authority_load(c, folder, error);
		if (!code && (file_exists(folder, "client-cert.pem") ||
			      file_exists(folder, "client-key.pem")))
			code = file_load_pair(c->x509, folder, "client", error);
	}
	free(folder);
	return code;
}

static int client_psk(struct tls_credentials *c, const struct tls_files *files,
		      struct error *error)
{
	const char *username = files->username;
	gnutls_datum_t identity, key;
	const struct psk *psk;
	struct psk_table table;
	int code;

	code = psk_load(files->psk, &table, error);
	if (code)
		return code;
	psk = username ? psk_find(&table, username, strlen(username)) : &table.entries[0];
	if (!psk) {
		code = error_set(error, -ENOENT,
				 "there is no identity \"%.128s\" in the PSK file %s", username,
				 files->psk);
	} else if (!username && table.count > 1) {
		code = error_set(error, -EINVAL, "the PSK file %s has %zu identities: say which is "
				 "ours", files->psk, table.count);
	} else {
		identity.data = (unsigned char *)psk->identity;
		identity.size = (unsigned int)strlen(psk->identity);
		key.data = psk->key;
		key.size = (unsigned int)psk->length;
		if (sym_gnutls_psk_allocate_client_credentials(&c->psk_client) < 0) {
			c->psk_client = NULL;
			code = no_memory(error);
		} else if (sym_gnutls_psk_set_client_credentials2(c->psk_client, &identity, &key,
							      GNUTLS_PSK_KEY_RAW) < 0) {
			code = no_memory(error);
		}
	}
	psk_free(&table);
	return code;
}

int tls_client_credentials(const struct tls_files *files, bool verify_server,
			   struct tls_credentials **c, struct error *error)
{
	struct tls_credentials *new;
	int code;

	if (files->psk && files->certificates)
		return error_set(error, -EINVAL, "give a folder of certificates or a PSK file, not "
				 "both: a client has one way to know its server");
	code = credentials_new(false, verify_server, &new, error);
	if (code)
		return code;
	if (files->psk)
		code = client_psk(new, files, error);
	else
		code = client_x509(new, files->certificates, error);
	if (!code)
		code = priority_set(new, files->priority, error);
	if (code)
		tls_credentials_free(new);
	else
		*c = new;
	return code;
}

void tls_credentials_free(struct tls_credentials *c)
{
	size_t i;

	if (!c)
		return;
	if (c->x509)
		sym_gnutls_certificate_free_credentials(c->x509);
	if (c->psk_server)
		sym_gnutls_psk_free_server_credentials(c->psk_server);
	if (c->psk_client)
		sym_gnutls_psk_free_client_credentials(c->psk_client);
	if (c->priority)
		sym_gnutls_priority_deinit(c->priority);
	psk_free(&c->psk);
	for (i = 0; c->subjects && c->subjects[i]; i++)
		free(c->subjects[i]);
	free(c->subjects);
	free(c->authority);
	free(c);
}
