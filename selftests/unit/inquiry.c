// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Questions to a server before the transmission phase: lists, facts about an export, and the way
 * into TLS; answered well, badly and with malice.
 */
#include "talk.h"

#include <fcntl.h>
#include <signal.h>

#include "nbd/haggle.h"
#include "nbd/list.h"
#include "tls/session.h"

static struct nbd_uri uri;
static struct nbd_haggle haggle;
static struct nbd_export export;
static struct nbd_details details;

/* What was listed: "name=description;". */
static char listed[40000];
static unsigned int listed_count;
static int listed_result;

/* After the greeting, which has been read. */
static int setup_haggle(void **state)
{
	memset(&uri, 0, sizeof(uri));
	memset(&details, 0, sizeof(details));
	listed[0] = '\0';
	listed_count = 0;
	listed_result = 0;
	if (setup(state))
		return -1;
	haggle = (struct nbd_haggle) {
		.stream = &stream,
		.uri = &uri,
		.deadline = loop_now() + 20000000000ull,
		.error = &error,
	};
	say_greeting(BOTH);
	return nbd_haggle_begin(&haggle, NULL);
}

static void another(void **state)
{
	teardown(state);
	assert_int_equal(setup_haggle(state), 0);
}

static int list_take(const char *name, const char *description, void *owner)
{
	size_t used = strlen(listed);

	assert_ptr_equal(owner, &haggle);
	snprintf(listed + used, sizeof(listed) - used, "%s=%s;", name, description);
	listed_count++;
	return listed_result;
}

static int context_take(const char *context, void *owner)
{
	return list_take(context, "", owner);
}

static void say_server(uint32_t told, const char *name, size_t name_length, const char *description)
{
	size_t length = strlen(description);

	say_reply(NBD_OPT_LIST, NBD_REP_SERVER, (uint32_t)(4 + name_length + length));
	say32(told);
	say(name, name_length);
	say(description, length);
}

static int list(void)
{
	return nbd_list(&haggle, list_take, &haggle);
}

static void failed(int got, int code, const char *part)
{
	if (got != code || !strstr(error.text, part))
		fail_msg("%d, '%s'; wanted %d, '%s'", got, error.text, code, part);
}

static void exports(void **state)
{
	static const char said[] = "\0\0\0\3" "IHAVEOPT" "\0\0\0\3" "\0\0\0\0";

	(void)state;
	say_server(0, "", 0, "");
	say_server(3, "one", 3, "the \033 first");
	say_server(4, "t\033wo", 4, "");
	say_reply(NBD_OPT_LIST, NBD_REP_ACK, 0);
	assert_int_equal(list(), 0);
	assert_string_equal(listed, "=;one=the ? first;t?wo=;");
	heard(said, sizeof(said) - 1);
}

static void no_exports(void **state)
{
	(void)state;
	say_reply(NBD_OPT_LIST, NBD_REP_ACK, 0);
	assert_int_equal(list(), 0);
	assert_int_equal(listed_count, 0);
}

static void bad_lists(void **state)
{
	static char long_text[NBD_MAX_STRING + 2];

	memset(long_text, 'n', NBD_MAX_STRING + 1);
	say_reply(NBD_OPT_LIST, NBD_REP_SERVER, 3);
	say("abc", 3);
	failed(list(), -EPROTO, "malformed");
	another(state);
	say_server(4, "one", 3, "");		/* longer than the reply */
	failed(list(), -EPROTO, "malformed");
	another(state);
	say_server(UINT32_MAX, "one", 3, "");
	failed(list(), -EPROTO, "malformed");
	another(state);
	say_server(3, "a\0b", 3, "");
	failed(list(), -EPROTO, "malformed");
	another(state);
	say_server(NBD_MAX_STRING + 1, long_text, NBD_MAX_STRING + 1, "");
	failed(list(), -EPROTO, "malformed");
	another(state);
	say_server(1, "a", 1, long_text);
	failed(list(), -EPROTO, "malformed");
	another(state);
	say_reply(NBD_OPT_LIST, NBD_REP_INFO, 0);
	failed(list(), -EPROTO, "strange reply");
	another(state);
	say_reply(NBD_OPT_LIST, NBD_REP_SERVER, NBD_REPLY_DATA_MAX + 1);
	failed(list(), -EPROTO, "at most");
	another(state);
	say_reply(NBD_OPT_LIST_META_CONTEXT, NBD_REP_ACK, 0);
	failed(list(), -EPROTO, "it answered option 9");
	another(state);
	say_reply(NBD_OPT_LIST, NBD_REP_ERR_POLICY, 2);
	say("no", 2);
	failed(list(), -EACCES, "does not allow LIST: no");
	assert_false(haggle.broken);
}

static void a_list_without_end(void **state)
{
	static char bytes[32 * (NBD_LIST_MAX + 1)];
	struct nbd_writer all = { .buf = bytes, .room = sizeof(bytes) };

	(void)state;
	for (unsigned int i = 0; i <= NBD_LIST_MAX; i++) {
		size_t begin = nbd_option_reply_begin(&all, NBD_OPT_LIST, NBD_REP_SERVER);

		nbd_put_string(&all, "x");
		nbd_option_reply_end(&all, begin);
	}
	assert_false(all.failed);
	say(bytes, all.used);	/* at once: a socket has room for few pieces */
	failed(list(), -EFBIG, "more than 1024");
	assert_int_equal(listed_count, NBD_LIST_MAX);
	assert_true(haggle.broken);
}

static void a_list_that_is_ended(void **state)
{
	(void)state;
	say_server(1, "x", 1, "");
	say_server(1, "y", 1, "");
	listed_result = -ENOMEM;
	assert_int_equal(list(), -ENOMEM);
	assert_int_equal(listed_count, 1);
	assert_true(haggle.broken);
}

static void contexts(void **state)
{
	static const char said[] =
		"\0\0\0\3" "IHAVEOPT" "\0\0\0\11" "\0\0\0\11" "\0\0\0\1" "d" "\0\0\0\0";

	say_reply(NBD_OPT_LIST_META_CONTEXT, NBD_REP_META_CONTEXT, 4 + 15);
	say32(77);
	say(NBD_META_BASE_ALLOCATION, 15);
	say_reply(NBD_OPT_LIST_META_CONTEXT, NBD_REP_META_CONTEXT, 4);
	say32(0);
	say_reply(NBD_OPT_LIST_META_CONTEXT, NBD_REP_ACK, 0);
	assert_int_equal(nbd_list_contexts(&haggle, "d", context_take, &haggle), 0);
	assert_string_equal(listed, "base:allocation=;=;");
	heard(said, sizeof(said) - 1);
	another(state);
	say_reply(NBD_OPT_LIST_META_CONTEXT, NBD_REP_META_CONTEXT, 3);
	say("abc", 3);
	failed(nbd_list_contexts(&haggle, "d", context_take, &haggle), -EPROTO, "malformed");
	another(state);
	say_reply(NBD_OPT_LIST_META_CONTEXT, NBD_REP_ERR_UNKNOWN, 0);
	failed(nbd_list_contexts(&haggle, "d", context_take, &haggle), -ENOENT, "no export 'd'");
}

static void say_text(uint16_t info, const char *text, size_t length)
{
	say_reply(NBD_OPT_INFO, NBD_REP_INFO, (uint32_t)(2 + length));
	say16(info);
	say(text, length);
}

static void say_size(void)
{
	say_reply(NBD_OPT_INFO, NBD_REP_INFO, 12);
	say16(NBD_INFO_EXPORT);
	say64(1 << 20);
	say16(NBD_FLAG_HAS_FLAGS);
}

static int ask(void)
{
	nbd_export_init(&export);
	return nbd_haggle_export(&haggle, NBD_OPT_INFO, "d", &export, &details);
}

static void an_export(void **state)
{
	static const char said[] =
		"\0\0\0\3" "IHAVEOPT" "\0\0\0\6" "\0\0\0\17" "\0\0\0\1" "d" "\0\4"
		"\0\0" "\0\3" "\0\1" "\0\2";
	static char long_text[NBD_MAX_STRING + 2];

	say_text(NBD_INFO_NAME, "disk", 4);
	say_text(NBD_INFO_DESCRIPTION, "what\nit is", 10);
	say_size();
	say_reply(NBD_OPT_INFO, NBD_REP_ACK, 0);
	assert_int_equal(ask(), 0);
	assert_string_equal(details.name, "disk");
	assert_string_equal(details.description, "what?it is");
	assert_int_equal(export.size, 1 << 20);
	heard(said, sizeof(said) - 1);
	another(state);

	memset(long_text, 'n', NBD_MAX_STRING + 1);
	say_text(NBD_INFO_NAME, "", 0);
	say_text(NBD_INFO_DESCRIPTION, long_text, NBD_MAX_STRING);
	say_size();
	say_reply(NBD_OPT_INFO, NBD_REP_ACK, 0);
	assert_int_equal(ask(), 0);
	assert_int_equal(strlen(details.description), NBD_MAX_STRING);
	another(state);

	say_text(NBD_INFO_DESCRIPTION, long_text, NBD_MAX_STRING + 1);
	failed(ask(), -EPROTO, "a text of 4097 bytes");
	another(state);

	say_reply(NBD_OPT_INFO, NBD_REP_ERR_UNSUP, 0);
	assert_int_equal(ask(), 1);
	assert_false(haggle.broken);
	another(state);

	say_reply(NBD_OPT_INFO, NBD_REP_ERR_BLOCK_SIZE_REQD, 0);
	failed(ask(), -EPROTO, "block sizes");
}

/* Credentials that need no certificates. The file is gone when they are made. */
static struct tls_credentials *keys(void)
{
	char path[] = "/tmp/r3map-keys.XXXXXX";
	static const char line[] = "alice:00112233445566778899aabbccddeeff\n";
	struct tls_credentials *credentials;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, line, sizeof(line) - 1), sizeof(line) - 1);
	close(fd);
	snprintf(uri.psk, sizeof(uri.psk), "%s", path);
	uri.tls = true;
	if (nbd_credentials(&uri, &credentials, &error))
		fail_msg("%s", error.text);
	unlink(path);
	assert_non_null(credentials);
	return credentials;
}

/* The greeting, then what was said after it. */
static int start(struct tls_credentials *credentials)
{
	haggle = (struct nbd_haggle) {
		.stream = &stream,
		.uri = &uri,
		.deadline = loop_now() + 20000000000ull,
		.error = &error,
	};
	return nbd_haggle_begin(&haggle, credentials);
}

static void tls_is_refused(void **state)
{
	static const char said[] = "\0\0\0\3" "IHAVEOPT" "\0\0\0\5" "\0\0\0\0";
	struct tls_credentials *credentials = keys();

	say_greeting(BOTH);
	say_reply(NBD_OPT_STARTTLS, NBD_REP_ERR_UNSUP, 0);
	failed(start(credentials), -EPROTONOSUPPORT, "the server has no TLS");
	heard(said, sizeof(said) - 1);
	again(state);
	say_greeting(BOTH);
	say_reply(NBD_OPT_STARTTLS, NBD_REP_ERR_POLICY, 0);
	failed(start(credentials), -EPROTONOSUPPORT, "the server has no TLS");
	again(state);
	say_greeting(BOTH);
	say_reply(NBD_OPT_STARTTLS, NBD_REP_ERR_INVALID, 0);
	failed(start(credentials), -EPROTO, "refused STARTTLS with error 3");
	again(state);
	say_greeting(NBD_FLAG_NO_ZEROES);
	failed(start(credentials), -EPROTONOSUPPORT, "too old for TLS");
	again(state);
	say_greeting(BOTH);
	say_reply(NBD_OPT_STARTTLS, NBD_REP_ACK, 1);
	say("x", 1);
	failed(start(credentials), -EPROTO, "strange reply to STARTTLS");
	again(state);
	say_greeting(BOTH);
	assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
	failed(start(credentials), -ECONNRESET, "closed");
	assert_null(stream.tls);
	tls_credentials_free(credentials);
}

/* What somebody on the way puts behind the acknowledgement is not taken for the server's. */
static void plain_text_within_tls(void **state)
{
	struct tls_credentials *credentials = keys();
	int code;

	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_STARTTLS, NBD_REP_ACK, 0);
	say_reply(NBD_OPT_EXTENDED_HEADERS, NBD_REP_ERR_UNSUP, 0);
	say_size();
	say_reply(NBD_OPT_INFO, NBD_REP_ACK, 0);
	assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
	code = start(credentials);
	assert_true(code < 0);
	assert_true(haggle.broken);
	assert_null(stream.tls);
	assert_true(strlen(error.text) > 10);
	tls_credentials_free(credentials);
}

static void a_silent_server_of_tls(void **state)
{
	struct tls_credentials *credentials = keys();

	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_STARTTLS, NBD_REP_ACK, 0);
	haggle = (struct nbd_haggle) {
		.stream = &stream,
		.uri = &uri,
		.deadline = loop_now(),	/* what is there already is taken all the same */
		.error = &error,
	};
	failed(nbd_haggle_begin(&haggle, credentials), -ETIMEDOUT, "TLS handshake");
	assert_null(stream.tls);
	tls_credentials_free(credentials);
}

static int setup_tls(void **state)
{
	memset(&uri, 0, sizeof(uri));
	return setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_haggle, teardown)
#define TEST_TLS(name) cmocka_unit_test_setup_teardown(name, setup_tls, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exports),
		TEST(no_exports),
		TEST(bad_lists),
		TEST(a_list_without_end),
		TEST(a_list_that_is_ended),
		TEST(contexts),
		TEST(an_export),
		TEST_TLS(tls_is_refused),
		TEST_TLS(plain_text_within_tls),
		TEST_TLS(a_silent_server_of_tls),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
