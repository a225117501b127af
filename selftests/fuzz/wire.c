// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The codec that both ends share: whatever is decoded encodes to the same bytes again, nothing is
 * read behind an end, and which pieces of a READ have come agrees with a map of its bytes.
 */
#include "fuzz.h"

#include "lib/text.h"
#include "nbd/cover.h"
#include "nbd/option.h"
#include "nbd/reply.h"

static void request_look(struct input *in)
{
	enum nbd_headers headers = input8(in) % 3;
	size_t size = nbd_request_size(headers);
	char wire[NBD_REQUEST_MAX] = { 0 }, again[NBD_REQUEST_MAX];
	struct nbd_call call;
	const uint8_t *from;
	size_t got;

	from = input_bytes(in, size, &got);
	if (got)
		memcpy(wire, from, got);
	if (nbd_request_decode(headers, wire, &call)) {
		nbd_request_encode(headers, &call, again);
		CLAIM(!memcmp(wire, again, size));
	}
}

static void reply_look(struct input *in)
{
	enum nbd_headers headers = input8(in) % 3;
	struct nbd_reply reply;
	char again[NBD_REPLY_MAX];
	size_t size;
	char *exact;
	int length;

	size = input8(in) % (NBD_REPLY_MAX + 1);
	if (size > in->left)
		size = in->left;
	exact = malloc(size + 1);	/* a header that is cut must not be read to its end */
	CLAIM(exact);
	exact = realloc(exact, size ? size : 1);
	CLAIM(exact);
	if (size)
		memcpy(exact, in->at, size);
	in->at += size;
	in->left -= size;
	length = nbd_reply_decode(headers, exact, size, &reply);
	CLAIM(length == -EPROTO || (length >= 0 && (size_t)length <= size));
	if (length > 0 && reply.simple) {
		nbd_simple_reply_encode(reply.cookie, reply.error, again);
		CLAIM(length == sizeof(struct nbd_simple_reply));
		CLAIM(!memcmp(exact, again, (size_t)length));
	} else if (length > 0) {
		CLAIM(nbd_chunk_encode(headers, &reply, again) == (size_t)length);
		CLAIM(!memcmp(exact, again, (size_t)length));
	}
	free(exact);
}

static void payloads_look(struct input *in)
{
	char wire[NBD_EXTENT_EXT_SIZE] = { 0 }, again[NBD_EXTENT_EXT_SIZE];
	uint64_t offset, length, flags;
	uint32_t hole;
	const uint8_t *from;
	bool extended;
	size_t got;

	extended = input8(in) & 1;
	from = input_bytes(in, sizeof(wire), &got);
	if (got)
		memcpy(wire, from, got);
	nbd_hole_decode(wire, &offset, &hole);
	nbd_hole_encode(offset, hole, again);
	CLAIM(!memcmp(wire, again, NBD_HOLE_SIZE));
	nbd_extent_decode(extended, wire, &length, &flags);
	nbd_extent_encode(extended, length, flags, again);
	CLAIM(!memcmp(wire, again, extended ? NBD_EXTENT_EXT_SIZE : NBD_EXTENT_SIZE));
}

static void error_chunk_look(struct input *in)
{
	uint16_t type = input8(in) & 1 ? NBD_REPLY_TYPE_ERROR : NBD_REPLY_TYPE_ERROR_OFFSET;
	char text[NBD_ERROR_TEXT];
	size_t length = in->left;
	uint64_t offset = 0;
	uint32_t error;
	char *exact;

	exact = malloc(length ? length : 1);
	CLAIM(exact);
	if (length)
		memcpy(exact, in->at, length);
	in->left = 0;
	if (nbd_error_decode(type, exact, length, &error, text, &offset)) {
		CLAIM(is_clean(text) && strlen(text) < sizeof(text));
		CLAIM(nbd_errno(error) <= 0);
		CLAIM(!error == !nbd_errno(error));
		CLAIM(!nbd_error_decode(type, exact, 5, &error, NULL, &offset));
	}
	free(exact);
}

static void option_look(struct input *in)
{
	char buf[600], text[NBD_MAX_STRING + 1];
	struct nbd_writer to = { .buf = buf, .room = input16(in) % sizeof(buf) };
	struct nbd_reader from;
	size_t begin, used, length;
	char *string;

	begin = nbd_option_begin(&to, 7);
	string = input_string(in);
	length = strlen(string);
	nbd_put_string(&to, string);
	nbd_option_end(&to, begin);
	used = to.used;
	CLAIM(used <= to.room);
	CLAIM(to.failed == (sizeof(struct nbd_option_header) + 4 + length > to.room));
	if (!to.failed) {
		from = (struct nbd_reader) { .at = buf, .left = used };
		CLAIM(nbd_get64(&from) == NBD_IHAVEOPT && nbd_get32(&from) == 7);
		CLAIM(nbd_get32(&from) == 4 + length);
		nbd_get_string(&from, text);
		CLAIM(!from.failed && !from.left && !strcmp(text, string));
		nbd_get16(&from);
		CLAIM(from.failed && !nbd_get(&from, 0));
	}
	free(string);
}

static void string_look(struct input *in)
{
	char text[NBD_MAX_STRING + 1];
	struct nbd_reader from;
	size_t left = in->left;
	char *exact;

	exact = malloc(left ? left : 1);
	CLAIM(exact);
	if (left)
		memcpy(exact, in->at, left);
	in->left = 0;
	from = (struct nbd_reader) { .at = exact, .left = left };
	while (!from.failed && from.left) {
		nbd_get_string(&from, text);
		CLAIM(from.left <= left);
		CLAIM(strlen(text) <= NBD_MAX_STRING);
	}
	free(exact);
}

static void text_look(struct input *in)
{
	char *text = input_string(in), *again;
	size_t length = strlen(text);

	text_clean(text);
	CLAIM(strlen(text) == length && is_clean(text));
	again = strdup(text);
	CLAIM(again);
	text_clean(again);
	CLAIM(!strcmp(text, again));
	free(again);
	free(text);
}

static void cover_look(struct input *in)
{
	struct nbd_cover cover = { .used = 0 };
	bool map[256] = { false };

	while (in->left) {
		uint32_t from = input8(in), to = from + 1 + input8(in), i, pieces = 0;
		bool overlap = false, whole = true;
		int code;

		if (to > sizeof(map))
			to = sizeof(map);
		for (i = from; i < to; i++)
			overlap |= map[i];
		code = nbd_cover_add(&cover, from, to);
		CLAIM(overlap == (code == -EEXIST));
		for (i = from; !code && i < to; i++)
			map[i] = true;
		for (i = 0; i < sizeof(map); i++) {
			pieces += map[i] && (!i || !map[i - 1]);
			whole &= map[i];
		}
		CLAIM(cover.used == pieces && pieces <= NBD_COVER_PIECES);
		CLAIM(code != -ENOSPC || pieces == NBD_COVER_PIECES);
		CLAIM(nbd_cover_whole(&cover, sizeof(map)) == whole);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const looks[])(struct input *in) = {
		request_look, reply_look, payloads_look, error_chunk_look, option_look, string_look,
		text_look, cover_look,
	};
	struct input in = { data, size };

	looks[input8(&in) % (sizeof(looks) / sizeof(looks[0]))](&in);
	return 0;
}
