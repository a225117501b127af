/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pre-shared keys: a file of lines "identity:key in hexadecimal".
 */
#ifndef R3MAP_TLS_PSK_H
#define R3MAP_TLS_PSK_H

#include <stddef.h>

#include "../lib/error.h"

#define PSK_IDENTITY_MAX	128	/* bytes */
#define PSK_KEY_MIN		16	/* bytes: fewer can be guessed */
#define PSK_KEY_MAX		512

struct psk {
	char *identity;
	unsigned char *key;
	size_t length;		/* bytes of key */
};

struct psk_table {
	struct psk *entries;
	size_t count;
};

/* 0 and at least one entry in @table, or a negative errno with a sentence that names the line. */
int psk_load(const char *path, struct psk_table *table, struct error *error);
/* NULL: not there. @identity need not end with a zero byte. */
const struct psk *psk_find(const struct psk_table *table, const void *identity, size_t length);
/* Wipes the keys. An empty table is fine. */
void psk_free(struct psk_table *table);

#endif
