// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages of delta synchronisation on the wire. See message.h.
 */
#include <limits.h>
#include <string.h>

#include "lib/text.h"
#include "nbd/option.h"
#include "sync/message.h"

#define ERRNO_MAX	4095
#define RANGE_BYTES	16u

static const char *const names[] = {
	[SYNC_HELLO] = "HELLO", [SYNC_OPEN] = "OPEN", [SYNC_OPENED] = "OPENED",
	[SYNC_HASH_LIST] = "HASH_LIST", [SYNC_WANT] = "WANT", [SYNC_DATA] = "DATA",
	[SYNC_ZERO] = "ZERO", [SYNC_CREDIT] = "CREDIT", [SYNC_RESIZE] = "RESIZE",
	[SYNC_COMMIT] = "COMMIT", [SYNC_COMMITTED] = "COMMITTED", [SYNC_DIFFERS] = "DIFFERS",
	[SYNC_CLOSE] = "CLOSE", [SYNC_REMOVE] = "REMOVE", [SYNC_ROUND] = "ROUND",
	[SYNC_END] = "END", [SYNC_ALIVE] = "ALIVE", [SYNC_ERROR] = "ERROR",
};

const char *sync_type_name(enum sync_type type)
{
	return (size_t)type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] :
									       "an unknown message";
}

/* --- to bytes ----------------------------------------------------------------------------- */

static size_t payload_bytes(const struct sync_message *m)
{
	switch (m->type) {
	case SYNC_HELLO:
		return 32;
	case SYNC_OPEN:
		return 16 + strlen(m->open.name);
	case SYNC_OPENED:
		return 8;
	case SYNC_HASH_LIST:
		return 12 + (size_t)m->hashes.bytes;
	case SYNC_WANT:
		return 4 + (size_t)m->want.count * RANGE_BYTES;
	case SYNC_DATA:
		return SYNC_DATA_HEAD + (size_t)m->data.length;
	case SYNC_ZERO:
		return 16;
	case SYNC_CREDIT:
		return 4;
	case SYNC_RESIZE:
	case SYNC_ROUND:
		return 8;
	case SYNC_COMMIT:
		return 8 + SYNC_ROOT;
	case SYNC_COMMITTED:
	case SYNC_DIFFERS:
		return SYNC_ROOT;
	case SYNC_REMOVE:
		return strlen(m->open.name);
	case SYNC_ERROR:
		return 4 + strlen(m->error.text);
	case SYNC_CLOSE:
	case SYNC_END:
	case SYNC_ALIVE:
		break;
	}
	return 0;
}

size_t sync_encoded(const struct sync_message *m)
{
	return SYNC_HEADER + payload_bytes(m) - (m->type == SYNC_DATA ? m->data.length : 0);
}

static void encode_hello(const struct sync_message *m, struct nbd_writer *to)
{
	nbd_put64(to, SYNC_MAGIC);
	nbd_put16(to, m->hello.version_min);
	nbd_put16(to, m->hello.version_max);
	nbd_put16(to, m->hello.role);
	nbd_put16(to, m->hello.patience);
	nbd_put32(to, m->hello.features);
	nbd_put(to, m->hello.hashes, SYNC_HASHES);
	nbd_put32(to, m->hello.chunk);
	nbd_put32(to, m->hello.streams);
}

void sync_encode(const struct sync_message *m, char *buf)
{
	struct nbd_writer to = { .buf = buf, .room = sync_encoded(m) };

	nbd_put16(&to, (uint16_t)m->type);
	nbd_put16(&to, 0);
	nbd_put32(&to, m->stream);
	nbd_put32(&to, (uint32_t)payload_bytes(m));
	switch (m->type) {
	case SYNC_HELLO:
		encode_hello(m, &to);
		break;
	case SYNC_OPEN:
		nbd_put16(&to, m->open.kind);
		nbd_put16(&to, 0);
		nbd_put32(&to, m->open.mode);
		nbd_put64(&to, m->open.size);
		nbd_put(&to, m->open.name, strlen(m->open.name));
		break;
	case SYNC_OPENED:
		nbd_put32(&to, m->opened.flags);
		nbd_put32(&to, m->opened.credit);
		break;
	case SYNC_HASH_LIST:
		nbd_put32(&to, m->hashes.list);
		nbd_put64(&to, m->hashes.first);
		nbd_put(&to, m->hashes.hash, m->hashes.bytes);
		break;
	case SYNC_WANT:
		nbd_put32(&to, m->want.list);
		for (uint32_t i = 0; i < m->want.count; i++) {
			nbd_put64(&to, m->want.range[i].first);
			nbd_put64(&to, m->want.range[i].count);
		}
		break;
	case SYNC_DATA:
		nbd_put64(&to, m->data.offset);
		break;
	case SYNC_ZERO:
		nbd_put64(&to, m->zero.offset);
		nbd_put64(&to, m->zero.length);
		break;
	case SYNC_CREDIT:
		nbd_put32(&to, m->credit);
		break;
	case SYNC_ROUND:
		nbd_put64(&to, m->round);
		break;
	case SYNC_RESIZE:
		nbd_put64(&to, m->commit.size);
		break;
	case SYNC_COMMIT:
		nbd_put64(&to, m->commit.size);
		nbd_put(&to, m->commit.root, SYNC_ROOT);
		break;
	case SYNC_COMMITTED:
	case SYNC_DIFFERS:
		nbd_put(&to, m->commit.root, SYNC_ROOT);
		break;
	case SYNC_REMOVE:
		nbd_put(&to, m->open.name, strlen(m->open.name));
		break;
	case SYNC_ERROR:
		nbd_put32(&to, (uint32_t)-m->error.code);
		nbd_put(&to, m->error.text, strlen(m->error.text));
		break;
	case SYNC_CLOSE:
	case SYNC_END:
	case SYNC_ALIVE:
		break;
	}
}

/* --- from bytes --------------------------------------------------------------------------- */

bool sync_decode_header(const char *header, struct sync_message *m, uint32_t *length)
{
	struct nbd_reader from = { .at = header, .left = SYNC_HEADER };
	uint16_t type = nbd_get16(&from), flags = nbd_get16(&from);

	if (type < SYNC_HELLO || type > SYNC_ERROR || flags)
		return false;
	m->type = (enum sync_type)type;
	m->stream = nbd_get32(&from);
	*length = nbd_get32(&from);
	return *length <= (type == SYNC_DATA ? SYNC_DATA_HEAD + SYNC_CHUNK_MAX : SYNC_CONTROL_MAX);
}

/* Is it about a stream, and not about all? An error may be about either. */
static bool of_stream(enum sync_type type)
{
	switch (type) {
	case SYNC_HELLO:
	case SYNC_REMOVE:
	case SYNC_ROUND:
	case SYNC_END:
	case SYNC_ALIVE:
		return false;
	default:
		return true;
	}
}

static bool decode_hello(struct nbd_reader *from, struct sync_message *m)
{
	uint64_t magic = nbd_get64(from);
	const void *hashes;

	m->hello.version_min = nbd_get16(from);
	m->hello.version_max = nbd_get16(from);
	m->hello.role = nbd_get16(from);
	m->hello.patience = nbd_get16(from);
	m->hello.features = nbd_get32(from);
	hashes = nbd_get(from, SYNC_HASHES);
	m->hello.chunk = nbd_get32(from);
	m->hello.streams = nbd_get32(from);
	if (from->failed || magic != SYNC_MAGIC)
		return false;
	memcpy(m->hello.hashes, hashes, SYNC_HASHES);
	return m->hello.version_min && m->hello.version_min <= m->hello.version_max &&
	       (m->hello.role == SYNC_SENDER || m->hello.role == SYNC_RECEIVER);
}

/* All that is left, as a name. */
static bool decode_name(struct nbd_reader *from, char name[SYNC_NAME_MAX + 1])
{
	size_t length = from->left;
	const void *text;

	if (from->failed || !length || length > SYNC_NAME_MAX)
		return false;
	text = nbd_get(from, length);
	if (memchr(text, '\0', length))
		return false;
	memcpy(name, text, length);
	name[length] = '\0';
	return sync_name_valid(name);
}

static bool decode_open(struct nbd_reader *from, struct sync_message *m)
{
	uint16_t reserved;

	m->open.kind = nbd_get16(from);
	reserved = nbd_get16(from);
	m->open.mode = nbd_get32(from);
	m->open.size = nbd_get64(from);
	return !reserved && (m->open.kind == SYNC_FILE || m->open.kind == SYNC_DEVICE) &&
	       m->open.mode <= 07777 && m->open.size <= SYNC_SIZE_MAX &&
	       decode_name(from, m->open.name);
}

static bool decode_hashes(struct nbd_reader *from, struct sync_message *m)
{
	m->hashes.list = nbd_get32(from);
	m->hashes.first = nbd_get64(from);
	m->hashes.bytes = (uint32_t)from->left;
	m->hashes.hash = nbd_get(from, from->left);
	return m->hashes.list >= SYNC_GROUPS && m->hashes.list <= SYNC_STRONG && m->hashes.bytes;
}

static bool decode_want(struct nbd_reader *from, struct sync_message *m)
{
	m->want.list = nbd_get32(from);
	if (m->want.list != SYNC_CHUNKS && m->want.list != SYNC_STRONG)
		return false;
	m->want.count = 0;
	if (!from->left || from->left % RANGE_BYTES || from->left / RANGE_BYTES > SYNC_RANGES_MAX)
		return false;
	while (from->left) {
		struct sync_range *range = &m->want.range[m->want.count++];

		range->first = nbd_get64(from);
		range->count = nbd_get64(from);
		if (!range->count || range->first > SYNC_SIZE_MAX || range->count > SYNC_SIZE_MAX)
			return false;
	}
	return true;
}

static bool decode_root(struct nbd_reader *from, struct sync_message *m)
{
	const void *root = nbd_get(from, SYNC_ROOT);

	if (root)
		memcpy(m->commit.root, root, SYNC_ROOT);
	return root;
}

static bool decode_error(struct nbd_reader *from, struct sync_message *m)
{
	uint32_t code = nbd_get32(from);
	size_t length = from->left;
	const void *text = nbd_get(from, length);

	if (from->failed || !code || code > ERRNO_MAX || length > SYNC_TEXT_MAX ||
	    memchr(text, '\0', length))
		return false;
	m->error.code = -(int)code;
	memcpy(m->error.text, text, length);
	m->error.text[length] = '\0';
	text_clean(m->error.text);
	return true;
}

static bool decode_data(struct nbd_reader *from, struct sync_message *m)
{
	m->data.offset = nbd_get64(from);
	m->data.length = (uint32_t)from->left;
	m->data.bytes = nbd_get(from, from->left);
	return m->data.length && m->data.offset <= SYNC_SIZE_MAX;
}

bool sync_decode(const char *payload, uint32_t length, struct sync_message *m)
{
	struct nbd_reader from = { .at = payload, .left = length };
	bool fine = true;

	if (m->type != SYNC_ERROR && of_stream(m->type) != (m->stream != 0))
		return false;
	switch (m->type) {
	case SYNC_HELLO:
		fine = decode_hello(&from, m);
		break;
	case SYNC_OPEN:
		fine = decode_open(&from, m);
		break;
	case SYNC_OPENED:
		m->opened.flags = nbd_get32(&from);
		m->opened.credit = nbd_get32(&from);
		fine = !(m->opened.flags & ~SYNC_OPENED_EMPTY);
		break;
	case SYNC_HASH_LIST:
		fine = decode_hashes(&from, m);
		break;
	case SYNC_WANT:
		fine = decode_want(&from, m);
		break;
	case SYNC_DATA:
		fine = decode_data(&from, m);
		break;
	case SYNC_ZERO:
		m->zero.offset = nbd_get64(&from);
		m->zero.length = nbd_get64(&from);
		fine = m->zero.length && m->zero.offset <= SYNC_SIZE_MAX &&
		       m->zero.length <= SYNC_SIZE_MAX - m->zero.offset;
		break;
	case SYNC_CREDIT:
		m->credit = nbd_get32(&from);
		break;
	case SYNC_RESIZE:
		m->commit.size = nbd_get64(&from);
		fine = m->commit.size <= SYNC_SIZE_MAX;
		break;
	case SYNC_COMMIT:
		m->commit.size = nbd_get64(&from);
		fine = decode_root(&from, m) && m->commit.size <= SYNC_SIZE_MAX;
		break;
	case SYNC_COMMITTED:
	case SYNC_DIFFERS:
		fine = decode_root(&from, m);
		break;
	case SYNC_REMOVE:
		fine = decode_name(&from, m->open.name);
		break;
	case SYNC_ROUND:
		m->round = nbd_get64(&from);
		break;
	case SYNC_ERROR:
		fine = decode_error(&from, m);
		break;
	case SYNC_CLOSE:
	case SYNC_END:
	case SYNC_ALIVE:
		break;
	}
	return fine && !from.failed && !from.left;
}

bool sync_name_valid(const char *name)
{
	const char *part = name;

	if (strlen(name) > SYNC_NAME_MAX)
		return false;
	for (;;) {
		size_t length = strcspn(part, "/");

		if (!length || length > NAME_MAX || (length <= 2 && !strncmp(part, "..", length)))
			return false;
		if (!part[length])
			return true;
		part += length + 1;
	}
}

uint32_t sync_cost(const struct sync_message *m)
{
	return sync_cost_of(SYNC_HEADER + (uint32_t)payload_bytes(m));
}
