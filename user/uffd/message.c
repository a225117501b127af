// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages of userfaultfd as bytes. See message.h.
 */
#include <errno.h>
#include <string.h>

#include "lib/error.h"
#include "lib/text.h"
#include "nbd/option.h"
#include "uffd/message.h"

#define ERRNO_MAX	4095

/* --- to bytes ----------------------------------------------------------------------------- */

static void encode_regions(const struct uffd_message *m, struct nbd_writer *to)
{
	nbd_put32(to, m->regions.mode);
	nbd_put32(to, m->regions.count);
	for (unsigned int i = 0; i < m->regions.count; i++) {
		nbd_put64(to, m->regions.list[i].address);
		nbd_put64(to, m->regions.list[i].length);
		nbd_put64(to, m->regions.list[i].offset);
	}
}

static void encode_written(const struct uffd_message *m, struct nbd_writer *to)
{
	nbd_put32(to, m->written.more);
	nbd_put32(to, m->written.count);
	for (unsigned int i = 0; i < m->written.count; i++) {
		nbd_put64(to, m->written.list[i].offset);
		nbd_put64(to, m->written.list[i].length);
	}
}

size_t uffd_encode(const struct uffd_message *m, char *buf)
{
	struct nbd_writer to = { .buf = buf, .room = UFFD_MESSAGE_MAX };

	nbd_put32(&to, UFFD_MAGIC);
	nbd_put16(&to, UFFD_VERSION);
	nbd_put16(&to, (uint16_t)m->type);
	switch (m->type) {
	case UFFD_HELLO:
		nbd_put64(&to, m->hello.size);
		nbd_put32(&to, m->hello.page);
		nbd_put32(&to, m->hello.chunk);
		nbd_put32(&to, m->hello.flags);
		break;
	case UFFD_REGISTER:
		encode_regions(m, &to);
		break;
	case UFFD_FAILED:
	case UFFD_FETCHED:
		nbd_put64(&to, m->range.offset);
		nbd_put64(&to, m->range.length);
		nbd_put32(&to, (uint32_t)-m->range.code);
		break;
	case UFFD_FETCH:
		nbd_put64(&to, m->range.offset);
		break;
	case UFFD_WRITTEN:
		encode_written(m, &to);
		break;
	case UFFD_ERROR:
	case UFFD_SYNCED:
		nbd_put32(&to, (uint32_t)-m->outcome.code);
		nbd_put(&to, m->outcome.text, strlen(m->outcome.text));
		break;
	case UFFD_READY:
	case UFFD_PING:
	case UFFD_PONG:
		break;
	}
	return to.used;
}

/* --- from bytes --------------------------------------------------------------------------- */

static bool is_power(uint32_t value)
{
	return value && !(value & (value - 1));
}

static bool wraps(uint64_t offset, uint64_t length)
{
	return !length || offset + length < offset;
}

static bool decode_hello(struct nbd_reader *from, struct uffd_hello *hello)
{
	hello->size = nbd_get64(from);
	hello->page = nbd_get32(from);
	hello->chunk = nbd_get32(from);
	hello->flags = nbd_get32(from);
	return hello->size && hello->size <= UFFD_ADDRESS_MAX && is_power(hello->page) &&
	       hello->page >= 4096 && is_power(hello->chunk) && hello->chunk >= hello->page &&
	       !(hello->flags & ~UFFD_FLAGS) &&
	       (!(hello->flags & UFFD_DIRTY) || hello->flags & UFFD_SHARED);
}

static bool decode_regions(struct nbd_reader *from, struct uffd_message *m)
{
	m->regions.mode = nbd_get32(from);
	m->regions.count = nbd_get32(from);
	if (from->failed || !m->regions.count || m->regions.count > UFFD_REGIONS_MAX ||
	    from->left != m->regions.count * 24ull ||
	    (m->regions.mode != UFFD_MODE_FAULTS && m->regions.mode != UFFD_MODE_SIGNALS))
		return false;
	for (unsigned int i = 0; i < m->regions.count; i++) {
		struct uffd_region *region = &m->regions.list[i];

		region->address = nbd_get64(from);
		region->length = nbd_get64(from);
		region->offset = nbd_get64(from);
		if (!region->address || wraps(region->address, region->length) ||
		    region->address + region->length > UFFD_ADDRESS_MAX ||
		    wraps(region->offset, region->length))
			return false;
	}
	return true;
}

static bool decode_range(struct nbd_reader *from, struct uffd_message *m)
{
	uint32_t code;

	m->range.offset = nbd_get64(from);
	m->range.length = nbd_get64(from);
	code = nbd_get32(from);
	if (code > ERRNO_MAX || wraps(m->range.offset, m->range.length))
		return false;
	m->range.code = -(int)code;
	return code || m->type != UFFD_FAILED;
}

static bool decode_written(struct nbd_reader *from, struct uffd_message *m)
{
	uint32_t more = nbd_get32(from);

	m->written.count = nbd_get32(from);
	if (from->failed || more > 1 || m->written.count > UFFD_EXTENTS_MAX ||
	    from->left != m->written.count * 16ull)
		return false;
	m->written.more = more;
	for (unsigned int i = 0; i < m->written.count; i++) {
		struct uffd_extent *extent = &m->written.list[i];

		extent->offset = nbd_get64(from);
		extent->length = nbd_get64(from);
		if (wraps(extent->offset, extent->length))
			return false;
	}
	return true;
}

static bool decode_outcome(struct nbd_reader *from, struct uffd_message *m)
{
	uint32_t code = nbd_get32(from);
	const size_t length = from->left;
	const char *text = nbd_get(from, length);

	if (from->failed || code > ERRNO_MAX || length > UFFD_TEXT_MAX ||
	    memchr(text, '\0', length) || (!code && m->type == UFFD_ERROR))
		return false;
	m->outcome.code = -(int)code;
	memcpy(m->outcome.text, text, length);
	m->outcome.text[length] = '\0';
	text_clean(m->outcome.text);
	return true;
}

bool uffd_decode(const char *buf, size_t length, struct uffd_message *m)
{
	struct nbd_reader from = { .at = buf, .left = length };
	bool fine = nbd_get32(&from) == UFFD_MAGIC && nbd_get16(&from) == UFFD_VERSION;

	m->type = nbd_get16(&from);
	if (!fine || from.failed)
		return false;
	switch (m->type) {
	case UFFD_HELLO:
		fine = decode_hello(&from, &m->hello);
		break;
	case UFFD_REGISTER:
		fine = decode_regions(&from, m);
		break;
	case UFFD_FAILED:
	case UFFD_FETCHED:
		fine = decode_range(&from, m);
		break;
	case UFFD_FETCH:
		m->range.offset = nbd_get64(&from);
		break;
	case UFFD_WRITTEN:
		fine = decode_written(&from, m);
		break;
	case UFFD_ERROR:
	case UFFD_SYNCED:
		fine = decode_outcome(&from, m);
		break;
	case UFFD_READY:
	case UFFD_PING:
	case UFFD_PONG:
		break;
	default:
		return false;
	}
	return fine && !from.failed && !from.left;
}

/* --- what is in them ---------------------------------------------------------------------- */

uint64_t uffd_round(uint64_t bytes, uint32_t page)
{
	return (bytes + page - 1) & ~(uint64_t)(page - 1);
}

static bool overlap(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
	return a < b + b_length && b < a + a_length;
}

int uffd_regions_check(const struct uffd_message *m, const struct uffd_hello *hello,
		       struct error *error)
{
	const uint64_t size = uffd_round(hello->size, hello->page), rest = hello->page - 1;

	for (unsigned int i = 0; i < m->regions.count; i++) {
		const struct uffd_region *a = &m->regions.list[i];

		if ((a->address | a->length | a->offset) & rest)
			return error_set(error, -EINVAL,
					 "region %u is not whole pages of %u bytes: offset and length have to be",
					 i, hello->page);
		if (a->length > size || a->offset > size - a->length)
			return error_set(error, -EINVAL,
					 "region %u ends behind the end of the backend", i);
		for (unsigned int j = 0; j < i; j++) {
			const struct uffd_region *b = &m->regions.list[j];

			if (overlap(a->address, a->length, b->address, b->length) ||
			    overlap(a->offset, a->length, b->offset, b->length))
				return error_set(error, -EINVAL,
						 "regions %u and %u overlap: open them one by one", j, i);
		}
	}
	return 0;
}

unsigned int uffd_descriptors(const struct uffd_message *m, const struct uffd_hello *hello)
{
	return m->regions.mode == UFFD_MODE_SIGNALS || hello->flags & UFFD_SHARED ? 2 : 1;
}
