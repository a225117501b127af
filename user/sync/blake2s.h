/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BLAKE2s in its tree mode: as RFC 7693, and section 2.10 of "BLAKE2: simpler, smaller, fast as MD5" (2013).
 *
 * Leaves of BLAKE2S_LEAF bytes, the last one may have fewer, as many as there are, and one root above them, of
 * 32 bytes each. Leaves are independent: as many are hashed at once as the processor's widest registers have
 * lanes. The library that has SHA-256 hashes one message at a time, which with the instructions for SHA-256 is a third of
 * that, see Documentation/design/delta.rst.
 *
 * Any thread; nothing here waits or allocates. Time depends on the length only.
 */
#ifndef R3MAP_SYNC_BLAKE2S_H
#define R3MAP_SYNC_BLAKE2S_H

#include <stddef.h>

#define BLAKE2S_BYTES	32u
#define BLAKE2S_LEAF	4096u

void blake2s(const void *data, size_t length, unsigned char out[BLAKE2S_BYTES]);
/* The same, one leaf after the other. */
void blake2s_plain(const void *data, size_t length, unsigned char out[BLAKE2S_BYTES]);

#endif
