/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS on one connected socket, from the handshake on.
 *
 *	tls_session_new(c, fd, "host", &s, error);
 *	while ((got = tls_handshake(s, error)) == -EAGAIN)
 *		wait for fd: EPOLLOUT if tls_wants_write(s), else EPOLLIN
 *	stream.tls = s;			from here on, stream.h
 *
 * A session belongs to one thread at a time. How long to wait for a peer is the caller's to bound.
 *
 * Refused: renegotiation, resumption, early data. Key updates of TLS 1.3 are followed.
 *
 * Memory of an idle session, measured with GnuTLS 3.7.9: 12 to 15 KiB, nearly all of it the
 * library's; a handshake that a peer draws out takes at most some 2 MiB.
 */
#ifndef R3MAP_TLS_SESSION_H
#define R3MAP_TLS_SESSION_H

#include <stddef.h>

#include "credentials.h"
#include "stream.h"

/*
 * @fd: connected, non-blocking, nothing of TLS read or written yet; stays the caller's, and open
 *	until the session is freed.
 * @hostname: a client's idea of the server: its certificate must be for this name or, if it is an
 *	address, for this address. A name is also told to the server (SNI). NULL: a certificate of
 *	anybody the authority vouches for will do. For a server NULL.
 *
 * Returns 0 and *@s, or a negative errno with one sentence.
 */
int tls_session_new(struct tls_credentials *c, int fd, const char *hostname,
		    struct tls_session **s, struct error *error);

/*
 * Goes on with the handshake. 0: done, the peer is who it has to be. -EAGAIN: to be called again
 * when the socket is ready, see tls_wants_write(). Else a negative errno with one sentence on what
 * is wrong (-EACCES: one side does not accept the other); the peer has been told as far as the
 * socket took it, and the session is good for tls_session_free() only.
 *
 * With TLS 1.3 a client may be done before the server has looked at its certificate: then the
 * refusal comes with the first read.
 */
int tls_handshake(struct tls_session *s, struct error *error);

/* After -EAGAIN of tls_handshake(): wait until @s's socket can be written, not read. */
bool tls_wants_write(const struct tls_session *s);

/*
 * Sets @error to what is behind @code, which stream_readv() or stream_writev() has just returned
 * for this session: the peer's alert, if it sent one. To be called once nothing more is to be
 * read: after a failed write it looks for the alert and drops data. Returns @code, or what the
 * alert means: -EACCES or -ECONNRESET.
 */
int tls_explain(struct tls_session *s, int code, struct error *error);

/*
 * After the handshake, for logs: the subject of the peer's certificate ("CN=name,O=firm", also of
 * one that did not have to be verified) or a client's PSK identity; "" if there is none. Printable
 * UTF-8 of at most 255 bytes. Lives as long as @s.
 */
const char *tls_peer(const struct tls_session *s);

/* After the handshake: "TLS1.3 AES-256-GCM", then ", kernel" if the kernel encrypts both ways. */
void tls_describe(const struct tls_session *s, char *text, size_t size);

/* Says nothing to the peer: see stream_bye(). NULL: nothing. */
void tls_session_free(struct tls_session *s);

#endif
