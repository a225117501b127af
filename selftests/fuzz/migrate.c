// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control messages of a migration: whatever a peer sends, a header is one or none, and what is behind it
 * is taken apart within its bounds. What was taken says the same when it is written and taken once more.
 *
 * Input: a stream of messages.
 */
#include "fuzz.h"

#include <linux/r3map.h>

#include "migrate/message.h"

static struct r3map_extent room[MIGRATE_EXTENTS_MAX], again[MIGRATE_EXTENTS_MAX];
static char buf[MIGRATE_HEADER + MIGRATE_PAYLOAD_MAX];

static bool extents_same(const struct migrate_message *a, const struct migrate_message *b)
{
	if (a->extents.count != b->extents.count)
		return false;
	for (unsigned int i = 0; i < a->extents.count; i++)
		if (a->extents.list[i].offset != b->extents.list[i].offset ||
		    a->extents.list[i].length != b->extents.list[i].length)
			return false;
	return true;
}

static bool same(const struct migrate_message *a, const struct migrate_message *b)
{
	if (a->type != b->type || a->more != b->more)
		return false;
	switch (a->type) {
	case MIGRATE_EXTENTS:
		return extents_same(a, b);
	case MIGRATE_BITMAP:
		return a->bitmap.offset == b->bitmap.offset && a->bitmap.count == b->bitmap.count;
	case MIGRATE_ERROR:
		return a->error.code == b->error.code && !strcmp(a->error.text, b->error.text);
	case MIGRATE_TRACK:
		return a->track.session == b->track.session && a->track.received == b->track.received;
	case MIGRATE_TRACKED:
		return a->tracked.session == b->tracked.session && a->tracked.size == b->tracked.size &&
		       a->tracked.grain == b->tracked.grain && a->tracked.final == b->tracked.final;
	case MIGRATE_TAKE:
		return a->take.received == b->take.received && a->take.slow == b->take.slow;
	case MIGRATE_FINALIZE:
		return a->finalize.received == b->finalize.received &&
		       a->finalize.deadline == b->finalize.deadline;
	case MIGRATE_FINALIZED:
		return !memcmp(&a->finalized, &b->finalized, sizeof(a->finalized));
	case MIGRATE_COMMIT:
		return !strcmp(a->commit.uri, b->commit.uri);
	case MIGRATE_PROGRESS:
		return a->progress.local == b->progress.local && a->progress.round == b->progress.round;
	default:
		return true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size >= MIGRATE_HEADER) {
		struct migrate_message m = { 0 }, back = { 0 };
		uint32_t length, other;
		char *payload;
		size_t used;

		if (!migrate_decode_header((const char *)data, &m, &length))
			return 0;
		CLAIM(length <= (m.type == MIGRATE_BITMAP ? MIGRATE_BITMAP_HEAD + MIGRATE_WORDS_MAX * 8 :
							    MIGRATE_PAYLOAD_MAX));
		data += MIGRATE_HEADER;
		size -= MIGRATE_HEADER;
		if (length > size)
			return 0;
		payload = bytes_copy(data, length);
		data += length;
		size -= length;
		if (migrate_decode(payload, length, &m, room)) {
			CLAIM(*migrate_name(m.type));
			CLAIM(m.type != MIGRATE_ERROR || (m.error.code < 0 && m.error.code >= -4095));
			used = migrate_encode(&m, buf);
			CLAIM(migrate_decode_header(buf, &back, &other));
			if (m.type == MIGRATE_BITMAP)
				used += m.bitmap.count * sizeof(uint64_t);
			CLAIM(other == used - MIGRATE_HEADER);
			CLAIM(migrate_decode(buf + MIGRATE_HEADER, other, &back, again));
			CLAIM(same(&m, &back));
		}
		free(payload);
	}
	return 0;
}
