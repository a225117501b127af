// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hashes of chunks. See hash.h.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Its code is in the header: nothing to be loaded at each start of the program. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/error.h"
#include "sync/blake2s.h"
#include "sync/crc32c.h"
#include "sync/hash.h"
#include "tls/library.h"

const char *const sync_hash_words[] = { "xxh3", "sha256", "crc32c", "blake2", NULL };

uint32_t sync_hash_bytes(unsigned int hash)
{
	switch (hash) {
	case SYNC_XXH3:
		return sizeof(XXH128_canonical_t);
	case SYNC_SHA256:
	case SYNC_BLAKE2:
		return SYNC_HASH_MAX;
	case SYNC_CRC32C:
		return sizeof(uint32_t);
	}
	return 0;
}

void hashing_strong(const struct hashing *hashing, const void *data, size_t length,
		    unsigned char *out)
{
	if (hashing->hash != SYNC_SHA256)
		blake2s(data, length, out);
	/* It fails for want of memory only. What is compared then is no hash of anything. */
	else if (sym_gnutls_hash_fast(GNUTLS_DIG_SHA256, data, length, out) < 0)
		abort();
}

void hashing_fast(const struct hashing *hashing, const void *data, size_t length,
		  unsigned char *out)
{
	unsigned char strong[SYNC_ROOT];
	XXH128_canonical_t canonical;
	uint32_t crc;

	switch (hashing->hash) {
	case SYNC_XXH3:
		XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, length));
		memcpy(out, &canonical, sizeof(canonical));
		return;
	case SYNC_CRC32C:
		crc = htobe32(crc32c(data, length));
		memcpy(out, &crc, sizeof(crc));
		return;
	case SYNC_SHA256:
	case SYNC_BLAKE2:
		hashing_strong(hashing, data, length, strong);
		memcpy(out, strong, hashing->bytes);
	}
}

void hashing_both(const struct hashing *hashing, const void *data, size_t length,
		  unsigned char *fast, unsigned char *strong)
{
	hashing_strong(hashing, data, length, strong);
	if (hashing->one)
		memcpy(fast, strong, hashing->bytes);
	else
		hashing_fast(hashing, data, length, fast);
}

int hashing_init(struct hashing *hashing, enum sync_hash hash, uint32_t chunk, struct error *error)
{
	void *zeroes;
	int code = hash == SYNC_SHA256 ? tls_library_load(error) : 0;

	if (code)
		return code;
	*hashing = (struct hashing) {
		.hash = hash, .bytes = sync_hash_bytes(hash), .chunk = chunk,
		.one = hash == SYNC_SHA256 || hash == SYNC_BLAKE2,
	};
	zeroes = calloc(1, chunk);
	if (!zeroes)
		return error_set(error, -ENOMEM, "out of memory");
	hashing_both(hashing, zeroes, chunk, hashing->zero, hashing->zero_strong);
	free(zeroes);
	return 0;
}

void hashing_root(const struct hashing *hashing, uint64_t size, const unsigned char *strong,
		  uint64_t chunks, unsigned char root[SYNC_ROOT])
{
	const uint64_t wire_size = htobe64(size);
	const uint32_t wire_chunk = htobe32(hashing->chunk);
	unsigned char all[sizeof(wire_size) + sizeof(wire_chunk) + SYNC_ROOT];

	memcpy(all, &wire_size, sizeof(wire_size));
	memcpy(all + sizeof(wire_size), &wire_chunk, sizeof(wire_chunk));
	/* Without a chunk there need be no table, and nothing is read of what stands in for it. */
	hashing_strong(hashing, chunks ? strong : all, chunks * SYNC_ROOT,
		       all + sizeof(all) - SYNC_ROOT);
	hashing_strong(hashing, all, sizeof(all), root);
}

char *hash_text(const unsigned char root[SYNC_ROOT], char text[2 * SYNC_ROOT + 1])
{
	for (unsigned int i = 0; i < SYNC_ROOT; i++)
		snprintf(text + 2 * i, 3, "%02x", root[i]);
	return text;
}

bool bytes_zero(const void *data, size_t length)
{
	const char *bytes = data;

	return !*bytes && !memcmp(bytes, bytes + 1, length - 1);
}
