/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unit tests of backends share: cmocka's includes, one backend with one channel on one
 * loop, requests that count how often they were completed, and the log lines that were written.
 *
 * Included by exactly one file of a program, so everything is static.
 */
#ifndef R3MAP_UNIT_DRIVE_H
#define R3MAP_UNIT_DRIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"

#define UNUSED __attribute__((unused))

struct drive {
	struct backend *backend;
	struct backend_channel *channel;
	struct loop *loop;
};

struct request {
	struct backend_io io;
	int completed;		/* how often */
	int result;
};

static char drive_log[4096];	/* what was logged since drive_log_clear(), a line each */

static UNUSED void drive_log_take(enum log_level level, const char *text)
{
	size_t used = strlen(drive_log);

	(void)level;
	snprintf(drive_log + used, sizeof(drive_log) - used, "%s\n", text);
}

static UNUSED void drive_log_clear(void)
{
	drive_log[0] = '\0';
	log_set_sink(drive_log_take);
}

static UNUSED void request_done(struct backend_io *io, int error)
{
	struct request *request = (struct request *)io;

	request->completed++;
	request->result = error;
}

static UNUSED void request_make(struct request *request, enum backend_op op, uint64_t offset,
				void *buf, uint32_t length, uint32_t flags)
{
	*request = (struct request) {
		.io = {
			.op = op,
			.flags = flags,
			.offset = offset,
			.length = length,
			.buf = buf,
			.done = request_done,
		},
	};
}

static UNUSED void drive_open(struct drive *drive, const char *spec)
{
	struct error error = { 0 };

	if (backend_open(spec, &drive->backend, &error))
		fail_msg("%s", error.text);
	assert_int_equal(loop_new(&drive->loop), 0);
	if (backend_channel_open(drive->backend, drive->loop, &drive->channel, &error))
		fail_msg("%s", error.text);
}

static UNUSED void drive_close(struct drive *drive)
{
	backend_channel_close(drive->channel);
	loop_free(drive->loop);
	backend_close(drive->backend);
}

/* Runs the loop until @request is complete; a request that never is hangs, and the runner tells. */
static UNUSED int drive_wait(struct drive *drive, struct request *request)
{
	while (!request->completed)
		assert_int_equal(loop_once(drive->loop, UINT64_MAX), 0);
	assert_int_equal(request->completed, 1);
	return request->result;
}

static UNUSED int drive_do(struct drive *drive, enum backend_op op, uint64_t offset, void *buf,
			   uint32_t length, uint32_t flags)
{
	struct request request;

	request_make(&request, op, offset, buf, length, flags);
	backend_submit(drive->channel, &request.io);
	backend_kick(drive->channel);
	return drive_wait(drive, &request);
}

#define HOLE	(BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO)
#define ROOM	1024

static struct {		/* the answer of the last drive_extents() */
	struct backend_extents list;
	struct backend_extent extent[ROOM];
} drive_found;

/* Asks for extents, and checks what every answer must be. Returns the sum of their lengths. */
static UNUSED uint64_t drive_extents(struct drive *drive, uint64_t offset, uint32_t length,
				     uint32_t room, uint32_t flags)
{
	const struct backend_extent *extent = drive_found.list.extent;
	struct request request;
	uint64_t sum = 0;
	uint32_t i;

	assert_in_range(room, 1, ROOM);
	memset(&drive_found, 0xee, sizeof(drive_found));
	drive_found.list.room = room;
	request_make(&request, BACKEND_EXTENTS, offset, NULL, length, flags);
	request.io.extents = &drive_found.list;
	backend_submit(drive->channel, &request.io);
	backend_kick(drive->channel);
	assert_int_equal(drive_wait(drive, &request), 0);
	assert_in_range(drive_found.list.used, 1, flags & BACKEND_ONE ? 1 : room);
	for (i = 0; i < drive_found.list.used; i++) {
		assert_in_range(extent[i].length, 1, length - sum);
		assert_int_equal(extent[i].length % drive->backend->info.block_min, 0);
		assert_true(extent[i].flags == 0 || extent[i].flags == HOLE);
		assert_true(!i || extent[i].flags != extent[i - 1].flags);
		sum += extent[i].length;
	}
	if (room < ROOM)	/* nothing is written behind the room */
		assert_true(extent[room].length == 0xeeeeeeeeeeeeeeee);
	return sum;
}

/* The answer of drive_extents() as text: "d4096 h100". */
static UNUSED const char *drive_found_text(void)
{
	static char text[ROOM * 24];
	size_t used = 0;
	uint32_t i;

	for (i = 0; i < drive_found.list.used; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%c%llu", i ? " " : "",
					 drive_found.list.extent[i].flags ? 'h' : 'd',
					 (unsigned long long)drive_found.list.extent[i].length);
	return text;
}

/*
 * Writes, discards and zeroes at random, and compares the extents of random ranges with a model:
 * a byte per page of 4096, a region of @pages pages of which the last has @tail bytes. What zeroes
 * a part of a page leaves it as it is; @whole: what zeroes all of the last page's @tail bytes
 * frees it.
 */
static UNUSED void drive_model(struct drive *drive, unsigned int pages, uint32_t tail,
			       bool whole, unsigned int rounds)
{
	enum { MAX = 256 };
	static char bytes[MAX * 4096], back[MAX * 4096];
	static bool data[MAX];
	const uint32_t size = (pages - 1) * 4096 + tail;
	uint32_t a, b, at, end, page, i;
	unsigned int round, op;

	assert_true(pages <= MAX && size == drive->backend->info.size);
	memset(bytes, 0, sizeof(bytes));
	memset(data, 0, sizeof(data));
	srand(7);
	for (round = 0; round < rounds; round++) {
		a = (uint32_t)rand() % size;
		b = a + 1 + (uint32_t)rand() % (rand() % 4 ? 20000 : size);
		if (rand() % 2)
			a &= ~4095u;
		if (rand() % 2)
			b &= ~4095u;
		if (b > size || b <= a)
			b = size;
		op = (unsigned int)rand() % 5;
		if (op == 0) {
			memset(bytes + a, (int)round % 255 + 1, b - a);
			assert_int_equal(drive_do(drive, BACKEND_WRITE, a, bytes + a, b - a, 0), 0);
		} else {
			memset(bytes + a, 0, b - a);
			assert_int_equal(drive_do(drive, op == 1 ? BACKEND_WRITE_ZEROES :
						  BACKEND_DISCARD, a, NULL, b - a,
						  op == 1 ? BACKEND_FAST_ZERO : 0), 0);
		}
		for (page = a / 4096; page * 4096 < b; page++) {
			end = (page + 1) * 4096 < size ? (page + 1) * 4096 : size;
			if (op == 0)
				data[page] = true;
			else if (a <= page * 4096 && b >= (whole ? end : (page + 1) * 4096))
				data[page] = false;
		}

		a = (uint32_t)rand() % size;
		b = a + 1 + (uint32_t)rand() % (size - a);
		end = a + (uint32_t)drive_extents(drive, a, b - a, 1 + (uint32_t)rand() % 6, 0);
		assert_int_equal(drive_do(drive, BACKEND_READ, 0, back, size, 0), 0);
		assert_memory_equal(back, bytes, size);
		for (at = a, i = 0; i < drive_found.list.used; i++) {
			const struct backend_extent *extent = &drive_found.list.extent[i];
			uint32_t stop = at + (uint32_t)extent->length;

			for (page = at / 4096; page * 4096 < stop; page++)
				if (data[page] != !extent->flags)
					fail_msg("round %u: page %u is %s in %s from %u", round, page,
						 data[page] ? "data" : "a hole",
						 drive_found_text(), a);
			at = stop;
		}
		assert_int_equal(at, end);
		if (drive_found.list.used < drive_found.list.room)
			assert_int_equal(end, b);
	}
}

/* Opens @spec, which must fail with @code and a sentence that has @part in it. */
static UNUSED void refuses(const char *spec, int code, const char *part)
{
	struct error error = { 0 };
	struct backend *backend;
	int got;

	got = backend_open(spec, &backend, &error);
	if (!got) {
		backend_close(backend);
		fail_msg("'%s' was opened", spec);
	}
	if (got != code || !strstr(error.text, part) || error.code != code)
		fail_msg("'%s' gave %d, '%s'; wanted %d and '%s'", spec, got, error.text, code,
			 part);
}

static UNUSED bool is_filled(const void *buf, size_t length, char byte)
{
	const char *at = buf;

	while (length--)
		if (*at++ != byte)
			return false;
	return true;
}

#endif
