// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client's half of the handshake, and its questions to a server, against a server that says
 * anything: it ends, with an export that the rest of the program can rely on, or with a sentence
 * that does nothing to a terminal.
 *
 * What the server says does not depend on what it hears, so all of it is written first, and the
 * end of the connection behind it: the client never has to wait.
 *
 * Input: a byte for what the client wants, then a script of what the server says.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/loop.h"
#include "lib/text.h"
#include "nbd/haggle.h"
#include "nbd/list.h"
#include "tls/credentials.h"
#include "tls/session.h"

#define SAID_MAX	(200u << 10)	/* bytes; a socket does not take many more */

enum { NEGOTIATE, LIST, CONTEXTS, INFO };

static struct tls_credentials *credentials;
static char said[SAID_MAX];
static struct nbd_writer script;

static void credentials_make(void)
{
	static const char key[] = "alice:00112233445566778899aabbccddeeff\n";
	struct error error = { 0 };
	char path[40];
	int fd = memfd_create("psk", 0);
	ssize_t wrote = write(fd, key, sizeof(key) - 1);
	struct tls_files files = { .psk = path };

	CLAIM(wrote == sizeof(key) - 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CLAIM(!tls_client_credentials(&files, false, &credentials, &error));
	close(fd);
}

static void reply_make(struct input *in)
{
	static const uint8_t options[] = { 5, 11, 8, 10, 7, 3, 9, 6 };
	static const uint32_t types[] = {
		NBD_REP_ACK, NBD_REP_SERVER, NBD_REP_INFO, NBD_REP_META_CONTEXT, NBD_REP_ERR_UNSUP,
		NBD_REP_ERR_POLICY, NBD_REP_ERR_INVALID, NBD_REP_ERR_PLATFORM, NBD_REP_ERR_TLS_REQD,
		NBD_REP_ERR_UNKNOWN, NBD_REP_ERR_SHUTDOWN, NBD_REP_ERR_BLOCK_SIZE_REQD,
		NBD_REP_ERR_TOO_BIG, NBD_REP_ERR_EXT_HEADER_REQD, NBD_REP_ERROR | 99, 99,
	};
	static char filling[32768];
	uint8_t option = input8(in), type = input8(in), code;
	const char *allocation = NBD_META_BASE_ALLOCATION;
	size_t begin, length, at = script.used;
	const uint8_t *bytes;
	unsigned int times;

	begin = nbd_option_reply_begin(&script, options[option & 7], types[type & 15]);
	do {
		code = input8(in);
		switch (code & 7) {
		case 1:
			nbd_put16(&script, code >> 3);
			break;
		case 2:
			nbd_put32(&script, 1u << (code >> 3));
			break;
		case 3:
			nbd_put64(&script, 1ull << 2 * (code >> 3));
			break;
		case 4:
			nbd_put(&script, allocation, strlen(allocation));
			break;
		case 5:
			bytes = input_bytes(in, code >> 3, &length);
			nbd_put(&script, bytes, length);
			break;
		case 6:
			nbd_put32(&script, code >> 3);
			break;
		case 7:
			memset(filling, input8(in), sizeof(filling));
			nbd_put(&script, filling, (size_t)1 << (code >> 3 & 15));
		}
	} while ((code & 7) && !script.failed);
	nbd_option_reply_end(&script, begin);
	length = script.used - at;
	for (times = option & 8 ? 1u << (option >> 4) : 1; times > 1 && !script.failed; times--)
		nbd_put(&script, said + at, length);
}

static void script_make(struct input *in, bool greeting)
{
	const uint8_t *bytes;
	uint8_t code;
	size_t got, good = 0;

	script = (struct nbd_writer) { .buf = said, .room = sizeof(said) };
	if (greeting) {
		nbd_put64(&script, NBDMAGIC);
		nbd_put64(&script, NBD_IHAVEOPT);
		nbd_put16(&script, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	}
	while (in->left && !script.failed) {
		good = script.used;
		code = input8(in);
		switch (code & 3) {
		case 0:
		case 1:
			reply_make(in);
			break;
		case 2:
			bytes = input_bytes(in, input16(in), &got);
			nbd_put(&script, bytes, got);
			break;
		default:
			nbd_put64(&script, NBDMAGIC);
			nbd_put64(&script, code & 0x40 ? NBD_OLDSTYLE_MAGIC : NBD_IHAVEOPT);
			nbd_put16(&script, code >> 2 & 7);
		}
	}
	if (script.failed)
		script.used = good;
}

/* What the rest of the program relies on. */
static void export_look(const struct nbd_export *export, const struct nbd_wish *wish)
{
	CLAIM(export->block_min && !(export->block_min & (export->block_min - 1)));
	CLAIM(export->block_min <= NBD_MAX_BLOCK_MIN);
	CLAIM(!(export->block_preferred & (export->block_preferred - 1)));
	CLAIM(export->block_preferred >= export->block_min);
	CLAIM(export->payload_max >= export->block_min);
	CLAIM(export->payload_max <= NBD_DEFAULT_PAYLOAD);
	CLAIM(!(export->payload_max & (export->block_min - 1)));
	CLAIM(export->size <= INT64_MAX && !(export->size & (export->block_min - 1)));
	CLAIM(export->headers == NBD_HEADERS_SIMPLE ||
	      (export->headers <= wish->headers && export->headers >= wish->least));
	CLAIM(!export->has_allocation || (wish->allocation && export->headers));
}

static int export_each(const char *name, const char *description, void *owner)
{
	unsigned int *count = owner;

	CLAIM(is_clean(name) && is_clean(description));
	CLAIM(strlen(name) <= NBD_MAX_STRING && strlen(description) <= NBD_MAX_STRING);
	++*count;
	return 0;
}

static int context_each(const char *context, void *owner)
{
	return export_each(context, "", owner);
}

/* A question instead of a negotiation. */
static int ask(unsigned int what, struct stream *stream, const struct nbd_uri *uri,
	       const struct nbd_wish *wish, uint64_t deadline, struct nbd_export *export,
	       struct error *error)
{
	static struct nbd_details details;
	struct nbd_haggle h = {
		.stream = stream, .uri = uri, .deadline = deadline, .error = error,
	};
	unsigned int count = 0;
	int code;

	code = nbd_haggle_begin(&h, wish->credentials);
	if (!code && !h.fixed)
		code = error_set(error, -EPROTONOSUPPORT, "too old");
	if (!code)
		code = nbd_haggle_headers(&h, wish, &export->headers);
	if (!code && what == LIST)
		code = nbd_list(&h, export_each, &count);
	if (!code && what == CONTEXTS)
		code = nbd_list_contexts(&h, uri->name, context_each, &count);
	if (!code && what == INFO) {
		nbd_export_init(export);
		code = nbd_haggle_export(&h, NBD_OPT_INFO, uri->name, export, &details);
		if (code > 0)
			code = nbd_haggle_export_name(&h, uri->name, export);
		CLAIM(is_clean(details.name) && is_clean(details.description));
		if (!code)
			code = nbd_haggle_export_check(&h, export);
	}
	CLAIM(count <= NBD_LIST_MAX);
	nbd_haggle_abort(&h);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct nbd_uri uri;
	struct input in = { data, size };
	uint8_t how = input8(&in);
	unsigned int what = how & 3;
	struct nbd_wish wish = {
		.headers = (enum nbd_headers)((how >> 2 & 3) % 3), .allocation = how & 0x10,
	};
	uint64_t deadline = loop_now() + 600000000000;
	struct nbd_export export = { 0 };
	struct error error = { 0 };
	struct stream stream;
	ssize_t wrote;
	int fds[2];
	int code;

	if (!credentials) {
		log_watch();
		credentials_make();
	}
	wish.credentials = credentials;
	uri.tls = how & 0x20;
	uri.transport = NBD_UNIX;
	memset(uri.name, 'n', NBD_MAX_STRING);
	uri.name[how & 0x40 ? NBD_MAX_STRING : 1] = '\0';
	script_make(&in, how & 0x80);
	CLAIM(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	wrote = send(fds[1], said, script.used, MSG_NOSIGNAL);
	CLAIM(wrote >= 0 || errno == EAGAIN);
	shutdown(fds[1], SHUT_WR);
	stream = (struct stream) { .fd = fds[0] };
	if (what == NEGOTIATE)
		code = nbd_handshake(&stream, &uri, &wish, deadline, &export, &error);
	else
		code = ask(what, &stream, &uri, &wish, deadline, &export, &error);
	if (code) {
		error_look(&error, code);
		CLAIM(is_clean(error.text) && code != -ETIMEDOUT);
	} else if (what == NEGOTIATE || what == INFO) {
		export_look(&export, &wish);
	}
	CLAIM(code || !uri.tls || stream.tls);
	tls_session_free(stream.tls);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
