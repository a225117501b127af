// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where both ends meet. See address.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/size.h"
#include "nbd/handshake.h"
#include "nbd/uri.h"
#include "sync/address.h"

#define CONNECT_NS	20000000000ull
#define UNIX		"unix:"

static bool wants_tls(const struct sync_security *security)
{
	return security->tls || security->files.certificates || security->files.psk;
}

int security_check(const struct sync_security *security, struct error *error)
{
	if (security->verify_peer && !wants_tls(security))
		return error_set(error, -EINVAL, "--tls-verify-peer is for TLS: give --tls-certificates");
	if (security->allow.count && !security->verify_peer)
		return error_set(error, -EINVAL, "--tls-allow needs --tls-verify-peer: who has shown no certificate has no subject");
	return 0;
}

int security_server(const struct sync_security *security, struct tls_credentials **credentials,
		    struct error *error)
{
	*credentials = NULL;
	if (!wants_tls(security))
		return 0;
	return tls_server_credentials(&security->files, security->verify_peer,
				      security->allow.count ? security->allow.items : NULL,
				      credentials, error);
}

int security_client(const struct sync_security *security, struct tls_credentials **credentials,
		    struct error *error)
{
	*credentials = NULL;
	if (!wants_tls(security))
		return 0;
	return tls_client_credentials(&security->files, true, credentials, error);
}

int address_listen(struct listeners *listeners, const char *address, struct error *error)
{
	if (!strncmp(address, UNIX, strlen(UNIX)))
		return listen_unix(listeners, address + strlen(UNIX), error);
	return listen_tcp(listeners, address, error);
}

static int unix_parse(const char *path, struct nbd_uri *uri, struct error *error)
{
	size_t length = strlen(path);

	if (!length || length >= sizeof(uri->socket))
		return error_set(error, -EINVAL, "a socket's path has 1 to %zu bytes",
				 sizeof(uri->socket) - 1);
	uri->transport = NBD_UNIX;
	memcpy(uri->socket, path, length);
	uri->socket_length = length;
	return 0;
}

static int tcp_parse(const char *address, const char *port, struct nbd_uri *uri,
		     struct error *error)
{
	const char *colon = strrchr(address, ':'), *end = address + strlen(address);
	uint64_t number;

	if (*address == '[') {
		end = strchr(address++, ']');
		if (!end || (end[1] && end[1] != ':'))
			return error_set(error, -EINVAL, "write an IPv6 address as [ADDRESS] or [ADDRESS]:PORT");
		colon = end[1] ? end + 1 : NULL;
	} else if (colon) {
		end = colon;
	}
	if (colon && number_parse(colon + 1, 1, 65535, &number, NULL))
		return error_set(error, -EINVAL, "'%s' is not a port", colon + 1);
	if (end == address || (size_t)(end - address) >= sizeof(uri->host))
		return error_set(error, -EINVAL, "'%s' names no host: give HOST, HOST:PORT or unix:PATH",
				 address);
	uri->transport = NBD_TCP;
	memcpy(uri->host, address, (size_t)(end - address));
	snprintf(uri->port, sizeof(uri->port), "%s", colon ? colon + 1 : port);
	return 0;
}

int address_connect(const char *address, const char *port, int *fd, char *host,
		    struct error *error)
{
	struct nbd_uri *uri = calloc(1, sizeof(*uri));
	struct stream stream;
	int code;

	if (!uri)
		return error_set(error, -ENOMEM, "out of memory");
	if (!strncmp(address, UNIX, strlen(UNIX)))
		code = unix_parse(address + strlen(UNIX), uri, error);
	else
		code = tcp_parse(address, port, uri, error);
	if (!code) {
		snprintf(host, sizeof(uri->host), "%s", uri->host);
		code = nbd_connect(uri, loop_now() + CONNECT_NS, &stream, error);
		*fd = stream.fd;
		if (code == -ECONNREFUSED || code == -ENOENT)
			error_set(error, code, "cannot connect to %s: %s; does r3map receive, or a hub, run there?",
				  address, strerror(-code));
	}
	free(uri);
	return code;
}

/* "127.0.0.1:10810", "unix:/path", to be freed; NULL: no memory. */
static char *address_of(const struct listener *listener)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);
	char host[64], port[8], *text = NULL;

	if (listener->path)
		return asprintf(&text, UNIX "%s", listener->path) < 0 ? NULL : text;
	if (getsockname(listener->source.fd, (struct sockaddr *)&address, &length) < 0 ||
	    getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return NULL;
	return asprintf(&text, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port) < 0 ? NULL : text;
}

int address_start(struct listeners *listeners, const char *what, struct error *error)
{
	int code = listen_start(listeners);

	if (code)
		return error_set(error, code, "cannot accept connections: %s", strerror(-code));
	for (unsigned int i = 0; i < listeners->count; i++) {
		char *text = address_of(&listeners->list[i]);

		if (text)
			log_info("%s %s", what, text);
		free(text);
	}
	return 0;
}
