/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32C (Castagnoli), as of RFC 3720, by the processor's instruction where there is one. Any thread.
 */
#ifndef R3MAP_SYNC_CRC32C_H
#define R3MAP_SYNC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *data, size_t length);
/* The same without the instruction. */
uint32_t crc32c_plain(const void *data, size_t length);

#endif
