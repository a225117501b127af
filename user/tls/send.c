// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Data into a TLS session: see stream.h.
 *
 * What the caller has in many pieces leaves in records that are as large as the peer takes (16
 * KiB), several in one system call. They are made here (key.h has the reason): the pieces are copied
 * together and encrypted where the copy is. Of records that the socket did not take whole the rest
 * is kept, as the same number must not encrypt anything else; the caller offers its bytes
 * again, and they are then counted as written.
 *
 * The library makes the record, of the same bytes, where it has something to find out or
 * to add: when records of this length are new, since only it knows what the peer takes; after a
 * message of the peer, which may have asked for new keys; and when it is about to take new keys
 * by itself. With TLS 1.2, and with ciphers that key.c does not know, it makes all of them. Where
 * the kernel encrypts, kernel.c writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "state.h"

#define WIRE_BYTES	(4 * (RECORD_BYTES_MAX + RECORD_EXTRA))	/* sent at once */

/* Sending failed for good. Returns a negative errno. */
static int write_broken(struct tls_session *s, int code)
{
	/* The encryption has given up: callers would take these for something that passes. */
	s->unwritable = code == -ENOBUFS || code == -ENOMEM ? -EIO : code;
	return s->unwritable;
}

/* The same, told by the library. */
static int library_broken(struct tls_session *s, ssize_t code, int system)
{
	if (code == GNUTLS_E_PUSH_ERROR)
		return write_broken(s, tls_disconnected(system));
	return write_broken(s, code == GNUTLS_E_PREMATURE_TERMINATION ? -ECONNRESET : -EIO);
}

/* The socket has a part of a record of ours, and not the rest: nothing may come between. */
static bool is_half_out(const struct tls_session *s)
{
	return s->sealed;
}

int tls_writing_give(struct tls_session *s)
{
	int code;

	if (!s->writing.cipher || s->lent)
		return 0;
	if (is_half_out(s))
		return -EAGAIN;
	code = tls_key_give(&s->writing, s->gnutls, false);
	s->lent = !code;
	return code;
}

int tls_writing_take(struct tls_session *s)
{
	int code;

	if (!s->lent)
		return 0;
	code = tls_key_take(&s->writing, s->gnutls, false);
	if (code)
		return write_broken(s, -EIO);
	s->lent = false;
	s->library_writes = false;
	return 0;
}

/* One record of at most @length bytes, made by the library. Bytes or a negative errno. */
static ssize_t library_write(struct tls_session *s, const void *data, size_t length)
{
	ssize_t sent;
	int system;

	if (tls_writing_give(s))
		return write_broken(s, -EIO);
	do {
		errno = 0;
		sent = sym_gnutls_record_send(s->gnutls, data, length);
		system = errno;
	} while (sent == GNUTLS_E_INTERRUPTED);
	if (sent == GNUTLS_E_AGAIN) {
		s->unsent = length;
		return -EAGAIN;
	}
	if (sent < 0)
		return library_broken(s, sent, system);
	/* What it cut off it will always cut off. */
	if ((size_t)sent < length)
		s->record_most = (size_t)sent;
	if ((size_t)sent > s->record_proven)
		s->record_proven = (size_t)sent;
	return tls_writing_take(s) ? s->unwritable : sent;
}

/*
 * The rest of the library's record that is half out. Bytes or a negative errno.
 *
 * The library is not given the bytes again: had the peer asked for new keys in the meantime, it
 * would take them for new data and send them twice. As it is, it then has nothing left to send
 * after the message of its own, which it calls an invalid request.
 */
static ssize_t library_flush(struct tls_session *s)
{
	size_t length = s->unsent;
	ssize_t sent;
	int system;

	do {
		errno = 0;
		sent = sym_gnutls_record_send(s->gnutls, NULL, 0);
		system = errno;
	} while (sent == GNUTLS_E_INTERRUPTED);
	if (sent == GNUTLS_E_AGAIN)
		return -EAGAIN;
	if (sent < 0 && sent != GNUTLS_E_INVALID_REQUEST)
		return library_broken(s, sent, system);
	/* It may have cut the record, and tells so only now. */
	if (sent > 0 && (size_t)sent < length)
		length = (size_t)sent;
	s->unsent = 0;
	return tls_writing_take(s) ? s->unwritable : (ssize_t)length;
}

/* To the socket, as far as it takes that now. Bytes or a negative errno. */
static ssize_t wire_write(struct tls_session *s, const unsigned char *wire, size_t length)
{
	ssize_t sent;

	do {
		sent = send(s->fd, wire, length, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return sent;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
		return 0;
	return write_broken(s, -errno);
}

/*
 * The rest of the records that are kept. Bytes of data in those that are out now, 0 if there are
 * none, or a negative errno.
 */
static ssize_t sealed_flush(struct tls_session *s)
{
	ssize_t sent = wire_write(s, s->sealed + s->sealed_at, s->sealed_length - s->sealed_at);
	size_t out;

	if (sent < 0)
		return sent;
	s->sealed_at += (size_t)sent;
	if (s->sealed_at == s->sealed_length) {
		out = s->unsent;
		free(s->sealed);
		s->sealed = NULL;
	} else {
		/* All but the last are of one length. */
		out = s->sealed_at / (s->sealed_size + RECORD_EXTRA) * s->sealed_size;
		out -= s->sealed_told;
		s->sealed_told += out;
	}
	s->unsent -= out;
	return (ssize_t)out;
}

/* Keeps @length bytes of records from @wire on, with @data bytes in them. 0 or a negative errno. */
static int sealed_keep(struct tls_session *s, const unsigned char *wire, size_t length, size_t data)
{
	s->sealed = malloc(length);
	if (!s->sealed)
		return write_broken(s, -EIO);
	memcpy(s->sealed, wire, length);
	s->sealed_length = length;
	s->sealed_at = 0;
	s->sealed_told = 0;
	s->unsent = data;
	return 0;
}

/* Is the next record, of @length bytes, one for the library? */
static bool is_librarys(const struct tls_session *s, size_t length)
{
	return !s->writing.cipher || s->library_writes || length > s->record_proven ||
	       tls_key_spent(&s->writing);
}

/*
 * Some records of the next bytes of @from. Bytes of data in those that are out, 0 if there are
 * none, or a negative errno.
 */
static ssize_t records_write(struct tls_session *s, struct cursor from)
{
	size_t left = cursor_left(&from), used = 0, data = 0, out, whole, length;
	unsigned char wire[WIRE_BYTES];
	ssize_t sent;

	s->sealed_size = s->record_most;
	while (left && WIRE_BYTES - used >= s->record_most + RECORD_EXTRA) {
		length = left < s->record_most ? left : s->record_most;
		if (is_librarys(s, length))
			break;
		cursor_take(&from, wire + used + RECORD_HEAD, length);
		if (tls_key_seal(&s->writing, wire + used, length))
			return write_broken(s, -EIO);
		used += length + RECORD_EXTRA;
		data += length;
		left -= length;
	}
	sent = wire_write(s, wire, used);
	if (sent < 0 || (size_t)sent == used)
		return sent < 0 ? sent : (ssize_t)data;
	whole = (size_t)sent / (s->sealed_size + RECORD_EXTRA);
	out = whole * s->sealed_size;
	whole *= s->sealed_size + RECORD_EXTRA;
	if (sealed_keep(s, wire + whole, used - whole, data - out))
		return s->unwritable;
	s->sealed_at = (size_t)sent - whole;
	return (ssize_t)out;
}

/* The next bytes of @from in one record of the library's. Bytes or a negative errno. */
static ssize_t library_write_next(struct tls_session *s, struct cursor from, size_t length)
{
	unsigned char gathered[RECORD_BYTES_MAX];

	if (cursor_piece(&from) >= length)
		return library_write(s, cursor_at(&from), length);
	cursor_take(&from, gathered, length);
	return library_write(s, gathered, length);
}

ssize_t tls_writev(struct tls_session *s, const struct iovec *iov, int count)
{
	struct cursor at = cursor_start(iov, count);
	size_t left = cursor_left(&at), done = 0, length;
	ssize_t sent;

	if (s->dead || s->unwritable)
		return s->dead ? s->dead : s->unwritable;
	if (s->kernel_send)
		return tls_kernel_writev(s, iov, count);
	if (left < s->unsent)
		return -EINVAL;
	if (!left)
		return 0;
	while (left) {
		length = left < s->record_most ? left : s->record_most;
		if (is_half_out(s))
			sent = sealed_flush(s);
		else if (s->unsent)
			sent = library_flush(s);
		else if (is_librarys(s, length))
			sent = library_write_next(s, at, length);
		else
			sent = records_write(s, at);
		if (sent < 0 && !done)
			return sent;
		if (sent < 0)
			break;
		done += (size_t)sent;
		left -= (size_t)sent;
		cursor_advance(&at, (size_t)sent);
		if (is_half_out(s))
			break;		/* the socket is full */
	}
	return done ? (ssize_t)done : -EAGAIN;
}

/* Nothing is to be written any more but a word of the library's, if the socket has room for it. */
static bool may_write_last(struct tls_session *s)
{
	if (is_half_out(s))
		sealed_flush(s);
	return !tls_writing_give(s);
}

void tls_alert(struct tls_session *s, gnutls_alert_description_t alert)
{
	if (may_write_last(s))
		sym_gnutls_alert_send(s->gnutls, GNUTLS_AL_FATAL, alert);
}

void tls_alert_appropriate(struct tls_session *s, int code)
{
	if (may_write_last(s))
		sym_gnutls_alert_send_appropriate(s->gnutls, code);
}

void tls_bye(struct tls_session *s)
{
	if (!s->established || s->dead || (s->unwritable && s->unwritable != -ESHUTDOWN))
		return;
	/* What is flushed before it nobody is told of: to write on would be to send that again. */
	s->unwritable = -ESHUTDOWN;
	if (may_write_last(s))
		sym_gnutls_bye(s->gnutls, GNUTLS_SHUT_WR);
}
