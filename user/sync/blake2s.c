// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BLAKE2s. See blake2s.h.
 */
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sync/blake2s.h"
#include "sync/blake2s_rounds.h"

#define BLOCK		64u		/* bytes */
#define LANES_MAX	16u

/* Hashes of leaves, @count at least 1, to @out, BLAKE2S_BYTES each. */
typedef void leaves_hash(const unsigned char *data, uint64_t first, unsigned int count, bool last,
			 unsigned char *out);

static const uint32_t iv[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint32_t word_get(const unsigned char *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return le32toh(word);
}

static void word_put(unsigned char *at, uint32_t word)
{
	word = htole32(word);
	memcpy(at, &word, sizeof(word));
}

/*
 * Word @i of the state that node @offset of those that are @depth above the leaves begins with: IV and the block of
 * parameters. No key, as many leaves as there are, two levels.
 */
static uint32_t node_word(unsigned int i, uint64_t offset, unsigned int depth)
{
	const uint32_t parameter[8] = {
		BLAKE2S_BYTES | 2u << 24, BLAKE2S_LEAF, (uint32_t)offset,
		(uint32_t)(offset >> 32 & 0xffff) | depth << 16 | BLAKE2S_BYTES << 24,
	};

	return iv[i] ^ parameter[i];
}

/* --- one node ------------------------------------------------------------------------------ */

struct node {
	uint32_t h[8];
	uint64_t hashed;		/* bytes */
	bool last;			/* of those in its level */
	unsigned char block[BLOCK];	/* what is not hashed yet */
	unsigned int used;		/* bytes of it */
};

static void node_begin(struct node *node, uint64_t offset, unsigned int depth, bool last)
{
	*node = (struct node) { .last = last };
	for (unsigned int i = 0; i < 8; i++)
		node->h[i] = node_word(i, offset, depth);
}

static void node_block(struct node *node, bool final)
{
	uint32_t v[16], m[16];

	for (unsigned int i = 0; i < 16; i++)
		m[i] = word_get(node->block + 4 * i);
	memcpy(v, node->h, sizeof(node->h));
	memcpy(v + 8, iv, sizeof(iv));
	node->hashed += node->used;
	node->used = 0;
	v[12] ^= (uint32_t)node->hashed;
	v[13] ^= (uint32_t)(node->hashed >> 32);
	if (final) {
		v[14] = ~v[14];
		if (node->last)
			v[15] = ~v[15];
	}
	BLAKE2S_ROUNDS(v, m);
	for (unsigned int i = 0; i < 8; i++)
		node->h[i] ^= v[i] ^ v[8 + i];
}

/* The last block waits for node_end(): that one is hashed in another way. */
static void node_add(struct node *node, const unsigned char *data, size_t length)
{
	while (length) {
		size_t part;

		if (node->used == BLOCK)
			node_block(node, false);
		part = length < BLOCK - node->used ? length : BLOCK - node->used;
		memcpy(node->block + node->used, data, part);
		node->used += (unsigned int)part;
		data += part;
		length -= part;
	}
}

static void node_end(struct node *node, unsigned char out[BLAKE2S_BYTES])
{
	memset(node->block + node->used, 0, BLOCK - node->used);
	node_block(node, true);
	for (unsigned int i = 0; i < 8; i++)
		word_put(out + 4 * i, node->h[i]);
}

static void leaf_hash(const unsigned char *data, uint64_t index, size_t length, bool last,
		      unsigned char out[BLAKE2S_BYTES])
{
	struct node leaf;

	node_begin(&leaf, index, 0, last);
	node_add(&leaf, data, length);
	node_end(&leaf, out);
}

/* --- several leaves at once ---------------------------------------------------------------- */

static void leaves_hash_1(const unsigned char *data, uint64_t first, unsigned int count, bool last,
			  unsigned char *out)
{
	for (unsigned int i = 0; i < count; i++)
		leaf_hash(data + i * BLAKE2S_LEAF, first + i, BLAKE2S_LEAF, last && i == count - 1,
			  out + i * BLAKE2S_BYTES);
}

#if __BYTE_ORDER == __LITTLE_ENDIAN

#define LANES			4
#define LANES_PARTS(f)		f(0)
#define LANES_FOR
#include "sync/blake2s_lanes.h"

#ifdef __x86_64__
#define LANES			8
#define LANES_PARTS(f)		f(0), f(1)
#define LANES_FOR		__attribute__((target("avx2")))
#include "sync/blake2s_lanes.h"

#define LANES			16
#define LANES_PARTS(f)		f(0), f(1), f(2), f(3)
#define LANES_FOR		__attribute__((target("avx512f,avx512vl")))
#include "sync/blake2s_lanes.h"
#endif
#endif

/* The widest that there is for @count leaves, and *@width, its lanes. */
static leaves_hash *leaves_widest(size_t count, unsigned int *width)
{
#if __BYTE_ORDER == __LITTLE_ENDIAN
#ifdef __x86_64__
	*width = 16;
	if (count > 8 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
		return leaves_hash_16;
	*width = 8;
	if (count > 2 && __builtin_cpu_supports("avx2"))
		return leaves_hash_8;
#endif
	*width = 4;
	if (count > 2)
		return leaves_hash_4;
#else
	(void)count;
#endif
	*width = 1;
	return leaves_hash_1;
}

static void tree_hash(const unsigned char *data, size_t length, bool plain,
		      unsigned char out[BLAKE2S_BYTES])
{
	unsigned char hash[LANES_MAX * BLAKE2S_BYTES];
	uint64_t index = 0;
	struct node root;

	node_begin(&root, 0, 1, true);
	do {
		size_t whole = length / BLAKE2S_LEAF, taken = length;
		unsigned int width = 1, count = 1;
		leaves_hash *function = plain ? leaves_hash_1 : leaves_widest(whole, &width);

		if (whole) {
			count = whole < width ? (unsigned int)whole : width;
			taken = count * BLAKE2S_LEAF;
			function(data, index, count, taken == length, hash);
		} else {
			leaf_hash(data, index, length, true, hash);
		}
		node_add(&root, hash, count * BLAKE2S_BYTES);
		data += taken;
		length -= taken;
		index += count;
	} while (length);
	node_end(&root, out);
}

void blake2s(const void *data, size_t length, unsigned char out[BLAKE2S_BYTES])
{
	tree_hash(data, length, false, out);
}

void blake2s_plain(const void *data, size_t length, unsigned char out[BLAKE2S_BYTES])
{
	tree_hash(data, length, true, out);
}
