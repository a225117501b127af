// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pre-shared keys: see psk.h.
 *
 * Strict: a line that is not understood is told by its number rather than ignored, since an ignored
 * one would only show as a client that cannot connect. Empty lines and lines that start with #
 * are the exceptions; a carriage return at the end of a line is no part of the key.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "psk.h"
#include "../lib/text.h"

/* What is wrong with a line, or NULL. @line: @length bytes; *@colon: where the key begins - 1. */
static const char *line_check(const char *line, size_t length, const char **colon)
{
	size_t digits, i;

	*colon = memchr(line, ':', length);
	if (!*colon || *colon == line)
		return "is not \"identity:key\"";
	if (*colon - line > PSK_IDENTITY_MAX)
		return "has an identity of more than 128 bytes";
	for (i = 0; line + i < *colon; i++)
		if ((unsigned char)line[i] <= ' ' || line[i] == 0x7f)
			return "has a blank or a control character in its identity";
	digits = length - (size_t)(*colon + 1 - line);
	for (i = 0; i < digits; i++)
		if (text_hex_digit((*colon)[1 + i]) < 0)
			return "has a key that is not hexadecimal";
	if (digits % 2)
		return "has a key with an odd number of hexadecimal digits";
	if (digits < 2 * PSK_KEY_MIN)
		return "has a key of less than 16 bytes (32 hexadecimal digits)";
	if (digits > 2 * PSK_KEY_MAX)
		return "has a key of more than 512 bytes";
	return NULL;
}

static int table_add(struct psk_table *table, const char *line, const char *colon,
		     const char *end)
{
	struct psk *entries, *psk;
	size_t i;

	entries = reallocarray(table->entries, table->count + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	table->entries = entries;
	psk = &entries[table->count];
	psk->length = (size_t)(end - colon - 1) / 2;
	psk->identity = strndup(line, (size_t)(colon - line));
	psk->key = malloc(psk->length);
	if (!psk->identity || !psk->key) {
		free(psk->identity);
		free(psk->key);
		return -ENOMEM;
	}
	for (i = 0; i < psk->length; i++)
		psk->key[i] = (unsigned char)(text_hex_digit(colon[1 + 2 * i]) << 4 |
					      text_hex_digit(colon[2 + 2 * i]));
	table->count++;
	return 0;
}

static int text_parse(const char *path, const char *text, size_t size, struct psk_table *table,
		      struct error *error)
{
	const char *line = text, *end = text + size, *next, *stop, *colon, *wrong;
	unsigned int number;
	int code;

	for (number = 1; line < end; number++, line = next) {
		stop = memchr(line, '\n', (size_t)(end - line));
		next = stop ? stop + 1 : end;
		if (!stop)
			stop = end;
		if (stop > line && stop[-1] == '\r')
			stop--;
		if (stop == line || *line == '#')
			continue;
		wrong = line_check(line, (size_t)(stop - line), &colon);
		if (!wrong && psk_find(table, line, (size_t)(colon - line)))
			wrong = "repeats an identity";
		if (wrong)
			return error_set(error, -EINVAL, "line %u of the PSK file %s %s", number,
					 path, wrong);
		code = table_add(table, line, colon, stop);
		if (code)
			return error_set(error, code, "no memory for the PSK file %s", path);
	}
	if (!table->count)
		return error_set(error, -EINVAL,
				 "the PSK file %s has no key: make one with psktool", path);
	return 0;
}

int psk_load(const char *path, struct psk_table *table, struct error *error)
{
	gnutls_datum_t text;
	int code;

	*table = (struct psk_table) { 0 };
	code = file_read(path, &text, error);
	if (code)
		return error_prefix(error, "the PSK file cannot be used");
	code = text_parse(path, (const char *)text.data, text.size, table, error);
	file_free(&text);
	if (code)
		psk_free(table);
	return code;
}

const struct psk *psk_find(const struct psk_table *table, const void *identity, size_t length)
{
	size_t i;

	for (i = 0; i < table->count; i++) {
		const struct psk *psk = &table->entries[i];

		if (strlen(psk->identity) == length && !memcmp(psk->identity, identity, length))
			return psk;
	}
	return NULL;
}

void psk_free(struct psk_table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++) {
		explicit_bzero(table->entries[i].key, table->entries[i].length);
		free(table->entries[i].key);
		free(table->entries[i].identity);
	}
	free(table->entries);
	*table = (struct psk_table) { 0 };
}
