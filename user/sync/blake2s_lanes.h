/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leaves of BLAKE2s, LANES of them at once, with a word of each in a vector. Included by blake2s.c for each width,
 * with LANES, a multiple of 4; LANES_PARTS(f), f(n) for each part of 4 lanes; and LANES_FOR, what it is compiled for.
 */
#define LANES_NAME_OF(lanes)	leaves_hash_##lanes
#define LANES_NAME(lanes)	LANES_NAME_OF(lanes)

/* Of two vectors, in each part: words of both in turn, or pairs of words; the lower ones, or the upper ones. */
#define LOW_WORDS(n)	4 * (n), LANES + 4 * (n), 4 * (n) + 1, LANES + 4 * (n) + 1
#define HIGH_WORDS(n)	4 * (n) + 2, LANES + 4 * (n) + 2, 4 * (n) + 3, LANES + 4 * (n) + 3
#define LOW_PAIRS(n)	4 * (n), 4 * (n) + 1, LANES + 4 * (n), LANES + 4 * (n) + 1
#define HIGH_PAIRS(n)	4 * (n) + 2, 4 * (n) + 3, LANES + 4 * (n) + 2, LANES + 4 * (n) + 3
#define LANES_PICK(a, b, what)	__builtin_shufflevector(a, b, LANES_PARTS(what))

/*
 * The first @count leaves of those that begin with leaf @first, which are all whole and at @data. @last: the last
 * of these is the last of all. Lanes without a leaf do the last one's work again.
 */
LANES_FOR static void LANES_NAME(LANES)(const unsigned char *data, uint64_t first, unsigned int count,
					bool last, unsigned char *out)
{
	typedef uint32_t vector __attribute__((vector_size(4 * LANES)));
	vector h[8], v[16], m[16], t[4], final = { 0 };
	uint32_t words[16][LANES] __attribute__((aligned(4 * LANES)));
	const unsigned char *leaf[LANES];

	for (unsigned int i = 0; i < 8; i++)
		h[i] = (vector) { 0 } + node_word(i, first, 0);
	for (unsigned int lane = 0; lane < LANES; lane++) {
		h[2][lane] = node_word(2, first + lane, 0);
		leaf[lane] = data + BLAKE2S_LEAF * (lane < count ? lane : count - 1);
	}
	if (last)
		final[count - 1] = UINT32_MAX;
	for (uint32_t at = 0; at < BLAKE2S_LEAF; at += BLOCK) {
		/* Four words of each leaf go to a part of a vector, and are transposed there with three others. */
		for (unsigned int lane = 0; lane < LANES; lane++)
			for (unsigned int w = 0; w < 16; w += 4)
				memcpy(&words[w + lane % 4][lane / 4 * 4], leaf[lane] + at + 4 * w, 16);
		memcpy(m, words, sizeof(m));
		for (unsigned int w = 0; w < 16; w += 4) {
			t[0] = LANES_PICK(m[w], m[w + 1], LOW_WORDS);
			t[1] = LANES_PICK(m[w], m[w + 1], HIGH_WORDS);
			t[2] = LANES_PICK(m[w + 2], m[w + 3], LOW_WORDS);
			t[3] = LANES_PICK(m[w + 2], m[w + 3], HIGH_WORDS);
			m[w] = LANES_PICK(t[0], t[2], LOW_PAIRS);
			m[w + 1] = LANES_PICK(t[0], t[2], HIGH_PAIRS);
			m[w + 2] = LANES_PICK(t[1], t[3], LOW_PAIRS);
			m[w + 3] = LANES_PICK(t[1], t[3], HIGH_PAIRS);
		}
		for (unsigned int i = 0; i < 8; i++) {
			v[i] = h[i];
			v[8 + i] = (vector) { 0 } + iv[i];
		}
		v[12] ^= at + BLOCK;
		if (at + BLOCK == BLAKE2S_LEAF) {
			v[14] = ~v[14];
			v[15] ^= final;
		}
		BLAKE2S_ROUNDS(v, m);
		for (unsigned int i = 0; i < 8; i++)
			h[i] ^= v[i] ^ v[8 + i];
	}
	for (unsigned int lane = 0; lane < count; lane++)
		for (unsigned int i = 0; i < 8; i++)
			word_put(out + lane * BLAKE2S_BYTES + 4 * i, h[i][lane]);
}

#undef LANES_NAME_OF
#undef LANES_NAME
#undef LOW_WORDS
#undef HIGH_WORDS
#undef LOW_PAIRS
#undef HIGH_PAIRS
#undef LANES_PICK
#undef LANES_PARTS
#undef LANES_FOR
#undef LANES
