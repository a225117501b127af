// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether the peer is who it has to be: its certificate's chain, name, dates and purpose, and for
 * a server's clients the list of allowed subjects.
 *
 * Runs within the handshake, in a callback of the library. The sentence goes to s->error and
 * the alert that fits to s->refusal.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

#define PEER_BYTES_MAX	255

static int refuse(struct tls_session *s, int alert)
{
	s->refusal = alert;
	return -1;
}

/* What a chain's status means. The order is the one of use: the first that applies is told. */
static int status_refuse(struct tls_session *s, unsigned int status)
{
	const char *role = tls_peer_role(s);

	if (status & GNUTLS_CERT_REVOKED) {
		error_set(s->error, -EACCES, "the %s's certificate was revoked by its authority",
			  role);
		return refuse(s, GNUTLS_A_CERTIFICATE_REVOKED);
	}
	if (status & GNUTLS_CERT_SIGNER_NOT_FOUND) {
		error_set(s->error, -EACCES, "the %s's certificate is not from an authority that "
			  "we trust (%s)", role, s->c->authority);
		return refuse(s, GNUTLS_A_UNKNOWN_CA);
	}
	if (status & GNUTLS_CERT_EXPIRED) {
		error_set(s->error, -EACCES, "the %s's certificate has expired: renew it, or check "
			  "the clock here", role);
		return refuse(s, GNUTLS_A_CERTIFICATE_EXPIRED);
	}
	if (status & GNUTLS_CERT_NOT_ACTIVATED) {
		error_set(s->error, -EACCES,
			  "the %s's certificate is not valid yet: check the clocks", role);
		return refuse(s, GNUTLS_A_CERTIFICATE_EXPIRED);
	}
	if (status & GNUTLS_CERT_UNEXPECTED_OWNER) {
		error_set(s->error, -EACCES, "the server's certificate is not for \"%.255s\": "
			  "connect with a name that is in it, or have one made for this name",
			  s->hostname);
		return refuse(s, GNUTLS_A_BAD_CERTIFICATE);
	}
	if (status & GNUTLS_CERT_PURPOSE_MISMATCH) {
		error_set(s->error, -EACCES, "the %s's certificate is not one for a %s (its key "
			  "purpose)", role, role);
		return refuse(s, GNUTLS_A_UNSUPPORTED_CERTIFICATE);
	}
	if (status & GNUTLS_CERT_INSECURE_ALGORITHM) {
		error_set(s->error, -EACCES, "the %s's certificate is signed in a way that is not "
			  "secure any more: have it made anew", role);
		return refuse(s, GNUTLS_A_INSUFFICIENT_SECURITY);
	}
	if (status & (GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED |
		      GNUTLS_CERT_REVOCATION_DATA_ISSUED_IN_FUTURE)) {
		error_set(s->error, -EACCES, "the revocation list beside %s is out of date: get a "
			  "new one from the authority", s->c->authority);
		return refuse(s, GNUTLS_A_INTERNAL_ERROR);
	}
	error_set(s->error, -EACCES, "the %s's certificate is not valid (status 0x%x)", role,
		  status);
	return refuse(s, GNUTLS_A_BAD_CERTIFICATE);
}

/* The peer's own certificate, to be freed; false: it sent none, or there is no memory. */
static bool leaf_get(gnutls_session_t gnutls, gnutls_x509_crt_t *crt)
{
	const gnutls_datum_t *chain;
	unsigned int count = 0;

	if (sym_gnutls_certificate_type_get2(gnutls, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_X509)
		return false;
	chain = sym_gnutls_certificate_get_peers(gnutls, &count);
	if (!chain || !count || sym_gnutls_x509_crt_init(crt) < 0)
		return false;
	if (sym_gnutls_x509_crt_import(*crt, &chain[0], GNUTLS_X509_FMT_DER) >= 0)
		return true;
	sym_gnutls_x509_crt_deinit(*crt);
	return false;
}

/* Whether @name is the only common name of @crt. */
static bool common_name_is(gnutls_x509_crt_t crt, const char *name)
{
	char got[256];
	size_t size = sizeof(got);

	if (sym_gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, got, &size) < 0)
		return false;
	if (strlen(name) != size || memcmp(got, name, size))
		return false;
	size = sizeof(got);
	return sym_gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 1, 0, got, &size) ==
	       GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
}

/* Whether the list entry @allowed stands for @crt, whose whole subject is @dn. */
static bool subject_matches(gnutls_x509_crt_t crt, const gnutls_datum_t *dn, const char *allowed)
{
	if (strlen(allowed) == dn->size && !memcmp(allowed, dn->data, dn->size))
		return true;
	/* More than a common name is a whole subject, and nothing but the same one matches it. */
	return !strncmp(allowed, "CN=", 3) && !strpbrk(allowed + 3, ",+=\\\"<>;#") &&
	       common_name_is(crt, allowed + 3);
}

static bool subject_allowed(struct tls_session *s, gnutls_x509_crt_t crt)
{
	gnutls_datum_t dn;
	bool found = false;
	size_t i;

	if (!s->c->subjects)
		return true;
	if (sym_gnutls_x509_crt_get_dn3(crt, &dn, 0) < 0)
		return false;
	for (i = 0; !found && s->c->subjects[i]; i++)
		found = subject_matches(crt, &dn, s->c->subjects[i]);
	tls_library_free(dn.data);
	return found;
}

int tls_verify(gnutls_session_t gnutls)
{
	struct tls_session *s = sym_gnutls_session_get_ptr(gnutls);
	gnutls_typed_vdata_st data[2] = {
		{ GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT, 0 },
		{ GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)s->hostname, 0 },	/* or an address */
	};
	gnutls_x509_crt_t crt;
	unsigned int status;
	bool allowed;
	int code;

	if (!s->c->verify)
		return 0;
	if (!s->c->server)
		data[0].data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER;
	code = sym_gnutls_certificate_verify_peers(gnutls, data, s->hostname ? 2 : 1, &status);
	if (code == GNUTLS_E_NO_CERTIFICATE_FOUND) {
		error_set(s->error, -EACCES, "the %s has sent no certificate", tls_peer_role(s));
		return refuse(s, GNUTLS_A_CERTIFICATE_REQUIRED);
	}
	if (code < 0) {
		error_set(s->error, -EACCES, "the %s's certificate cannot be verified: %s",
			  tls_peer_role(s), sym_gnutls_strerror(code));
		return refuse(s, GNUTLS_A_BAD_CERTIFICATE);
	}
	if (status)
		return status_refuse(s, status);
	if (!leaf_get(gnutls, &crt)) {
		error_set(s->error, -EACCES, "the %s's certificate cannot be read",
			  tls_peer_role(s));
		return refuse(s, GNUTLS_A_BAD_CERTIFICATE);
	}
	allowed = subject_allowed(s, crt);
	sym_gnutls_x509_crt_deinit(crt);
	if (!allowed) {
		code = tls_peer_learn(s);
		error_set(s->error, -EACCES, "the client's certificate is good, but its subject "
			  "\"%s\" is not allowed", code ? "" : tls_peer(s));
		return refuse(s, GNUTLS_A_ACCESS_DENIED);
	}
	s->verified = true;
	return 0;
}

/* Bytes of the UTF-8 character that @at, of @left bytes, starts with; 0: none, or not printable. */
static size_t character(const unsigned char *at, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length, i;
	uint32_t code;

	if (*at < 0x80)
		return *at >= ' ' && *at != 0x7f;
	if ((*at & 0xe0) == 0xc0)
		length = 2;
	else if ((*at & 0xf0) == 0xe0)
		length = 3;
	else if ((*at & 0xf8) == 0xf0)
		length = 4;
	else
		return 0;
	if (length > left)
		return 0;
	code = *at & (0xffu >> (length + 1));
	for (i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
	    (code >= 0x80 && code < 0xa0))
		return 0;
	return length;
}

/* A copy of what a peer calls itself, fit to be printed; NULL: no memory. */
static char *text_clean(const unsigned char *text, size_t size)
{
	char *clean = malloc(PEER_BYTES_MAX + 1);
	size_t used = 0, at = 0, length;

	while (clean && at < size) {
		length = character(text + at, size - at);
		if (used + (length ? length : 1) > PEER_BYTES_MAX)
			break;
		if (length)
			memcpy(clean + used, text + at, length);
		else
			clean[used] = '?';
		used += length ? length : 1;
		at += length ? length : 1;
	}
	if (clean)
		clean[used] = '\0';
	return clean;
}

int tls_peer_learn(struct tls_session *s)
{
	gnutls_datum_t text = { 0 };
	gnutls_x509_crt_t crt;

	free(s->peer);
	s->peer = NULL;
	if (s->c->psk_server && sym_gnutls_auth_get_type(s->gnutls) == GNUTLS_CRD_PSK) {
		/* The library's own; not to be freed. */
		if (sym_gnutls_psk_server_get_username2(s->gnutls, &text) < 0)
			return 0;
		s->peer = text_clean(text.data, text.size);
		return s->peer ? 0 : -ENOMEM;
	}
	if (!leaf_get(s->gnutls, &crt))
		return 0;
	if (sym_gnutls_x509_crt_get_dn3(crt, &text, 0) >= 0) {
		s->peer = text_clean(text.data, text.size);
		tls_library_free(text.data);
	}
	sym_gnutls_x509_crt_deinit(crt);
	return s->peer || !text.size ? 0 : -ENOMEM;
}
