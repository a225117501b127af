// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control links. See link.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/error.h"
#include "migrate/link.h"
#include "nbd/inquiry.h"
#include "nbd/wait.h"
#include "nl/epoch.h"
#include "tls/session.h"

#define EXTENTS_TOTAL	(16u << 20)	/* of one answer: more make no region */

int link_open(struct link *link, const struct nbd_uri *uri, struct tls_credentials *credentials,
	      uint64_t deadline, struct error *error)
{
	const struct nbd_wish wish = { .credentials = credentials };
	struct nbd_inquiry *inquiry;
	int code;

	code = nbd_inquiry_open(uri, &wish, deadline, &inquiry, error);
	if (code)
		return code;
	code = nbd_inquiry_leave(inquiry, NBD_OPT_MIGRATE, MIGRATE_VERSION, uri->name,
				 &link->stream, error);
	if (code)
		nbd_inquiry_close(inquiry);
	if (code == -EOPNOTSUPP)
		return error_set(error, code, "this server is no seeder: start it with 'r3map seed', or mount it");
	return code;
}

void link_close(struct link *link)
{
	stream_bye(&link->stream);
	nbd_disconnect(&link->stream);
}

static int link_lost(int code, const char *doing, struct error *error)
{
	if (code == -ETIMEDOUT)
		return error_set(error, -ETIMEDOUT, "the other end of the migration does not answer");
	if (code == -ECONNRESET)
		return error_set(error, -ECONNRESET, "the other end of the migration is gone");
	return error_set(error, code, "cannot %s the other end of the migration: %s", doing,
			 strerror(-code));
}

bool link_is_lost(int code)
{
	switch (code) {
	case -ETIMEDOUT:
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -EPIPE:
	case -EPROTO:
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -ECONNABORTED:
		return true;
	default:
		return false;
	}
}

int link_send(struct link *link, const struct migrate_message *message, uint64_t deadline,
	      struct error *error)
{
	size_t length = migrate_encode(message, link->buf);
	int code = nbd_send(&link->stream, link->buf, length, deadline);

	return code ? link_lost(code, "tell", error) : 0;
}

int link_receive(struct link *link, struct migrate_message *message, uint64_t deadline,
		 struct error *error)
{
	uint32_t length;
	int code;

	code = nbd_receive(&link->stream, link->buf, MIGRATE_HEADER, deadline);
	if (code)
		return link_lost(code, "hear", error);
	if (!migrate_decode_header(link->buf, message, &length))
		return error_set(error, -EPROTO, "what the other end sent is no message of a migration");
	code = nbd_receive(&link->stream, link->buf, length, deadline);
	if (code)
		return link_lost(code, "hear", error);
	if (!migrate_decode(link->buf, length, message, link->extents))
		return error_set(error, -EPROTO, "what the other end sent as %s makes no sense",
				 migrate_name(message->type));
	return 0;
}

int link_send_extents(struct link *link, const struct epoch_extents *extents, uint64_t deadline,
		      struct error *error)
{
	unsigned int sent = 0;
	int code;

	do {
		struct migrate_message m = { .type = MIGRATE_EXTENTS };

		m.extents.list = extents->extent + sent;
		m.extents.count = extents->count - sent;
		if (m.extents.count > MIGRATE_EXTENTS_MAX)
			m.extents.count = MIGRATE_EXTENTS_MAX;
		sent += m.extents.count;
		m.more = sent < extents->count;
		code = link_send(link, &m, deadline, error);
	} while (!code && sent < extents->count);
	return code;
}

int link_receive_extents(struct link *link, struct epoch_extents *extents, uint64_t deadline,
			 struct error *error)
{
	struct migrate_message m = { .more = true };
	int code;

	while (m.more) {
		code = link_receive(link, &m, deadline, error);
		if (code)
			return code;
		if (m.type == MIGRATE_ERROR)
			return error_set(error, m.error.code, "%s", m.error.text);
		if (m.type != MIGRATE_EXTENTS || extents->count + m.extents.count > EXTENTS_TOTAL)
			return error_set(error, -EPROTO, "the other end sent %s in place of EXTENTS",
					 migrate_name(m.type));
		if (epoch_extents_add(extents, m.extents.list, m.extents.count))
			return error_set(error, -ENOMEM, "out of memory for what was written");
	}
	return 0;
}

int link_ask(struct link *link, struct migrate_message *message, enum migrate_type type,
	     uint64_t deadline, struct error *error)
{
	int code = link_send(link, message, deadline, error);

	if (!code)
		code = link_receive(link, message, deadline, error);
	if (code)
		return code;
	if (message->type == MIGRATE_ERROR)
		return error_set(error, message->error.code, "%s", message->error.text);
	if (message->type != type)
		return error_set(error, -EPROTO, "the other end answered with %s in place of %s",
				 migrate_name(message->type), migrate_name(type));
	return 0;
}
