// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files of pre-shared keys: what is understood has keys and names within their bounds, each found
 * by its name; what is not has a sentence with the line's number, and never a key in it.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "tls/psk.h"

static void table_look(const struct psk_table *table)
{
	size_t i, j;

	CLAIM(table->count > 0);
	for (i = 0; i < table->count; i++) {
		const struct psk *psk = &table->entries[i];
		size_t length = strlen(psk->identity);

		CLAIM(length > 0 && length <= PSK_IDENTITY_MAX);
		CLAIM(psk->length >= PSK_KEY_MIN && psk->length <= PSK_KEY_MAX);
		CLAIM(psk_find(table, psk->identity, length) == psk);
		for (j = 0; j < length; j++)
			CLAIM((unsigned char)psk->identity[j] > ' ' && psk->identity[j] != 0x7f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error error = { 0 };
	struct psk_table table;
	static int fd = -1;
	char path[40];
	ssize_t wrote;
	int code;

	if (fd < 0)
		fd = memfd_create("psk", 0);
	wrote = ftruncate(fd, 0) ? -1 : pwrite(fd, data, size, 0);
	CLAIM(wrote == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	code = psk_load(path, &table, &error);
	if (code) {
		error_look(&error, code);
		CLAIM(!table.count && !table.entries && is_clean(error.text));
	} else {
		table_look(&table);
		psk_free(&table);
	}
	return 0;
}
