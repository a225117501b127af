// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sizes, durations and counts as text: see size.h.
 *
 * Locale and errno play no part. Never accepts a text that it does not understand to its last
 * byte: a size that is misread is a wrong device.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "size.h"

/* Reads digits. Returns what follows them, NULL if there are none; *overflow tells the rest. */
static const char *digits_read(const char *text, uint64_t *number, int *overflow)
{
	const char *at = text;
	uint64_t n = 0;

	*overflow = 0;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			*overflow = 1;
	}
	*number = n;
	return at == text ? NULL : at;
}

int size_parse(const char *text, uint64_t *bytes, struct error *error)
{
	static const char units[] = "KMGTPE";
	unsigned int shift = 0;
	const char *unit, *rest;
	int overflow;
	uint64_t n;

	rest = digits_read(text, &n, &overflow);
	if (!rest)
		return error_set(error, -EINVAL,
				 "'%s' is not a size: write digits and a unit, as in 64M", text);
	if (*rest) {
		unit = strchr(units, *rest == 'k' ? 'K' : *rest);
		if (!unit || (rest[1] && strcmp(rest + 1, "iB")))
			return error_set(error, -EINVAL,
				"'%s' is not a size: '%s' is not one of the units K, M, G, T, P, E",
				text, rest);
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (overflow || n > UINT64_MAX >> shift)
		return error_set(error, -ERANGE, "'%s' is too large: a size is below 16E", text);
	*bytes = n << shift;
	return 0;
}

struct time_unit {
	const char *name;
	uint64_t ns;
};

static const struct time_unit time_units[] = {	/* the largest first, for duration_format() */
	{ "min", 60000000000 },
	{ "s", 1000000000 },
	{ "ms", 1000000 },
	{ "us", 1000 },
	{ "ns", 1 },
};
#define TIME_UNITS	(sizeof(time_units) / sizeof(time_units[0]))

int duration_parse(const char *text, uint64_t *ns, struct error *error)
{
	const char *rest;
	int overflow;
	uint64_t n;
	size_t i;

	rest = digits_read(text, &n, &overflow);
	if (!rest)
		return error_set(error, -EINVAL,
			"'%s' is not a time: write digits and a unit, as in 250us or 10ms", text);
	if (!*rest) {
		if (n || overflow)
			return error_set(error, -EINVAL,
				"'%s' has no unit: write ns, us, ms, s or min behind it", text);
		*ns = 0;
		return 0;
	}
	for (i = 0; i < TIME_UNITS; i++)
		if (!strcmp(rest, time_units[i].name))
			break;
	if (i == TIME_UNITS)
		return error_set(error, -EINVAL,
			"'%s' is not a time: '%s' is not one of the units ns, us, ms, s, min",
			text, rest);
	if (overflow || n > UINT64_MAX / time_units[i].ns)
		return error_set(error, -ERANGE, "'%s' is too long a time", text);
	*ns = n * time_units[i].ns;
	return 0;
}

int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *number,
		 struct error *error)
{
	const char *rest;
	int overflow;
	uint64_t n;

	rest = digits_read(text, &n, &overflow);
	if (!rest || *rest)
		return error_set(error, -EINVAL, "'%s' is not a number: write digits only", text);
	if (overflow || n < min || n > max)
		return error_set(error, -ERANGE,
				 "%s is out of range: write a number from %" PRIu64 " to %" PRIu64,
				 text, min, max);
	*number = n;
	return 0;
}

char *size_format(uint64_t bytes, char text[SIZE_TEXT])
{
	static const char units[] = "KMGTPE";
	char unit[2] = "";
	size_t i;

	for (i = 0; i < sizeof(units) - 1 && bytes && bytes % 1024 == 0; i++) {
		bytes /= 1024;
		unit[0] = units[i];
	}
	snprintf(text, SIZE_TEXT, "%" PRIu64 "%s", bytes, unit);
	return text;
}

char *size_tell(uint64_t bytes, char text[SIZE_TEXT * 2])
{
	static const char units[] = "KMGTPE";
	uint64_t tenths, rest;
	unsigned int unit;

	/* The unit in which it is less than 1024, after rounding. */
	for (unit = 0; unit < sizeof(units) - 1; unit++) {
		rest = bytes & ((UINT64_C(1) << 10 * (unit + 1)) - 1);
		tenths = (bytes >> 10 * (unit + 1)) * 10 +
			 ((rest >> (unit ? 10 * unit : 0)) * 10 + 512) / 1024;
		if (tenths < 10240 || unit == sizeof(units) - 2)
			break;
	}
	if (bytes < 1024)
		snprintf(text, SIZE_TEXT * 2, "%" PRIu64, bytes);
	else if (tenths % 10)
		snprintf(text, SIZE_TEXT * 2, "%" PRIu64 " (%" PRIu64 ".%" PRIu64 "%c)", bytes,
			 tenths / 10, tenths % 10, units[unit]);
	else
		snprintf(text, SIZE_TEXT * 2, "%" PRIu64 " (%" PRIu64 "%c)", bytes, tenths / 10,
			 units[unit]);
	return text;
}

char *duration_format(uint64_t ns, char text[SIZE_TEXT])
{
	size_t i = 0;

	if (!ns)
		return strcpy(text, "0s");
	while (ns % time_units[i].ns)
		i++;
	snprintf(text, SIZE_TEXT, "%" PRIu64 "%s", ns / time_units[i].ns, time_units[i].name);
	return text;
}
