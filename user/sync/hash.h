/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hashes of chunks, and of a whole region.
 *
 * Two ends compare chunks by a short hash that they agree on. It may take two chunks for the same
 * that are not, xxh3 by somebody's intention, crc32c by chance: so both ends compute a strong hash of
 * each chunk as well, when it is new to them, and in the end compare the hash of all of these, the root.
 * Where that differs the strong hashes are compared, chunk by chunk. blake2 and sha256 are strong ones, of
 * which the beginning is compared.
 *
 * Any thread; nothing here waits, but hashing_init(), which may load a library.
 */
#ifndef R3MAP_SYNC_HASH_H
#define R3MAP_SYNC_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/message.h"

struct error;

enum sync_hash {			/* their numbers on the wire */
	SYNC_XXH3 = 1,			/* 128 bits of XXH3 */
	SYNC_SHA256 = 2,		/* the beginning of SHA-256, which is the strong one as well */
	SYNC_CRC32C = 3,		/* Castagnoli's polynomial, as of RFC 3720 */
	SYNC_BLAKE2 = 4,		/* the beginning of BLAKE2s, the strong one of all but SHA-256 */
};

/* How the two ends of a connection hash. Constant once made. */
struct hashing {
	enum sync_hash hash;
	uint32_t bytes;			/* of a hash of this kind */
	bool one;			/* it is the beginning of the strong one */
	uint32_t chunk;			/* bytes */
	unsigned char zero[SYNC_HASH_MAX];	/* of a whole chunk of zeroes */
	unsigned char zero_strong[SYNC_ROOT];
};

/* By number - 1: "xxh3", "sha256", "crc32c", "blake2"; NULL-terminated, for an option. */
extern const char *const sync_hash_words[];
/* Bytes of a hash; 0: there is none of this number. */
uint32_t sync_hash_bytes(unsigned int hash);

/*
 * @chunk: a power of two, SYNC_CHUNK_MIN to SYNC_CHUNK_MAX. Returns 0, or a negative errno with a
 * sentence: the library with SHA-256 is not there.
 */
int hashing_init(struct hashing *hashing, enum sync_hash hash, uint32_t chunk, struct error *error);

/* hashing->bytes to @out. */
void hashing_fast(const struct hashing *hashing, const void *data, size_t length,
		  unsigned char *out);
/* SYNC_ROOT bytes to @out. */
void hashing_strong(const struct hashing *hashing, const void *data, size_t length,
		    unsigned char *out);
/* Both; if they are one it is computed once. */
void hashing_both(const struct hashing *hashing, const void *data, size_t length,
		  unsigned char *fast, unsigned char *strong);
/*
 * The strong hash of a whole region: that of its size (64 bits), the size of a chunk (32 bits), both big-endian, and of
 * the strong hash of the strong hashes of its @chunks chunks, one behind the other.
 */
void hashing_root(const struct hashing *hashing, uint64_t size, const unsigned char *strong,
		  uint64_t chunks, unsigned char root[SYNC_ROOT]);

/* "9f86d0...": two digits a byte and a NUL. Returns @text. */
char *hash_text(const unsigned char root[SYNC_ROOT], char text[2 * SYNC_ROOT + 1]);

/* Are these @length bytes, at least one, all zeroes? */
bool bytes_zero(const void *data, size_t length);

#endif
