/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rounds of BLAKE2s, of one message or, with vectors for words, of several. For blake2s.c and blake2s_lanes.h.
 *
 * @v: the 16 words of the state; @m: those of the block.
 */
#ifndef R3MAP_SYNC_BLAKE2S_ROUNDS_H
#define R3MAP_SYNC_BLAKE2S_ROUNDS_H

#define BLAKE2S_ROTATE(x, n)	((x) >> (n) | (x) << (32 - (n)))

#define BLAKE2S_MIX(v, m, a, b, c, d, x, y) do { \
	v[a] += v[b] + m[x]; \
	v[d] = BLAKE2S_ROTATE(v[d] ^ v[a], 16); \
	v[c] += v[d]; \
	v[b] = BLAKE2S_ROTATE(v[b] ^ v[c], 12); \
	v[a] += v[b] + m[y]; \
	v[d] = BLAKE2S_ROTATE(v[d] ^ v[a], 8); \
	v[c] += v[d]; \
	v[b] = BLAKE2S_ROTATE(v[b] ^ v[c], 7); \
} while (0)

#define BLAKE2S_ROUND(v, m, a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q) do { \
	BLAKE2S_MIX(v, m, 0, 4, 8, 12, a, b); \
	BLAKE2S_MIX(v, m, 1, 5, 9, 13, c, d); \
	BLAKE2S_MIX(v, m, 2, 6, 10, 14, e, f); \
	BLAKE2S_MIX(v, m, 3, 7, 11, 15, g, h); \
	BLAKE2S_MIX(v, m, 0, 5, 10, 15, i, j); \
	BLAKE2S_MIX(v, m, 1, 6, 11, 12, k, l); \
	BLAKE2S_MIX(v, m, 2, 7, 8, 13, n, o); \
	BLAKE2S_MIX(v, m, 3, 4, 9, 14, p, q); \
} while (0)

/* Each with the words of the block in another order: RFC 7693, 2.7. */
#define BLAKE2S_ROUNDS(v, m) do { \
	BLAKE2S_ROUND(v, m, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); \
	BLAKE2S_ROUND(v, m, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3); \
	BLAKE2S_ROUND(v, m, 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4); \
	BLAKE2S_ROUND(v, m, 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8); \
	BLAKE2S_ROUND(v, m, 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13); \
	BLAKE2S_ROUND(v, m, 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9); \
	BLAKE2S_ROUND(v, m, 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11); \
	BLAKE2S_ROUND(v, m, 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10); \
	BLAKE2S_ROUND(v, m, 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5); \
	BLAKE2S_ROUND(v, m, 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0); \
} while (0)

#endif
