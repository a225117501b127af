// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS between two ends in one process, over a socket pair: who is accepted and who is not, and with
 * which sentence; data in all sizes; peers that leave early, talk nonsense or break the rules.
 *
 * Nothing waits: both ends take turns until neither gets further.
 */
#include <fcntl.h>
#include <malloc.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "ends.h"

#define TLS12	"NORMAL:-VERS-ALL:+VERS-TLS1.2"

static int setup(void **state)
{
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
		return -1;
	return ends_setup(fds);
}

/* The client refuses the server, which hears it. */
static void client_refuses(const char *hostname, const char *part, const char *heard)
{
	shake(hostname);
	assert_int_equal(client.code, -EACCES);
	says(client.error.text, part);
	assert_int_equal(server.code, -EACCES);
	says(server.error.text, heard);
}

/* The server refuses the client, which with TLS 1.3 hears it when it reads. */
static void server_refuses(const char *part, const char *heard)
{
	char word[16];
	ssize_t got;

	shake("localhost");
	assert_int_equal(server.code, -EACCES);
	says(server.error.text, part);
	if (client.code) {
		assert_int_equal(client.code, -EACCES);
	} else {
		got = get(&client, word, sizeof(word));
		assert_int_equal(got, -EACCES);
		assert_int_equal(tls_explain(client.stream.tls, (int)got, &client.error), -EACCES);
		assert_int_equal(get(&client, word, sizeof(word)), -EACCES);
		assert_int_equal(put(&client, word, 1), -EACCES);
	}
	says(client.error.text, heard);
}

static void x509_good(void **state)
{
	char text[64];

	(void)state;
	serves_x509("good", true, NULL);
	calls_x509("good");
	shakes("localhost");
	assert_string_equal(tls_peer(server.stream.tls), "CN=client,O=r3map");
	says(tls_peer(client.stream.tls), "CN=localhost");
	tls_describe(client.stream.tls, text, sizeof(text));
	says(text, "TLS1.3 ");
	assert_null(strstr(text, "kernel"));	/* not on a socket of this kind */
}

static void x509_tls12(void **state)
{
	struct tls_files files = { .certificates = in_pki("good"), .priority = TLS12 };
	char text[64];

	(void)state;
	serves(&files, true, NULL);
	calls(&files, true);
	shakes("localhost");
	tls_describe(server.stream.tls, text, sizeof(text));
	says(text, "TLS1.2 ");
}

static void x509_address(void **state)
{
	(void)state;
	serves_x509("good", false, NULL);
	calls_x509("good");
	shakes("127.0.0.1");
	assert_string_equal(tls_peer(server.stream.tls), "");
}

static void x509_address6(void **state)
{
	(void)state;
	serves_x509("good", false, NULL);
	calls_x509("no-client");
	shakes("::1");
}

static void x509_any_name(void **state)
{
	(void)state;
	serves_x509("wrong-name", false, NULL);
	calls_x509("good");
	shakes(NULL);
}

static void x509_unverified(void **state)
{
	(void)state;
	serves_x509("other-ca", false, NULL);
	calls(&(struct tls_files) { .certificates = in_pki("good") }, false);
	shakes("localhost");
}

static void x509_wrong_name(void **state)
{
	(void)state;
	serves_x509("wrong-name", false, NULL);
	calls_x509("good");
	client_refuses("localhost", "not for \"localhost\"", "does not accept our certificate");
}

static void x509_wrong_address(void **state)
{
	(void)state;
	serves_x509("wrong-name", false, NULL);
	calls_x509("good");
	client_refuses("127.0.0.1", "not for \"127.0.0.1\"", "does not accept our certificate");
}

static void x509_unknown_authority(void **state)
{
	(void)state;
	serves_x509("other-ca", false, NULL);
	calls_x509("good");
	client_refuses("localhost", "not from an authority that we trust", "does not accept");
	says(client.error.text, "good/ca-cert.pem");
}

static void x509_system_authority(void **state)
{
	(void)state;
	if (access("/etc/ssl/certs/ca-certificates.crt", R_OK))
		skip();
	serves_x509("good", false, NULL);
	setenv("HOME", "/nonexistent", 1);
	calls(&(struct tls_files) { 0 }, true);
	client_refuses("localhost", "not from an authority that we trust", "does not accept");
}

static time_t in_ten_years(time_t *now)
{
	time_t then = time(NULL) + 3650L * 86400;

	if (now)
		*now = then;
	return then;
}

static void x509_expired_since(void **state)
{
	(void)state;
	serves_x509("good", false, NULL);
	calls_x509("good");
	gnutls_global_set_time_function(in_ten_years);
	client_refuses("localhost", "has expired", "does not accept our certificate");
}

static void x509_client_missing(void **state)
{
	(void)state;
	serves_x509("good", true, NULL);
	calls_x509("no-client");
	server_refuses("sent no certificate", "demands a certificate");
}

static void x509_client_missing_tls12(void **state)
{
	(void)state;
	serves_x509("good", true, NULL);
	calls(&(struct tls_files) { .certificates = in_pki("no-client"), .priority = TLS12 }, true);
	server_refuses("sent no certificate", "the server ");
}

static void x509_client_of_others(void **state)
{
	const char *ca = "other-ca/ca-cert.pem";

	/* The client must trust the server to get as far as being refused. */
	(void)state;
	serves_x509("good", true, NULL);
	calls(&(struct tls_files) { .certificates = in_pki("other-ca") }, false);
	server_refuses("not from an authority that we trust", "does not accept our certificate");
	assert_null(strstr(server.error.text, ca));
}

static void x509_client_revoked(void **state)
{
	(void)state;
	serves_x509("revoked", true, NULL);
	calls_x509("good");
	server_refuses("was revoked", "does not accept our certificate");
}

static void x509_client_not_revoked(void **state)
{
	(void)state;
	serves_x509("revoked", true, NULL);
	calls_x509("second");
	shakes("localhost");
}

static void x509_client_as_server(void **state)
{
	(void)state;
	mkdir(in_pki("swapped"), 0700);
	copy("good/server-cert.pem", "swapped/client-cert.pem");
	copy("good/server-key.pem", "swapped/client-key.pem");
	serves_x509("good", true, NULL);
	calls(&(struct tls_files) { .certificates = in_pki("swapped") }, false);
	server_refuses("not one for a client", "does not accept our certificate");
}

static void allowed_subject(void **state)
{
	const char *const allowed[] = { "CN=nobody", "CN=client,O=r3map", NULL };

	(void)state;
	serves_x509("good", true, allowed);
	calls_x509("good");
	shakes("localhost");
}

static void allowed_common_name(void **state)
{
	const char *const allowed[] = { "CN=client", NULL };

	(void)state;
	serves_x509("good", true, allowed);
	calls_x509("good");
	shakes("localhost");
}

static void refused_subject(void **state)
{
	const char *const allowed[] = {
		"CN=client,O=other", "O=r3map", "client", "CN=clien", "CN=client2", "", NULL
	};

	(void)state;
	serves_x509("good", true, allowed);
	calls_x509("good");
	server_refuses("\"CN=client,O=r3map\" is not allowed", "does not allow it");
}

static void refused_all(void **state)
{
	const char *const allowed[] = { NULL };

	(void)state;
	serves_x509("good", true, allowed);
	calls_x509("good");
	server_refuses("is not allowed", "does not allow it");
}

static void psk_good(void **state)
{
	(void)state;
	serves_psk("keys.psk");
	calls_psk("keys.psk", "bob");
	shakes("localhost");
	assert_string_equal(tls_peer(server.stream.tls), "bob");
	assert_string_equal(tls_peer(client.stream.tls), "");
}

static void psk_tls12(void **state)
{
	const char *priority = TLS12 ":-KX-ALL:+ECDHE-PSK";

	(void)state;
	serves_psk("keys.psk");
	calls(&(struct tls_files) { .psk = in_pki("alice.psk"), .priority = priority }, true);
	shakes(NULL);
	assert_string_equal(tls_peer(server.stream.tls), "alice");
}

static void psk_wrong_key(void **state)
{
	(void)state;
	serves_psk("keys.psk");
	calls_psk("wrong-key.psk", NULL);
	server_refuses("the client's PSK", "the server ");
}

static void psk_unknown(void **state)
{
	(void)state;
	serves_psk("keys.psk");
	calls_psk("unknown.psk", NULL);
	server_refuses("identity is not in our PSK file", "the server ");
}

static void psk_or_x509(void **state)
{
	const struct tls_files both = { .certificates = in_pki("good"), .psk = in_pki("keys.psk") };

	(void)state;
	serves(&both, true, NULL);
	calls_psk("alice.psk", NULL);
	shakes("localhost");
	assert_string_equal(tls_peer(server.stream.tls), "alice");

	end_close(&server);
	end_close(&client);
	tls_credentials_free(server.c);
	tls_credentials_free(client.c);
	assert_int_equal(setup(state), 0);
	serves(&both, true, NULL);
	calls_x509("second");
	shakes("localhost");
	assert_string_equal(tls_peer(server.stream.tls), "CN=second,O=r3map");
}

/* A server that has no PSK cannot stand in for one that has, whatever certificate it shows. */
static void psk_not_replaced(void **state)
{
	(void)state;
	serves_x509("good", false, NULL);
	calls_psk("alice.psk", NULL);
	shake("localhost");
	assert_int_not_equal(client.code, 0);
	assert_int_not_equal(server.code, 0);
}

static void psk_not_replaced_by_priority(void **state)
{
	(void)state;
	serves_x509("good", false, NULL);
	calls(&(struct tls_files) { .psk = in_pki("alice.psk"),
				    .priority = "NORMAL:+ECDHE-PSK:+DHE-PSK" }, true);
	shake("localhost");
	assert_int_not_equal(client.code, 0);
}

/* What a file holds; gives its path. */
static const char *file_with(const char *text)
{
	const char *path = in_pki("odd.psk");
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return path;
}

static void psk_file_refused(const char *text, const char *part)
{
	struct tls_credentials *c;
	const struct tls_files files = { .psk = file_with(text) };

	assert_true(tls_server_credentials(&files, false, NULL, &c, &error) < 0);
	says(error.text, "odd.psk");
	says(error.text, part);
}

#define KEY	"000102030405060708090a0b0c0d0e0f"

static void psk_files(void **state)
{
	char line[2101];

	(void)state;
	psk_file_refused("", "has no key");
	psk_file_refused("\r\n\n# nothing\n", "has no key");
	psk_file_refused("alice\n", "line 1");
	psk_file_refused("# a comment\nalice:" KEY "\n:" KEY "\n", "line 3");
	psk_file_refused("alice: " KEY "\n", "not hexadecimal");
	psk_file_refused("alice:" KEY "0\n", "odd number");
	psk_file_refused("alice:00\n", "less than 16 bytes");
	psk_file_refused("alice:\n", "less than 16 bytes");
	psk_file_refused("al ice:" KEY "\n", "blank or a control character");
	psk_file_refused("alice:" KEY "\nalice:" KEY "\n", "repeats an identity");

	memset(line, 'a', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	line[5] = ':';
	psk_file_refused(line, "more than 512 bytes");
	line[5] = 'a';
	line[129] = ':';
	psk_file_refused(line, "more than 128 bytes");

	serves(&(struct tls_files) { .psk = file_with("alice:" KEY "\r\n\r\n#\nbob:" KEY) },
	       false, NULL);
	calls(&(struct tls_files) { .psk = in_pki("odd.psk"), .username = "bob" }, true);
	shakes(NULL);
}

static void server_files_refused(const struct tls_files *files, bool verify,
				 const char *const *allowed, const char *part)
{
	struct tls_credentials *c;

	assert_true(tls_server_credentials(files, verify, allowed, &c, &error) < 0);
	assert_true(error.code < 0);
	says(error.text, part);
}

static void client_files_refused(const struct tls_files *files, const char *part)
{
	struct tls_credentials *c;

	assert_true(tls_client_credentials(files, true, &c, &error) < 0);
	assert_true(error.code < 0);
	says(error.text, part);
}

static void files_refused(void **state)
{
	static const char *const allowed[] = { "CN=client", NULL };
	struct tls_files files = { .certificates = in_pki("nowhere") };

	(void)state;
	server_files_refused(&files, false, NULL, "nowhere: No such file");
	client_files_refused(&files, "nowhere: No such file");

	mkdir(in_pki("odd"), 0700);
	files.certificates = in_pki("odd");
	server_files_refused(&files, false, NULL, "odd/server-cert.pem: No such file");
	client_files_refused(&files, "odd/ca-cert.pem: No such file");
	copy("good/server-cert.pem", "odd");
	server_files_refused(&files, false, NULL, "odd/server-key.pem: No such file");
	copy("other-ca/server-key.pem", "odd");
	server_files_refused(&files, false, NULL, "is not the one of the certificate");
	copy("good/server-cert.pem", "odd/server-key.pem");
	server_files_refused(&files, false, NULL, "server-key.pem does not hold a PEM private key");
	copy("good/server-key.pem", "odd/server-key.pem");
	server_files_refused(&files, true, NULL, "odd/ca-cert.pem: No such file");
	server_files_refused(&files, false, allowed, "ask for both");
	copy("good/server-key.pem", "odd/server-cert.pem");
	server_files_refused(&files, false, NULL, "cert.pem does not hold a PEM certificate");
	copy("good/ca-cert.pem", "odd");
	copy("good/client-cert.pem", "odd");
	client_files_refused(&files, "odd/client-key.pem: No such file");
	copy("good/client-cert.pem", "odd/ca-crl.pem");
	client_files_refused(&files, "ca-crl.pem does not hold a PEM revocation list");

	files.certificates = in_pki("expired");
	server_files_refused(&files, false, NULL, "server-cert.pem has expired on 2002-01-01");
	client_files_refused(&files, "expired/client-cert.pem has expired on 2002-01-01");
	files.certificates = in_pki("good");
	files.priority = "NORMAL:+NONSENSE";
	server_files_refused(&files, false, NULL, "not understood at \"+NONSENSE\"");
	files.psk = in_pki("keys.psk");
	client_files_refused(&files, "not both");
	files.certificates = NULL;
	files.priority = NULL;
	client_files_refused(&files, "2 identities");
	files.username = "carol";
	client_files_refused(&files, "no identity \"carol\"");
	files.psk = in_pki("nowhere");
	client_files_refused(&files, "nowhere: No such file");
	files.psk = pki;
	client_files_refused(&files, "Is a directory");
}

/* A byte of a stream whose contents can be told from any other place or direction. */
static unsigned char byte_at(size_t offset, unsigned int seed)
{
	return (unsigned char)((offset * 2654435761u + seed) >> 11);
}

/* Cuts @length bytes at @at into pieces of odd sizes, some of them empty. */
static int cut(struct iovec *iov, int most, unsigned char *at, size_t length)
{
	static const size_t sizes[] = {
		28, 1, 4096, 0, 28, 28, 16384, 28, 40000, 3, 131072, 16, 16383
	};
	static unsigned int next;
	int count = 0;

	while (count < most - 1 && length) {
		size_t size = sizes[next++ % (sizeof(sizes) / sizeof(sizes[0]))];

		if (size > length)
			size = length;
		iov[count++] = (struct iovec) { at, size };
		at += size;
		length -= size;
	}
	if (length)
		iov[count++] = (struct iovec) { at, length };
	return count;
}

#define BULK	((size_t)3 << 20)
#define WINDOW	((size_t)300 << 10)

struct flow {
	struct end *from, *to;
	unsigned char *data, *landed;
	size_t sent, received;
};

static void flow_start(struct flow *flow, struct end *from, struct end *to, unsigned int seed)
{
	size_t i;

	*flow = (struct flow) { .from = from, .to = to };
	flow->data = malloc(BULK);
	flow->landed = calloc(1, BULK);
	for (i = 0; i < BULK; i++)
		flow->data[i] = byte_at(i, seed);
}

/* Offers at most @most bytes. Returns whether any left. */
static bool flow_send(struct flow *flow, size_t most)
{
	size_t length = BULK - flow->sent < most ? BULK - flow->sent : most;
	struct iovec iov[40];
	ssize_t sent;

	if (!length)
		return false;
	sent = stream_writev(&flow->from->stream, iov,
			     cut(iov, 40, flow->data + flow->sent, length));
	assert_true(sent > 0 || sent == -EAGAIN);
	if (sent > 0)
		flow->sent += (size_t)sent;
	return sent > 0;
}

static bool flow_receive(struct flow *flow)
{
	size_t length = BULK - flow->received < 50001 ? BULK - flow->received : 50001;
	struct iovec iov[40];
	ssize_t got;

	if (!length)
		return false;
	got = stream_readv(&flow->to->stream, iov,
			   cut(iov, 40, flow->landed + flow->received, length));
	assert_true(got > 0 || got == -EAGAIN);
	if (got > 0)
		flow->received += (size_t)got;
	return got > 0;
}

/* The sender changes its keys and asks the receiver to: was a record of that one half out? */
static bool flow_update_keys(struct flow *flow)
{
	struct tls_session *s = flow->from->stream.tls;
	bool half_out;
	int code;

	while (s->unsent) {
		flow_receive(flow);
		flow_send(flow, s->unsent);
	}
	do {
		half_out = flow->to->stream.tls->unsent;
		flow_receive(flow);
		assert_int_equal(tls_writing_give(s), 0);
		code = gnutls_session_key_update(s->gnutls, GNUTLS_KU_PEER);
	} while (code == GNUTLS_E_AGAIN);
	assert_int_equal(code, 0);
	assert_int_equal(tls_writing_take(s), 0);
	return half_out;
}

static void room_little(int fd)
{
	const int room = 1;	/* the kernel makes a few KiB of it */

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
}

static void bulk(int wanted)
{
	int updates = wanted;
	int round, stuck = 0, half_out = 0;
	struct flow flows[2];
	bool moved;

	room_little(server.stream.fd);
	room_little(client.stream.fd);
	flow_start(&flows[0], &server, &client, 1);
	flow_start(&flows[1], &client, &server, 77);
	for (round = 0; stuck < 100 && flows[0].received + flows[1].received < 2 * BULK; round++) {
		moved = flow_send(&flows[0], WINDOW);
		moved |= flow_send(&flows[1], WINDOW);
		if (round % 3 == 0) {
			moved |= flow_receive(&flows[0]);
			moved |= flow_receive(&flows[1]);
		}
		stuck = moved ? 0 : stuck + 1;
		if (updates && round % 100 == 50)
			half_out += flow_update_keys(&flows[updates-- % 2]);
	}
	assert_int_equal(updates, 0);
	if (wanted)
		assert_true(half_out > 0);
	for (round = 0; round < 2; round++) {
		assert_int_equal(flows[round].received, BULK);
		assert_memory_equal(flows[round].data, flows[round].landed, BULK);
		free(flows[round].data);
		free(flows[round].landed);
	}
	assert_false(stream_pending(&server.stream));
	assert_false(stream_pending(&client.stream));
}

static void bulk_plain(void **state)
{
	(void)state;
	bulk(0);
}

static void bulk_tls13(void **state)
{
	(void)state;
	serves_psk("keys.psk");
	calls_psk("alice.psk", NULL);
	shakes(NULL);
	bulk(0);
}

static void bulk_tls12(void **state)
{
	struct tls_files files = { .certificates = in_pki("good"), .priority = TLS12 };

	(void)state;
	serves(&files, false, NULL);
	calls(&files, true);
	shakes("localhost");
	bulk(0);
}

/* Both directions while the keys change under them. */
static void bulk_key_update(void **state)
{
	(void)state;
	serves_psk("keys.psk");
	calls_psk("alice.psk", NULL);
	shakes(NULL);
	bulk(4);
}

/* With certificates: not all ciphers go with a PSK. */
static void both_ciphers(const char *priority)
{
	const struct tls_files files = {
		.certificates = in_pki("good"), .priority = priority,
	};

	serves(&files, true, NULL);
	calls(&files, true);
	shakes("localhost");
}

/* Of records of data, with each cipher, and with one that only the library knows. */
static void bulk_cipher(const char *name, bool by_library)
{
	char priority[128], text[64];

	snprintf(priority, sizeof(priority),
		 "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+%s", name);
	both_ciphers(priority);
	tls_describe(client.stream.tls, text, sizeof(text));
	says(text, name);
	assert_int_equal(!client.stream.tls->reading.cipher, by_library);
	assert_int_equal(!client.stream.tls->writing.cipher, by_library);
	bulk(0);
}

static void bulk_aes128(void **state)
{
	(void)state;
	bulk_cipher("AES-128-GCM", false);
}

static void bulk_aes256(void **state)
{
	(void)state;
	bulk_cipher("AES-256-GCM", false);
}

static void bulk_chacha20(void **state)
{
	(void)state;
	bulk_cipher("CHACHA20-POLY1305", false);
}

static void bulk_aes_ccm(void **state)
{
	(void)state;
	bulk_cipher("AES-128-CCM", true);
}

/* What the library would read by itself with TLS 1.3 is only for who asks for it. */
static void ccm_not_by_default(void **state)
{
	struct tls_files files = { .certificates = in_pki("good") };

	(void)state;
	serves(&files, true, NULL);
	files.priority = "NORMAL:-CIPHER-ALL:+AES-128-CCM:+AES-256-CCM";
	calls(&files, true);
	shake("localhost");
	assert_int_equal(server.code, -EPROTO);
	says(server.error.text, "nothing in common");
	assert_true(client.code < 0);
}

/* A peer that takes no records of more than a kilobyte gets none. */
static void bulk_small_records(void **state)
{
	(void)state;
	serves_psk("keys.psk");
	calls_psk("alice.psk", NULL);
	session_new(&server, NULL);
	session_new(&client, NULL);
	assert_int_equal(0, gnutls_record_set_max_recv_size(client.stream.tls->gnutls, 1024));
	while (server.code == -EAGAIN || client.code == -EAGAIN) {
		turn(&client);
		turn(&server);
	}
	assert_int_equal(server.code, 0);
	assert_int_equal(client.code, 0);
	bulk(0);
	assert_int_equal(server.stream.tls->record_most, 1024);
	assert_int_equal(client.stream.tls->record_most, 16384);
}

/* The numbers of @from's next record, on both ends. */
static void number_set(struct end *from, struct end *to, uint64_t number)
{
	from->stream.tls->writing.number = number;
	to->stream.tls->reading.number = number;
}

/* Keys are changed before they have encrypted more than they may, in either direction. */
static void bulk_spent_keys(void **state)
{
	(void)state;
	both_ciphers("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM");
	number_set(&server, &client, (1 << 24) - 20);
	number_set(&client, &server, (1 << 24) - 50);
	bulk(0);
	assert_true(server.stream.tls->writing.number < 100000);
	assert_true(client.stream.tls->writing.number < 100000);
	assert_int_equal(client.stream.tls->writing.number, server.stream.tls->reading.number);
}

/* Many small pieces are few records: their overhead on the wire is small. */
static void pieces_gathered(void **state)
{
	char header[28] = { 0 }, wire[200000];
	struct iovec iov[500];
	size_t length = 0;
	ssize_t got;
	int i;

	(void)state;
	both_psk();
	for (i = 0; i < 500; i++)
		iov[i] = (struct iovec) { header, sizeof(header) };
	assert_int_equal(stream_writev(&client.stream, iov, 500), 500 * sizeof(header));
	while ((got = read(server.stream.fd, wire + length, sizeof(wire) - length)) > 0)
		length += (size_t)got;
	assert_true(length > 500 * sizeof(header));
	assert_true(length < 500 * sizeof(header) + 100);
}

static void pending_told(void **state)
{
	char word[8];

	(void)state;
	both_psk();
	assert_int_equal(put(&client, "0123456789", 10), 10);
	assert_int_equal(get(&server, word, 4), 4);
	assert_true(stream_pending(&server.stream));
	assert_int_equal(get(&server, word, 8), 6);
	assert_false(stream_pending(&server.stream));
	assert_int_equal(get(&server, word, 8), -EAGAIN);
}

static void fewer_bytes_refused(void **state)
{
	char *data = calloc(1, 1 << 20);
	ssize_t sent;

	(void)state;
	both_psk();
	do {
		sent = put(&client, data, 1 << 20);
	} while (sent > 0);
	assert_int_equal(sent, -EAGAIN);
	assert_int_equal(put(&client, data, 10), -EINVAL);
	assert_int_equal(put(&client, data, 1 << 20), -EAGAIN);
	free(data);
}

static void orderly_end(void **state)
{
	char word[8];

	(void)state;
	both_psk();
	assert_int_equal(put(&client, "last", 4), 4);
	stream_bye(&client.stream);
	end_close(&client);
	assert_int_equal(get(&server, word, 8), 4);
	assert_int_equal(get(&server, word, 8), 0);
	assert_int_equal(get(&server, word, 8), 0);
	stream_bye(&server.stream);
}

static void truncation(void **state)
{
	char word[8];

	(void)state;
	both_psk();
	assert_int_equal(put(&client, "last", 4), 4);
	end_close(&client);
	assert_int_equal(get(&server, word, 8), 4);
	assert_int_equal(get(&server, word, 8), -ECONNRESET);
	assert_int_equal(get(&server, word, 8), -ECONNRESET);
	tls_explain(server.stream.tls, -ECONNRESET, &error);
	says(error.text, "without TLS's goodbye");
}

/* The connection ends within a record. */
static void truncation_in_record(void **state)
{
	char record[1000], word[8];
	ssize_t length;

	(void)state;
	both_psk();
	assert_int_equal(put(&client, "last", 4), 4);
	length = recv(server.stream.fd, record, sizeof(record), 0);
	assert_true(length > 5);
	assert_int_equal(write(client.stream.fd, record, length - 1), length - 1);
	assert_int_equal(get(&server, word, 8), -EAGAIN);
	end_close(&client);
	assert_int_equal(get(&server, word, 8), -ECONNRESET);
}

/* A peer that is gone cannot be written to, but what it said before can be read. */
static void read_after_broken_write(void **state)
{
	char word[8];

	(void)state;
	both_psk();
	assert_int_equal(put(&client, "last", 4), 4);
	end_close(&client);
	assert_int_equal(put(&server, "hello", 5), -EPIPE);
	assert_int_equal(put(&server, "hello", 5), -EPIPE);
	stream_bye(&server.stream);
	assert_int_equal(get(&server, word, 8), 4);
}

/* An alert that came before a write failed is what the failure means. */
static void alert_behind_broken_write(void **state)
{
	(void)state;
	serves_x509("good", true, NULL);
	calls_x509("no-client");
	shake("localhost");
	assert_int_equal(server.code, -EACCES);
	assert_int_equal(client.code, 0);
	end_close(&server);
	assert_int_equal(put(&client, "hello", 5), -EPIPE);
	assert_int_equal(tls_explain(client.stream.tls, -EPIPE, &error), -EACCES);
	says(error.text, "demands a certificate");
}

/* So do servers that close without an alert. */
static void closed_after_handshake(void **state)
{
	char word[8];

	(void)state;
	serves_x509("good", false, NULL);
	calls_x509("no-client");
	shake("localhost");
	end_close(&server);
	assert_int_equal(get(&client, word, 8), -ECONNRESET);
	assert_int_equal(tls_explain(client.stream.tls, -ECONNRESET, &error), -ECONNRESET);
	says(error.text, "may want a certificate");
}

static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/* What stands on the wire in place of a record. */
static void breaks(const void *wire, size_t length, int code)
{
	char word[8];

	both_psk();
	assert_int_equal(write(client.stream.fd, wire, length), length);
	assert_int_equal(get(&server, word, 8), code);
	assert_int_equal(get(&server, word, 8), code);
	assert_int_equal(put(&server, word, 8), code);
	tls_explain(server.stream.tls, code, &error);
	assert_true(error.text[0]);
}

static void forged_record(void **state)
{
	unsigned char wire[5 + 64] = { 23, 3, 3, 0, 64, 42 };

	(void)state;
	breaks(wire, sizeof(wire), -EBADMSG);
}

static void record_too_large(void **state)
{
	unsigned char wire[5 + 1000] = { 23, 3, 3, 0xff, 0xff };

	(void)state;
	breaks(wire, sizeof(wire), -EPROTO);
}

static void plain_in_the_middle(void **state)
{
	(void)state;
	breaks(http, sizeof(http), -EPROTO);
}

/* The server hears @wire in place of a client's hello; it must fail, or wait for the rest. */
static void hello_is(const void *wire, size_t length, bool waits)
{
	int i;

	serves_x509("good", false, NULL);
	session_new(&server, NULL);
	assert_int_equal(write(client.stream.fd, wire, length), length);
	for (i = 0; i < TURNS && server.code == -EAGAIN; i++)
		turn(&server);
	if (!waits) {
		assert_int_equal(server.code, -EPROTO);
		says(server.error.text, "the client did not speak TLS");
		assert_int_equal(tls_handshake(server.stream.tls, &error), -EPROTO);
	} else {
		assert_int_equal(server.code, -EAGAIN);
		assert_false(tls_wants_write(server.stream.tls));
		end_close(&client);
		turn(&server);
		assert_int_equal(server.code, -ECONNRESET);
		says(server.error.text, "closed the connection");
	}
}

static void hello_garbage(void **state)
{
	(void)state;
	hello_is(http, sizeof(http), false);
}

static void hello_of_nbd(void **state)
{
	(void)state;
	hello_is("NBDMAGICIHAVEOPT\0\3", 18, false);
}

static void hello_record_too_large(void **state)
{
	unsigned char wire[5 + 2000] = { 22, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xf0 };

	(void)state;
	hello_is(wire, sizeof(wire), false);
}

static void hello_unfinished(void **state)
{
	unsigned char wire[5 + 4] = { 22, 3, 1, 2, 0, 1, 0, 1, 0xfc };

	(void)state;
	hello_is(wire, sizeof(wire), true);
}

/* Bytes of memory. */
static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* A message of 16 MiB in records of the usual size: it is not collected. */
static void hello_endless(void **state)
{
	unsigned char wire[5 + 4096] = { 22, 3, 1, 0x10, 0, 1, 0xff, 0xff, 0xff };
	size_t before;
	int i;

	(void)state;
	serves_x509("good", false, NULL);
	session_new(&server, NULL);
	before = in_use();
	for (i = 0; i < 4096 && server.code == -EAGAIN; i++) {
		assert_int_equal(write(client.stream.fd, wire, sizeof(wire)), sizeof(wire));
		memset(wire + 5, 0, 4);
		turn(&server);
		assert_true(in_use() < before + (3 << 20));
	}
	assert_int_equal(server.code, -EPROTO);
	says(server.error.text, "more than any TLS handshake needs");
}

/* A warning is no data, does not end the connection and is not looped over. */
static void warnings(void **state)
{
	struct tls_files files = { .certificates = in_pki("good"), .priority = TLS12 };
	gnutls_session_t gnutls;
	struct iovec iov;
	char word[8];
	int i;

	(void)state;
	serves(&files, false, NULL);
	calls(&files, true);
	shakes("localhost");
	gnutls = client.stream.tls->gnutls;
	iov = (struct iovec) { word, sizeof(word) };
	for (i = 0; i < 3; i++)
		gnutls_alert_send(gnutls, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
	assert_int_equal(put(&client, "data", 4), 4);
	for (i = 0; i < 3; i++)
		assert_int_equal(stream_readv(&server.stream, &iov, 1), -EAGAIN);
	assert_int_equal(stream_readv(&server.stream, &iov, 1), 4);
}

/* An empty record is no end, and many are refused. */
static void empty_records(void **state)
{
	struct forger forger;
	struct iovec iov;
	char word[8];
	int i;

	(void)state;
	forger_start(&forger);
	iov = (struct iovec) { word, sizeof(word) };
	forge(&forger, 23, "", 0);
	forge(&forger, 23, "data", 4);
	assert_int_equal(get(&server, word, 8), 4);
	for (i = 0; i < 1000 && stream_readv(&server.stream, &iov, 1) == -EAGAIN; i++)
		forge(&forger, 23, "", 0);
	assert_int_equal(stream_readv(&server.stream, &iov, 1), -EPROTO);
	forger_end(&forger);
}

/* One of a handshake must not be empty. Behind a head the library would look at it for ever. */
static void empty_handshake(void **state)
{
	unsigned char wire[RECORD_WIRE_MAX];
	struct forger forger;
	struct iovec iov;
	size_t length;
	char word[8];

	(void)state;
	forger_start(&forger);
	iov = (struct iovec) { word, sizeof(word) };
	forge(&forger, 22, "\30\0\0\1", 4);		/* KEY_UPDATE, without its byte */
	assert_int_equal(stream_readv(&server.stream, &iov, 1), -EAGAIN);
	length = forge_at(&forger, wire, 22, "", 0, 100);	/* padding is no content */
	assert_int_equal(write(client.stream.fd, wire, length), length);
	assert_int_equal(stream_readv(&server.stream, &iov, 1), -EPROTO);
	assert_int_equal(stream_readv(&server.stream, &iov, 1), -EPROTO);
	forger_end(&forger);
}

/* A message of 16 MiB after the handshake, alone or among data: it is not collected either. */
static void message_endless(bool among_data)
{
	static unsigned char part[16384];
	struct forger forger;
	size_t before;
	struct iovec iov;
	ssize_t got;
	char word[8];
	int i;

	forger_start(&forger);
	iov = (struct iovec) { word, sizeof(word) };
	before = in_use();
	memcpy(part, "\4\377\377\377", 4);
	for (i = 0; i < 1100; i++) {
		forge(&forger, 22, part, sizeof(part));
		memset(part, 0, 4);
		if (among_data && i % 10 == 9)
			forge(&forger, 23, "data", 4);
		do {
			got = stream_readv(&server.stream, &iov, 1);
		} while (got > 0);
		assert_true(in_use() < before + (4 << 20));
		if (got != -EAGAIN)
			break;
	}
	assert_int_equal(got, -EPROTO);
	forger_end(&forger);
}

static void message_endless_alone(void **state)
{
	(void)state;
	message_endless(false);
}

static void message_endless_among_data(void **state)
{
	(void)state;
	message_endless(true);
}

/* Takes what @from has written off the wire. */
static size_t wire_take(struct end *to, unsigned char *wire, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while (length < size && (got = read(to->stream.fd, wire + length, size - length)) > 0)
		length += (size_t)got;
	return length;
}

/* Records that come a byte at a time are data once they are whole. */
static void records_cut(void **state)
{
	unsigned char wire[2000], word[40];
	const struct iovec iov = { word, sizeof(word) };
	size_t length, i, come = 0;
	ssize_t got;

	(void)state;
	both_psk();
	for (i = 0; i < 30; i++)
		assert_int_equal(put(&client, "0123456789012345678901234567890" + i % 4, i + 1), i + 1);
	length = wire_take(&server, wire, sizeof(wire));
	assert_int_equal(length, 30 * RECORD_EXTRA + 30 * 31 / 2);
	for (i = 0; i < length; i++) {
		wire_give(&client, wire + i, 1);
		got = stream_readv(&server.stream, &iov, 1);
		assert_false(stream_pending(&server.stream));
		if (got == -EAGAIN)
			continue;
		assert_int_equal(got, ++come);
		assert_memory_equal(word, "0123456789012345678901234567890" + (come - 1) % 4, come);
	}
	assert_int_equal(come, 30);
}

/* Readers of any size get all that there is, and are told when the socket does not know of it. */
static void records_many(void **state)
{
	static const size_t sizes[] = { 1, 3, 28, 100, 4095, 4096, 4097, 4124, 20000, 1 << 20 };
	static unsigned char wire[200000], landed[50 * 1001];
	size_t length, at, i, j;
	ssize_t got;

	(void)state;
	both_psk();
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (j = 0; j < 50; j++) {
			memset(landed, (int)(i + j), 1001);
			assert_int_equal(put(&client, landed, 1001), 1001);
		}
		length = wire_take(&server, wire, sizeof(wire));
		wire_give(&client, wire, length);
		memset(landed, 255, sizeof(landed));
		for (at = 0; at < sizeof(landed); at += (size_t)got) {
			const struct iovec iov = { landed + at, sizes[i] };
			int left;

			got = stream_readv(&server.stream, &iov, 1);
			assert_true(got > 0 && (size_t)got <= sizes[i]);
			/* There is more, so one of them has to say so. */
			assert_int_equal(ioctl(server.stream.fd, FIONREAD, &left), 0);
			if (at + (size_t)got < sizeof(landed))
				assert_true(left || stream_pending(&server.stream));
		}
		assert_false(stream_pending(&server.stream));
		assert_int_equal(at, sizeof(landed));
		for (j = 0; j < 50 * 1001; j++)
			assert_int_equal(landed[j], (unsigned char)(i + j / 1001));
	}
}

/* What is padded is data all the same, up to as much as a record may hold. */
static void padding(void **state)
{
	static unsigned char wire[RECORD_WIRE_MAX + 16];
	struct forger forger;
	char word[8];
	size_t length;

	(void)state;
	forger_start(&forger);
	length = forge_at(&forger, wire, 23, "data", 4, 1000);
	wire_give(&client, wire, length);
	assert_int_equal(get(&server, word, 8), 4);
	assert_memory_equal(word, "data", 4);
	length = forge_at(&forger, wire, 23, "full", 4, 16384 - 4);
	wire_give(&client, wire, length);
	assert_int_equal(get(&server, word, 3), 3);
	assert_int_equal(get(&server, word, 8), 1);
	/* A byte more than that is too long, though the record is not. */
	length = forge_at(&forger, wire, 23, "full", 4, 16384 - 3);
	assert_true(length <= RECORD_WIRE_MAX);
	wire_give(&client, wire, length);
	assert_int_equal(get(&server, word, 8), -EPROTO);
	assert_true(get(&client, word, 8) < 0);
	assert_int_equal(client.stream.tls->alert, GNUTLS_A_RECORD_OVERFLOW);
	forger_end(&forger);
}

/* Padding and nothing else has no type. */
static void padding_alone(void **state)
{
	static unsigned char wire[200];
	struct forger forger;
	char word[8];
	size_t length;

	(void)state;
	forger_start(&forger);
	length = forge_at(&forger, wire, 0, "", 0, 99);
	wire_give(&client, wire, length);
	assert_true(get(&server, word, 8) < -EAGAIN);
	forger_end(&forger);
}

/* A type that nobody knows ends the session. */
static void type_unknown(void **state)
{
	struct forger forger;
	char word[8];

	(void)state;
	forger_start(&forger);
	forge(&forger, 99, "data", 4);
	assert_int_equal(get(&server, word, 8), -EPROTO);
	forger_end(&forger);
}

/*
 * The client's record @wire, changed or repeated, is refused, the reader's memory is as it was, and
 * the client is told.
 */
static void record_refused(const unsigned char *wire, size_t length)
{
	char word[64];
	size_t i;

	wire_give(&client, wire, length);
	memset(word, 'x', sizeof(word));
	assert_int_equal(get(&server, word, sizeof(word)), -EBADMSG);
	for (i = 0; i < sizeof(word); i++)
		assert_int_equal(word[i], 'x');
	assert_int_equal(get(&server, word, 8), -EBADMSG);
	assert_int_equal(put(&server, word, 8), -EBADMSG);
	assert_int_equal(get(&client, word, 8), -ECONNRESET);
	assert_int_equal(client.stream.tls->alert, GNUTLS_A_BAD_RECORD_MAC);
}

static void record_changed(void **state)
{
	unsigned char wire[100];
	size_t length, i;

	for (i = 5; i < 4 + RECORD_EXTRA; i++) {
		both_psk();
		assert_int_equal(put(&client, "data", 4), 4);
		length = wire_take(&server, wire, sizeof(wire));
		assert_int_equal(length, 4 + RECORD_EXTRA);
		wire[i] ^= 1 << i % 8;
		record_refused(wire, length);
		teardown(state);
		assert_int_equal(setup(state), 0);
	}
}

static void record_repeated(void **state)
{
	unsigned char wire[100];
	size_t length;
	char word[8];

	(void)state;
	both_psk();
	assert_int_equal(put(&client, "data", 4), 4);
	length = wire_take(&server, wire, sizeof(wire));
	wire_give(&client, wire, length);
	assert_int_equal(get(&server, word, 8), 4);
	record_refused(wire, length);
}

/* The second record is lost on the way. */
static void record_missing(void **state)
{
	unsigned char wire[100];
	size_t length;
	char word[8];

	(void)state;
	both_psk();
	assert_int_equal(put(&client, "one", 3), 3);
	assert_int_equal(get(&server, word, 8), 3);
	assert_int_equal(put(&client, "two", 3), 3);
	wire_take(&server, wire, sizeof(wire));
	assert_int_equal(put(&client, "three", 5), 5);
	length = wire_take(&server, wire, sizeof(wire));
	record_refused(wire, length);
}

/* What is genuine before a record that is not is read. */
static void data_before_forged(void **state)
{
	unsigned char wire[200];
	size_t length;
	char word[8];

	(void)state;
	both_psk();
	assert_int_equal(put(&client, "data", 4), 4);
	length = wire_take(&server, wire, sizeof(wire));
	memcpy(wire + length, wire, length);
	wire_give(&client, wire, 2 * length);
	assert_int_equal(get(&server, word, 8), 4);
	assert_memory_equal(word, "data", 4);
	assert_int_equal(get(&server, word, 8), -EBADMSG);
}

/* A number of a record is not used again: the last one ends the session, on both ends. */
static void numbers_used_up(void **state)
{
	struct forger forger;
	char word[8];

	(void)state;
	forger_start(&forger);
	server.stream.tls->writing.number = UINT64_MAX - 1;
	client.stream.tls->reading.number = UINT64_MAX - 1;
	while (put(&server, "data", 4) == 4)
		assert_int_equal(get(&client, word, 8), 4);
	assert_int_equal(put(&server, "data", 4), -EIO);
	server.stream.tls->reading.number = UINT64_MAX;
	forger.record = UINT64_MAX;
	forge(&forger, 23, "data", 4);
	assert_int_equal(get(&server, word, 8), -EPROTO);
	forger_end(&forger);
}

/* A message of TLS may come in pieces, and new keys with it. */
static void message_cut(void **state)
{
	struct forger forger;
	char word[8];

	(void)state;
	forger_start(&forger);
	assert_true(server.stream.tls->reading.number > 0);
	forge(&forger, 22, "\30\0", 2);
	assert_int_equal(get(&server, word, 8), -EAGAIN);
	forge(&forger, 22, "\0\1", 2);
	forge(&forger, 22, "\1", 1);
	assert_int_equal(get(&server, word, 8), -EAGAIN);
	assert_int_equal(server.stream.tls->reading.number, 0);
	/* The old ones are nothing any more. */
	forge(&forger, 23, "data", 4);
	assert_int_equal(get(&server, word, 8), -EBADMSG);
	forger_end(&forger);
}

/* But not with data in between. */
static void message_cut_by_data(void **state)
{
	struct forger forger;
	char word[8];

	(void)state;
	forger_start(&forger);
	forge(&forger, 22, "\30\0\0", 3);
	forge(&forger, 23, "data", 4);
	assert_int_equal(get(&server, word, 8), -EPROTO);
	assert_int_equal(get(&client, word, 8), -ECONNRESET);
	assert_int_equal(client.stream.tls->alert, GNUTLS_A_UNEXPECTED_MESSAGE);
	forger_end(&forger);
}

/* An end of the server's while records of it are half out waits for nobody and cuts none. */
static void bye_behind_half_record(void **state)
{
	char *data = calloc(1, 1 << 20), word[64];
	size_t written = 0, come = 0;
	ssize_t got;
	int tries;

	(void)state;
	both_psk();
	/* From now on records of this size are not the library's. */
	assert_int_equal(put(&client, data, RECORD_BYTES_MAX), RECORD_BYTES_MAX);
	while (get(&server, word, sizeof(word)) > 0)
		;
	room_little(client.stream.fd);
	while ((got = put(&client, data, (1 << 20) - written)) > 0)
		written += (size_t)got;
	assert_non_null(client.stream.tls->sealed);
	stream_bye(&client.stream);
	assert_int_equal(put(&client, data, (1 << 20) - written), -ESHUTDOWN);
	while ((got = get(&server, word, sizeof(word))) > 0)
		come += (size_t)got;
	assert_int_equal(got, -EAGAIN);
	assert_true(come >= written);
	for (tries = 0; got && tries < 100; tries++) {
		stream_bye(&client.stream);
		while ((got = get(&server, word, sizeof(word))) > 0)
			come += (size_t)got;
	}
	assert_int_equal(got, 0);
	free(data);
}

static void renegotiation(void **state)
{
	struct tls_files files = { .certificates = in_pki("good"), .priority = TLS12 };
	char word[8];

	(void)state;
	serves(&files, false, NULL);
	calls(&files, true);
	shakes("localhost");
	assert_int_equal(gnutls_rehandshake(server.stream.tls->gnutls), 0);
	assert_int_equal(get(&client, word, 8), -EPROTO);
	assert_int_equal(get(&client, word, 8), -EPROTO);
	assert_true(get(&server, word, 8) < 0);
}

static void peer_gone(void **state)
{
	(void)state;
	serves_psk("keys.psk");
	session_new(&server, NULL);
	turn(&server);
	assert_int_equal(server.code, -EAGAIN);
	assert_false(tls_wants_write(server.stream.tls));
	end_close(&client);
	turn(&server);
	assert_int_equal(server.code, -ECONNRESET);
}

/* Both at once, neither reads: the handshake waits for room to write. */
static void handshake_waits_for_room(void **state)
{
	static char full[1 << 20];
	char word[4096];

	(void)state;
	serves_psk("keys.psk");
	calls_psk("alice.psk", NULL);
	while (write(client.stream.fd, full, sizeof(full)) > 0)
		;
	while (write(client.stream.fd, full, 1) > 0)
		;
	session_new(&client, NULL);
	turn(&client);
	assert_int_equal(client.code, -EAGAIN);
	assert_true(tls_wants_write(client.stream.tls));
	while (read(server.stream.fd, word, sizeof(word)) > 0)
		;
	turn(&client);
	assert_int_equal(client.code, -EAGAIN);
	assert_false(tls_wants_write(client.stream.tls));
	assert_true(read(server.stream.fd, word, sizeof(word)) > 5);
	assert_int_equal(word[0], 22);
}

static const struct CMUnitTest tests[] = {
	BOTH(x509_good),
	BOTH(x509_tls12),
	BOTH(x509_address),
	BOTH(x509_address6),
	BOTH(x509_any_name),
	BOTH(x509_unverified),
	BOTH(x509_wrong_name),
	BOTH(x509_wrong_address),
	BOTH(x509_unknown_authority),
	BOTH(x509_system_authority),
	BOTH(x509_expired_since),
	BOTH(x509_client_missing),
	BOTH(x509_client_missing_tls12),
	BOTH(x509_client_of_others),
	BOTH(x509_client_revoked),
	BOTH(x509_client_not_revoked),
	BOTH(x509_client_as_server),
	BOTH(allowed_subject),
	BOTH(allowed_common_name),
	BOTH(refused_subject),
	BOTH(refused_all),
	BOTH(psk_good),
	BOTH(psk_tls12),
	BOTH(psk_wrong_key),
	BOTH(psk_unknown),
	BOTH(psk_or_x509),
	BOTH(psk_not_replaced),
	BOTH(psk_not_replaced_by_priority),
	BOTH(psk_files),
	BOTH(files_refused),
	BOTH(bulk_plain),
	BOTH(bulk_tls13),
	BOTH(bulk_tls12),
	BOTH(bulk_key_update),
	BOTH(bulk_aes128),
	BOTH(bulk_aes256),
	BOTH(bulk_chacha20),
	BOTH(bulk_aes_ccm),
	BOTH(ccm_not_by_default),
	BOTH(bulk_small_records),
	BOTH(bulk_spent_keys),
	BOTH(pieces_gathered),
	BOTH(pending_told),
	BOTH(fewer_bytes_refused),
	BOTH(orderly_end),
	BOTH(truncation),
	BOTH(truncation_in_record),
	BOTH(read_after_broken_write),
	BOTH(alert_behind_broken_write),
	BOTH(closed_after_handshake),
	BOTH(forged_record),
	BOTH(record_too_large),
	BOTH(plain_in_the_middle),
	BOTH(hello_garbage),
	BOTH(hello_of_nbd),
	BOTH(hello_record_too_large),
	BOTH(hello_unfinished),
	BOTH(hello_endless),
	BOTH(warnings),
	BOTH(empty_records),
	BOTH(empty_handshake),
	BOTH(message_endless_alone),
	BOTH(message_endless_among_data),
	BOTH(records_cut),
	BOTH(records_many),
	BOTH(padding),
	BOTH(padding_alone),
	BOTH(type_unknown),
	BOTH(record_changed),
	BOTH(record_repeated),
	BOTH(record_missing),
	BOTH(data_before_forged),
	BOTH(numbers_used_up),
	BOTH(message_cut),
	BOTH(message_cut_by_data),
	BOTH(bye_behind_half_record),
	BOTH(renegotiation),
	BOTH(peer_gone),
	BOTH(handshake_waits_for_room),
};

ENDS_MAIN(tests)
