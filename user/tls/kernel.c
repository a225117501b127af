// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Data where the kernel encrypts (kTLS): see state.h, and Documentation/networking/tls.rst of Linux.
 *
 * The library has given it the keys. Data is written and read as on a plain socket; of everything
 * else the kernel tells the type. GnuTLS 3.7.9 would take an alert for an orderly end, whatever it
 * says, and the end of the connection as well, which anybody can forge; it would not see that the
 * peer has new keys. So that is read here.
 */
#include <errno.h>
#include <linux/tls.h>
#include <string.h>

#include "cursor.h"
#include "state.h"

#define MESSAGE_TICKET		4
#define MESSAGE_KEY_UPDATE	24

/* Has it keys for this direction, TLS_TX or TLS_RX? Only the head of what it tells is asked for. */
static bool has_keys(const struct tls_session *s, int direction)
{
	struct tls_crypto_info info = { 0 };
	socklen_t length = sizeof(info);

	return !getsockopt(s->fd, SOL_TLS, direction, &info, &length) && info.version;
}

int tls_kernel_check(struct tls_session *s)
{
	unsigned int claimed = sym_gnutls_transport_is_ktls_enabled(s->gnutls);

	s->kernel_send = claimed & GNUTLS_KTLS_SEND;
	s->kernel_receive = claimed & GNUTLS_KTLS_RECV;
	if ((s->kernel_send && !has_keys(s, TLS_TX)) ||
	    (s->kernel_receive && !has_keys(s, TLS_RX)))
		return error_set(s->error, -EPROTONOSUPPORT, "the kernel does not encrypt with %s, but "
				 "GnuTLS leaves that to it: allow AES-GCM, or take ktls out of the "
				 "configuration of GnuTLS",
				 sym_gnutls_cipher_get_name(sym_gnutls_cipher_get(s->gnutls)));
	return 0;
}

ssize_t tls_kernel_writev(struct tls_session *s, const struct iovec *iov, int count)
{
	struct stream plain = { .fd = s->fd };
	ssize_t sent = stream_writev(&plain, iov, count);

	if (sent < 0 && sent != -EAGAIN && sent != -ENOBUFS && sent != -ENOMEM)
		s->unwritable = (int)sent;
	return sent;
}

/* An alert, or a part of one: a byte of level, one of description. 0 or a negative errno. */
static int alert_take(struct tls_session *s, const unsigned char *data, size_t length)
{
	for (; length; data++, length--) {
		if (!s->alert_level) {
			s->alert_level = *data;
			continue;
		}
		if (*data == GNUTLS_A_CLOSE_NOTIFY) {
			s->ended = true;
			return 0;
		}
		/* Since TLS 1.3 the level says nothing. */
		if (s->alert_level != GNUTLS_AL_WARNING ||
		    sym_gnutls_protocol_get_version(s->gnutls) == GNUTLS_TLS1_3) {
			s->alert = *data;
			s->dead = tls_alert_explain(s, NULL);
			return s->dead;
		}
		s->alert_level = 0;
	}
	return 0;
}

/* Messages of TLS. 0 or a negative errno. */
static int messages_take(struct tls_session *s, const unsigned char *data, size_t length)
{
	while (length) {
		if (!s->message_head && *data == MESSAGE_KEY_UPDATE)
			return -EKEYEXPIRED;
		/* A session ticket; there is nothing else that the peer may say now. */
		if (!s->message_head && *data != MESSAGE_TICKET) {
			tls_alert(s, GNUTLS_A_UNEXPECTED_MESSAGE);
			return -EPROTO;
		}
		tls_message_follow(s, &data, &length);
	}
	return 0;
}

/* What came was no data. 0: it is dealt with, or a negative errno, which ends the session. */
static int record_take(struct tls_session *s, unsigned char type, const unsigned char *data,
		       size_t length)
{
	switch (type) {
	case RECORD_ALERT:
		return alert_take(s, data, length);
	case RECORD_HANDSHAKE:
		s->dead = messages_take(s, data, length);
		break;
	default:
		s->dead = -EPROTO;
		tls_alert(s, GNUTLS_A_UNEXPECTED_MESSAGE);
	}
	return s->dead;
}

static int receive_broken(struct tls_session *s, int code)
{
	socklen_t length = sizeof(int);
	int error;

	/* Takes it off the socket, which would not let an alert out. */
	(void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	s->dead = code;
	switch (code) {
	case -EBADMSG:
		tls_alert(s, GNUTLS_A_BAD_RECORD_MAC);
		break;
	case -EMSGSIZE:		/* a record too long, */
	case -EINVAL:		/* or not of this version */
		tls_alert(s, GNUTLS_A_UNEXPECTED_MESSAGE);
		s->dead = -EPROTO;
	}
	return s->dead;
}

ssize_t tls_kernel_readv(struct tls_session *s, const struct iovec *iov, int count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(unsigned char))];
	} control;
	struct msghdr message = {
		.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	unsigned char record[RECORD_BYTES_MAX], type = 0;
	struct cursor at = cursor_start(iov, count);
	struct cmsghdr *head;
	ssize_t got;

	if (s->dead || s->ended || !at.count)
		return s->dead;
	do {
		got = recvmsg(s->fd, &message, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? -EAGAIN : receive_broken(s, -errno);
	head = CMSG_FIRSTHDR(&message);
	if (head && head->cmsg_level == SOL_TLS && head->cmsg_type == TLS_GET_RECORD_TYPE)
		type = *CMSG_DATA(head);
	if (!got && !type) {
		s->dead = -ECONNRESET;		/* without the peer's goodbye */
		return s->dead;
	}
	s->reading.number++;
	if (type == RECORD_DATA && got) {
		s->data = true;
		s->heard = true;
		return got;
	}
	if (type != RECORD_DATA &&
	    record_take(s, type, record, cursor_take(&at, record, (size_t)got)))
		return s->dead;
	return s->ended ? 0 : tls_without_data(s, s->reading.number);
}
