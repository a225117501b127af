// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pushing what a client has written. See push.h.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/error.h"
#include "uffd/message.h"
#include "uffd/push.h"

#define PUSHES		16u		/* writes at a time */
#define PUSH_BYTES	(1u << 20)	/* of one, at most */

struct push_io {
	struct backend_io io;
	struct pusher *pusher;
	struct push_io *next;		/* free ones */
	uint64_t from, to;
};

static void push_go(struct pusher *pusher);

static void push_over(struct pusher *pusher, int code)
{
	loop_timer_cancel(pusher->loop, &pusher->late);
	pusher->syncing = false;
	if (!pusher->told)
		pusher->synced(pusher, code);
}

/* Nothing was done for too long. What has not been given to the backend yet stays here. */
static void push_late(struct loop_timer *timer)
{
	struct pusher *pusher = (struct pusher *)((char *)timer - offsetof(struct pusher, late));

	pusher->code = -ETIMEDOUT;
	pusher->told = true;
	pusher->synced(pusher, -ETIMEDOUT);
}

static void push_wait(struct pusher *pusher)
{
	if (!pusher->told)
		loop_timer_set(pusher->loop, &pusher->late, loop_now() + pusher->timeout);
}

/* A backend that could not flush may have thrown away what was written. */
static void flush_done(struct backend_io *io, int error)
{
	struct pusher *pusher = io->owner;
	const uint64_t size = pusher->dirty.size;
	bool written;

	for (uint64_t from = 0, run; from < size; from += run) {
		run = bits_run(&pusher->unflushed, from, size, &written);
		if (written && error)
			bits_set(&pusher->dirty, from, from + run);
		if (written)
			bits_clear(&pusher->unflushed, from, from + run);
	}
	push_over(pusher, error);
}

static void push_done(struct backend_io *io, int error)
{
	struct push_io *one = io->owner;
	struct pusher *pusher = one->pusher;

	if (error) {
		bits_set(&pusher->dirty, one->from, one->to);
		if (!pusher->code)
			pusher->code = error;
	} else {
		bits_set(&pusher->unflushed, one->from, one->to);
		pusher->pushed += io->length;
	}
	one->next = pusher->free;
	pusher->free = one;
	pusher->under_way--;
	push_wait(pusher);
	if (error != -ECANCELED)
		push_go(pusher);
}

/*
 * The next dirty bytes, which are dirty no more: what is written to them from now on is told anew.
 */
static bool push_next(struct pusher *pusher, uint64_t *from, uint64_t *to)
{
	const uint64_t size = pusher->dirty.size;
	uint64_t run;
	bool dirty;

	while (pusher->next < size) {
		run = bits_run(&pusher->dirty, pusher->next, size, &dirty);
		*from = pusher->next;
		if (dirty && run > pusher->most)
			run = pusher->most;
		pusher->next += run;
		*to = pusher->next;
		if (dirty) {
			bits_clear(&pusher->dirty, *from, *to);
			return true;
		}
	}
	return false;
}

static void push_submit(struct pusher *pusher, uint64_t from, uint64_t to)
{
	struct push_io *one = pusher->free;

	pusher->free = one->next;
	pusher->under_way++;
	one->from = from;
	one->to = to;
	if (to > pusher->backend->info.size)
		to = pusher->backend->info.size;
	one->io = (struct backend_io) {
		.op = BACKEND_WRITE,
		.offset = from,
		.length = (uint32_t)(to - from),
		.buf = pusher->shared + from,
		.done = push_done,
		.owner = one,
	};
	backend_submit(pusher->channel, &one->io);
}

/* A backend that never waits comes back to here from within; then the outer call goes on. */
static void push_go(struct pusher *pusher)
{
	uint64_t from, to;

	while (!pusher->code && pusher->free && push_next(pusher, &from, &to))
		push_submit(pusher, from, to);
	if (pusher->under_way || !pusher->syncing)
		return;
	if (pusher->code) {
		push_over(pusher, pusher->code);
		return;
	}
	if (pusher->flush.owner)
		return;
	pusher->flush = (struct backend_io) {
		.op = BACKEND_FLUSH, .done = flush_done, .owner = pusher,
	};
	backend_submit(pusher->channel, &pusher->flush);
}

/* What of these bytes the file has. */
static void data_mark(struct pusher *pusher, uint64_t from, uint64_t to)
{
	off_t data = (off_t)from, hole;

	while (data < (off_t)to) {
		data = lseek(pusher->memfd, data, SEEK_DATA);
		if (data < 0 || data >= (off_t)to)
			return;
		hole = lseek(pusher->memfd, data, SEEK_HOLE);
		if (hole < 0 || hole > (off_t)to)
			hole = (off_t)to;
		bits_set(&pusher->dirty, (uint64_t)data, (uint64_t)hole);
		data = hole;
	}
}

int push_mark(struct pusher *pusher, uint64_t offset, uint64_t length)
{
	const uint64_t size = uffd_round(pusher->backend->info.size, pusher->page);
	uint64_t run;
	bool filled;

	if (length > size || offset > size - length)
		return -EINVAL;
	for (const uint64_t end = offset + length; offset < end; offset += run) {
		run = bits_run(pusher->filled, offset, end, &filled);
		if (filled)
			data_mark(pusher, offset, offset + run);
	}
	return 0;
}

void push_sync(struct pusher *pusher)
{
	if (pusher->syncing) {
		pusher->synced(pusher, -EBUSY);
		return;
	}
	pusher->syncing = true;
	pusher->told = false;
	pusher->code = 0;
	pusher->next = 0;
	pusher->flush.owner = NULL;
	push_wait(pusher);
	push_go(pusher);
	backend_kick(pusher->channel);
}

int pusher_open(struct pusher *pusher, struct error *error)
{
	const uint32_t most = pusher->backend->info.max_io;
	const uint64_t size = uffd_round(pusher->backend->info.size, pusher->page);
	int code = bits_new(&pusher->dirty, size, pusher->page, error);

	if (!code)
		code = bits_new(&pusher->unflushed, size, pusher->page, error);
	if (code)
		return code;
	pusher->late.fire = push_late;
	pusher->most = most && most < PUSH_BYTES ? most & ~(pusher->page - 1) : PUSH_BYTES;
	pusher->ios = calloc(PUSHES, sizeof(*pusher->ios));
	if (!pusher->ios)
		return error_set(error, -ENOMEM, "out of memory");
	for (unsigned int i = 0; i < PUSHES; i++) {
		pusher->ios[i].pusher = pusher;
		pusher->ios[i].next = pusher->free;
		pusher->free = &pusher->ios[i];
	}
	return 0;
}

void pusher_close(struct pusher *pusher)
{
	if (pusher->loop)
		loop_timer_cancel(pusher->loop, &pusher->late);
	free(pusher->ios);
	bits_free(&pusher->dirty);
	bits_free(&pusher->unflushed);
}
