// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS over TCP, where the kernel of the server's end may encrypt (kTLS), and the client never lets
 * it: what the one leaves to the kernel the other one understands, and what no kernel can do
 * ends in a sentence.
 *
 * The same is true where nothing is left to the kernel, so this is tried everywhere.
 * TEST_KERNEL_TLS=1 says that it must be (dev/tls-kernel.sh), =0 that it must not.
 */
#include <fcntl.h>
#include <netinet/in.h>

#include "ends.h"

#define BULK		(3u << 20)
#define HANGS_MS	60000		/* on loopback */

/* GnuTLS keeps the keys of a session that does not write to the socket by itself. */
static ssize_t push(gnutls_transport_ptr_t fd, const void *data, size_t length)
{
	return send((int)(intptr_t)fd, data, length, MSG_NOSIGNAL);
}

static void keep_keys(struct tls_session *s)
{
	gnutls_transport_set_push_function(s->gnutls, push);
}

static int setup(void **state)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(at);
	int fds[2] = { -1, -1 }, listening;

	(void)state;
	client_made = keep_keys;
	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listening < 0)
		return -1;
	if (!bind(listening, (struct sockaddr *)&at, sizeof(at)) && !listen(listening, 1) &&
	    !getsockname(listening, (struct sockaddr *)&at, &length))
		fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[1] >= 0 && !connect(fds[1], (struct sockaddr *)&at, length))
		fds[0] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	close(listening);
	if (fds[0] < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) || fcntl(fds[1], F_SETFL, O_NONBLOCK))
		return -1;
	return ends_setup(fds);
}

static bool by_kernel(const struct end *end)
{
	return end->stream.tls->kernel_send && end->stream.tls->kernel_receive;
}

/* The server's end is as demanded, and the client's is not the kernel's. */
static void ends_as_demanded(void)
{
	const char *demand = getenv("TEST_KERNEL_TLS");
	char text[64];

	tls_describe(server.stream.tls, text, sizeof(text));
	assert_int_equal(!!strstr(text, ", kernel"), by_kernel(&server));
	if (demand && !strcmp(demand, "1") != by_kernel(&server))
		fail_msg("the server speaks %s", text);
	assert_false(by_kernel(&client) && client_made);
}

/* With certificates, as not all ciphers go with a PSK. */
static void both(const char *priority)
{
	const struct tls_files files = { .certificates = in_pki("good"), .priority = priority };

	serves(&files, false, NULL);
	calls(&files, true);
	shakes("localhost");
	ends_as_demanded();
}

/* Waits until there is something else than -EAGAIN to be told. */
static ssize_t heard(struct end *end, void *data, size_t length)
{
	const struct iovec iov = { data, length };
	struct pollfd poll_in = { .fd = end->stream.fd, .events = POLLIN };
	ssize_t got;

	do {
		got = stream_readv(&end->stream, &iov, 1);
	} while (got == -EAGAIN && poll(&poll_in, 1, HANGS_MS) == 1);
	return got;
}

static void flows(struct end *from, struct end *to)
{
	unsigned char *data = malloc(BULK), *landed = calloc(1, BULK);
	const struct timespec pause = { .tv_nsec = 1000000 };
	size_t sent = 0, received = 0, i;
	ssize_t some;

	assert_true(data && landed);
	for (i = 0; i < BULK; i++)
		data[i] = (unsigned char)(i * 7 ^ i >> 11);
	while (received < BULK) {
		some = sent < BULK ? put(from, data + sent, BULK - sent) : -EAGAIN;
		assert_true(some > 0 || some == -EAGAIN);
		if (some > 0)
			sent += (size_t)some;
		some = get(to, landed + received, BULK - received < 50001 ? BULK - received : 50001);
		assert_true(some > 0 || some == -EAGAIN);
		if (some > 0)
			received += (size_t)some;
		else
			nanosleep(&pause, NULL);
	}
	assert_memory_equal(data, landed, BULK);
	free(data);
	free(landed);
}

static void data_flows(void **state)
{
	(void)state;
	both(NULL);
	flows(&client, &server);
	flows(&server, &client);
}

static void data_flows_aes128(void **state)
{
	(void)state;
	both("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM");
	flows(&client, &server);
	flows(&server, &client);
}

static void data_flows_tls12(void **state)
{
	(void)state;
	both("NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM");
	flows(&client, &server);
	flows(&server, &client);
}

/* Both ends leave it to the kernel, if that is to be had. */
static void data_flows_through_kernels(void **state)
{
	char word[8];

	(void)state;
	client_made = NULL;
	both(NULL);
	assert_int_equal(by_kernel(&client), by_kernel(&server));
	flows(&client, &server);
	flows(&server, &client);
	stream_bye(&server.stream);
	assert_int_equal(heard(&client, word, sizeof(word)), 0);
}

/* GnuTLS leaves it to a kernel that has no key for it: nothing goes in the clear. */
static void other_cipher(void **state)
{
	const char *priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305";
	const struct tls_files files = { .certificates = in_pki("good"), .priority = priority };
	const char *demand = getenv("TEST_KERNEL_TLS");

	(void)state;
	serves(&files, false, NULL);
	calls(&files, true);
	shake("localhost");
	if (!demand || strcmp(demand, "1")) {
		assert_int_equal(server.code, 0);
		flows(&client, &server);
		return;
	}
	assert_int_equal(server.code, -EPROTONOSUPPORT);
	says(server.error.text, "does not encrypt with CHACHA20-POLY1305");
	assert_int_equal(put(&server, "secret", 6), -EPROTONOSUPPORT);
}

static void orderly_end(void **state)
{
	char word[8];

	(void)state;
	both(NULL);
	assert_int_equal(put(&client, "last", 4), 4);
	stream_bye(&client.stream);
	assert_int_equal(heard(&server, word, sizeof(word)), 4);
	assert_int_equal(heard(&server, word, sizeof(word)), 0);
	assert_int_equal(heard(&server, word, sizeof(word)), 0);
	stream_bye(&server.stream);
	assert_int_equal(heard(&client, word, sizeof(word)), 0);
}

/* Anybody on the way can end a connection. */
static void truncation(void **state)
{
	char word[8];

	(void)state;
	both(NULL);
	assert_int_equal(put(&client, "last", 4), 4);
	shutdown(client.stream.fd, SHUT_WR);
	assert_int_equal(heard(&server, word, sizeof(word)), 4);
	assert_int_equal(heard(&server, word, sizeof(word)), -ECONNRESET);
	assert_int_equal(heard(&server, word, sizeof(word)), -ECONNRESET);
	tls_explain(server.stream.tls, -ECONNRESET, &error);
	says(error.text, "without TLS's goodbye");
}

static void alert(void **state)
{
	struct forger forger;
	char word[8];

	(void)state;
	forger_start(&forger);
	ends_as_demanded();
	forge(&forger, RECORD_ALERT, "\2\50", 2);
	assert_int_equal(heard(&server, word, sizeof(word)), -ECONNRESET);
	tls_explain(server.stream.tls, -ECONNRESET, &error);
	says(error.text, "the client ended TLS: Handshake failed");
	forger_end(&forger);
}

/* Who reads by single bytes gets the goodbye all the same. */
static void alert_in_parts(void **state)
{
	struct forger forger;
	char word[8];

	(void)state;
	forger_start(&forger);
	forge(&forger, RECORD_DATA, "a", 1);
	forge(&forger, RECORD_ALERT, "\1\0", 2);
	assert_int_equal(heard(&server, word, 1), 1);
	assert_int_equal(word[0], 'a');
	assert_int_equal(heard(&server, word, 1), 0);
	forger_end(&forger);
}

static void key_update(void **state)
{
	struct tls_session *s;
	char word[8];

	(void)state;
	both(NULL);
	s = client.stream.tls;
	assert_int_equal(tls_writing_give(s), 0);
	assert_int_equal(gnutls_session_key_update(s->gnutls, 0), 0);
	assert_int_equal(tls_writing_take(s), 0);
	assert_int_equal(put(&client, "data", 4), 4);
	if (!by_kernel(&server)) {
		assert_int_equal(heard(&server, word, sizeof(word)), 4);
		return;
	}
	assert_int_equal(heard(&server, word, sizeof(word)), -EKEYEXPIRED);
	tls_explain(server.stream.tls, -EKEYEXPIRED, &error);
	says(error.text, "the client has taken new keys, which the kernel cannot");
}

static void empty_records(void **state)
{
	struct forger forger;
	char word[8];
	int i;

	(void)state;
	forger_start(&forger);
	for (i = 0; i < 10; i++)
		forge(&forger, RECORD_DATA, "", 0);
	forge(&forger, RECORD_DATA, "data", 4);
	assert_int_equal(heard(&server, word, sizeof(word)), 4);
	assert_memory_equal(word, "data", 4);
	forger_end(&forger);
}

static void padding(void **state)
{
	unsigned char wire[2000];
	struct forger forger;
	char word[8];

	(void)state;
	forger_start(&forger);
	wire_give(&client, wire, forge_at(&forger, wire, RECORD_DATA, "data", 4, 1000));
	assert_int_equal(heard(&server, word, sizeof(word)), 4);
	assert_memory_equal(word, "data", 4);
	forger_end(&forger);
}

/* Messages of TLS without end, or that nobody has to send now. */
static void messages(void **state)
{
	struct forger forger;
	char word[8];
	int i;

	(void)state;
	forger_start(&forger);
	for (i = 0; i < 100; i++)
		forge(&forger, RECORD_HANDSHAKE, "\4\0\0\0", 4);
	assert_int_equal(heard(&server, word, sizeof(word)), -EPROTO);
	forger_end(&forger);
	teardown(state);
	assert_int_equal(setup(state), 0);
	forger_start(&forger);
	forge(&forger, RECORD_HANDSHAKE, "\1\0\0\0", 4);
	assert_int_equal(heard(&server, word, sizeof(word)), -EPROTO);
	forger_end(&forger);
}

static void type_unknown(void **state)
{
	struct forger forger;
	char word[8];

	(void)state;
	forger_start(&forger);
	forge(&forger, 99, "data", 4);
	assert_int_equal(heard(&server, word, sizeof(word)), -EPROTO);
	forger_end(&forger);
}

/* Refused, told to who has sent it, and nobody reads anything. */
static void record_changed(void **state)
{
	unsigned char wire[100];
	struct forger forger;
	size_t length;
	char word[8];

	(void)state;
	forger_start(&forger);
	length = forge_at(&forger, wire, RECORD_DATA, "data", 4, 0);
	wire[6] ^= 1;
	wire_give(&client, wire, length);
	memset(word, 'x', sizeof(word));
	assert_int_equal(heard(&server, word, sizeof(word)), -EBADMSG);
	assert_memory_equal(word, "xxxxxxxx", 8);
	assert_int_equal(put(&server, word, 8), -EBADMSG);
	assert_int_equal(heard(&client, word, sizeof(word)), -ECONNRESET);
	assert_int_equal(client.stream.tls->alert, GNUTLS_A_BAD_RECORD_MAC);
	forger_end(&forger);
}

static void plain_in_the_middle(void **state)
{
	static const unsigned char text[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	char word[8];

	(void)state;
	both(NULL);
	wire_give(&client, text, sizeof(text) - 1);
	assert_int_equal(heard(&server, word, sizeof(word)), -EPROTO);
}

static const struct CMUnitTest tests[] = {
	BOTH(data_flows),
	BOTH(data_flows_aes128),
	BOTH(data_flows_tls12),
	BOTH(data_flows_through_kernels),
	BOTH(other_cipher),
	BOTH(orderly_end),
	BOTH(truncation),
	BOTH(alert),
	BOTH(alert_in_parts),
	BOTH(key_update),
	BOTH(empty_records),
	BOTH(padding),
	BOTH(messages),
	BOTH(type_unknown),
	BOTH(record_changed),
	BOTH(plain_in_the_middle),
};

ENDS_MAIN(tests)
