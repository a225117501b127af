// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records of TLS after the handshake, from a client that has the keys and breaks what rules it
 * likes, and from somebody on the way who has none: what is read is what was written, from its
 * beginning, in order, up to where something is wrong; and from there on nothing.
 *
 * The two ends are sessions of this program. What one writes lies in a socket until the script
 * passes it on, as many bytes at a time as it likes.
 *
 * Input: a byte for the cipher, then a script of what both ends do.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/credentials.h"
#include "tls/state.h"
#include "tls/stream.h"

#define TURNS		1000	/* of a handshake; a handful is usual */
#define ROUNDS_MAX	400	/* of a script */
#define MOST		50000u	/* bytes that are written or read at once */
#define CIPHERS		4

struct end {
	struct stream stream;
	int far;		/* the other side of its socket */
	uint64_t written;	/* bytes of data that are under way or have come */
	uint64_t offered;	/* and those that may be as well: a write of them failed, or was cut */
	uint64_t read;		/* bytes of the other end's data that have come out */
	int over;		/* what the last read or write that failed for good returned */
};

static struct tls_credentials *servers[CIPHERS], *clients[CIPHERS];
static struct end server, client;
static unsigned char buffer[MOST + 64];

static void credentials_make(void)
{
	static const char key[] = "alice:00112233445566778899aabbccddeeff\n";
	static const char *const priorities[CIPHERS] = {
		"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-KX-ALL:+PSK",
		"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305:-KX-ALL:+PSK",
		"NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-CCM:-KX-ALL:+PSK",
		"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:-KX-ALL:+PSK",
	};
	struct error error = { 0 };
	char path[40];
	int i, fd = memfd_create("psk", 0);
	ssize_t wrote = write(fd, key, sizeof(key) - 1);
	struct tls_files files = { .psk = path };

	CLAIM(wrote == sizeof(key) - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (i = 0; i < CIPHERS; i++) {
		files.priority = priorities[i];
		CLAIM(!tls_server_credentials(&files, true, NULL, &servers[i], &error));
		CLAIM(!tls_client_credentials(&files, true, &clients[i], &error));
	}
	close(fd);
}

static UNTRACED uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)((offset * 2654435761u) >> 9);
}

static UNTRACED void bytes_make(unsigned char *to, uint64_t offset, size_t length)
{
	while (length--)
		*to++ = byte_at(offset++);
}

static UNTRACED bool bytes_are(const unsigned char *data, uint64_t offset, size_t length)
{
	while (length--)
		if (*data++ != byte_at(offset++))
			return false;
	return true;
}

static void end_open(struct end *end, struct tls_credentials *c)
{
	struct error error = { 0 };
	int fds[2];

	CLAIM(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	*end = (struct end) { .stream = { .fd = fds[0] }, .far = fds[1] };
	CLAIM(!tls_session_new(c, end->stream.fd, NULL, &end->stream.tls, &error));
}

static void end_close(struct end *end)
{
	tls_session_free(end->stream.tls);
	close(end->stream.fd);
	if (end->far >= 0)
		close(end->far);
}

/* Passes on at most @most bytes of what @from has written. Returns how many. */
static size_t pass(struct end *from, struct end *to, size_t most)
{
	static char some[MOST];
	ssize_t got, put;

	if (most > sizeof(some))
		most = sizeof(some);
	if (from->far < 0 || to->far < 0)
		return 0;
	got = recv(from->far, some, most, MSG_PEEK);
	if (got <= 0)
		return 0;
	put = send(to->far, some, (size_t)got, MSG_NOSIGNAL);
	if (put <= 0)
		return 0;
	CLAIM(recv(from->far, some, (size_t)put, 0) == put);
	return (size_t)put;
}

static void shake(void)
{
	struct error error = { 0 };
	int turns, s = -EAGAIN, c = -EAGAIN;

	for (turns = 0; turns < TURNS && (s || c); turns++) {
		if (c)
			c = tls_handshake(client.stream.tls, &error);
		pass(&client, &server, MOST);
		if (s)
			s = tls_handshake(server.stream.tls, &error);
		pass(&server, &client, MOST);
		CLAIM((!s || s == -EAGAIN) && (!c || c == -EAGAIN));
	}
	CLAIM(!s && !c);
}

static bool passes(ssize_t code)
{
	return code == -EAGAIN || code == -ENOBUFS || code == -ENOMEM;
}

/* At most @most bytes, in three pieces. */
static void reads(struct end *end, const struct end *other, size_t most, size_t cut)
{
	struct iovec iov[3];
	ssize_t got;

	if (cut > most)
		cut = most;
	iov[0] = (struct iovec) { buffer, cut / 2 };
	iov[1] = (struct iovec) { buffer + cut / 2, cut - cut / 2 };
	iov[2] = (struct iovec) { buffer + cut, most - cut };
	got = stream_readv(&end->stream, iov, 3);
	CLAIM(got <= (ssize_t)most);
	if (got == -EAGAIN)
		CLAIM(!stream_pending(&end->stream));
	if (got > 0) {
		CLAIM(end->over >= 0);
		CLAIM(bytes_are(buffer, end->read, (size_t)got));
		end->read += (uint64_t)got;
		CLAIM(end->read <= other->offered);
	} else if (got < 0 && got != -EAGAIN) {
		CLAIM(!end->over || end->over == got);
		end->over = (int)got;
	}
}

static void writes(struct end *end, size_t length)
{
	struct iovec iov[2];
	size_t cut = length / 3;
	ssize_t sent;

	if (length < end->stream.tls->unsent)
		length = end->stream.tls->unsent;
	if (length > sizeof(buffer))
		length = sizeof(buffer);
	bytes_make(buffer, end->written, length);
	iov[0] = (struct iovec) { buffer, cut };
	iov[1] = (struct iovec) { buffer + cut, length - cut };
	if (end->offered < end->written + length)
		end->offered = end->written + length;
	sent = stream_writev(&end->stream, iov, 2);
	CLAIM(sent <= (ssize_t)length);
	if (sent > 0)
		end->written += (uint64_t)sent;
	else if (length)
		CLAIM(sent < 0);
	CLAIM(sent >= 0 || passes(sent) || sent == end->stream.tls->dead ||
	      sent == end->stream.tls->unwritable);
}

/* What broke has a sentence. Reads what is left, and drops it. */
static void explain(struct end *end)
{
	const struct tls_session *s = end->stream.tls;
	struct error error = { 0 };
	int code = s->dead ? s->dead : s->unwritable;

	if (!code)
		return;
	code = tls_explain(end->stream.tls, code, &error);
	error_look(&error, code);
}

/* A record of the client's that its own code would not make. */
static void forge(struct input *in)
{
	static unsigned char plain[RECORD_BYTES_MAX + 300], wire[sizeof(plain) + RECORD_EXTRA];
	struct tls_key *key = &client.stream.tls->writing;
	uint8_t what = input8(in), damage = input8(in);
	uint8_t type = what & 1 ? RECORD_DATA : what & 2 ? RECORD_HANDSHAKE : what >> 2;
	size_t length = input16(in) % (RECORD_BYTES_MAX + 1), padding = what & 1 ? what >> 1 : 0;
	size_t sealed, got, i;
	unsigned char nonce[12];
	const uint8_t *text;

	/* Not where bytes of the real ones are under way. */
	if (!key->cipher || client.stream.tls->lent || client.stream.tls->unsent)
		return;
	memset(plain, 0, sizeof(plain));
	if (type == RECORD_DATA) {
		bytes_make(plain, client.written, length);
	} else {
		text = input_bytes(in, length & 31, &got);
		length = length & 32 ? length : got;
		/* A type of 0 is padding, and the type is what stands before it: there it is 0 as well. */
		if (type)
			memcpy(plain, text, got);
	}
	plain[length] = type;
	sealed = length + 1 + padding + RECORD_TAG;
	memcpy(nonce, key->iv, sizeof(nonce));
	for (i = 0; i < 8; i++)
		nonce[11 - i] ^= (unsigned char)(key->number >> 8 * i);
	wire[0] = RECORD_DATA;
	wire[1] = 3;
	wire[2] = 3;
	wire[3] = (unsigned char)(sealed >> 8);
	wire[4] = (unsigned char)sealed;
	CLAIM(gnutls_aead_cipher_encrypt(key->cipher, nonce, sizeof(nonce), wire, RECORD_HEAD,
					 RECORD_TAG, plain, length + 1 + padding,
					 wire + RECORD_HEAD, &sealed) >= 0);
	sealed += RECORD_HEAD;
	if (damage & 1)
		wire[(size_t)damage * 97 % sealed] ^= (unsigned char)(1 + damage);
	/* All of it, or the rest of it never comes, which is a fault as well. */
	if (send(client.stream.fd, wire, sealed, MSG_NOSIGNAL) < 0)
		return;
	if (type == RECORD_DATA)
		client.written += length;
	if (client.offered < client.written)
		client.offered = client.written;
	if (!(damage & 2))
		key->number++;
}

/* Somebody on the way. */
static void inject(struct input *in, struct end *to)
{
	size_t got;
	const uint8_t *bytes = input_bytes(in, input8(in), &got);

	if (to->far >= 0 && send(to->far, bytes, got, MSG_NOSIGNAL) < 0)
		CLAIM(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
}

static void key_update(struct end *end, bool both)
{
	struct tls_session *s = end->stream.tls;
	int code;

	if (s->dead || s->unwritable || s->unsent || tls_writing_give(s))
		return;
	code = gnutls_session_key_update(s->gnutls, both ? GNUTLS_KU_PEER : 0);
	/* One that is half out has to be called again: not what this is about. */
	if (code == GNUTLS_E_AGAIN)
		s->unwritable = -EIO;
	else
		tls_writing_take(s);
}

static void step(struct input *in)
{
	uint8_t code = input8(in);
	struct end *end = code & 1 ? &server : &client, *other = code & 1 ? &client : &server;

	switch (code >> 1 & 7) {
	case 0:
		writes(end, input16(in) % MOST + 1);
		break;
	case 1:
		reads(end, other, input16(in) % MOST + 1, code >> 4);
		break;
	case 2:
		pass(end, other, code & 0x10 ? MOST : input8(in));
		break;
	case 3:
		forge(in);
		break;
	case 4:
		inject(in, end);
		break;
	case 5:
		key_update(end, code & 0x10);
		break;
	case 6:
		stream_bye(&end->stream);
		if (code & 0x10 && end->far >= 0) {
			close(end->far);
			end->far = -1;
		}
		break;
	case 7:
		if (code & 0x10)
			end->stream.tls->writing.number = other->stream.tls->reading.number =
				(UINT64_C(1) << 24) - (code >> 5);
		while (pass(end, other, MOST))
			reads(other, end, MOST, 0);
	}
}

/* What is under way arrives, if nothing was wrong. */
static void settle(void)
{
	uint64_t before;

	do {
		before = server.read + client.read;
		if (client.stream.tls->unsent)
			writes(&client, 0);
		if (server.stream.tls->unsent)
			writes(&server, 0);
		pass(&client, &server, MOST);
		pass(&server, &client, MOST);
		reads(&server, &client, MOST, 7);
		reads(&client, &server, MOST, 7);
	} while (server.read + client.read > before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	int rounds = ROUNDS_MAX;
	unsigned int cipher;

	if (!servers[0]) {
		log_watch();
		credentials_make();
	}
	cipher = input8(&in) % CIPHERS;
	end_open(&server, servers[cipher]);
	end_open(&client, clients[cipher]);
	shake();
	while (in.left && rounds--)
		step(&in);
	settle();
	explain(&server);
	explain(&client);
	end_close(&server);
	end_close(&client);
	return 0;
}
