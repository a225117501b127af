// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages of the handshake: see option.h.
 */
#include <endian.h>
#include <string.h>

#include "option.h"

_Static_assert(sizeof(struct nbd_option_header) == 16, "the wire's size");
_Static_assert(sizeof(struct nbd_option_reply_header) == 20, "the wire's size");

void nbd_put(struct nbd_writer *to, const void *data, size_t length)
{
	if (to->failed || length > to->room - to->used) {
		to->failed = true;
		return;
	}
	if (length)
		memcpy(to->buf + to->used, data, length);
	to->used += length;
}

void nbd_put16(struct nbd_writer *to, uint16_t value)
{
	value = htobe16(value);
	nbd_put(to, &value, sizeof(value));
}

void nbd_put32(struct nbd_writer *to, uint32_t value)
{
	value = htobe32(value);
	nbd_put(to, &value, sizeof(value));
}

void nbd_put64(struct nbd_writer *to, uint64_t value)
{
	value = htobe64(value);
	nbd_put(to, &value, sizeof(value));
}

void nbd_put_string(struct nbd_writer *to, const char *text)
{
	size_t length = strlen(text);

	nbd_put32(to, (uint32_t)length);
	nbd_put(to, text, length);
}

const void *nbd_get(struct nbd_reader *from, size_t length)
{
	const char *at = from->at;

	if (from->failed || length > from->left) {
		from->failed = true;
		return NULL;
	}
	from->at += length;
	from->left -= length;
	return at;
}

uint16_t nbd_get16(struct nbd_reader *from)
{
	const void *at = nbd_get(from, sizeof(uint16_t));
	uint16_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return be16toh(value);
}

uint32_t nbd_get32(struct nbd_reader *from)
{
	const void *at = nbd_get(from, sizeof(uint32_t));
	uint32_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

uint64_t nbd_get64(struct nbd_reader *from)
{
	const void *at = nbd_get(from, sizeof(uint64_t));
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

void nbd_get_string(struct nbd_reader *from, char text[NBD_MAX_STRING + 1])
{
	uint32_t length = nbd_get32(from);
	const void *at;

	text[0] = '\0';
	if (length > NBD_MAX_STRING) {
		from->failed = true;
		return;
	}
	at = nbd_get(from, length);
	if (!at || (length && memchr(at, '\0', length))) {
		from->failed = true;
		return;
	}
	if (length)
		memcpy(text, at, length);
	text[length] = '\0';
}

size_t nbd_option_begin(struct nbd_writer *to, uint32_t option)
{
	size_t begin = to->used;

	nbd_put64(to, NBD_IHAVEOPT);
	nbd_put32(to, option);
	nbd_put32(to, 0);
	return begin;
}

size_t nbd_option_reply_begin(struct nbd_writer *to, uint32_t option, uint32_t type)
{
	size_t begin = to->used;

	nbd_put64(to, NBD_REP_MAGIC);
	nbd_put32(to, option);
	nbd_put32(to, type);
	nbd_put32(to, 0);
	return begin;
}

/* The length is the last field of either header. */
static void length_fill(struct nbd_writer *to, size_t data)
{
	uint32_t length;

	if (to->failed)
		return;
	length = htobe32((uint32_t)(to->used - data));
	memcpy(to->buf + data - sizeof(length), &length, sizeof(length));
}

void nbd_option_end(struct nbd_writer *to, size_t begin)
{
	length_fill(to, begin + sizeof(struct nbd_option_header));
}

void nbd_option_reply_end(struct nbd_writer *to, size_t begin)
{
	length_fill(to, begin + sizeof(struct nbd_option_reply_header));
}

const char *nbd_option_name(uint32_t option)
{
	switch (option) {
	case NBD_OPT_EXPORT_NAME:	return "EXPORT_NAME";
	case NBD_OPT_ABORT:		return "ABORT";
	case NBD_OPT_LIST:		return "LIST";
	case NBD_OPT_STARTTLS:		return "STARTTLS";
	case NBD_OPT_INFO:		return "INFO";
	case NBD_OPT_GO:		return "GO";
	case NBD_OPT_STRUCTURED_REPLY:	return "STRUCTURED_REPLY";
	case NBD_OPT_LIST_META_CONTEXT:	return "LIST_META_CONTEXT";
	case NBD_OPT_SET_META_CONTEXT:	return "SET_META_CONTEXT";
	case NBD_OPT_EXTENDED_HEADERS:	return "EXTENDED_HEADERS";
	case NBD_OPT_MIGRATE:		return "MIGRATE";
	default:			return NULL;
	}
}
