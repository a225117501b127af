/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages of the handshake on the wire: options, their replies, and what is in them. Both
 * ends use it.
 *
 * Writing goes through a struct nbd_writer, which never writes past its buffer and remembers that
 * it would have; reading through a struct nbd_reader, which never reads past the message and
 * remembers that too. So a message is built or taken apart without a check at each step, and one
 * at the end. Pure functions of bytes. Source: proto.md, "Option types", "Option reply types".
 */
#ifndef R3MAP_NBD_OPTION_H
#define R3MAP_NBD_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol.h"

struct nbd_writer {
	char *buf;
	size_t room;		/* bytes of buf */
	size_t used;
	bool failed;		/* something did not fit; used is then without meaning */
};

void nbd_put(struct nbd_writer *to, const void *data, size_t length);
void nbd_put16(struct nbd_writer *to, uint16_t value);
void nbd_put32(struct nbd_writer *to, uint32_t value);
void nbd_put64(struct nbd_writer *to, uint64_t value);
/* A u32 length, then the text. */
void nbd_put_string(struct nbd_writer *to, const char *text);

struct nbd_reader {
	const char *at;
	size_t left;
	bool failed;		/* more was asked for than there was; all results then are 0 */
};

/* @length bytes, borrowed from the message; NULL after a failure. */
const void *nbd_get(struct nbd_reader *from, size_t length);
uint16_t nbd_get16(struct nbd_reader *from);
uint32_t nbd_get32(struct nbd_reader *from);
uint64_t nbd_get64(struct nbd_reader *from);
/*
 * A u32 length and as many bytes, to @text with a NUL behind. Fails if it is longer than
 * NBD_MAX_STRING or has a NUL in it.
 */
void nbd_get_string(struct nbd_reader *from, char text[NBD_MAX_STRING + 1]);

/*
 * Begins an option (the client's) or an option's reply (the server's). @end: call with the value
 * returned by @begin when its data is written; it fills in the length.
 */
size_t nbd_option_begin(struct nbd_writer *to, uint32_t option);
void nbd_option_end(struct nbd_writer *to, size_t begin);
size_t nbd_option_reply_begin(struct nbd_writer *to, uint32_t option, uint32_t type);
void nbd_option_reply_end(struct nbd_writer *to, size_t begin);

/* "GO", "STARTTLS"...; NULL for an unknown one. */
const char *nbd_option_name(uint32_t option);

#endif
