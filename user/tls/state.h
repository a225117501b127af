/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of credentials and sessions, for the files of this folder. Everybody else uses
 * credentials.h, session.h and stream.h.
 */
#ifndef R3MAP_TLS_STATE_H
#define R3MAP_TLS_STATE_H

#include <errno.h>
#include <stdint.h>

#include "library.h"

#include "key.h"
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
	bool kernel_send, kernel_receive;	/* by kernel.c */
	unsigned char alert_level;	/* of one that the kernel has handed out half; 0: none */
	uint64_t record;	/* number of the peer's last one when there last was data */
	bool data;		/* there was some since then */
	bool heard;		/* there was some ever */
	size_t unsent;		/* bytes in records that the socket did not take whole, or 0 */

	/* receive.c */
	struct tls_key reading;		/* no cipher: the library or the kernel reads */
	unsigned char *held;		/* from the socket, not opened yet; NULL: nothing */
	size_t held_length;
	unsigned char *opened;		/* data that the reader had no room for; NULL: none */
	size_t opened_length, opened_at;
	const unsigned char *given;	/* a record that the library is to read */
	size_t given_length;		/* left of it */
	unsigned int message_head;	/* bytes of the head of a message of TLS that has begun */
	size_t message_left;		/* its length, then how much of it is still to come */

	/* send.c */
	struct tls_key writing;		/* no cipher: the library or the kernel writes */
	bool lent;			/* the library has the number, and may have new keys */
	bool library_writes;		/* the next record is the library's */
	size_t record_most;		/* bytes of data that the peer takes in a record, at most */
	size_t record_proven;		/* and as many as it has been sent in one, at least */
	unsigned char *sealed;		/* records, from the first that is not out; NULL: none */
	size_t sealed_length, sealed_at;
	size_t sealed_size;		/* bytes of data in each but the last */
	size_t sealed_told;		/* bytes in those that are out by now */

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

/*
 * kernel.c: after a handshake: what the library has left to the kernel. 0 or a negative errno with
 * @s's error: the library says so, and the kernel has no keys, as with GnuTLS 3.7.9 where the cipher
 * is not AES-GCM; all would go in the clear.
 */
int tls_kernel_check(struct tls_session *s);
/* kernel.c: what tls_readv() and tls_writev() do, where the kernel does this direction. */
ssize_t tls_kernel_readv(struct tls_session *s, const struct iovec *iov, int count);
ssize_t tls_kernel_writev(struct tls_session *s, const struct iovec *iov, int count);

/*
 * receive.c: the peer sent no data, but may have sent something; @record is the number of its next
 * record. The library collects a message of up to 16 MiB before it looks at its length; a peer that
 * sends records for one gets no further than this. Returns -EAGAIN, or what ends the session.
 */
int tls_without_data(struct tls_session *s, uint64_t record);
/*
 * receive.c: follows the peer's messages of TLS through *@length bytes at *@data, and moves both on,
 * at most to the end of the head or the body that it is in. s->message_head is 0 between two.
 */
void tls_message_follow(struct tls_session *s, const unsigned char **data, size_t *length);
/* receive.c: after a write that failed: reads on for the alert that says why, and drops data. */
void tls_alert_look(struct tls_session *s);
/* receive.c: the library's function to read with, once this program reads the socket itself. */
ssize_t tls_given_read(gnutls_transport_ptr_t session, void *buf, size_t size);

/* send.c: tells the peer why the session, which is dead now, ends, if there is room for it. */
void tls_alert(struct tls_session *s, gnutls_alert_description_t alert);
void tls_alert_appropriate(struct tls_session *s, int code);
/*
 * send.c: what the library writes by itself stands between these two. 0 or a negative errno;
 * -EAGAIN: it may not yet, a record of ours is half out.
 */
int tls_writing_give(struct tls_session *s);
int tls_writing_take(struct tls_session *s);
/* session.c: tells what the peer's alert means. Returns a negative errno. */
int tls_alert_explain(const struct tls_session *s, struct error *error);

/* The connection itself broke, as errno @system tells, or the library did not keep what did. */
static inline int tls_disconnected(int system)
{
	return system && system != EAGAIN ? -system : -ECONNRESET;
}

/* "server" or "client": who the peer is. */
static inline const char *tls_peer_role(const struct tls_session *s)
{
	return s->c->server ? "client" : "server";
}

#endif
