// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NBD URIs: what they mean, what is refused, and that the canonical form means the same.
 */
#include "drive.h"
#include "nbd/uri.h"

/* Splits "scheme:rest". */
static int parse(const char *text, struct nbd_uri *uri, struct error *error)
{
	size_t length = strcspn(text, ":");
	char scheme[32];

	assert_true(length < sizeof(scheme));
	memcpy(scheme, text, length);
	scheme[length] = '\0';
	assert_true(nbd_uri_scheme(scheme));
	return nbd_uri_parse(scheme, text + length + 1, uri, error);
}

static struct nbd_uri parsed(const char *text)
{
	struct error error = { 0 };
	struct nbd_uri uri;

	if (parse(text, &uri, &error))
		fail_msg("'%s': %s", text, error.text);
	return uri;
}

/* Its canonical form is this one, and means the same. */
static struct nbd_uri canonical_is(const char *text, const char *canonical)
{
	struct nbd_uri uri = parsed(text), again;
	char *formatted = nbd_uri_format(&uri);

	assert_string_equal(formatted, canonical);
	again = parsed(formatted);
	assert_memory_equal(&uri, &again, sizeof(uri));
	free(formatted);
	return uri;
}

static void tcp_is(const char *rest, const char *host, const char *port, const char *name,
		   const char *canonical)
{
	char text[400];
	struct nbd_uri uri;

	snprintf(text, sizeof(text), "nbd:%s", rest);
	uri = canonical_is(text, canonical);
	assert_int_equal(uri.transport, NBD_TCP);
	assert_false(uri.tls);
	assert_string_equal(uri.host, host);
	assert_string_equal(uri.port, port);
	assert_string_equal(uri.name, name);
}

static void unix_is(const char *rest, const char *socket, const char *name, const char *canonical)
{
	char text[400];
	struct nbd_uri uri;

	snprintf(text, sizeof(text), "nbd+unix:%s", rest);
	uri = canonical_is(text, canonical);
	assert_int_equal(uri.transport, NBD_UNIX);
	assert_int_equal(uri.socket_length, strlen(socket));
	assert_string_equal(uri.socket, socket);
	assert_string_equal(uri.name, name);
}

static void wrong(const char *text, const char *part)
{
	struct error error = { 0 };
	struct nbd_uri uri;
	int code = parse(text, &uri, &error);

	if (code != -EINVAL || !strstr(error.text, part))
		fail_msg("'%s': %d, '%s'; wanted '%s'", text, code, error.text, part);
}

static void refused(const char *rest, bool unix_socket, const char *part)
{
	char text[2 * NBD_MAX_STRING];

	snprintf(text, sizeof(text), "%s:%s", unix_socket ? "nbd+unix" : "nbd", rest);
	wrong(text, part);
}

static void tcp(void **state)
{
	(void)state;
	tcp_is("//example.com/disk", "example.com", "10809", "disk", "nbd://example.com:10809/disk");
	tcp_is("//example.com", "example.com", "10809", "", "nbd://example.com:10809/");
	tcp_is("//example.com/", "example.com", "10809", "", "nbd://example.com:10809/");
	tcp_is("//example.com?", "example.com", "10809", "", "nbd://example.com:10809/");
	tcp_is("//example.com//disk", "example.com", "10809", "/disk",
	       "nbd://example.com:10809//disk");
	tcp_is("//h:1/hello%20world", "h", "1", "hello world", "nbd://h:1/hello%20world");
	tcp_is("//h:65535/a%2Fb%25%3F", "h", "65535", "a/b%?", "nbd://h:65535/a/b%25%3F");
	tcp_is("//h:/x", "h", "10809", "x", "nbd://h:10809/x");
	tcp_is("//h:00080/x", "h", "80", "x", "nbd://h:80/x");
	tcp_is("//10.0.0.1:7/x", "10.0.0.1", "7", "x", "nbd://10.0.0.1:7/x");
	tcp_is("//[::1]/x", "::1", "10809", "x", "nbd://[::1]:10809/x");
	tcp_is("//[2001:db8::7]:99", "2001:db8::7", "99", "", "nbd://[2001:db8::7]:99/");
	tcp_is("//h/\303\244", "h", "10809", "\303\244", "nbd://h:10809/%C3%A4");
	tcp_is("//h/%c3%A4", "h", "10809", "\303\244", "nbd://h:10809/%C3%A4");
}

static void unix_sockets(void **state)
{
	struct nbd_uri uri;
	char *text;

	(void)state;
	unix_is("///disk?socket=/tmp/s", "/tmp/s", "disk", "nbd+unix:///disk?socket=/tmp/s");
	unix_is("//?socket=/sock", "/sock", "", "nbd+unix:///?socket=/sock");
	unix_is("///a%26b?socket=/t%20m?p", "/t m?p", "a&b",
		"nbd+unix:///a%26b?socket=/t%20m%3Fp");

	uri = parsed("nbd+unix:///?socket=%00/abstract");
	assert_int_equal(uri.socket_length, 10);
	assert_memory_equal(uri.socket, "\0/abstract", 10);
	text = nbd_uri_format(&uri);
	assert_string_equal(text, "nbd+unix:///?socket=%00/abstract");
	free(text);
}

static void relative_names(void **state)
{
	char folder[PATH_MAX];
	struct nbd_uri uri;

	(void)state;
	assert_non_null(getcwd(folder, sizeof(folder)));
	assert_int_equal(chdir("/tmp"), 0);
	unix_is("///?socket=sock", "/tmp/sock", "", "nbd+unix:///?socket=/tmp/sock");
	unix_is("///?socket=./a/../sock", "/tmp/a/../sock", "",
		"nbd+unix:///?socket=/tmp/a/../sock");
	uri = parsed("nbds://h/?tls-certificates=pki");
	assert_string_equal(uri.certificates, "/tmp/pki");
	uri = parsed("nbds://h/?tls-psk-file=keys");
	assert_string_equal(uri.psk, "/tmp/keys");
	assert_int_equal(chdir("/"), 0);
	unix_is("///?socket=sock", "/sock", "", "nbd+unix:///?socket=/sock");
	assert_int_equal(chdir(folder), 0);
}

static void listening(void **state)
{
	(void)state;
	canonical_is("nbd+listen://:10900/x", "nbd+listen://:10900/x");
	canonical_is("nbd+listen:///", "nbd+listen://:10809/");
	canonical_is("nbd+listen://[::1]:7", "nbd+listen://[::1]:7/");
	canonical_is("nbds+listen://a.example/", "nbds+listen://a.example:10809/");
	wrong("nbd+listen://:0/", "not a port");
	wrong("nbd+listen://a/?tls-psk-file=/k", "write nbds+listen");
}

static void vsock(void **state)
{
	struct nbd_uri uri;

	(void)state;
	uri = canonical_is("nbd+vsock://3:9999/x", "nbd+vsock://3:9999/x");
	assert_int_equal(uri.transport, NBD_VSOCK);
	uri = canonical_is("nbd+vsock:///x", "nbd+vsock://2:10809/x");
	assert_string_equal(uri.host, "2");
	canonical_is("nbds+vsock://4294967294:4294967294", "nbds+vsock://4294967294:4294967294/");
	wrong("nbd+vsock://host/x", "write its CID");
	wrong("nbd+vsock://4294967295/x", "write its CID");
	wrong("nbd+vsock://-1/x", "write its CID");
	wrong("nbd+vsock://2:4294967295/x", "not a port");
	wrong("nbd+vsock://2:0/x", "not a port");
}

static void tls(void **state)
{
	struct nbd_uri uri;

	(void)state;
	uri = canonical_is("nbds://h/x", "nbds://h:10809/x");
	assert_true(uri.tls);
	assert_false(uri.trust_anybody);
	assert_string_equal(uri.certificates, "");
	uri = canonical_is("nbds://h/x?tls-verify-peer=1&tls-type=x509", "nbds://h:10809/x");
	assert_false(uri.trust_anybody);
	uri = canonical_is("nbds://h/x?tls-hostname=a.b&tls-verify-peer=0&tls-certificates=/p%20q",
		"nbds://h:10809/x?tls-certificates=/p%20q&tls-hostname=a.b&tls-verify-peer=0");
	assert_true(uri.trust_anybody);
	assert_string_equal(uri.certificates, "/p q");
	assert_string_equal(uri.hostname, "a.b");
	uri = canonical_is("nbds://al%40ice@h/x?tls-psk-file=/k",
			   "nbds://h:10809/x?tls-psk-file=/k&tls-username=al%40ice");
	assert_string_equal(uri.user, "al@ice");
	assert_string_equal(uri.psk, "/k");
	uri = canonical_is("nbds+unix://alice@/x?socket=/s&tls-psk-file=/k&tls-type=psk",
			   "nbds+unix:///x?socket=/s&tls-psk-file=/k&tls-username=alice");
	assert_int_equal(uri.transport, NBD_UNIX);
	assert_true(uri.tls);
	uri = canonical_is("nbds+unix:///x?tls-hostname=h&socket=/s",
			   "nbds+unix:///x?socket=/s&tls-hostname=h");

	wrong("nbds://a:b@h/x?tls-psk-file=/k", "a password has no place");
	wrong("nbds://@h/x?tls-psk-file=/k", "missing");
	wrong("nbds://a@h/x", "tls-psk-file only");
	wrong("nbds://a%00@h/x?tls-psk-file=/k", "%00");
	wrong("nbds://a@h/x?tls-psk-file=/k&tls-username=b", "given twice");
	wrong("nbds+unix://a@b/x?socket=/s&tls-psk-file=/k", "three slashes");
	wrong("nbds://h/?tls-type=anon", "write x509 or psk");
	wrong("nbds://h/?tls-type=psk", "give the file");
	wrong("nbds://h/?tls-type=x509&tls-psk-file=/k", "leave one out");
	wrong("nbds://h/?tls-verify-peer=yes", "write 0 or 1");
	wrong("nbds://h/?tls-verify-peer=", "no value");
	wrong("nbds://h/?tls-verify-peer", "no value");
	wrong("nbds://h/?tls-verify-peer=0&tls-verify-peer=0", "twice");
	wrong("nbds://h/?tls-psk-file=/k&tls-verify-peer=0", "tls-verify-peer=0 means nothing");
	wrong("nbds://h/?tls-psk-file=/k&tls-hostname=h", "tls-hostname means nothing");
	wrong("nbds://h/?tls-psk-file=/k&tls-certificates=/p", "exclude each other");
	wrong("nbds://h/?tls-certificates=a%00b", "%00");
	wrong("nbds://h/?tls-priority=NORMAL", "unknown parameter 'tls-priority'");
	wrong("nbd+unix:///?socket=/s&tls-verify-peer=0", "write nbds+unix in place of nbd+unix");
	assert_false(nbd_uri_scheme("nbdx"));
	assert_false(nbd_uri_scheme("NBD"));
	assert_false(nbd_uri_scheme(""));
}

/* What r3map adds says how a client behaves, not what it is connected to: no part of the name. */
static void behaviour(void **state)
{
	struct nbd_uri uri;
	char *name;

	(void)state;
	uri = parsed("nbd://h/x");
	assert_int_equal(uri.reconnect, 60);
	assert_int_equal(uri.timeout, 20);
	assert_false(uri.headers_chosen);
	assert_false(uri.flush_strict);
	uri = parsed("nbd://h/x?reconnect=0&timeout=7&headers=structured&flush=strict");
	assert_int_equal(uri.reconnect, 0);
	assert_int_equal(uri.timeout, 7);
	assert_true(uri.headers_chosen);
	assert_int_equal(uri.headers, NBD_HEADERS_STRUCTURED);
	assert_true(uri.flush_strict);
	name = nbd_uri_format(&uri);
	assert_string_equal(name, "nbd://h:10809/x");
	free(name);
	uri = parsed("nbd+unix:///x?socket=/s&flush=trust&headers=simple");
	assert_false(uri.flush_strict);
	assert_int_equal(uri.headers, NBD_HEADERS_SIMPLE);
	refused("//h/x?reconnect=", false, "no value");
	refused("//h/x?reconnect=-1", false, "write seconds");
	refused("//h/x?timeout=86401", false, "write seconds");
	refused("//h/x?timeout=1s", false, "write seconds");
	refused("//h/x?headers=new", false, "simple, structured or extended");
	refused("//h/x?flush=always", false, "trust or strict");
	refused("//h/x?reconnect=1&reconnect=1", false, "given twice");
}

static void what_is_not_a_uri(void **state)
{
	(void)state;
	refused("", false, "nbd://HOST");
	refused("/h/x", false, "nbd://HOST");
	refused("h/x", true, "nbd+unix:///NAME");
	refused("//", false, "host is missing");
	refused("///x", false, "host is missing");
	refused("//:10809/x", false, "host is missing");
	refused("//h:0/x", false, "not a port");
	refused("//h:65536/x", false, "not a port");
	refused("//h:99999999999/x", false, "not a port");
	refused("//h:1a/x", false, "not a port");
	refused("//h:-1/x", false, "not a port");
	refused("//::1/x", false, "missing");
	refused("//[::1/x", false, "IPv6");
	refused("//[]/x", false, "IPv6");
	refused("//[h]/x", false, "IPv6");
	refused("//[::1]x/x", false, "brackets");
	refused("//h h/x", false, "not a host");
	refused("//alice@h/x", false, "user name");
	refused("//h/x#y", false, "'#'");
	refused("//h/x?socket=/s", false, "is for unix sockets");
	refused("//h/x?tls-type=psk", false, "write nbds in place of nbd");
	refused("//h/%", false, "hexadecimal");
	refused("//h/%4", false, "hexadecimal");
	refused("//h/%zz", false, "hexadecimal");
	refused("//h/%00", false, "%00");
	refused("//h/a b", false, "%20");
	refused("//h/a\tb", false, "%09");
	refused("//h/a\"b", false, "%22");
	refused("//h/x?socket=s", true, "three slashes");
	refused("///x", true, "socket is missing");
	refused("///x?socket=", true, "no value");
	refused("///x?&socket=s", true, "unknown parameter ''");
	refused("///x?socket", true, "no value");
	refused("///x?Socket=s", true, "unknown parameter");
	refused("///x?sockets=s", true, "unknown parameter");
	refused("///x?socket=a&socket=b", true, "twice");
	refused("///x?socket=a%00b", true, "%00");
	refused("///x?socket=a#b", true, "'#'");
}

static struct nbd_uri named(const char *rest, bool unix_socket)
{
	char text[2 * NBD_MAX_STRING];

	snprintf(text, sizeof(text), "%s:%s", unix_socket ? "nbd+unix" : "nbd", rest);
	return parsed(text);
}

static void lengths_are_bounded(void **state)
{
	static char text[NBD_MAX_STRING + 400];

	(void)state;
	strcpy(text, "//h/");
	memset(text + 4, 'n', NBD_MAX_STRING);
	text[4 + NBD_MAX_STRING] = '\0';
	assert_int_equal(strlen(named(text, false).name), NBD_MAX_STRING);
	strcat(text, "n");
	refused(text, false, "longer than 4096");

	strcpy(text, "///?socket=/");
	memset(text + 12, 's', 106);
	text[12 + 106] = '\0';
	assert_int_equal(named(text, true).socket_length, 107);
	strcat(text, "s");
	refused(text, true, "longer than 107");
	text[11] = 's';		/* a relative one has less room */
	text[11 + 106] = '\0';
	refused(text, true, "current folder");

	strcpy(text, "//");
	memset(text + 2, 'h', 256);
	strcpy(text + 2 + 255, "/x");
	assert_int_equal(strlen(named(text, false).host), 255);
	memset(text + 2, 'h', 256);
	strcpy(text + 2 + 256, "/x");
	refused(text, false, "longer than 255");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp),
		cmocka_unit_test(unix_sockets),
		cmocka_unit_test(relative_names),
		cmocka_unit_test(listening),
		cmocka_unit_test(vsock),
		cmocka_unit_test(tls),
		cmocka_unit_test(behaviour),
		cmocka_unit_test(what_is_not_a_uri),
		cmocka_unit_test(lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
