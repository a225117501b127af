/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share: the input taken apart, claims, log lines that are looked at, and
 * bytes that are said to the code under test in pieces of any size.
 *
 * A target is a file with LLVMFuzzerTestOneInput(). libFuzzer calls it with inputs that it makes
 * up, replay.c with those that are kept. An input is a script: codes of what to do, with
 * arguments. Where it ends everything is 0, so every input means something.
 *
 * Included by exactly one file of a program, so everything is static.
 */
#ifndef R3MAP_FUZZ_H
#define R3MAP_FUZZ_H

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/log.h"

#define UNUSED __attribute__((unused))

/* For loops over bytes: the fuzzer learns nothing from each of them, and pays for all. */
#ifdef __clang__
#define UNTRACED __attribute__((no_sanitize("coverage")))
#else
#define UNTRACED
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold, with any input. */
#define CLAIM(what)	((what) ? (void)0 : claim_failed(__FILE__, __LINE__, #what))

static void claim_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, what);
	abort();
}

struct input {
	const uint8_t *at;
	size_t left;
};

/* Big-endian, as on the wire: it is easier to read in a dump. */
static UNUSED uint64_t input_number(struct input *in, unsigned int bytes)
{
	uint64_t number = 0;

	while (bytes--) {
		number <<= 8;
		if (in->left) {
			number |= *in->at++;
			in->left--;
		}
	}
	return number;
}

static UNUSED uint8_t input8(struct input *in)
{
	return (uint8_t)input_number(in, 1);
}

static UNUSED uint16_t input16(struct input *in)
{
	return (uint16_t)input_number(in, 2);
}

static UNUSED uint32_t input32(struct input *in)
{
	return (uint32_t)input_number(in, 4);
}

static UNUSED uint64_t input64(struct input *in)
{
	return input_number(in, 8);
}

/* Up to @length bytes. *@got: how many there are. */
static UNUSED const uint8_t *input_bytes(struct input *in, size_t length, size_t *got)
{
	const uint8_t *at = in->at;

	*got = length < in->left ? length : in->left;
	in->at += *got;
	in->left -= *got;
	return at;
}

/* @length bytes in memory of their own, to be freed: a look beyond them is seen. */
static UNUSED char *bytes_copy(const uint8_t *bytes, size_t length)
{
	char *copy = malloc(length ? length : 1);

	CLAIM(copy);
	memcpy(copy, bytes, length);
	return copy;
}

/* What is left, as a string to be freed: a parser that reads behind its end is caught. */
static UNUSED char *input_string(struct input *in)
{
	char *text = malloc(in->left + 1);

	CLAIM(text);
	if (in->left)
		memcpy(text, in->at, in->left);
	text[in->left] = '\0';
	in->left = 0;
	return text;
}

/* No byte in it that does something to a terminal. */
static UNUSED bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static UNUSED void log_look(enum log_level level, const char *text)
{
	(void)level;
	CLAIM(is_clean(text));
}

/* Once, at the start: lines are formatted, looked at and dropped. */
static UNUSED void log_watch(void)
{
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_sink(log_look);
}

/* An error as a function has to leave it that returned @code. */
static UNUSED void error_look(const struct error *error, int code)
{
	CLAIM(code < 0);
	CLAIM(error->code == code);
	CLAIM(error->text[0]);
	CLAIM(strlen(error->text) < sizeof(error->text));
}

#endif
