/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A raw NBD client for the unit tests of the server: says exactly what a test wants said, well
 * formed or not, and takes answers apart. It shares no code with the server, only the protocol's
 * constants.
 *
 * Sockets are blocking, with a bound that only a server that hangs can meet. Included by exactly
 * one file of a program.
 */
#ifndef R3MAP_UNIT_CLIENT_WIRE_H
#define R3MAP_UNIT_CLIENT_WIRE_H

#include <endian.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "nbd/protocol.h"

#define WIRE_PATIENCE	40	/* s */

enum { SIMPLE, STRUCTURED, EXTENDED };	/* headers */

/* Bytes to be said. */
struct wire {
	size_t used;
	char buf[1 << 20];
};

static void wire_put(struct wire *wire, const void *data, size_t length)
{
	assert_true(length <= sizeof(wire->buf) - wire->used);
	memcpy(wire->buf + wire->used, data, length);
	wire->used += length;
}

static void wire_put16(struct wire *wire, uint16_t value)
{
	value = htobe16(value);
	wire_put(wire, &value, sizeof(value));
}

static void wire_put32(struct wire *wire, uint32_t value)
{
	value = htobe32(value);
	wire_put(wire, &value, sizeof(value));
}

static void wire_put64(struct wire *wire, uint64_t value)
{
	value = htobe64(value);
	wire_put(wire, &value, sizeof(value));
}

static void wire_option(struct wire *wire, uint32_t option, const void *data, uint32_t length)
{
	wire_put64(wire, NBD_IHAVEOPT);
	wire_put32(wire, option);
	wire_put32(wire, length);
	wire_put(wire, data, length);
}

/* GO or INFO of export @name, which asks for nothing. */
static void wire_go(struct wire *wire, uint32_t option, const char *name)
{
	uint32_t length = (uint32_t)strlen(name);

	wire_put64(wire, NBD_IHAVEOPT);
	wire_put32(wire, option);
	wire_put32(wire, 4 + length + 2);
	wire_put32(wire, length);
	wire_put(wire, name, length);
	wire_put16(wire, 0);
}

static void wire_context(struct wire *wire, const char *name)
{
	uint32_t length = (uint32_t)strlen(name), query = strlen(NBD_META_BASE_ALLOCATION);

	wire_put64(wire, NBD_IHAVEOPT);
	wire_put32(wire, NBD_OPT_SET_META_CONTEXT);
	wire_put32(wire, 4 + length + 4 + 4 + query);
	wire_put32(wire, length);
	wire_put(wire, name, length);
	wire_put32(wire, 1);
	wire_put32(wire, query);
	wire_put(wire, NBD_META_BASE_ALLOCATION, query);
}

static void wire_request(struct wire *wire, int headers, uint16_t flags, uint16_t type,
			 uint64_t cookie, uint64_t offset, uint64_t length)
{
	wire_put32(wire, headers == EXTENDED ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC);
	wire_put16(wire, flags);
	wire_put16(wire, type);
	wire_put64(wire, cookie);
	wire_put64(wire, offset);
	if (headers == EXTENDED)
		wire_put64(wire, length);
	else
		wire_put32(wire, (uint32_t)length);
}

/* All of it. False: the server has gone. */
static bool say(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno == EPIPE || errno == ECONNRESET)
				return false;
			fail_msg("nothing is taken: %s", strerror(errno));
		}
		at += sent;
		length -= (size_t)sent;
	}
	return true;
}

static bool wire_say(int fd, struct wire *wire)
{
	bool said = say(fd, wire->buf, wire->used);

	wire->used = 0;
	return said;
}

/* @length bytes, or fewer if the connection ends. */
static size_t hear(int fd, void *data, size_t length)
{
	size_t got = 0;

	while (got < length) {
		ssize_t some = recv(fd, (char *)data + got, length - got, 0);

		if (some < 0 && errno != ECONNRESET)
			fail_msg("nothing is heard: %s", strerror(errno));
		if (some <= 0)
			break;
		got += (size_t)some;
	}
	return got;
}

static void hear_all(int fd, void *data, size_t length)
{
	assert_int_equal(hear(fd, data, length), length);
}

static uint16_t hear16(int fd)
{
	uint16_t value;

	hear_all(fd, &value, sizeof(value));
	return be16toh(value);
}

static uint32_t hear32(int fd)
{
	uint32_t value;

	hear_all(fd, &value, sizeof(value));
	return be32toh(value);
}

static uint64_t hear64(int fd)
{
	uint64_t value;

	hear_all(fd, &value, sizeof(value));
	return be64toh(value);
}

/* Nothing else comes but the end; what came before it does not matter if @anything. */
static void hear_end(int fd, bool anything)
{
	static char rest[65536];
	size_t got;

	do {
		got = hear(fd, rest, sizeof(rest));
		if (got && !anything)
			fail_msg("%zu bytes came instead of the end", got);
	} while (got);
	close(fd);
}

static void greet(int fd, uint32_t flags)
{
	assert_true(hear64(fd) == NBDMAGIC);
	assert_true(hear64(fd) == NBD_IHAVEOPT);
	assert_int_equal(hear16(fd), NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	flags = htobe32(flags);
	say(fd, &flags, sizeof(flags));
}

/* The type of the next reply to @option; its data to @data (of 8 KiB), its length to @length. */
static uint32_t hear_option(int fd, uint32_t option, char *data, uint32_t *length)
{
	uint32_t type, size;

	assert_true(hear64(fd) == NBD_REP_MAGIC);
	assert_int_equal(hear32(fd), option);
	type = hear32(fd);
	size = hear32(fd);
	assert_in_range(size, 0, 8192);
	hear_all(fd, data, size);
	if (length)
		*length = size;
	return type;
}

/* The last reply to @option: ACK or an error. */
static uint32_t hear_verdict(int fd, uint32_t option)
{
	static char data[8192];
	uint32_t type;

	do {
		type = hear_option(fd, option, data, NULL);
	} while (type != NBD_REP_ACK && !(type & NBD_REP_ERROR));
	return type;
}

/* One chunk of an answer, or a simple one. */
struct chunk {
	uint16_t flags, type;
	uint64_t cookie, offset, length;
	uint32_t error;
	bool simple;
};

/* The header of the next one; of an error also the payload. */
static void hear_chunk(int fd, int headers, struct chunk *chunk)
{
	static char text[65536];
	uint32_t magic = hear32(fd);

	memset(chunk, 0, sizeof(*chunk));
	if (magic == NBD_SIMPLE_REPLY_MAGIC && headers != EXTENDED) {
		chunk->simple = true;
		chunk->flags = NBD_REPLY_FLAG_DONE;
		chunk->error = hear32(fd);
		chunk->cookie = hear64(fd);
		return;
	}
	assert_int_equal(magic, headers == EXTENDED ? NBD_EXTENDED_REPLY_MAGIC :
			 NBD_STRUCTURED_REPLY_MAGIC);
	assert_int_not_equal(headers, SIMPLE);
	chunk->flags = hear16(fd);
	chunk->type = hear16(fd);
	chunk->cookie = hear64(fd);
	if (headers == EXTENDED) {
		chunk->offset = hear64(fd);
		chunk->length = hear64(fd);
	} else {
		chunk->length = hear32(fd);
	}
	if (chunk->type & NBD_REPLY_TYPE_ERROR_BIT) {
		uint16_t size;

		chunk->error = hear32(fd);
		assert_int_not_equal(chunk->error, 0);
		size = hear16(fd);
		assert_true(chunk->length == 6u + size);
		hear_all(fd, text, size);
	}
}

/* The answer to what has no data: its error. */
static uint32_t hear_status(int fd, int headers, uint64_t cookie)
{
	struct chunk chunk;

	hear_chunk(fd, headers, &chunk);
	assert_true(chunk.cookie == cookie);
	assert_int_equal(chunk.flags, NBD_REPLY_FLAG_DONE);
	if (!chunk.simple && !chunk.error)
		assert_int_equal(chunk.type, NBD_REPLY_TYPE_NONE);
	return chunk.error;
}

/* The answer to a READ: its error; the bytes to @data, how many came on the wire to @came. */
static uint32_t hear_read(int fd, int headers, uint64_t cookie, uint64_t offset, char *data,
			  uint64_t length, uint64_t *came)
{
	uint64_t left = length, at;
	struct chunk chunk;

	*came = 0;
	do {
		hear_chunk(fd, headers, &chunk);
		assert_true(chunk.cookie == cookie);
		if (headers == EXTENDED)
			assert_true(chunk.offset == offset);
		if (chunk.error)
			return chunk.error;
		if (chunk.simple) {
			assert_int_equal(headers, SIMPLE);
			hear_all(fd, data, length);
			*came = length;
			return 0;
		}
		at = hear64(fd) - offset;
		assert_true(at < length);
		if (chunk.type == NBD_REPLY_TYPE_OFFSET_HOLE) {
			uint32_t hole = hear32(fd);

			assert_true(chunk.length == 12 && hole && hole <= length - at);
			memset(data + at, 0, hole);
			left -= hole;
		} else {
			assert_int_equal(chunk.type, NBD_REPLY_TYPE_OFFSET_DATA);
			assert_true(chunk.length > 8 && chunk.length - 8 <= length - at);
			hear_all(fd, data + at, chunk.length - 8);
			left -= chunk.length - 8;
			*came += chunk.length - 8;
		}
	} while (!(chunk.flags & NBD_REPLY_FLAG_DONE));
	assert_true(!left);
	return 0;
}

static void patience_set(int fd)
{
	const struct timeval patience = { .tv_sec = WIRE_PATIENCE };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

#endif
