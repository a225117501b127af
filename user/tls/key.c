// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Records of TLS 1.3 by themselves (RFC 8446, 5.2 to 5.4): see key.h.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "key.h"

/* The library marks its keys as used up a few records before 2^24. */
#define RECORDS_MAX	((UINT64_C(1) << 24) - 4)

bool tls_key_usable(gnutls_session_t gnutls)
{
	if (sym_gnutls_protocol_get_version(gnutls) != GNUTLS_TLS1_3)
		return false;
	switch (sym_gnutls_cipher_get(gnutls)) {
	case GNUTLS_CIPHER_AES_128_GCM:
	case GNUTLS_CIPHER_AES_256_GCM:
	case GNUTLS_CIPHER_CHACHA20_POLY1305:
		return true;
	default:
		return false;
	}
}

int tls_key_take(struct tls_key *key, gnutls_session_t gnutls, bool reading)
{
	gnutls_aead_cipher_hd_t cipher;
	gnutls_datum_t mac, iv, secret;
	unsigned char number[8];
	uint64_t count;

	if (sym_gnutls_record_get_state(gnutls, reading, &mac, &iv, &secret, number) < 0 ||
	    iv.size != sizeof(key->iv))
		return -EIO;
	memcpy(&count, number, sizeof(count));
	/* The IV comes out of the same secret as the key: if it has stayed, so has that. */
	if (!key->cipher || memcmp(key->iv, iv.data, sizeof(key->iv))) {
		if (sym_gnutls_aead_cipher_init(&cipher, sym_gnutls_cipher_get(gnutls), &secret) < 0)
			return -ENOMEM;
		tls_key_free(key);
		key->cipher = cipher;
		memcpy(key->iv, iv.data, sizeof(key->iv));
	}
	key->number = be64toh(count);
	key->limit = sym_gnutls_cipher_get(gnutls) == GNUTLS_CIPHER_CHACHA20_POLY1305 ?
		     UINT64_MAX : RECORDS_MAX;
	return 0;
}

int tls_key_give(const struct tls_key *key, gnutls_session_t gnutls, bool reading)
{
	const uint64_t count = htobe64(key->number);
	unsigned char number[8];

	memcpy(number, &count, sizeof(number));
	return sym_gnutls_record_set_state(gnutls, reading, number) < 0 ? -EIO : 0;
}

void tls_key_free(struct tls_key *key)
{
	if (key->cipher)
		sym_gnutls_aead_cipher_deinit(key->cipher);
	key->cipher = NULL;
}

static void nonce_make(const struct tls_key *key, unsigned char nonce[sizeof(key->iv)])
{
	unsigned int i;

	memcpy(nonce, key->iv, sizeof(key->iv));
	for (i = 0; i < 8; i++)
		nonce[sizeof(key->iv) - 1 - i] ^= (unsigned char)(key->number >> 8 * i);
}

int tls_key_seal(struct tls_key *key, unsigned char *wire, size_t length)
{
	const size_t plain = length + 1;	/* with the type */
	size_t sealed = plain + RECORD_TAG;
	unsigned char nonce[sizeof(key->iv)];

	/* Numbers do not begin again: the same nonce twice gives the key away. */
	if (key->number == UINT64_MAX)
		return -EOVERFLOW;
	nonce_make(key, nonce);
	key->number++;
	wire[0] = RECORD_DATA;
	wire[1] = 3;
	wire[2] = 3;
	wire[3] = (unsigned char)(sealed >> 8);
	wire[4] = (unsigned char)sealed;
	wire[RECORD_HEAD + length] = RECORD_DATA;
	if (sym_gnutls_aead_cipher_encrypt(key->cipher, nonce, sizeof(nonce), wire, RECORD_HEAD,
					   RECORD_TAG, wire + RECORD_HEAD, plain,
					   wire + RECORD_HEAD, &sealed) < 0)
		return -EIO;
	return 0;
}

int tls_key_open(const struct tls_key *key, const unsigned char *wire, size_t length,
		 unsigned char *to, size_t *used)
{
	unsigned char nonce[sizeof(key->iv)];
	size_t plain;

	if (length < RECORD_EXTRA || key->number == UINT64_MAX)
		return -1;
	plain = length - RECORD_HEAD - RECORD_TAG;
	nonce_make(key, nonce);
	if (sym_gnutls_aead_cipher_decrypt(key->cipher, nonce, sizeof(nonce), wire, RECORD_HEAD,
					   RECORD_TAG, wire + RECORD_HEAD, length - RECORD_HEAD,
					   to, &plain) < 0)
		return -1;
	/* Zeroes at the end are padding; the type is what stands before them. */
	while (plain && !to[plain - 1])
		plain--;
	if (!plain)
		return -1;
	*used = plain - 1;
	return to[plain - 1];
}
