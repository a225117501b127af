// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Data through a TLS session: see stream.h.
 *
 * Sending: what the caller has in many pieces leaves in records that are as large as the peer takes
 * (16 KiB). A piece that fills a record is encrypted where it lies; smaller ones are first
 * copied together, in memory that a thread has once. A record that the socket did not take whole
 * stays with the library; the caller offers its bytes again, and the record is then counted as
 * written.
 *
 * Where the kernel encrypts, it is given the caller's pieces as on a plain socket.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "state.h"

#define RECORD_BYTES_MAX	16384
#define ALERT_TRIES		16
#define RECORDS_WITHOUT_DATA	64	/* in a row; tickets and new keys need fewer */

static __thread unsigned char gathered[RECORD_BYTES_MAX];

/* A place in the caller's pieces. */
struct cursor {
	const struct iovec *iov;
	int count;
	size_t skip;		/* bytes of iov[0] */
};

static size_t bytes(const struct iovec *iov, int count)
{
	size_t sum = 0;

	while (count--)
		sum += iov++->iov_len;
	return sum;
}

static void cursor_advance(struct cursor *at, size_t length)
{
	length += at->skip;
	while (at->count && length >= at->iov->iov_len) {
		length -= at->iov->iov_len;
		at->iov++;
		at->count--;
	}
	at->skip = length;
}

/* The next @length bytes in one piece; @length is at most RECORD_BYTES_MAX. */
static const void *cursor_piece(const struct cursor *from, size_t length)
{
	const char *first = (const char *)from->iov->iov_base + from->skip;
	struct cursor at = *from;
	size_t used = 0, part;

	if (at.iov->iov_len - at.skip >= length)
		return first;
	while (used < length) {
		part = at.iov->iov_len - at.skip;
		if (part > length - used)
			part = length - used;
		if (part)
			memcpy(gathered + used, (const char *)at.iov->iov_base + at.skip, part);
		used += part;
		cursor_advance(&at, part);
	}
	return gathered;
}

/* The connection itself broke, as errno @system tells, or the library did not keep what did. */
static int disconnected(int system)
{
	return system && system != EAGAIN ? -system : -ECONNRESET;
}

/* Reading ended with the library's @code: so does the session. Returns a negative errno. */
static int broken(struct tls_session *s, int code, int system)
{
	switch (code) {
	case GNUTLS_E_PULL_ERROR:
		return disconnected(system);
	case GNUTLS_E_PREMATURE_TERMINATION:
	case GNUTLS_E_SESSION_EOF:
		return -ECONNRESET;
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
		if (tls_peer_closed(s))
			return -ECONNRESET;
		break;
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		s->alert = (int)sym_gnutls_alert_get(s->gnutls);
		return tls_alert_explain(s, NULL);
	case GNUTLS_E_REHANDSHAKE:
		sym_gnutls_alert_send(s->gnutls, GNUTLS_AL_FATAL, GNUTLS_A_NO_RENEGOTIATION);
		return -EPROTO;
	case GNUTLS_E_MEMORY_ERROR:
		return -ENOMEM;
	}
	sym_gnutls_alert_send_appropriate(s->gnutls, code);
	return code == GNUTLS_E_DECRYPTION_FAILED ? -EBADMSG : -EPROTO;
}

/*
 * The peer sent no data, but may have sent something. The library collects a message of up to
 * 16 MiB before it looks at its length; a peer that sends records for one gets no further than this.
 */
static ssize_t without_data(struct tls_session *s)
{
	unsigned char number[8];
	uint64_t record;

	if (s->kernel_receive)
		return -EAGAIN;
	if (sym_gnutls_record_get_state(s->gnutls, 1, NULL, NULL, NULL, number) < 0)
		return -EAGAIN;
	memcpy(&record, number, sizeof(record));
	record = be64toh(record);
	/* New keys begin at 0 again. */
	if (s->data || record < s->record) {
		s->data = false;
		s->record = record;
	}
	if (record - s->record <= RECORDS_WITHOUT_DATA)
		return -EAGAIN;
	s->dead = -EPROTO;
	sym_gnutls_alert_send(s->gnutls, GNUTLS_AL_FATAL, GNUTLS_A_UNEXPECTED_MESSAGE);
	return s->dead;
}

/* One record's worth into @buf. Bytes, 0 at the end, or a negative errno. */
static ssize_t record_read(struct tls_session *s, void *buf, size_t size)
{
	ssize_t got;
	int system;

	do {
		errno = 0;
		got = sym_gnutls_record_recv(s->gnutls, buf, size);
		system = errno;
	} while (got == GNUTLS_E_INTERRUPTED);
	if (got > 0) {
		s->data = true;
		s->heard = true;
		return got;
	}
	if (got == 0) {
		s->ended = true;
		return 0;
	}
	/* Behind what is no data there may be some: then the socket is still readable. */
	if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_WARNING_ALERT_RECEIVED)
		return without_data(s);
	s->dead = broken(s, (int)got, system);
	return s->dead;
}

ssize_t tls_readv(struct tls_session *s, const struct iovec *iov, int count)
{
	struct cursor at = { iov, count, 0 };
	size_t done = 0;
	ssize_t got;

	cursor_advance(&at, 0);		/* past empty pieces */
	while (at.count) {
		if (s->ended)
			return (ssize_t)done;
		if (s->dead)
			return done ? (ssize_t)done : s->dead;
		got = record_read(s, (char *)at.iov->iov_base + at.skip, at.iov->iov_len - at.skip);
		if (got < 0)
			return done ? (ssize_t)done : got;
		done += (size_t)got;
		cursor_advance(&at, (size_t)got);
	}
	return (ssize_t)done;
}

static ssize_t kernel_write(struct tls_session *s, const struct iovec *iov, int count)
{
	struct stream plain = { .fd = s->fd };
	ssize_t sent = stream_writev(&plain, iov, count);

	if (sent < 0 && sent != -EAGAIN && sent != -ENOBUFS && sent != -ENOMEM)
		s->unwritable = (int)sent;
	return sent;
}

/* Sending failed with the library's @code. Returns a negative errno. */
static int write_broken(struct tls_session *s, int code, int system)
{
	if (code == GNUTLS_E_PUSH_ERROR)
		s->unwritable = disconnected(system);
	else if (code == GNUTLS_E_PREMATURE_TERMINATION)
		s->unwritable = -ECONNRESET;
	else
		s->unwritable = -EIO;
	/* The library has given up: callers would take these for something that passes. */
	if (s->unwritable == -ENOBUFS || s->unwritable == -ENOMEM)
		s->unwritable = -EIO;
	return s->unwritable;
}

/* One record of @length bytes. Bytes or a negative errno. */
static ssize_t record_write(struct tls_session *s, const void *data, size_t length)
{
	ssize_t sent;
	int system;

	do {
		errno = 0;
		sent = sym_gnutls_record_send(s->gnutls, data, length);
		system = errno;
	} while (sent == GNUTLS_E_INTERRUPTED);
	if (sent >= 0)
		return sent;
	if (sent == GNUTLS_E_AGAIN) {
		s->unsent = length;
		return -EAGAIN;
	}
	return write_broken(s, (int)sent, system);
}

/*
 * The rest of the record that is half out. Bytes or a negative errno.
 *
 * The library is not given the bytes again: had the peer asked for new keys in the meantime, it
 * would take them for new data and send them twice. As it is, it then has nothing left to send
 * after the message of its own, which it calls an invalid request.
 */
static ssize_t record_flush(struct tls_session *s)
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
		return write_broken(s, (int)sent, system);
	s->unsent = 0;
	return (ssize_t)length;
}

ssize_t tls_writev(struct tls_session *s, const struct iovec *iov, int count)
{
	size_t left = bytes(iov, count), done = 0, length;
	struct cursor at = { iov, count, 0 };
	ssize_t sent;

	if (s->dead || s->unwritable)
		return s->dead ? s->dead : s->unwritable;
	if (s->kernel_send)
		return kernel_write(s, iov, count);
	if (left < s->unsent)
		return -EINVAL;
	cursor_advance(&at, 0);		/* past empty pieces */
	while (left) {
		if (s->unsent) {
			sent = record_flush(s);
		} else {
			length = sym_gnutls_record_get_max_size(s->gnutls);
			if (length > RECORD_BYTES_MAX)
				length = RECORD_BYTES_MAX;
			if (length > left)
				length = left;
			sent = record_write(s, cursor_piece(&at, length), length);
		}
		if (sent < 0)
			return done ? (ssize_t)done : sent;
		done += (size_t)sent;
		left -= (size_t)sent;
		cursor_advance(&at, (size_t)sent);
	}
	return (ssize_t)done;
}

void tls_alert_look(struct tls_session *s)
{
	char dropped[256];
	int tries = ALERT_TRIES;

	while (tries-- && !s->dead && !s->ended)
		if (record_read(s, dropped, sizeof(dropped)) == -EAGAIN)
			break;
}

bool tls_pending(const struct tls_session *s)
{
	return sym_gnutls_record_check_pending(s->gnutls) > 0;
}

void tls_bye(struct tls_session *s)
{
	if (s->established && !s->dead && !s->unwritable)
		sym_gnutls_bye(s->gnutls, GNUTLS_SHUT_WR);
}
