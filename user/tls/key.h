/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of one direction of TLS 1.3, and single records that are encrypted with them.
 *
 * They are the library's, lent to this program after the handshake: so records of data need not
 * go through its record layer. That takes and returns memory for each record, reads it with two
 * system calls and writes it with one, and encrypts in two passes where its cipher has a way with
 * one: together more than the cipher itself costs. Everything that is no data is still the
 * library's to send and to understand; for that the record number is given back, and keys and
 * number taken anew afterwards.
 */
#ifndef R3MAP_TLS_KEY_H
#define R3MAP_TLS_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "library.h"

#define RECORD_BYTES_MAX	16384	/* of data */
#define RECORD_HEAD		5
#define RECORD_TAG		16
/* A record of data is longer than the data by so much: head, type, tag. */
#define RECORD_EXTRA		(RECORD_HEAD + 1 + RECORD_TAG)
/* Of a record, as much as the protocol allows; padding can make one of little data as long. */
#define RECORD_WIRE_MAX		(RECORD_HEAD + RECORD_BYTES_MAX + 256)

enum record_type {
	RECORD_ALERT		= 21,
	RECORD_HANDSHAKE	= 22,
	RECORD_DATA		= 23,	/* and what every encrypted record claims to be */
};

struct tls_key {
	gnutls_aead_cipher_hd_t cipher;	/* NULL: the library has this direction for itself */
	unsigned char iv[12];
	uint64_t number;		/* of the next record */
	uint64_t limit;			/* of records to be written: see tls_key_spent() */
};

/* Are the version and the cipher of @gnutls ones that this file knows? */
bool tls_key_usable(gnutls_session_t gnutls);

/* Takes the keys that @gnutls has for reading, or writing, now. 0, or a negative errno. */
int tls_key_take(struct tls_key *key, gnutls_session_t gnutls, bool reading);
/* Tells @gnutls how far the record numbers have got. 0, or a negative errno. */
int tls_key_give(const struct tls_key *key, gnutls_session_t gnutls, bool reading);
/*
 * Is it time for new keys? The library writes from here on, which changes them after so many
 * records as AES-GCM bears (RFC 8446, 5.5).
 */
static inline bool tls_key_spent(const struct tls_key *key)
{
	return key->number >= key->limit;
}

/* Nothing was taken: nothing. */
void tls_key_free(struct tls_key *key);

/*
 * Makes the record of @length bytes that follow its head at @wire: these are encrypted where they
 * are; the record takes RECORD_EXTRA bytes more than they do. 0, or a negative errno: then there
 * is none, and its number must not be used again.
 */
int tls_key_seal(struct tls_key *key, unsigned char *wire, size_t length);

/*
 * Opens the record of @length bytes at @wire, head included, and leaves it as it is. What is in it
 * goes to @to, RECORD_HEAD and RECORD_TAG bytes fewer: data of *@used bytes, then type and padding.
 * What is forged is seen only after it is there. Does not count the record.
 *
 * Returns its type, or -1 if it is not genuine.
 */
int tls_key_open(const struct tls_key *key, const unsigned char *wire, size_t length,
		 unsigned char *to, size_t *used);

#endif
