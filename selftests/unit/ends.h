/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unit tests of TLS share: cmocka's includes, two ends of a connection in one process, keys
 * for them, and a client that says what no library would.
 *
 * Nothing waits: both ends take turns until neither gets further. Included by exactly one file of
 * a program, so everything is static.
 */
#ifndef R3MAP_UNIT_ENDS_H
#define R3MAP_UNIT_ENDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "tls/state.h"

#define UNUSED __attribute__((unused))

#define TURNS		10000	/* of a handshake; a handful is usual */
#define TURNS_BUSY	100	/* without a pause */

struct end {
	struct tls_credentials *c;
	struct stream stream;
	struct error error;
	int code;		/* of its handshake */
};

static char pki[] = "/tmp/r3map-tls.XXXXXX";
static struct end server, client;
static struct error error;
/* What is done to the client's session before its handshake; NULL: nothing. */
static void (*client_made)(struct tls_session *s);

static const char *in_pki(const char *name)
{
	static char paths[8][128];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", pki, name);
	return path;
}

static UNUSED void copy(const char *from, const char *to)
{
	char command[300];

	snprintf(command, sizeof(command), "cp %s/%s %s/%s", pki, from, pki, to);
	assert_int_equal(system(command), 0);
}

/* Begins a test with two ends that are connected by these. Returns 0. */
static int ends_setup(const int fds[2])
{
	memset(&server, 0, sizeof(server));
	memset(&client, 0, sizeof(client));
	memset(&error, 0, sizeof(error));
	server.stream.fd = fds[0];
	client.stream.fd = fds[1];
	return 0;
}

static void end_close(struct end *end)
{
	tls_session_free(end->stream.tls);
	end->stream.tls = NULL;
	if (end->stream.fd >= 0)
		close(end->stream.fd);
	end->stream.fd = -1;
}

static int teardown(void **state)
{
	(void)state;
	end_close(&server);
	end_close(&client);
	tls_credentials_free(server.c);
	tls_credentials_free(client.c);
	gnutls_global_set_time_function(time);
	return 0;
}

static void serves(const struct tls_files *files, bool verify, const char *const *allowed)
{
	if (tls_server_credentials(files, verify, allowed, &server.c, &error))
		fail_msg("the server's credentials: %s", error.text);
}

static void calls(const struct tls_files *files, bool verify)
{
	if (tls_client_credentials(files, verify, &client.c, &error))
		fail_msg("the client's credentials: %s", error.text);
}

static UNUSED void serves_x509(const char *folder, bool verify, const char *const *allowed)
{
	serves(&(struct tls_files) { .certificates = in_pki(folder) }, verify, allowed);
}

static UNUSED void calls_x509(const char *folder)
{
	calls(&(struct tls_files) { .certificates = in_pki(folder) }, true);
}

static UNUSED void serves_psk(const char *file)
{
	serves(&(struct tls_files) { .psk = in_pki(file) }, true, NULL);
}

static UNUSED void calls_psk(const char *file, const char *username)
{
	calls(&(struct tls_files) { .psk = in_pki(file), .username = username }, true);
}

static void session_new(struct end *end, const char *hostname)
{
	if (tls_session_new(end->c, end->stream.fd, hostname, &end->stream.tls, &error))
		fail_msg("a session: %s", error.text);
	end->code = -EAGAIN;
}

static void turn(struct end *end)
{
	if (end->code == -EAGAIN)
		end->code = tls_handshake(end->stream.tls, &end->error);
}

/* Both ends, until each is done or has failed. */
static void shake(const char *hostname)
{
	int turns;

	session_new(&server, NULL);
	session_new(&client, hostname);
	if (client_made)
		client_made(client.stream.tls);
	for (turns = 0; turns < TURNS; turns++) {
		if (server.code != -EAGAIN && client.code != -EAGAIN)
			break;
		turn(&client);
		turn(&server);
		if (turns >= TURNS_BUSY)
			poll(NULL, 0, 1);	/* TCP may have to wait for its turn */
	}
	assert_int_not_equal(client.code, -EAGAIN);
	assert_int_not_equal(server.code, -EAGAIN);
}

static UNUSED ssize_t put(struct end *end, const void *data, size_t length)
{
	const struct iovec iov = { (void *)data, length };

	return stream_writev(&end->stream, &iov, 1);
}

/* An -EAGAIN for a message of TLS itself is passed over. */
static UNUSED ssize_t get(struct end *end, void *data, size_t length)
{
	const struct iovec iov = { data, length };
	ssize_t got = -EAGAIN;
	int tries;

	for (tries = 0; got == -EAGAIN && tries < 10; tries++)
		got = stream_readv(&end->stream, &iov, 1);
	return got;
}

/* Both ends are content, and a word arrives each way. */
static UNUSED void shakes(const char *hostname)
{
	char word[16];

	shake(hostname);
	if (server.code)
		fail_msg("the server: %s", server.error.text);
	if (client.code)
		fail_msg("the client: %s", client.error.text);
	assert_int_equal(put(&client, "hello", 5), 5);
	assert_int_equal(get(&server, word, sizeof(word)), 5);
	assert_memory_equal(word, "hello", 5);
	assert_int_equal(put(&server, "goodbye", 7), 7);
	assert_int_equal(get(&client, word, sizeof(word)), 7);
	assert_memory_equal(word, "goodbye", 7);
}

static UNUSED void says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static UNUSED void both_psk(void)
{
	serves_psk("keys.psk");
	calls_psk("alice.psk", NULL);
	shakes(NULL);
}

/* A client that encrypts what no library would send, with the keys of a session that is set up. */
struct forger {
	gnutls_aead_cipher_hd_t cipher;
	unsigned char iv[12];
	uint64_t record;
};

static UNUSED void forger_start(struct forger *forger)
{
	gnutls_datum_t mac, iv, key;
	unsigned char number[8];
	gnutls_session_t gnutls;

	both_psk();
	gnutls = client.stream.tls->gnutls;
	assert_int_equal(tls_writing_give(client.stream.tls), 0);
	assert_int_equal(gnutls_record_get_state(gnutls, 0, &mac, &iv, &key, number), 0);
	assert_int_equal(iv.size, sizeof(forger->iv));
	memcpy(forger->iv, iv.data, sizeof(forger->iv));
	memcpy(&forger->record, number, sizeof(number));
	forger->record = be64toh(forger->record);
	assert_int_equal(0, gnutls_aead_cipher_init(&forger->cipher, gnutls_cipher_get(gnutls),
						    &key));
}

/* Makes a record with @padding zeroes behind the data. Returns its length. */
static UNUSED size_t forge_at(struct forger *forger, unsigned char *wire, unsigned char type,
		       const void *data, size_t length, size_t padding)
{
	unsigned char plain[16384 + 256] = { 0 }, nonce[12];
	uint64_t number = htobe64(forger->record++);
	size_t i, sealed = length + 1 + padding + 16;

	memcpy(plain, data, length);
	plain[length] = type;
	length += padding;
	memcpy(nonce, forger->iv, sizeof(nonce));
	for (i = 0; i < 8; i++)
		nonce[4 + i] ^= ((unsigned char *)&number)[i];
	wire[0] = 23;
	wire[1] = 3;
	wire[2] = 3;
	wire[3] = (unsigned char)((length + 17) >> 8);
	wire[4] = (unsigned char)(length + 17);
	assert_int_equal(0, gnutls_aead_cipher_encrypt(forger->cipher, nonce, sizeof(nonce), wire,
						       5, 16, plain, length + 1, wire + 5,
						       &sealed));
	return 5 + sealed;
}

static UNUSED void forge(struct forger *forger, unsigned char type, const void *data, size_t length)
{
	unsigned char wire[RECORD_WIRE_MAX + 16];

	length = forge_at(forger, wire, type, data, length, 0);
	assert_int_equal(write(client.stream.fd, wire, length), length);
}

static UNUSED void forger_end(struct forger *forger)
{
	gnutls_aead_cipher_deinit(forger->cipher);
}

static UNUSED void wire_give(struct end *from, const unsigned char *wire, size_t length)
{
	assert_int_equal(write(from->stream.fd, wire, length), length);
}

/* Runs the script that makes all keys, which lies in lib/ two folders above this program. */
static int pki_script(void)
{
	char self[512], command[700];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int i;

	if (length < 0 || !mkdtemp(pki))
		return -1;
	self[length] = '\0';
	for (i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	snprintf(command, sizeof(command), "'%s/lib/certificates.sh' %s", self, pki);
	return system(command);
}

/* Makes all keys. Returns 0, or the exit status of a program that cannot. */
static int pki_make(void)
{
	if (system("command -v certtool >/dev/null")) {
		puts("1..0 # SKIP certtool is missing: install the package gnutls-bin");
		return 4;
	}
	return pki_script() ? 1 : 0;
}

/* Returns 0, or the exit status of a program that cannot. */
static int pki_drop(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", pki);
	return system(command) ? 1 : 0;
}

/* A test with both ends, that setup() and teardown() make and drop. */
#define BOTH(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The program: @tests, an array, with the keys there. */
#define ENDS_MAIN(tests)							\
	int main(void)								\
	{									\
		int code = pki_make(), failed;					\
										\
		if (code)							\
			return code;						\
		failed = cmocka_run_group_tests(tests, NULL, NULL);		\
		code = pki_drop();						\
		return code ? code : failed;					\
	}

#endif
