// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cleaning of text: see text.h. RFC 3629 for what is UTF-8.
 */
#include <stddef.h>
#include <stdint.h>

#include "text.h"

/* Bytes of the printable character at @at, 0: it is none. */
static size_t character(const unsigned char *at)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t code;
	size_t length, i;

	if (*at < 0x80)
		return *at >= ' ' && *at != 0x7f;
	length = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;
	if (*at < 0xc0 || *at > 0xf7)
		return 0;
	code = *at & (0x7fu >> length);
	for (i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)	/* the text's end, too */
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
	    code < 0xa0)
		return 0;
	return length;
}

void text_clean(char *text)
{
	while (*text) {
		size_t length = character((unsigned char *)text);

		if (length)
			text += length;
		else
			*text++ = '?';
	}
}

int text_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
