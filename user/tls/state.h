/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of credentials and sessions, for the files of this folder. Everybody else uses
 * credentials.h, session.h and stream.h.
 */
#ifndef R3MAP_TLS_STATE_H
#define R3MAP_TLS_STATE_H

#include <stdint.h>
#include "library.h"

#include "psk.h"
#include "session.h"

/* Constant once made. */
struct tls_credentials {
	bool server;
	bool verify;			/* a peer with a certificate, or without PSK, is verified */
	gnutls_priority_t priority;
	gnutls_certificate_credentials_t x509;		/* NULL: none */
	gnutls_psk_server_credentials_t psk_server;	/* NULL: none, or a client */
	gnutls_psk_client_credentials_t psk_client;	/* NULL: none, or a server */
	struct psk_table psk;		/* a server's */
	char *authority;		/* who vouches for peers, for sentences */
	char **subjects;		/* NULL: any; NULL-terminated */
};

struct tls_session {
	gnutls_session_t gnutls;
	struct tls_credentials *c;
	int fd;
	int dead;		/* 0, or what every further read and write gets */
	int unwritable;		/* 0, or what every further write gets; there may be data to read */
	int alert;		/* the peer's fatal one, -1: none */
	int refusal;		/* the alert for what we found ourselves, -1: none */
	size_t offered;		/* bytes, at least what the handshake has read */
	bool established;	/* the handshake is done */
	bool verified;		/* by verify.c */
	bool psk_asked;		/* a server's: the client offers a PSK */
	bool psk_unknown;	/* and its identity is not in our file */
	bool ended;		/* by the peer's close_notify */
	bool kernel_send, kernel_receive;
	uint64_t record;	/* number of the peer's last one when there last was data */
	bool data;		/* there was some since then */
	bool heard;		/* there was some ever */
	size_t unsent;		/* bytes of a record that the socket did not take whole, or 0 */
	struct error *error;	/* of the running tls_handshake(), for the callbacks */
	char *hostname;		/* NULL: any */
	char *peer;		/* NULL: none */
};

/* verify.c: accepts or refuses the peer's certificate; the library's callback. */
int tls_verify(gnutls_session_t gnutls);
/* session.c: whether a record that is too short is so because the connection ended in it. */
bool tls_peer_closed(const struct tls_session *s);
/* verify.c: fills in s->peer, as far as there is one. 0 or -ENOMEM. */
int tls_peer_learn(struct tls_session *s);

/* io.c: after a write that failed: reads on for the alert that says why, and drops data. */
void tls_alert_look(struct tls_session *s);
/* session.c: tells what the peer's alert means. Returns a negative errno. */
int tls_alert_explain(const struct tls_session *s, struct error *error);

/* "server" or "client": who the peer is. */
static inline const char *tls_peer_role(const struct tls_session *s)
{
	return s->c->server ? "client" : "server";
}

#endif
