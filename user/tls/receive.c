// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Data out of a TLS session: see stream.h.
 *
 * Records of data are read from the socket many at a time and opened here (key.h has the reason).
 * All others go to the library as they came: it reads from the socket no more, but what
 * tls_given_read() has for it. So alerts, new keys and whatever breaks the rules are its to judge,
 * with one exception: a message of TLS that data cuts in two, which it cannot see.
 *
 * What was read and cannot be opened or delivered yet stays with the session: less than
 * one record, and seldom anything.
 *
 * With TLS 1.2 and with ciphers that key.c does not know the library reads; where the kernel
 * decrypts, kernel.c does.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cursor.h"
#include "state.h"

#define WIRE_BYTES		(4 * RECORD_WIRE_MAX)	/* read at once */
#define RECORD_FULL		(RECORD_BYTES_MAX + RECORD_EXTRA)
#define ALERT_TRIES		16
#define RECORDS_WITHOUT_DATA	64	/* in a row; tickets and new keys need fewer */
#define MESSAGE_HEAD		4

/* Reading ended with the library's @code: so does the session. Returns a negative errno. */
static int broken(struct tls_session *s, int code, int system)
{
	switch (code) {
	case GNUTLS_E_PULL_ERROR:
		return tls_disconnected(system);
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
		tls_alert(s, GNUTLS_A_NO_RENEGOTIATION);
		return -EPROTO;
	case GNUTLS_E_MEMORY_ERROR:
		return -ENOMEM;
	}
	tls_alert_appropriate(s, code);
	return code == GNUTLS_E_DECRYPTION_FAILED ? -EBADMSG : -EPROTO;
}

static int rules_broken(struct tls_session *s)
{
	s->dead = -EPROTO;
	tls_alert(s, GNUTLS_A_UNEXPECTED_MESSAGE);
	return s->dead;
}

int tls_without_data(struct tls_session *s, uint64_t record)
{
	/* New keys begin at 0 again. */
	if (s->data || record < s->record) {
		s->data = false;
		s->record = record;
	}
	return record - s->record <= RECORDS_WITHOUT_DATA ? -EAGAIN : rules_broken(s);
}

/* One record's worth into @buf, by the library. Bytes, 0 at the end, or a negative errno. */
static ssize_t library_read(struct tls_session *s, void *buf, size_t size)
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
	if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_WARNING_ALERT_RECEIVED)
		return -EAGAIN;
	s->dead = broken(s, (int)got, system);
	return s->dead;
}

/* As much as there is, by the library. Bytes, 0 at the end, or a negative errno. */
static ssize_t library_readv(struct tls_session *s, struct cursor *at)
{
	unsigned char number[8];
	uint64_t record;
	size_t done = 0;
	ssize_t got;

	while (at->count && !s->ended && !s->dead) {
		got = library_read(s, cursor_at(at), cursor_piece(at));
		if (got == -EAGAIN) {
			/* Behind what is no data there may be some: then the socket is still readable. */
			if (!done &&
			    sym_gnutls_record_get_state(s->gnutls, 1, NULL, NULL, NULL, number) >= 0) {
				memcpy(&record, number, sizeof(record));
				return tls_without_data(s, be64toh(record));
			}
			return done ? (ssize_t)done : got;
		}
		if (got > 0) {
			done += (size_t)got;
			cursor_advance(at, (size_t)got);
		}
	}
	return done || s->ended ? (ssize_t)done : s->dead;
}

ssize_t tls_given_read(gnutls_transport_ptr_t session, void *buf, size_t size)
{
	struct tls_session *s = session;

	if (!s->given_length) {
		errno = EAGAIN;
		return -1;
	}
	if (size > s->given_length)
		size = s->given_length;
	memcpy(buf, s->given, size);
	s->given += size;
	s->given_length -= size;
	return (ssize_t)size;
}

/*
 * Gives the library a record that is no data, or not one to be opened. 0, or a negative errno that
 * ends the session; sets s->ended after the peer's goodbye.
 */
static int record_give(struct tls_session *s, const unsigned char *wire, size_t length)
{
	unsigned char none[64];
	ssize_t got;

	s->dead = tls_key_give(&s->reading, s->gnutls, true);
	if (s->dead)
		return s->dead;
	s->given = wire;
	s->given_length = length;
	got = library_read(s, none, sizeof(none));
	if (got == 0 || s->dead)
		return s->dead;
	/* It took all of it and has no data, or the two of us do not agree on what a record is. */
	if (got > 0 || s->given_length)
		return rules_broken(s);
	/* These may be new ones now; and the peer may have asked for the same of us. */
	s->dead = tls_key_take(&s->reading, s->gnutls, true);
	s->library_writes = true;
	if (!s->dead)
		tls_without_data(s, s->reading.number);
	return s->dead;
}

void tls_message_follow(struct tls_session *s, const unsigned char **data, size_t *length)
{
	size_t part = 1;

	if (s->message_head < MESSAGE_HEAD) {
		/* A byte of type, three of length. */
		if (s->message_head++)
			s->message_left = s->message_left << 8 | **data;
	} else {
		part = *length < s->message_left ? *length : s->message_left;
		s->message_left -= part;
	}
	*data += part;
	*length -= part;
	if (s->message_head == MESSAGE_HEAD && !s->message_left)
		s->message_head = 0;
}

/* To know whether a message of the peer has begun that has not ended. */
static void messages_follow(struct tls_session *s, const unsigned char *data, size_t length)
{
	while (length)
		tls_message_follow(s, &data, &length);
}

/*
 * The length of the record at @wire, of which @there bytes are there; 0: not known yet, or not all
 * there. A head that cannot be one is a record by itself: there is nothing behind it to wait for.
 */
static size_t record_length(const unsigned char *wire, size_t there)
{
	size_t length;

	if (there < RECORD_HEAD)
		return 0;
	length = RECORD_HEAD + ((size_t)wire[3] << 8 | wire[4]);
	if (wire[0] < 20 || wire[0] > RECORD_DATA || length > RECORD_WIRE_MAX)
		return RECORD_HEAD;
	return length <= there ? length : 0;
}

static void opened_keep(struct tls_session *s, const unsigned char *data, size_t length)
{
	s->opened = malloc(length);
	if (!s->opened) {
		s->dead = -ENOMEM;
		return;
	}
	memcpy(s->opened, data, length);
	s->opened_length = length;
	s->opened_at = 0;
}

/*
 * Takes one record. Returns how many bytes of data came out of it and into the reader's pieces;
 * nothing gets there that is not known to be genuine, as a reader's memory may be in use (mem: is).
 */
static size_t record_open(struct tls_session *s, const unsigned char *wire, size_t length,
			  struct cursor *at)
{
	size_t inner = length - RECORD_HEAD - RECORD_TAG, used, done;
	unsigned char data[RECORD_BYTES_MAX + 1];
	int type = -1;

	if (wire[0] == RECORD_DATA && length >= RECORD_EXTRA && inner <= sizeof(data))
		type = tls_key_open(&s->reading, wire, length, data, &used);
	/* RFC 8446, 5.4. Behind the head of a message GnuTLS 3.7.9 looks at it for ever. */
	if (type == RECORD_HANDSHAKE && !used) {
		rules_broken(s);
		return 0;
	}
	if (type != RECORD_DATA) {
		if (type == RECORD_HANDSHAKE)
			messages_follow(s, data, used);
		record_give(s, wire, length);
		return 0;
	}
	if (s->message_head) {
		rules_broken(s);
		return 0;
	}
	s->reading.number++;
	if (!used) {
		tls_without_data(s, s->reading.number);
		return 0;
	}
	s->data = true;
	s->heard = true;
	done = cursor_put(at, data, used);
	if (done < used)
		opened_keep(s, data + done, used - done);
	return done;
}

/* Takes what a record held that its reader had no room for. */
static size_t opened_take(struct tls_session *s, struct cursor *at)
{
	size_t done;

	if (!s->opened)
		return 0;
	done = cursor_put(at, s->opened + s->opened_at, s->opened_length - s->opened_at);
	s->opened_at += done;
	if (s->opened_at == s->opened_length) {
		free(s->opened);
		s->opened = NULL;
	}
	return done;
}

/* @wire has what the session has kept. Returns how much that is. */
static size_t held_take(struct tls_session *s, unsigned char *wire)
{
	size_t length = s->held ? s->held_length : 0;

	if (length)
		memcpy(wire, s->held, length);
	free(s->held);
	s->held = NULL;
	return length;
}

static void held_keep(struct tls_session *s, const unsigned char *wire, size_t length)
{
	if (!length || s->dead || s->ended)
		return;
	s->held = malloc(length);
	if (!s->held) {
		s->dead = -ENOMEM;
		return;
	}
	memcpy(s->held, wire, length);
	s->held_length = length;
}

/*
 * Reads behind the @used bytes at @wire: as much as the reader has room for, or else a record. So
 * little is left over that would have to be kept. Returns bytes or 0; *drained: there are no more.
 */
static size_t wire_read(struct tls_session *s, unsigned char *wire, size_t used, size_t room,
			bool *drained)
{
	size_t want = room + room / 64 + RECORD_EXTRA, least = RECORD_HEAD;
	ssize_t got;

	if (used >= RECORD_HEAD)
		least += (size_t)wire[3] << 8 | wire[4];	/* at most RECORD_WIRE_MAX, in all */
	if (want < least - used)
		want = least - used;
	if (want > WIRE_BYTES - used)
		want = WIRE_BYTES - used;
	do {
		got = recv(s->fd, wire + used, want, 0);
	} while (got < 0 && errno == EINTR);
	*drained = got < (ssize_t)want;
	if (got > 0)
		return (size_t)got;
	if (!got)
		s->dead = -ECONNRESET;		/* without the peer's goodbye */
	else if (errno != EAGAIN)
		s->dead = -errno;
	return 0;
}

/*
 * As much as there is, opened here. Bytes, 0 at the end, or a negative errno.
 *
 * A full record is seldom the last: its peer is about to send the next one, or has while this one
 * was opened. To look for it at once is cheaper than to wait until told.
 */
static ssize_t records_readv(struct tls_session *s, struct cursor *at)
{
	size_t done = opened_take(s, at), used, first = 0, length, last;
	unsigned char wire[WIRE_BYTES];
	bool drained = false;

	if (!at->count || s->dead || s->ended)
		return done || s->ended ? (ssize_t)done : s->dead;
	used = held_take(s, wire);
	for (;;) {
		last = 0;
		while (at->count && !s->dead && !s->ended) {
			length = record_length(wire + first, used - first);
			if (!length)
				break;
			done += record_open(s, wire + first, length, at);
			first += length;
			last = length;
		}
		if (!at->count || s->dead || s->ended || (drained && last < RECORD_FULL))
			break;
		used -= first;
		memmove(wire, wire + first, used);
		first = 0;
		used += wire_read(s, wire, used, cursor_left(at), &drained);
	}
	held_keep(s, wire + first, used - first);
	if (done || s->ended)
		return (ssize_t)done;
	return s->dead ? s->dead : -EAGAIN;
}

ssize_t tls_readv(struct tls_session *s, const struct iovec *iov, int count)
{
	struct cursor at = cursor_start(iov, count);

	if (s->kernel_receive)
		return tls_kernel_readv(s, iov, count);
	if (s->reading.cipher)
		return records_readv(s, &at);
	return library_readv(s, &at);
}

void tls_alert_look(struct tls_session *s)
{
	char dropped[256];
	const struct iovec iov = { dropped, sizeof(dropped) };
	int tries = ALERT_TRIES;

	while (tries-- && !s->dead && !s->ended)
		if (tls_readv(s, &iov, 1) == -EAGAIN)
			break;
}

bool tls_pending(const struct tls_session *s)
{
	if (s->reading.cipher)
		return s->opened || (s->held && record_length(s->held, s->held_length));
	return sym_gnutls_record_check_pending(s->gnutls) > 0;
}
