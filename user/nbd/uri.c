// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NBD URIs: see uri.h.
 *
 * Strict: what RFC 3986 does not allow, and every part that would not be honoured (a password, a
 * fragment, an unknown parameter, one of TLS without TLS), is refused by name, for a part that is
 * dropped silently connects to the wrong place. Every length is bounded by its field.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "uri.h"
#include "../lib/error.h"
#include "../lib/size.h"
#include "../lib/text.h"

#define SECONDS_MAX	86400u		/* of reconnect and timeout */
#define VSOCK_HOST	"2"		/* the CID of the machine that a guest runs on */

static const struct {
	const char *name;
	enum nbd_transport transport;
	bool tls;
	const char *form;		/* what to write */
} schemes[] = {
	{ "nbd", NBD_TCP, false, "nbd://HOST[:PORT]/NAME" },
	{ "nbds", NBD_TCP, true, "nbds://HOST[:PORT]/NAME" },
	{ "nbd+unix", NBD_UNIX, false, "nbd+unix:///NAME?socket=PATH" },
	{ "nbds+unix", NBD_UNIX, true, "nbds+unix:///NAME?socket=PATH" },
	{ "nbd+vsock", NBD_VSOCK, false, "nbd+vsock://CID[:PORT]/NAME" },
	{ "nbds+vsock", NBD_VSOCK, true, "nbds+vsock://CID[:PORT]/NAME" },
	{ "nbd+listen", NBD_LISTEN, false, "nbd+listen://[HOST][:PORT]/NAME" },
	{ "nbds+listen", NBD_LISTEN, true, "nbds+listen://[HOST][:PORT]/NAME" },
};

#define SCHEMES	(sizeof(schemes) / sizeof(schemes[0]))

/* The scheme's index, SCHEMES if there is none. */
static size_t scheme_find(const char *scheme)
{
	size_t i;

	for (i = 0; i < SCHEMES && strcmp(schemes[i].name, scheme); i++)
		;
	return i;
}

/* The index of a URI's scheme. */
static size_t scheme_of(const struct nbd_uri *uri)
{
	size_t i;

	for (i = 0; i < SCHEMES; i++)
		if (schemes[i].transport == uri->transport && schemes[i].tls == uri->tls)
			break;
	return i;
}

bool nbd_uri_scheme(const char *scheme)
{
	return scheme_find(scheme) < SCHEMES;
}

const char *nbd_uri_scheme_of(const struct nbd_uri *uri)
{
	return schemes[scheme_of(uri)].name;
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~", c));
}

/* What else may stand unencoded in a path or a query. */
static bool is_path_char(char c)
{
	return is_unreserved(c) || (c && strchr("!$&'()*+,;=:@/", c));
}

/* Decodes @length bytes of @from to @to, with a NUL behind the *@written bytes. */
static int percent_decode(const char *from, size_t length, const char *what, bool nul_first,
			  char *to, size_t room, size_t *written, struct error *error)
{
	size_t used = 0;
	size_t i = 0;

	while (i < length) {
		int high, low;
		char c;

		c = from[i++];
		if (c == '%') {
			high = i < length ? text_hex_digit(from[i]) : -1;
			low = i + 1 < length ? text_hex_digit(from[i + 1]) : -1;
			if (high < 0 || low < 0)
				return error_set(error, -EINVAL,
					"%s: '%%' must be followed by two hexadecimal digits; write a plain %% as %%25",
					what);
			c = (char)(high << 4 | low);
			i += 2;
			if (!c && (used || !nul_first))
				return error_set(error, -EINVAL, "%s must not contain %%00", what);
		} else if (!is_path_char(c) && c != '?' && !(c & 0x80)) {
			return error_set(error, -EINVAL,
				"%s: the character with code 0x%02x must be written as %%%02X",
				what, (unsigned char)c, (unsigned char)c);
		}
		if (used + 1 >= room)
			return error_set(error, -EINVAL, "%s is longer than %zu bytes", what,
					 room - 1);
		to[used++] = c;
	}
	to[used] = '\0';
	*written = used;
	return 0;
}

/* A decimal number from @min to @max, of @length digits, to @to without leading zeroes. */
static bool number_take(const char *text, size_t length, unsigned long min, unsigned long max,
			char *to, size_t room)
{
	unsigned long number = 0;
	size_t i;

	for (i = 0; i < length && number <= max; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		number = number * 10 + (unsigned long)(text[i] - '0');
	}
	if (!length || number < min || number > max)
		return false;
	snprintf(to, room, "%lu", number);
	return true;
}

static int port_parse(const char *text, size_t length, struct nbd_uri *uri, struct error *error)
{
	unsigned long max = uri->transport == NBD_VSOCK ? UINT32_MAX - 1ul : 65535;

	if (!length)	/* "host:" means the default, says RFC 3986 */
		return 0;
	if (!number_take(text, length, 1, max, uri->port, sizeof(uri->port)))
		return error_set(error, -EINVAL,
				 "'%.*s' is not a port: write a number from 1 to %lu",
				 (int)length, text, max);
	return 0;
}

static int cid_set(struct nbd_uri *uri, const char *text, size_t length, struct error *error)
{
	if (!length)
		strcpy(uri->host, VSOCK_HOST);
	else if (!number_take(text, length, 0, UINT32_MAX - 1ul, uri->host, sizeof(uri->host)))
		return error_set(error, -EINVAL,
			"'%.*s' is not a machine: write its CID, a number; 2 is the host of this guest",
			(int)length, text);
	return 0;
}

static int host_set(struct nbd_uri *uri, const char *text, size_t length, bool literal,
		    struct error *error)
{
	size_t i;

	for (i = 0; i < length; i++) {
		bool fits = literal ? text_hex_digit(text[i]) >= 0 || strchr(":.%", text[i]) ||
				      is_unreserved(text[i]) : is_unreserved(text[i]);

		if (!fits)
			return error_set(error, -EINVAL,
				"'%.*s' is not a host: write a name, an IPv4 address or [an IPv6 address]",
				(int)length, text);
	}
	if (!length && uri->transport != NBD_LISTEN)
		return error_set(error, -EINVAL, "the host is missing: write %s",
				 schemes[scheme_of(uri)].form);
	if (length >= sizeof(uri->host))
		return error_set(error, -EINVAL, "the host is longer than %zu bytes",
				 sizeof(uri->host) - 1);
	memcpy(uri->host, text, length);
	uri->host[length] = '\0';
	return 0;
}

/* The user in front of the '@', @length bytes. */
static int user_parse(const char *text, size_t length, struct nbd_uri *uri, struct error *error)
{
	size_t written;

	if (!uri->tls)
		return error_set(error, -EINVAL,
			"a user name in front of the host needs TLS: leave out what is before '@', or write nbds");
	if (memchr(text, ':', length))
		return error_set(error, -EINVAL,
			"a password has no place here: name a file of keys with tls-psk-file");
	if (!length)
		return error_set(error, -EINVAL, "the user name before '@' is missing");
	return percent_decode(text, length, "the user name", false, uri->user, sizeof(uri->user),
			      &written, error);
}

/* [user@]host[:port], in @length bytes. */
static int authority_parse(const char *text, size_t length, struct nbd_uri *uri,
			   struct error *error)
{
	const char *end = text + length;
	const char *at = memchr(text, '@', length);
	const char *host_end;
	int code;

	if (at) {
		code = user_parse(text, (size_t)(at - text), uri, error);
		if (code)
			return code;
		text = at + 1;
	}
	if (uri->transport == NBD_UNIX)
		return text == end ? 0 : error_set(error, -EINVAL,
			"a host has no meaning for a unix socket: write %s, with three slashes",
			schemes[scheme_of(uri)].form);
	if (text != end && *text == '[') {
		host_end = memchr(text, ']', (size_t)(end - text));
		if (!host_end || !memchr(text, ':', (size_t)(host_end - text)))
			return error_set(error, -EINVAL,
				"'%.*s' is not an IPv6 address in brackets", (int)(end - text), text);
		code = host_set(uri, text + 1, (size_t)(host_end - text - 1), true, error);
		host_end++;
		if (!code && host_end != end && *host_end != ':')
			return error_set(error, -EINVAL,
				"only ':PORT' may follow the brackets of an IPv6 address");
	} else {
		host_end = memchr(text, ':', (size_t)(end - text));
		if (!host_end)
			host_end = end;
		code = uri->transport == NBD_VSOCK ?
			cid_set(uri, text, (size_t)(host_end - text), error) :
			host_set(uri, text, (size_t)(host_end - text), false, error);
	}
	if (!code && host_end != end)
		code = port_parse(host_end + 1, (size_t)(end - host_end - 1), uri, error);
	return code;
}

enum parameter {
	SOCKET, CERTIFICATES, PSK_FILE, USERNAME, HOSTNAME, VERIFY_PEER, TYPE,
	RECONNECT, TIMEOUT, HEADERS, FLUSH,	/* r3map's own */
	PARAMETERS,
};

static const struct {
	const char *key;
	const char *what;
	size_t offset, room;		/* of the text in struct nbd_uri; room 0: it is a word */
} parameters[PARAMETERS] = {
#define TEXT(field)	offsetof(struct nbd_uri, field), sizeof(((struct nbd_uri *)0)->field)
	[SOCKET] = { "socket", "the socket's path", TEXT(socket) },
	[CERTIFICATES] = { "tls-certificates", "the folder of certificates", TEXT(certificates) },
	[PSK_FILE] = { "tls-psk-file", "the file of keys", TEXT(psk) },
	[USERNAME] = { "tls-username", "the user name", TEXT(user) },
	[HOSTNAME] = { "tls-hostname", "the host name", TEXT(hostname) },
	[VERIFY_PEER] = { .key = "tls-verify-peer" },
	[TYPE] = { .key = "tls-type" },
	[RECONNECT] = { .key = "reconnect" },
	[TIMEOUT] = { .key = "timeout" },
	[HEADERS] = { .key = "headers" },
	[FLUSH] = { .key = "flush" },
#undef TEXT
};

/* Is it this parameter's time? */
static int parameter_check(enum parameter p, const struct nbd_uri *uri, bool seen,
			   struct error *error)
{
	if (p == SOCKET && uri->transport != NBD_UNIX)
		return error_set(error, -EINVAL, "parameter socket is for unix sockets: write %s",
				 uri->tls ? schemes[3].form : schemes[2].form);
	if (p > SOCKET && p <= TYPE && !uri->tls)
		return error_set(error, -EINVAL,
				 "parameter %s needs TLS: write nbds%s in place of %s",
				 parameters[p].key, nbd_uri_scheme_of(uri) + strlen("nbd"),
				 nbd_uri_scheme_of(uri));
	if (seen)
		return error_set(error, -EINVAL, "parameter %s is given twice", parameters[p].key);
	return 0;
}

/* The values of the parameters that are words. */
struct words {
	bool psk, x509;			/* tls-type */
};

static int seconds_take(enum parameter p, const char *word, size_t length, uint32_t *seconds,
			struct error *error)
{
	char text[16];
	uint64_t number;

	snprintf(text, sizeof(text), "%.*s", (int)length, word);
	if (length >= sizeof(text) || number_parse(text, 0, SECONDS_MAX, &number, NULL))
		return error_set(error, -EINVAL, "%s is '%.*s': write seconds, 0 to %u",
				 parameters[p].key, (int)length, word, SECONDS_MAX);
	*seconds = (uint32_t)number;
	return 0;
}

static int headers_take(const char *word, size_t length, struct nbd_uri *uri, struct error *error)
{
	enum nbd_headers kind;

	for (kind = NBD_HEADERS_SIMPLE; kind <= NBD_HEADERS_EXTENDED; kind++) {
		const char *name = nbd_headers_name(kind);

		if (strlen(name) == length && !memcmp(name, word, length)) {
			uri->headers = kind;
			uri->headers_chosen = true;
			return 0;
		}
	}
	return error_set(error, -EINVAL, "headers is '%.*s': write simple, structured or extended",
			 (int)length, word);
}

static int word_take(enum parameter p, const char *word, size_t length, struct nbd_uri *uri,
		     struct words *words, struct error *error)
{
	if (p == RECONNECT)
		return seconds_take(p, word, length, &uri->reconnect, error);
	if (p == TIMEOUT)
		return seconds_take(p, word, length, &uri->timeout, error);
	if (p == HEADERS)
		return headers_take(word, length, uri, error);
	if (p == FLUSH) {
		uri->flush_strict = length == 6 && !memcmp(word, "strict", 6);
		if (uri->flush_strict || (length == 5 && !memcmp(word, "trust", 5)))
			return 0;
		return error_set(error, -EINVAL, "flush is '%.*s': write trust or strict",
				 (int)length, word);
	}
	if (p == VERIFY_PEER && length == 1 && (*word == '0' || *word == '1')) {
		uri->trust_anybody = *word == '0';
		return 0;
	}
	if (p == VERIFY_PEER)
		return error_set(error, -EINVAL, "tls-verify-peer is '%.*s': write 0 or 1",
				 (int)length, word);
	words->psk = length == 3 && !memcmp(word, "psk", 3);
	words->x509 = length == 4 && !memcmp(word, "x509", 4);
	if (!words->psk && !words->x509)
		return error_set(error, -EINVAL, "tls-type is '%.*s': write x509 or psk",
				 (int)length, word);
	return 0;
}

static int parameter_take(const char *text, size_t length, bool *seen, struct nbd_uri *uri,
			  struct words *words, struct error *error)
{
	const char *equals = memchr(text, '=', length);
	size_t key = equals ? (size_t)(equals - text) : length;
	size_t value = length - key - 1;
	size_t written;
	enum parameter p;
	int code;

	for (p = 0; p < PARAMETERS; p++)
		if (strlen(parameters[p].key) == key && !memcmp(parameters[p].key, text, key))
			break;
	if (p == PARAMETERS)
		return error_set(error, -EINVAL,
			"unknown parameter '%.*s': there are socket, tls-certificates, tls-psk-file, tls-username, tls-hostname, tls-verify-peer, tls-type, reconnect, timeout, headers and flush",
			(int)key, text);
	code = parameter_check(p, uri, seen[p], error);
	if (code)
		return code;
	if (!equals || !value)
		return error_set(error, -EINVAL, "parameter %s has no value", parameters[p].key);
	seen[p] = true;
	if (!parameters[p].room)
		return word_take(p, equals + 1, value, uri, words, error);
	if (p == USERNAME && uri->user[0])
		return error_set(error, -EINVAL,
			"a user name is given twice: before the '@' and as tls-username");
	code = percent_decode(equals + 1, value, parameters[p].what, p == SOCKET,
			      (char *)uri + parameters[p].offset, parameters[p].room, &written,
			      error);
	if (p == SOCKET)
		uri->socket_length = written;
	return code;
}

/* What goes together, and what does not. */
static int parameters_check(const struct nbd_uri *uri, const struct words *words,
			    struct error *error)
{
	if (uri->transport == NBD_UNIX && !uri->socket_length)
		return error_set(error, -EINVAL, "the socket is missing: write %s",
				 schemes[scheme_of(uri)].form);
	if (uri->psk[0] && uri->certificates[0])
		return error_set(error, -EINVAL,
			"tls-psk-file and tls-certificates exclude each other: give one");
	if ((words->psk && !uri->psk[0]) || (words->x509 && uri->psk[0]))
		return error_set(error, -EINVAL, "tls-type=%s and tls-psk-file do not fit: %s",
				 words->psk ? "psk" : "x509",
				 words->psk ? "give the file" : "leave one out");
	if (uri->user[0] && !uri->psk[0])
		return error_set(error, -EINVAL,
			"a user name means something with tls-psk-file only: add that or leave it out");
	if (uri->psk[0] && (uri->hostname[0] || uri->trust_anybody))
		return error_set(error, -EINVAL,
			"%s means nothing with tls-psk-file, which has no certificates: leave it out",
			uri->hostname[0] ? "tls-hostname" : "tls-verify-peer=0");
	return 0;
}

/* A file's name, if it is one, that means the same in every folder. */
static int path_anchor(char *path, size_t room, const char *what, struct error *error)
{
	char folder[PATH_MAX];
	size_t folder_length, length;

	if (!path[0] || path[0] == '/')
		return 0;
	while (path[0] == '.' && path[1] == '/' && path[2])
		memmove(path, path + 2, strlen(path + 2) + 1);
	if (!getcwd(folder, sizeof(folder)))
		return error_set(error, -EINVAL,
				 "%s is relative to a folder that is gone: write the whole path",
				 what);
	folder_length = strcmp(folder, "/") ? strlen(folder) : 0;
	length = strlen(path);
	if (folder_length + 1 + length + 1 > room)
		return error_set(error, -EINVAL,
			"%s is longer than %zu bytes with the current folder in front of it: go to a nearer one",
			what, room - 1);
	memmove(path + folder_length + 1, path, length + 1);
	memcpy(path, folder, folder_length);
	path[folder_length] = '/';
	return 0;
}

static int paths_anchor(struct nbd_uri *uri, struct error *error)
{
	static const enum parameter paths[] = { SOCKET, CERTIFICATES, PSK_FILE };
	size_t i;
	int code;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		code = path_anchor((char *)uri + parameters[paths[i]].offset,
				   parameters[paths[i]].room, parameters[paths[i]].what, error);
		if (code)
			return code;
	}
	if (uri->socket[0])
		uri->socket_length = strlen(uri->socket);
	return 0;
}

static int query_parse(const char *query, struct nbd_uri *uri, struct error *error)
{
	bool seen[PARAMETERS] = { false };
	struct words words = { false };
	int code;

	while (*query) {
		size_t length = strcspn(query, "&");

		code = parameter_take(query, length, seen, uri, &words, error);
		if (code)
			return code;
		query += length;
		if (*query)
			query++;
	}
	code = parameters_check(uri, &words, error);
	return code ? code : paths_anchor(uri, error);
}

int nbd_uri_parse(const char *scheme, const char *rest, struct nbd_uri *uri, struct error *error)
{
	size_t which = scheme_find(scheme);
	const char *path, *query;
	size_t authority, written;
	int code;

	memset(uri, 0, sizeof(*uri));
	if (which == SCHEMES)
		return error_set(error, -EINVAL, "%s: is no scheme of NBD: write %s", scheme,
				 schemes[0].form);
	uri->transport = schemes[which].transport;
	uri->tls = schemes[which].tls;
	strcpy(uri->port, NBD_PORT);
	uri->reconnect = NBD_RECONNECT;
	uri->timeout = NBD_TIMEOUT;

	if (strncmp(rest, "//", 2))
		return error_set(error, -EINVAL, "%s:%s: write %s", scheme, rest,
				 schemes[which].form);
	if (strchr(rest, '#'))
		return error_set(error, -EINVAL,
				 "%s:%s: '#' means nothing here: write %%23 if it is part of a name",
				 scheme, rest);
	authority = strcspn(rest + 2, "/?");
	path = rest + 2 + authority;
	query = strchr(path, '?');

	code = authority_parse(rest + 2, authority, uri, error);
	if (!code && *path == '/') {
		size_t length = query ? (size_t)(query - path) : strlen(path);

		code = percent_decode(path + 1, length - 1, "the export's name", false, uri->name,
				      sizeof(uri->name), &written, error);
	}
	if (!code)
		code = query_parse(query ? query + 1 : "", uri, error);
	if (code)
		error_prefix(error, "%s:%s", scheme, rest);
	return code;
}

static void percent_encode(FILE *out, const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (is_unreserved(text[i]) || text[i] == '/')
			fputc(text[i], out);
		else
			fprintf(out, "%%%02X", (unsigned char)text[i]);
	}
}

static void parameter_put(FILE *out, enum parameter p, const char *value, size_t length,
			  char *separator)
{
	if (!length)
		return;
	fprintf(out, "%c%s=", *separator, parameters[p].key);
	percent_encode(out, value, length);
	*separator = '&';
}

char *nbd_uri_format(const struct nbd_uri *uri)
{
	char separator = '?';
	char *text = NULL;
	size_t size;
	FILE *out;

	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	fprintf(out, "%s://", nbd_uri_scheme_of(uri));
	if (uri->transport != NBD_UNIX)
		fprintf(out, strchr(uri->host, ':') ? "[%s]:%s" : "%s:%s", uri->host, uri->port);
	fputc('/', out);
	percent_encode(out, uri->name, strlen(uri->name));
	parameter_put(out, SOCKET, uri->socket, uri->socket_length, &separator);
	parameter_put(out, CERTIFICATES, uri->certificates, strlen(uri->certificates), &separator);
	parameter_put(out, PSK_FILE, uri->psk, strlen(uri->psk), &separator);
	parameter_put(out, USERNAME, uri->user, strlen(uri->user), &separator);
	parameter_put(out, HOSTNAME, uri->hostname, strlen(uri->hostname), &separator);
	if (uri->trust_anybody)
		parameter_put(out, VERIFY_PEER, "0", 1, &separator);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
