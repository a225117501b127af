// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control links. See link.h.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/error.h"
#include "lib/loop.h"
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

	link->lost = false;
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

static int link_lost(struct link *link, int code, const char *doing, struct error *error)
{
	link->lost = true;
	if (code == -ETIMEDOUT)
		return error_set(error, -ETIMEDOUT, "the other end of the migration does not answer");
	if (code == -ECONNRESET)
		return error_set(error, -ECONNRESET, "the other end of the migration is gone");
	return error_set(error, code, "cannot %s the other end of the migration: %s", doing,
			 strerror(-code));
}

static int link_broken(struct link *link, struct error *error, const char *text)
{
	link->lost = true;
	return error_set(error, -EPROTO, "%s", text);
}

bool link_may_open(int code)
{
	switch (code) {
	case -ETIMEDOUT:
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -ENOENT:		/* a socket that its server has not made yet */
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

	return code ? link_lost(link, code, "tell", error) : 0;
}

int link_receive(struct link *link, struct migrate_message *message, uint64_t deadline,
		 struct error *error)
{
	uint32_t length;
	int code;

	code = nbd_receive(&link->stream, link->buf, MIGRATE_HEADER, deadline);
	if (code)
		return link_lost(link, code, "hear", error);
	if (!migrate_decode_header(link->buf, message, &length))
		return link_broken(link, error, "what the other end sent is no message of a migration");
	code = nbd_receive(&link->stream, link->buf, length, deadline);
	if (code)
		return link_lost(link, code, "hear", error);
	if (!migrate_decode(link->buf, length, message, link->extents))
		return link_broken(link, error, "what the other end sent makes no sense");
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
			return link_broken(link, error, "the other end sent something else than EXTENTS");
		if (epoch_extents_append(extents, m.extents.list, m.extents.count)) {
			link->lost = true;	/* what is left of it would be taken for an answer */
			return error_set(error, -ENOMEM, "out of memory for what was written");
		}
		if (m.more && loop_now() > deadline)
			return link_lost(link, -ETIMEDOUT, "hear", error);
	}
	epoch_extents_merge(extents);
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
		return link_broken(link, error, "the other end answered with something else");
	return 0;
}
