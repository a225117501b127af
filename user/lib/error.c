// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An error that a user can act on: see error.h.
 *
 * Assumes nothing of its callers but a valid format. Never allocates, so it may be used where
 * memory is short; a text that is too long is cut, with "..." at its end.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

#define PREFIX_LEAST	16	/* bytes: a shorter rest of a prefix says nothing */

static void text_mark_cut(char *text, size_t size)
{
	memcpy(text + size - 4, "...", 4);
}

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list args;
	int length;

	if (!error)
		return code;
	va_start(args, format);
	length = vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	if (length >= (int)sizeof(error->text))
		text_mark_cut(error->text, sizeof(error->text));
	error->code = code;
	return code;
}

int error_prefix(struct error *error, const char *format, ...)
{
	char before[sizeof(error->text)];
	size_t length, used, room;
	va_list args;

	if (!error)
		return 0;
	va_start(args, format);
	vsnprintf(before, sizeof(before), format, args);
	va_end(args);

	length = strlen(error->text);
	used = strlen(before);
	room = sizeof(error->text) - 1 - length;	/* for the prefix and its ": " */
	if (used + 2 > room) {
		if (room < PREFIX_LEAST)
			return error->code;	/* the reason is worth more */
		used = room - 2;
		memcpy(before + used - 3, "...", 3);
	}
	memmove(error->text + used + 2, error->text, length + 1);
	memcpy(error->text, before, used);
	memcpy(error->text + used, ": ", 2);
	return error->code;
}
