/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers as people write them: sizes (64M, 4KiB), durations (250us, 1.5s is not one), counts.
 *
 * Strict: digits, then at most one unit, then the end. No sign, no space, no fraction, no overflow.
 * Every function returns 0, or -EINVAL or -ERANGE with one sentence in @error (may be NULL); the
 * result is then untouched.
 */
#ifndef R3MAP_SIZE_H
#define R3MAP_SIZE_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* Bytes; units K M G T P E, or KiB MiB ..., powers of 1024. "512" is 512 bytes. */
int size_parse(const char *text, uint64_t *bytes, struct error *error);
/* Nanoseconds; units ns us ms s, and min. The unit may be left out of 0 only. */
int duration_parse(const char *text, uint64_t *ns, struct error *error);
/* A plain decimal number of @min to @max. */
int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number,
		 struct error *error);

#define SIZE_TEXT	24	/* bytes that are enough for size_format() and duration_format() */

/* The shortest text that size_parse() gives back exactly: 67108864 is "64M". Returns @text. */
char *size_format(uint64_t bytes, char text[SIZE_TEXT]);
/* For people: the number, and behind it about how much that is: "12345678 (11.8M)", "512". */
char *size_tell(uint64_t bytes, char text[SIZE_TEXT * 2]);
/* The same for duration_parse(): 1500000 is "1500us". Returns @text. */
char *duration_format(uint64_t ns, char text[SIZE_TEXT]);

#endif
