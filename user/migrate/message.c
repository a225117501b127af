// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control messages on the wire. See message.h.
 */
#include <errno.h>
#include <linux/r3map.h>
#include <string.h>

#include "lib/text.h"
#include "migrate/message.h"
#include "nbd/option.h"

#define ERRNO_MAX	4095

/* --- to bytes ----------------------------------------------------------------------------- */

static void encode_extents(const struct migrate_message *m, struct nbd_writer *to)
{
	for (unsigned int i = 0; i < m->extents.count; i++) {
		nbd_put64(to, m->extents.list[i].offset);
		nbd_put64(to, m->extents.list[i].length);
	}
}

static void encode_payload(const struct migrate_message *m, struct nbd_writer *to)
{
	switch (m->type) {
	case MIGRATE_TRACK:
		nbd_put64(to, m->track.session);
		nbd_put32(to, m->track.received);
		break;
	case MIGRATE_TAKE:
		nbd_put32(to, m->take.received);
		nbd_put32(to, m->take.slow);
		break;
	case MIGRATE_FINALIZE:
		nbd_put32(to, m->finalize.received);
		nbd_put32(to, m->finalize.deadline);
		break;
	case MIGRATE_COMMIT:
		nbd_put(to, m->commit.uri, strlen(m->commit.uri));
		break;
	case MIGRATE_PROGRESS:
		nbd_put64(to, m->progress.local);
		nbd_put32(to, m->progress.round);
		break;
	case MIGRATE_ERROR:
		nbd_put32(to, (uint32_t)-m->error.code);
		nbd_put(to, m->error.text, strlen(m->error.text));
		break;
	case MIGRATE_TRACKED:
		nbd_put64(to, m->tracked.session);
		nbd_put64(to, m->tracked.size);
		nbd_put32(to, m->tracked.grain);
		nbd_put32(to, m->tracked.final);
		break;
	case MIGRATE_EXTENTS:
		encode_extents(m, to);
		break;
	case MIGRATE_BITMAP:
		nbd_put64(to, m->bitmap.offset);
		break;
	case MIGRATE_FINALIZED:
		nbd_put64(to, m->finalized.suspend);
		nbd_put64(to, m->finalized.freeze);
		nbd_put64(to, m->finalized.drain);
		nbd_put64(to, m->finalized.held);
		break;
	default:
		break;
	}
}

size_t migrate_encode(const struct migrate_message *m, char *buf)
{
	struct nbd_writer to = { .buf = buf, .room = MIGRATE_HEADER + MIGRATE_PAYLOAD_MAX };
	size_t end, words = m->type == MIGRATE_BITMAP ? m->bitmap.count * sizeof(uint64_t) : 0;

	nbd_put32(&to, MIGRATE_MAGIC);
	nbd_put16(&to, (uint16_t)m->type);
	nbd_put16(&to, m->type == MIGRATE_EXTENTS && m->more ? MIGRATE_MORE : 0);
	nbd_put32(&to, 0);
	encode_payload(m, &to);
	end = to.used;
	to.used = MIGRATE_HEADER - sizeof(uint32_t);
	nbd_put32(&to, (uint32_t)(end - MIGRATE_HEADER + words));
	return end;
}

/* --- from bytes --------------------------------------------------------------------------- */

bool migrate_decode_header(const char *header, struct migrate_message *m, uint32_t *length)
{
	struct nbd_reader from = { .at = header, .left = MIGRATE_HEADER };
	uint32_t magic = nbd_get32(&from), most = MIGRATE_PAYLOAD_MAX;
	uint16_t flags;

	m->type = nbd_get16(&from);
	flags = nbd_get16(&from);
	*length = nbd_get32(&from);
	m->more = flags & MIGRATE_MORE;
	if (m->type == MIGRATE_BITMAP)
		most = MIGRATE_BITMAP_HEAD + MIGRATE_WORDS_MAX * sizeof(uint64_t);
	return magic == MIGRATE_MAGIC && !(flags & ~MIGRATE_MORE) && *length <= most &&
	       (!m->more || m->type == MIGRATE_EXTENTS);
}

static bool decode_extents(struct nbd_reader *from, struct migrate_message *m,
			   struct r3map_extent *room)
{
	unsigned int count = (unsigned int)(from->left / 16);

	if (from->left % 16)
		return false;
	for (unsigned int i = 0; i < count; i++) {
		uint64_t offset = nbd_get64(from), length = nbd_get64(from);

		if (!length || offset + length < offset)
			return false;
		room[i] = (struct r3map_extent) { .offset = offset, .length = length };
	}
	m->extents.list = room;
	m->extents.count = count;
	return true;
}

static bool decode_bitmap(struct nbd_reader *from, struct migrate_message *m)
{
	m->bitmap.offset = nbd_get64(from);
	m->bitmap.count = (unsigned int)(from->left / sizeof(uint64_t));
	return !from->failed && m->bitmap.count && m->bitmap.count <= MIGRATE_WORDS_MAX &&
	       !(from->left % sizeof(uint64_t));
}

static bool decode_error(struct nbd_reader *from, struct migrate_message *m)
{
	uint32_t code = nbd_get32(from);
	size_t length = from->left;

	if (from->failed || !code || code > ERRNO_MAX || length > MIGRATE_TEXT_MAX)
		return false;
	m->error.code = -(int)code;
	memcpy(m->error.text, nbd_get(from, length), length);
	m->error.text[length] = '\0';
	text_clean(m->error.text);
	return true;
}

/* It is shown to people, as a word of a command: nothing that a shell would take for anything else. */
static bool decode_commit(struct nbd_reader *from, struct migrate_message *m)
{
	static const char fine[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?[]@=%&+,";
	size_t length = from->left;

	if (length > MIGRATE_URI_MAX)
		return false;
	memcpy(m->commit.uri, nbd_get(from, length), length);
	m->commit.uri[length] = '\0';
	return strspn(m->commit.uri, fine) == length;
}

bool migrate_decode(const char *payload, uint32_t length, struct migrate_message *m,
		    struct r3map_extent *room)
{
	struct nbd_reader from = { .at = payload, .left = length };

	switch (m->type) {
	case MIGRATE_TRACK:
		m->track.session = nbd_get64(&from);
		m->track.received = nbd_get32(&from);
		break;
	case MIGRATE_TAKE:
		m->take.received = nbd_get32(&from);
		m->take.slow = nbd_get32(&from);
		break;
	case MIGRATE_FINALIZE:
		m->finalize.received = nbd_get32(&from);
		m->finalize.deadline = nbd_get32(&from);
		break;
	case MIGRATE_PROGRESS:
		m->progress.local = nbd_get64(&from);
		m->progress.round = nbd_get32(&from);
		break;
	case MIGRATE_ERROR:
		return decode_error(&from, m);
	case MIGRATE_TRACKED:
		m->tracked.session = nbd_get64(&from);
		m->tracked.size = nbd_get64(&from);
		m->tracked.grain = nbd_get32(&from);
		m->tracked.final = nbd_get32(&from);
		break;
	case MIGRATE_EXTENTS:
		return decode_extents(&from, m, room);
	case MIGRATE_BITMAP:
		return decode_bitmap(&from, m);
	case MIGRATE_FINALIZED:
		m->finalized.suspend = nbd_get64(&from);
		m->finalized.freeze = nbd_get64(&from);
		m->finalized.drain = nbd_get64(&from);
		m->finalized.held = nbd_get64(&from);
		break;
	case MIGRATE_COMMIT:
		return decode_commit(&from, m);
	case MIGRATE_ABORT:
	case MIGRATE_DONE:
	case MIGRATE_OK:
		break;
	default:
		return false;
	}
	return !from.failed && !from.left;
}

const char *migrate_name(enum migrate_type type)
{
	switch (type) {
	case MIGRATE_TRACK:
		return "TRACK";
	case MIGRATE_TAKE:
		return "TAKE";
	case MIGRATE_FINALIZE:
		return "FINALIZE";
	case MIGRATE_COMMIT:
		return "COMMIT";
	case MIGRATE_ABORT:
		return "ABORT";
	case MIGRATE_DONE:
		return "DONE";
	case MIGRATE_PROGRESS:
		return "PROGRESS";
	case MIGRATE_OK:
		return "OK";
	case MIGRATE_ERROR:
		return "ERROR";
	case MIGRATE_TRACKED:
		return "TRACKED";
	case MIGRATE_EXTENTS:
		return "EXTENTS";
	case MIGRATE_FINALIZED:
		return "FINALIZED";
	case MIGRATE_BITMAP:
		return "BITMAP";
	}
	return "an unknown message";
}
