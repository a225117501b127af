// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The order of a pull. See order.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/r3map.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "order: "
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/size.h"
#include "mount/order.h"

#define LINE_MAX_BYTES	256u
#define RANGES_MAX	(1u << 20)	/* that wait; more of a file is not read */
#define REVERSE_STEP	(4u << 20)	/* bytes of one range backwards */
#define SMALL		(64u << 10)	/* bytes that come as fast as an answer about them */

struct order {
	uint64_t size;
	struct loop *loop;
	void (*more)(void *data);
	void *data;

	struct range *ranges;		/* a list, from @next on */
	size_t next, used, room;
	uint64_t reverse;		/* from here downwards; 0: not, or no more */
	uint64_t follow;		/* a reader's; UINT64_MAX: none */
	bool whole;			/* the whole region, or all of @only, is still to come */
	struct ranges *only;		/* instead of the region; or NULL */
	size_t only_next;

	struct loop_source in;		/* of lines; fd -1: not, or at its end */
	char line[LINE_MAX_BYTES];
	unsigned int line_used;
	bool line_long;
	uint64_t lines;
};

static bool order_add(struct order *order, uint64_t from, uint64_t length)
{
	struct range *bigger;

	if (from >= order->size || !length)
		return true;
	if (order->used - order->next >= RANGES_MAX)
		return false;
	if (order->used == order->room && order->next) {
		memmove(order->ranges, order->ranges + order->next,
			(order->used - order->next) * sizeof(*order->ranges));
		order->used -= order->next;
		order->next = 0;
	}
	if (order->used == order->room) {
		order->room = order->room ? order->room * 2 : 64;
		bigger = reallocarray(order->ranges, order->room, sizeof(*bigger));
		if (!bigger) {
			order->room = order->used;
			return false;
		}
		order->ranges = bigger;
	}
	if (length > order->size - from)
		length = order->size - from;
	order->ranges[order->used++] = (struct range) { .from = from, .to = from + length };
	return true;
}

/* "OFFSET LENGTH"; an empty line is fine. */
static int line_take(struct order *order, char *line, struct error *error)
{
	uint64_t offset, length;
	char *from, *count, *rest;

	line[strcspn(line, "#")] = '\0';
	from = strtok_r(line, " \t\r", &rest);
	if (!from)
		return 0;
	count = strtok_r(NULL, " \t\r", &rest);
	if (!count || strtok_r(NULL, " \t\r", &rest) || size_parse(from, &offset, error) ||
	    size_parse(count, &length, error))
		return error_set(error, -EINVAL,
				 "line %" PRIu64 " of the order is no range: write OFFSET LENGTH",
				 order->lines);
	if (!order_add(order, offset, length))
		return error_set(error, -E2BIG, "more than %u ranges of the order wait at line %" PRIu64,
				 RANGES_MAX, order->lines);
	return 0;
}

static int bytes_take(struct order *order, const char *bytes, size_t count, struct error *error)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (bytes[i] == '\n') {
			order->lines++;
			order->line[order->line_used] = '\0';
			err = order->line_long ?
				error_set(error, -EINVAL, "line %" PRIu64 " of the order is too long",
					  order->lines) : line_take(order, order->line, error);
			order->line_used = 0;
			order->line_long = false;
		} else if (order->line_used < LINE_MAX_BYTES - 1) {
			order->line[order->line_used++] = bytes[i];
		} else {
			order->line_long = true;
		}
	}
	return err;
}

/* A whole file. */
static int file_take(struct order *order, const char *path, struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char bytes[4096];
	ssize_t got;
	int err = 0;

	if (fd < 0)
		return error_set(error, -errno,
				 "cannot open the order %s: %s; give sequential, reverse, - or a file",
				 path, strerror(errno));
	while (!err && (got = read(fd, bytes, sizeof(bytes))) > 0)
		err = bytes_take(order, bytes, (size_t)got, error);
	if (!err && got < 0)
		err = error_set(error, -errno, "cannot read the order %s: %s", path,
				strerror(errno));
	if (!err && order->line_used)
		err = bytes_take(order, "\n", 1, error);
	close(fd);
	return err;
}

/* A program on standard input: what it says wrong is told and passed over. */
static void in_ready(struct loop_source *source, uint32_t events)
{
	struct order *order = (struct order *)((char *)source - offsetof(struct order, in));
	struct error error = { 0 };
	char bytes[4096];
	ssize_t got = read(source->fd, bytes, sizeof(bytes));

	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		loop_remove(order->loop, source);
		source->fd = -1;
		return;
	}
	if (bytes_take(order, bytes, (size_t)got, &error))
		log_warn("%s", error.text);
	order->more(order->data);
}

static int in_open(struct order *order, struct error *error)
{
	int err;

	order->in.fd = STDIN_FILENO;
	order->in.ready = in_ready;
	/* Whoever writes may never end: that alone must not keep the thread from waiting. */
	order->in.idle = false;
	fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
	err = loop_add(order->loop, &order->in, EPOLLIN);
	if (err) {
		order->in.fd = -1;
		return error_set(error, err,
				 "cannot wait for an order on standard input: %s; for a file give its name",
				 strerror(-err));
	}
	return 0;
}

int order_open(const char *spec, uint64_t size, struct loop *loop, void (*more)(void *data),
	       void *data, struct order **out, struct error *error)
{
	struct order *order = calloc(1, sizeof(*order));

	if (!order)
		return error_set(error, -ENOMEM, "out of memory");
	*out = order;
	order->size = size;
	order->loop = loop;
	order->more = more;
	order->data = data;
	order->follow = UINT64_MAX;
	order->whole = true;
	order->in.fd = -1;
	if (!spec || !strcmp(spec, "sequential"))
		return 0;
	if (!strcmp(spec, "reverse")) {
		order->reverse = size;
		return 0;
	}
	if (!strcmp(spec, "-"))
		return in_open(order, error);
	return file_take(order, spec, error);
}

void order_close(struct order *order)
{
	if (!order)
		return;
	if (order->in.fd >= 0)
		loop_remove(order->loop, &order->in);
	free(order->ranges);
	free(order->only);
	free(order);
}

struct ranges *ranges_new(const struct r3map_extent *extents, size_t count)
{
	struct ranges *ranges = malloc(sizeof(*ranges) + count * sizeof(ranges->range[0]));

	if (!ranges)
		return NULL;
	ranges->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct range *last = ranges->count ? &ranges->range[ranges->count - 1] : NULL;
		bool small = extents[i].length <= SMALL;

		if (last && last->data && small)
			last->to = extents[i].offset + extents[i].length;
		else
			ranges->range[ranges->count++] = (struct range) {
				extents[i].offset, extents[i].offset + extents[i].length, small,
			};
	}
	return ranges;
}

/* Those of @only, from the one that reaches beyond a reader's place on. */
static bool only_next(struct order *order, struct range *range)
{
	const struct ranges *only = order->only;

	if (order->follow != UINT64_MAX) {
		order->only_next = 0;
		while (order->only_next < only->count &&
		       only->range[order->only_next].to <= order->follow)
			order->only_next++;
		order->follow = UINT64_MAX;
	}
	if (order->only_next == only->count && order->whole) {
		order->whole = false;
		order->only_next = 0;
	}
	if (order->only_next == only->count)
		return false;
	*range = only->range[order->only_next++];
	return true;
}

bool order_next(struct order *order, struct range *range)
{
	if (order->follow != UINT64_MAX && !order->only) {
		*range = (struct range) { .from = order->follow, .to = order->size };
		order->follow = UINT64_MAX;
		return true;
	}
	if (order->next < order->used) {
		*range = order->ranges[order->next++];
		return true;
	}
	if (order->only)
		return only_next(order, range);
	if (order->reverse) {
		*range = (struct range) { 0 };
		range->to = order->reverse;
		range->from = (range->to - 1) / REVERSE_STEP * REVERSE_STEP;
		order->reverse = range->from;
		return true;
	}
	if (!order->whole)
		return false;
	order->whole = false;
	*range = (struct range) { .to = order->size };
	return true;
}

void order_return(struct order *order, const struct range *range)
{
	if (order->next) {
		order->ranges[--order->next] = *range;
	} else if (order_add(order, range->from, range->to - range->from)) {
		memmove(order->ranges + 1, order->ranges,
			(order->used - 1) * sizeof(*order->ranges));
		order->ranges[0] = *range;
	} else {
		order->whole = true;
	}
}

void order_again(struct order *order)
{
	order->whole = true;
}

void order_only(struct order *order, struct ranges *only)
{
	free(order->only);
	order->only = only;
	order->only_next = 0;
	order->whole = false;
	order->next = 0;
	order->used = 0;
	order->reverse = 0;
	order->follow = UINT64_MAX;
}

void order_all(struct order *order)
{
	free(order->only);
	order->only = NULL;
	order->whole = true;
}

void order_follow(struct order *order, uint64_t offset)
{
	if (offset < order->size)
		order->follow = offset;
}
