// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CRC-32C. See crc32c.h.
 */
#include <pthread.h>
#include <string.h>

#include "sync/crc32c.h"

#define POLYNOMIAL	0x82f63b78u	/* reflected */

static uint32_t table[256];

static void table_make(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
		table[i] = crc;
	}
}

uint32_t crc32c_plain(const void *data, size_t length)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const unsigned char *at = data;
	uint32_t crc = UINT32_MAX;

	pthread_once(&once, table_make);
	while (length--)
		crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
	return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2")))
static uint32_t crc32c_instruction(const unsigned char *at, size_t length)
{
	uint64_t crc = UINT32_MAX, eight;

	for (; length >= sizeof(eight); at += sizeof(eight), length -= sizeof(eight)) {
		memcpy(&eight, at, sizeof(eight));
		crc = __builtin_ia32_crc32di(crc, eight);
	}
	while (length--)
		crc = __builtin_ia32_crc32qi((uint32_t)crc, *at++);
	return ~(uint32_t)crc;
}
#endif

uint32_t crc32c(const void *data, size_t length)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_instruction(data, length);
#endif
	return crc32c_plain(data, length);
}
