// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NBD URIs: what is understood has a canonical form, which is understood as the same and is its own
 * canonical form; what is not has a sentence.
 */
#include "fuzz.h"

#include "nbd/uri.h"

/* Everything but what is behind the ends of texts. */
static bool same(const struct nbd_uri *a, const struct nbd_uri *b)
{
	return a->transport == b->transport && a->tls == b->tls && !strcmp(a->host, b->host) &&
	       !strcmp(a->port, b->port) && a->socket_length == b->socket_length &&
	       !memcmp(a->socket, b->socket, a->socket_length) && !strcmp(a->name, b->name) &&
	       !strcmp(a->certificates, b->certificates) && !strcmp(a->psk, b->psk) &&
	       !strcmp(a->user, b->user) && !strcmp(a->hostname, b->hostname) &&
	       a->trust_anybody == b->trust_anybody;
}

static void look(const struct nbd_uri *uri)
{
	struct error error = { 0 };
	struct nbd_uri again;
	char *text, *text_again, *colon;
	int code;

	CLAIM(uri->socket_length < sizeof(uri->socket));
	/* Who listens without a host does so on all addresses. */
	CLAIM(uri->transport == NBD_UNIX ? uri->socket_length > 0 && !uri->host[0] :
	      uri->transport == NBD_LISTEN || uri->host[0]);
	CLAIM(atoll(uri->port) > 0);
	text = nbd_uri_format(uri);
	CLAIM(text && is_clean(text));
	colon = strchr(text, ':');
	*colon = '\0';
	code = nbd_uri_parse(text, colon + 1, &again, &error);
	CLAIM(!code);
	CLAIM(same(uri, &again));
	*colon = ':';
	text_again = nbd_uri_format(&again);
	CLAIM(text_again && !strcmp(text, text_again));
	free(text_again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct error error = { 0 };
	struct nbd_uri uri;
	char *text, *rest;
	int code;

	text = input_string(&in);
	rest = strchr(text, ':');
	if (rest)
		*rest++ = '\0';
	code = nbd_uri_parse(text, rest ? rest : "", &uri, &error);
	if (code) {
		error_look(&error, code);
		CLAIM(code == -EINVAL);
	} else {
		look(&uri);
	}
	free(text);
	return 0;
}
