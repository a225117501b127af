// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A TLS session's life and its handshake: see session.h. receive.c and send.c move its data.
 *
 * The socket is given to the library as it is, with no functions of ours between: only then does
 * it hand the keys to the kernel (kTLS), where the build, the system's configuration of GnuTLS
 * and the kernel all have that.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "state.h"

#define HANDSHAKE_BYTES_MAX	(1u << 20)	/* offered; see handshake_may_read() */
#define READ_COST		256		/* bytes of memory for a piece of any size, about */
#define LONG			(86400u * 1000)	/* ms: not what the library calls never */
#define ODDITIES_MAX	16	/* warnings and the like that a peer may send in a handshake */

static bool is_address(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* A copy without the interface of a link-local address ("fe80::1%eth0"). NULL: no memory. */
static char *hostname_copy(const char *name)
{
	const char *interface = strchr(name, ':') ? strchr(name, '%') : NULL;

	return interface ? strndup(name, (size_t)(interface - name)) : strdup(name);
}

/* The session whose tls_handshake() this thread is in: the library gives a callback no more. */
static __thread struct tls_session *shaking;

/*
 * The library asks here before each read of a handshake. It collects a message of any length that
 * a peer announces, 16 MiB, before it checks that: so what was there to be read is counted, which
 * is no less than what it took. Returns 1: go on, or -1.
 */
static int handshake_may_read(gnutls_transport_ptr_t fd, unsigned int milliseconds)
{
	struct tls_session *s = shaking;
	int available;

	(void)fd;
	(void)milliseconds;
	if (ioctl(s->fd, FIONREAD, &available) || available < 0)
		available = 4096;	/* not told by sockets of this family */
	if (available > RECORD_WIRE_MAX)
		available = RECORD_WIRE_MAX;
	if (available)
		s->offered += (size_t)available + READ_COST;
	return s->offered <= HANDSHAKE_BYTES_MAX ? 1 : -1;
}

static int session_set_up(struct tls_session *s, const char *hostname)
{
	struct tls_credentials *c = s->c;
	size_t length;
	int code;

	sym_gnutls_session_set_ptr(s->gnutls, s);
	code = sym_gnutls_priority_set(s->gnutls, c->priority);
	if (code >= 0 && c->x509)
		code = sym_gnutls_credentials_set(s->gnutls, GNUTLS_CRD_CERTIFICATE, c->x509);
	if (code >= 0 && c->psk_server)
		code = sym_gnutls_credentials_set(s->gnutls, GNUTLS_CRD_PSK, c->psk_server);
	if (code >= 0 && c->psk_client)
		code = sym_gnutls_credentials_set(s->gnutls, GNUTLS_CRD_PSK, c->psk_client);
	if (code < 0)
		return code;
	if (c->server && c->verify)
		sym_gnutls_certificate_server_set_request(s->gnutls, GNUTLS_CERT_REQUIRE);
	sym_gnutls_session_set_verify_function(s->gnutls, tls_verify);
	sym_gnutls_transport_set_int2(s->gnutls, s->fd, s->fd);
	/* Deadlines are the caller's; with no timeout at all the function would not be called. */
	sym_gnutls_handshake_set_timeout(s->gnutls, LONG);
	sym_gnutls_transport_set_pull_timeout_function(s->gnutls, handshake_may_read);
	if (c->server || !hostname)
		return 0;
	s->hostname = hostname_copy(hostname);
	if (!s->hostname)
		return GNUTLS_E_MEMORY_ERROR;
	length = strlen(s->hostname);
	if (is_address(s->hostname))
		return 0;
	return sym_gnutls_server_name_set(s->gnutls, GNUTLS_NAME_DNS, s->hostname, length);
}

int tls_session_new(struct tls_credentials *c, int fd, const char *hostname,
		    struct tls_session **session, struct error *error)
{
	struct tls_session *s = calloc(1, sizeof(*s));
	int code = GNUTLS_E_MEMORY_ERROR;

	if (s) {
		s->c = c;
		s->fd = fd;
		s->alert = -1;
		s->refusal = -1;
		/*
		 * Not GNUTLS_NONBLOCK, which would turn handshake_may_read() off and does nothing
		 * else here: the descriptor does not block. A client's only certificate is sent
		 * whatever the server asks for, so that the server can say what is wrong with it.
		 */
		code = sym_gnutls_init(&s->gnutls, (c->server ? GNUTLS_SERVER : GNUTLS_CLIENT) |
				   GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS | GNUTLS_FORCE_CLIENT_CERT);
		if (code < 0)
			s->gnutls = NULL;
	}
	if (code >= 0)
		code = session_set_up(s, hostname);
	if (code >= 0) {
		*session = s;
		return 0;
	}
	tls_session_free(s);
	return error_set(error, code == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL,
			 "cannot begin TLS: %s", sym_gnutls_strerror(code));
}

int tls_alert_explain(const struct tls_session *s, struct error *error)
{
	const char *role = tls_peer_role(s), *name = sym_gnutls_alert_get_name(s->alert);

	switch (s->alert) {
	case GNUTLS_A_CERTIFICATE_REQUIRED:
		return error_set(error, -EACCES,
				 "the %s demands a certificate from us, and we have none", role);
	case GNUTLS_A_ACCESS_DENIED:
		return error_set(error, -EACCES, "the %s knows who we are and does not allow it",
				 role);
	case GNUTLS_A_UNKNOWN_CA:
	case GNUTLS_A_BAD_CERTIFICATE:
	case GNUTLS_A_CERTIFICATE_EXPIRED:
	case GNUTLS_A_CERTIFICATE_REVOKED:
	case GNUTLS_A_CERTIFICATE_UNKNOWN:
	case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
		return error_set(error, -EACCES, "the %s does not accept our certificate: %s", role,
				 name);
	case GNUTLS_A_UNKNOWN_PSK_IDENTITY:
	case GNUTLS_A_DECRYPT_ERROR:
	case GNUTLS_A_ILLEGAL_PARAMETER:	/* what GnuTLS says */
	case GNUTLS_A_BAD_RECORD_MAC:		/* TLS 1.2 */
		if (s->c->psk_client && !s->established)
			return error_set(error, -EACCES,
					 "the %s does not accept our PSK identity or key", role);
	}
	return error_set(error, s->established ? -ECONNRESET : -EACCES, "the %s ended TLS: %s",
			 role, name ? name : "an alert that is not known");
}

/* No algorithm, or no way to authenticate, that both sides would use. */
static bool nothing_common(int code)
{
	switch (code) {
	case GNUTLS_E_NO_CIPHER_SUITES:
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
	case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
	case GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM:
	case GNUTLS_E_NO_COMMON_KEY_SHARE:
		return true;
	}
	return false;
}

bool tls_peer_closed(const struct tls_session *s)
{
	char byte;

	return recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* A client's PSK does not lead to the same secret as ours. */
static int psk_explain(struct tls_session *s)
{
	s->refusal = GNUTLS_A_DECRYPT_ERROR;
	if (s->psk_unknown)
		return error_set(s->error, -EACCES,
				 "the client's PSK identity is not in our PSK file");
	return error_set(s->error, -EACCES, "the client's PSK is not the one that our PSK file has "
			 "for its identity");
}

/* The handshake failed with the library's @code, and not because of what verify.c found. */
static int handshake_explain(struct tls_session *s, int code, int system)
{
	const char *role = tls_peer_role(s);
	struct error *error = s->error;

	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return tls_alert_explain(s, error);
	if (s->offered > HANDSHAKE_BYTES_MAX)
		return error_set(error, -EPROTO, "the %s sent more than any TLS handshake needs",
				 role);
	if (s->psk_asked && (code == GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER ||
			     code == GNUTLS_E_DECRYPTION_FAILED))
		return psk_explain(s);
	if (nothing_common(code))
		return error_set(error, -EPROTO, "TLS finds nothing in common with the %s "
				 "(version, algorithms, certificate or PSK): %s", role,
				 sym_gnutls_strerror(code));
	switch (code) {
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
		if (!tls_peer_closed(s))
			break;
		/* fall through */
	case GNUTLS_E_PREMATURE_TERMINATION:
		return error_set(error, -ECONNRESET, "the %s closed the connection in the TLS "
				 "handshake%s", role,
				 s->c->psk_client ? ": it may not accept our PSK" : "");
	case GNUTLS_E_PULL_ERROR:
	case GNUTLS_E_PUSH_ERROR:
		if (!system || system == EAGAIN)
			system = ECONNRESET;
		return error_set(error, -system, "the connection broke in the TLS handshake: %s",
				 strerror(system));
	case GNUTLS_E_NO_CERTIFICATE_FOUND:
	case GNUTLS_E_CERTIFICATE_REQUIRED:
		return error_set(error, -EACCES, "the %s has sent no certificate", role);
	case GNUTLS_E_MEMORY_ERROR:
		return error_set(error, -ENOMEM, "no memory for TLS");
	}
	return error_set(error, -EPROTO, "the %s did not speak TLS as expected: %s", role,
			 sym_gnutls_strerror(code));
}

/*
 * From here on data does not go through the library where neither the kernel encrypts nor the
 * library has to; it cannot have read ahead, as it asks for a record's head and then its rest.
 */
static void keys_take(struct tls_session *s)
{
	s->record_most = RECORD_BYTES_MAX;
	if (!tls_key_usable(s->gnutls) || sym_gnutls_record_check_pending(s->gnutls))
		return;
	/* Where they cannot be had the library goes on. */
	if (!s->kernel_receive && !tls_key_take(&s->reading, s->gnutls, true)) {
		sym_gnutls_transport_set_ptr2(s->gnutls, s, (gnutls_transport_ptr_t)(intptr_t)s->fd);
		sym_gnutls_transport_set_pull_function(s->gnutls, tls_given_read);
	}
	if (!s->kernel_send)
		(void)tls_key_take(&s->writing, s->gnutls, false);
}

/* The handshake is over, and this side is content. What the library must have done is checked. */
static int handshake_finish(struct tls_session *s)
{
	bool psk = sym_gnutls_auth_get_type(s->gnutls) == GNUTLS_CRD_PSK;
	int code;

	if (s->c->psk_client && !psk)
		return error_set(s->error, -EACCES, "the server did not use the PSK");
	if (!psk && s->c->verify && !s->verified)
		return error_set(s->error, -EACCES, "the %s has sent no certificate",
				 tls_peer_role(s));
	code = tls_peer_learn(s);
	if (code)
		return error_set(s->error, code, "no memory for TLS");
	code = tls_kernel_check(s);
	if (code)
		return code;
	s->established = true;
	keys_take(s);
	return 0;
}

static void alert_send(struct tls_session *s, int code)
{
	if (s->refusal >= 0)
		sym_gnutls_alert_send(s->gnutls, GNUTLS_AL_FATAL, s->refusal);
	else if (code < 0)
		sym_gnutls_alert_send_appropriate(s->gnutls, code);
	else
		sym_gnutls_alert_send(s->gnutls, GNUTLS_AL_FATAL, GNUTLS_A_ACCESS_DENIED);
}

int tls_handshake(struct tls_session *s, struct error *error)
{
	unsigned int oddities = 0;
	int code, system;

	if (s->dead)
		return error_set(error, s->dead, "the TLS handshake has failed before");
	if (s->established)
		return 0;
	s->error = error;
	shaking = s;
	do {
		errno = 0;
		code = sym_gnutls_handshake(s->gnutls);
		system = errno;
	} while (code == GNUTLS_E_INTERRUPTED ||
		 (code < 0 && code != GNUTLS_E_AGAIN && !sym_gnutls_error_is_fatal(code) &&
		  ++oddities < ODDITIES_MAX));
	shaking = NULL;
	if (code == GNUTLS_E_AGAIN) {
		s->error = NULL;
		return -EAGAIN;
	}
	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
		s->alert = (int)sym_gnutls_alert_get(s->gnutls);
	if (code >= 0) {
		s->dead = handshake_finish(s);
	} else if (s->refusal >= 0) {
		s->dead = -EACCES;	/* the callback has told why */
	} else {
		s->dead = handshake_explain(s, code, system);
	}
	if (s->dead)
		alert_send(s, code);
	s->error = NULL;
	return s->dead;
}

bool tls_wants_write(const struct tls_session *s)
{
	return sym_gnutls_record_get_direction(s->gnutls) == 1;
}

int tls_explain(struct tls_session *s, int code, struct error *error)
{
	const char *role = tls_peer_role(s);

	if (s->unwritable)
		tls_alert_look(s);
	if (s->alert >= 0)
		return tls_alert_explain(s, error);
	if ((code == -ECONNRESET || code == -EPIPE) && !s->heard && s->c->x509 && !s->c->server)
		return error_set(error, code, "the server closed the connection after the TLS "
				 "handshake: it may want a certificate of ours, or another one");
	if (code == -ECONNRESET || code == -EPIPE)
		return error_set(error, code, "the %s closed the connection without TLS's goodbye",
				 role);
	if (code == -EBADMSG)
		return error_set(error, code, "what arrived was not encrypted by the %s", role);
	if (code == -EKEYEXPIRED)
		return error_set(error, code, "the %s has taken new keys, which the kernel cannot: "
				 "connect again, or take ktls out of the configuration of GnuTLS "
				 "for connections that last", role);
	if (code == -EPROTO)
		return error_set(error, code, "the %s broke the rules of TLS", role);
	return error_set(error, code, "the TLS connection broke: %s", strerror(-code));
}

const char *tls_peer(const struct tls_session *s)
{
	return s->peer ? s->peer : "";
}

void tls_describe(const struct tls_session *s, char *text, size_t size)
{
	const char *version = sym_gnutls_protocol_get_name(sym_gnutls_protocol_get_version(s->gnutls));
	const char *cipher = sym_gnutls_cipher_get_name(sym_gnutls_cipher_get(s->gnutls));
	const char *where = "";

	if (s->kernel_send && s->kernel_receive)
		where = ", kernel";
	else if (s->kernel_send)
		where = ", kernel (sending)";
	else if (s->kernel_receive)
		where = ", kernel (receiving)";
	snprintf(text, size, "%s %s%s", version ? version : "TLS", cipher ? cipher : "?", where);
}

void tls_session_free(struct tls_session *s)
{
	if (!s)
		return;
	tls_key_free(&s->reading);
	tls_key_free(&s->writing);
	if (s->gnutls)
		sym_gnutls_deinit(s->gnutls);
	free(s->held);
	free(s->opened);
	free(s->sealed);
	free(s->hostname);
	free(s->peer);
	free(s);
}
