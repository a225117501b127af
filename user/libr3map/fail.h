/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How calls of the library fail.
 */
#ifndef LIBR3MAP_FAIL_H
#define LIBR3MAP_FAIL_H

/* Sets *@error, if there is one, and errno to @code. Always -1. */
int fail(char **error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
