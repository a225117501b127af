// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A sentence for the caller. See fail.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "libr3map/fail.h"

int fail(char **error, int code, const char *format, ...)
{
	va_list args;

	if (error) {
		va_start(args, format);
		if (vasprintf(error, format, args) < 0)
			*error = NULL;
		va_end(args);
	}
	errno = code;
	return -1;
}
