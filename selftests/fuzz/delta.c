// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The messages of delta synchronisation: whatever a peer sends, a header is one or none, and what is behind it is taken
 * apart within its bounds. What was taken has no number out of its range, a name that leads nowhere else,
 * and text that does nothing to a terminal; and it says the same when it is written and taken once more.
 *
 * Input: a stream of messages.
 */
#include "fuzz.h"

#include "sync/message.h"

static struct sync_message m, back;

/* What is promised of each, whoever sent it. */
static void look(uint32_t length)
{
	CLAIM(*sync_type_name(m.type));
	CLAIM(sync_encoded(&m) + (m.type == SYNC_DATA ? m.data.length : 0) == SYNC_HEADER + length);
	CLAIM(sync_cost(&m) >= SYNC_HEADER + length);
	switch (m.type) {
	case SYNC_OPEN:
	case SYNC_REMOVE:
		CLAIM(sync_name_valid(m.open.name));
		CLAIM(m.open.name[0] != '/' && !strstr(m.open.name, "/../") &&
		      strncmp(m.open.name, "../", 3) != 0 && strcmp(m.open.name, "..") != 0);
		break;
	case SYNC_DATA:
		CLAIM(m.data.length && m.data.length <= SYNC_CHUNK_MAX);
		CLAIM(m.data.offset <= SYNC_SIZE_MAX);
		break;
	case SYNC_ZERO:
		CLAIM(m.zero.length && m.zero.offset + m.zero.length <= SYNC_SIZE_MAX);
		break;
	case SYNC_WANT:
		CLAIM(m.want.count && m.want.count <= SYNC_RANGES_MAX);
		break;
	case SYNC_ERROR:
		CLAIM(m.error.code < 0 && m.error.code >= -4095);
		CLAIM(is_clean(m.error.text));
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size >= SYNC_HEADER) {
		uint32_t length, other;
		char *payload, *again;
		size_t used;

		memset(&m, 0, sizeof(m));
		if (!sync_decode_header((const char *)data, &m, &length))
			return 0;
		CLAIM(length <= SYNC_DATA_HEAD + SYNC_CHUNK_MAX);
		data += SYNC_HEADER;
		size -= SYNC_HEADER;
		if (length > size)
			return 0;
		payload = bytes_copy(data, length);
		data += length;
		size -= length;
		if (sync_decode(payload, length, &m)) {
			look(length);
			used = sync_encoded(&m);
			again = malloc(SYNC_HEADER + (size_t)length);
			CLAIM(again);
			sync_encode(&m, again);
			if (m.type == SYNC_DATA)
				memcpy(again + used, m.data.bytes, m.data.length);
			memset(&back, 0, sizeof(back));
			CLAIM(sync_decode_header(again, &back, &other));
			CLAIM(other == length && back.type == m.type && back.stream == m.stream);
			/* An error's text is cleaned, of all others the bytes are the same. */
			if (m.type != SYNC_ERROR)
				CLAIM(!memcmp(again + SYNC_HEADER, payload, length));
			CLAIM(sync_decode(again + SYNC_HEADER, other, &back));
			free(again);
		}
		free(payload);
	}
	return 0;
}
