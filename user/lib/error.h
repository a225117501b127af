/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An error that a user can act on: an errno for the program, one sentence for the person.
 *
 * Functions that can fail for a reason worth telling take a struct error * as their last argument,
 * fill it in where the reason is known and return the negative errno. It is printed once, by
 * the subcommand. A sentence says what is wrong and what to do, without a trailing full stop
 * or newline.
 */
#ifndef R3MAP_ERROR_H
#define R3MAP_ERROR_H

struct error {
	int code;		/* a negative errno, 0: no error */
	char text[512];
};

/* Sets @error (if not NULL) and returns @code, a negative errno. */
int error_set(struct error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts "context: " before the text that is there. Returns error->code. */
int error_prefix(struct error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
