/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream socket, encrypted or not.
 *
 * What moves bytes of a protocol uses these in place of readv(2) and sendmsg(2), and need not know
 * which of the two it has. For event loops: nothing here blocks on a non-blocking descriptor.
 * Blocking code polls the descriptor after -EAGAIN, once stream_pending() is false.
 *
 * One thread at a time. Not allocation-free when encrypted: a part of a record that has come, or
 * could not leave yet, is kept in memory (up to 17 KiB of what comes, 65 KiB of what leaves), and
 * with TLS 1.2 the library takes and returns memory for each record. Up to 100 KiB of stack are used.
 */
#ifndef R3MAP_STREAM_H
#define R3MAP_STREAM_H

#include <errno.h>
#include <stdbool.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct tls_session;

/* Its user's, who also owns and frees both members. */
struct stream {
	int fd;				/* connected, non-blocking */
	struct tls_session *tls;	/* after its handshake; NULL: plain */
};

/* receive.c and send.c: the encrypted side of the functions below. */
ssize_t tls_readv(struct tls_session *s, const struct iovec *iov, int count);
ssize_t tls_writev(struct tls_session *s, const struct iovec *iov, int count);
bool tls_pending(const struct tls_session *s);
void tls_bye(struct tls_session *s);

/*
 * Reads what is there, at most what @iov holds. Returns bytes, 0 at the peer's orderly end, or a
 * negative errno; tls_explain() has the sentence for it.
 *
 * Encrypted, -EAGAIN may also mean that the peer sent no data but a message of TLS itself: wait
 * level-triggered. An end of the connection without the peer's close_notify is -ECONNRESET, since
 * anybody on the way can forge it: what was read is genuine, but there may have been more. Most
 * programs close so; a protocol that has a goodbye of its own, and heard it, may ignore this.
 */
static inline ssize_t stream_readv(struct stream *s, const struct iovec *iov, int count)
{
	ssize_t got;

	if (s->tls)
		return tls_readv(s->tls, iov, count);
	do {
		got = readv(s->fd, iov, count);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/*
 * Writes what the socket takes, without SIGPIPE. Returns bytes (more than 0 if @iov holds any) or a
 * negative errno; -EAGAIN, -ENOBUFS and -ENOMEM pass, the others stay.
 *
 * What is said not to be written must come again: the next write starts with the same bytes
 * and has at least as many, since an encrypted record of them may be half-way out. So a request
 * cannot be taken back after a write that offered it. A next write with fewer is -EINVAL.
 */
static inline ssize_t stream_writev(struct stream *s, const struct iovec *iov, int count)
{
	const struct msghdr message = {
		.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count,
	};
	ssize_t sent;

	if (s->tls)
		return tls_writev(s->tls, iov, count);
	do {
		sent = sendmsg(s->fd, &message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/*
 * The same of @length bytes of @file from *@offset on, which is moved on. The pages of a memfd leave as they
 * are: what changes before the peer has read it may arrive as either. Returns 0 at the end of the file,
 * -EOPNOTSUPP if the stream is encrypted. SIGPIPE is to be ignored by the process.
 */
static inline ssize_t stream_send_file(struct stream *s, int file, off_t *offset, size_t length)
{
	ssize_t sent;

	if (s->tls)
		return -EOPNOTSUPP;
	do {
		sent = sendfile(s->fd, file, offset, length);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/* Decrypted bytes are left that the descriptor does not know of: read again before waiting. */
static inline bool stream_pending(const struct stream *s)
{
	return s->tls && tls_pending(s->tls);
}

/*
 * Tells the peer that no more will come, if the socket has room for that now; else it may be called
 * again. Writing to a TLS session gets -ESHUTDOWN from then on.
 */
static inline void stream_bye(struct stream *s)
{
	if (s->tls)
		tls_bye(s->tls);
}

#endif
