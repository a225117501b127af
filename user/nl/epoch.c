// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages of migrations. See epoch.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "nl/chunks.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/epoch.h"
#include "nl/events.h"

#define MS	1000000ULL	/* ns */
#define LATE	1000U		/* ms: the event of a missed deadline comes right after it */

/* --- epochs ------------------------------------------------------------------------------- */

static struct nl_msg *epoch_message(const struct epoch *epoch, int cmd)
{
	struct nl_msg *msg = control_message(epoch->control, cmd, 0);

	if (!msg)
		return NULL;
	if (nla_put_u32(msg, R3MAP_A_CHUNK_INDEX, epoch->index) ||
	    nla_put_u64(msg, R3MAP_A_CHUNK_GENERATION, epoch->generation) ||
	    (cmd != R3MAP_CMD_EPOCH_OPEN && nla_put_u64(msg, R3MAP_A_CHUNK_EPOCH, epoch->number))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int open_reply(struct nlattr **attrs, void *data)
{
	struct epoch *epoch = data;

	if (!attrs[R3MAP_A_CHUNK_EPOCH] || nla_len(attrs[R3MAP_A_CHUNK_EPOCH]) != sizeof(uint64_t) ||
	    !attrs[R3MAP_A_CHUNK_GRAIN] || nla_len(attrs[R3MAP_A_CHUNK_GRAIN]) != sizeof(uint32_t))
		return -EBADMSG;
	epoch->number = nla_get_u64(attrs[R3MAP_A_CHUNK_EPOCH]);
	epoch->grain = nla_get_u32(attrs[R3MAP_A_CHUNK_GRAIN]);
	return 0;
}

int epoch_open(struct epoch *epoch, struct error *error)
{
	struct nl_msg *msg = epoch_message(epoch, R3MAP_CMD_EPOCH_OPEN);

	if (!msg)
		return error_set(error, -ENOMEM, "out of memory");
	return control_request(epoch->control, msg, R3MAP_A_CHUNK_MAX, open_reply, epoch, error);
}

int epoch_close(const struct epoch *epoch, struct error *error)
{
	struct nl_msg *msg = epoch_message(epoch, R3MAP_CMD_EPOCH_CLOSE);

	if (!msg)
		return error_set(error, -ENOMEM, "out of memory");
	return control_request(epoch->control, msg, R3MAP_A_CHUNK_MAX, NULL, NULL, error);
}

/* --- extents ------------------------------------------------------------------------------ */

static int extents_reserve(struct epoch_extents *extents, unsigned int more)
{
	unsigned int room = extents->room ? extents->room : R3MAP_EPOCH_EXTENTS;
	struct r3map_extent *grown;

	if (extents->room - extents->count >= more)
		return 0;
	while (room - extents->count < more)
		room *= 2;
	grown = realloc(extents->extent, room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	extents->extent = grown;
	extents->room = room;
	return 0;
}

static int extent_compare(const void *a, const void *b)
{
	const struct r3map_extent *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Sorted, and none of them touches another. */
void epoch_extents_merge(struct epoch_extents *extents)
{
	struct r3map_extent *list = extents->extent;
	unsigned int used = 0;

	extents->bytes = 0;
	if (!extents->count)
		return;
	qsort(list, extents->count, sizeof(*list), extent_compare);
	for (unsigned int i = 0; i < extents->count; i++) {
		struct r3map_extent *last = used ? &list[used - 1] : NULL;
		uint64_t end = list[i].offset + list[i].length;

		if (!last || last->offset + last->length < list[i].offset)
			list[used++] = list[i];
		else if (end > last->offset + last->length)
			last->length = end - last->offset;
	}
	extents->count = used;
	for (unsigned int i = 0; i < used; i++)
		extents->bytes += list[i].length;
}

int epoch_extents_append(struct epoch_extents *extents, const struct r3map_extent *more,
			 unsigned int count)
{
	if (!count)
		return 0;
	if (extents_reserve(extents, count))
		return -ENOMEM;
	memcpy(extents->extent + extents->count, more, count * sizeof(*more));
	extents->count += count;
	return 0;
}

int epoch_extents_add(struct epoch_extents *extents, const struct r3map_extent *more,
		      unsigned int count)
{
	int err = epoch_extents_append(extents, more, count);

	if (!err)
		epoch_extents_merge(extents);
	return err;
}

struct take {
	struct epoch_extents *extents;	/* with room for one answer */
	uint64_t next;
};

static int take_reply(struct nlattr **attrs, void *data)
{
	struct nlattr *list = attrs[R3MAP_A_CHUNK_EXTENTS];
	struct take *take = data;
	unsigned int count;

	if (!list || !attrs[R3MAP_A_CHUNK_NEXT] ||
	    nla_len(attrs[R3MAP_A_CHUNK_NEXT]) != sizeof(uint64_t) ||
	    (size_t)nla_len(list) % sizeof(struct r3map_extent))
		return -EBADMSG;
	count = (unsigned int)((size_t)nla_len(list) / sizeof(struct r3map_extent));
	if (count > R3MAP_EPOCH_EXTENTS)
		return -EBADMSG;
	memcpy(take->extents->extent + take->extents->count, nla_data(list), (size_t)nla_len(list));
	take->extents->count += count;
	take->next = nla_get_u64(attrs[R3MAP_A_CHUNK_NEXT]);
	return 0;
}

/* One message. Memory for the answer is there before anything is cleared. */
static int take_some(const struct epoch *epoch, struct take *take, struct error *error)
{
	struct nl_msg *msg;

	if (extents_reserve(take->extents, R3MAP_EPOCH_EXTENTS))
		return error_set(error, -ENOMEM, "out of memory for what was written");
	msg = epoch_message(epoch, R3MAP_CMD_EPOCH_TAKE);
	if (!msg || nla_put_u64(msg, R3MAP_A_CHUNK_OFFSET, take->next)) {
		nlmsg_free(msg);
		return error_set(error, -ENOMEM, "out of memory");
	}
	return control_request(epoch->control, msg, R3MAP_A_CHUNK_MAX, take_reply, take, error);
}

int epoch_take(const struct epoch *epoch, struct epoch_extents *extents, struct error *error)
{
	struct take take = { .extents = extents };
	int err = 0;

	while (!err && take.next < epoch->size)
		err = take_some(epoch, &take, error);
	epoch_extents_merge(extents);
	return err;
}

/* --- holding ------------------------------------------------------------------------------ */

static int device_order(struct control *control, int cmd, uint32_t index, uint64_t generation,
			struct error *error)
{
	const struct device in = {
		.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION),
		.index = index,
		.generation = generation,
	};

	return device_request(control, cmd, &in, NULL, error);
}

int device_release(struct control *control, uint32_t index, uint64_t generation,
		   struct error *error)
{
	return device_order(control, R3MAP_CMD_DEVICE_RELEASE, index, generation, error);
}

int device_retire(struct control *control, uint32_t index, uint64_t generation,
		  struct error *error)
{
	return device_order(control, R3MAP_CMD_DEVICE_RETIRE, index, generation, error);
}

struct finalize_wait {
	uint32_t index;
	uint64_t generation;
	bool over;
	struct device event;
};

static void finalize_event(const struct device *event, void *data)
{
	struct finalize_wait *wait = data;

	if (event->index != wait->index || event->generation != wait->generation)
		return;
	if (event->event != R3MAP_EVENT_FINALIZED && event->event != R3MAP_EVENT_REMOVED)
		return;
	wait->over = true;
	wait->event = *event;
	if (event->event == R3MAP_EVENT_REMOVED)
		wait->event.sync_errno = ENODEV;
}

/* Events were lost: what the device is now tells how it ended, if it has. */
static int finalize_look(struct control *control, struct finalize_wait *wait, bool late,
			 struct error *error)
{
	struct device now;
	int err = device_get(control, wait->index, &now, error);

	if (err)
		return err;
	if (now.generation != wait->generation)
		return error_set(error, -ESTALE, "r3map%" PRIu32 " was taken over meanwhile", wait->index);
	if (now.hold == R3MAP_HOLD_WRITES && now.present & DEVICE_HAS(DRAIN_TIME)) {
		wait->over = true;
		wait->event = now;
		wait->event.sync_errno = 0;
	} else if (late) {
		wait->over = true;
		wait->event.sync_errno = ETIMEDOUT;
	}
	return 0;
}

static int finalize_wait(struct control *control, struct events *events,
			 struct finalize_wait *wait, uint64_t until, struct error *error)
{
	struct pollfd pollfd = { .fd = events_fd(events), .events = POLLIN };
	uint64_t now;
	int err = 0;

	while (!err && !wait->over) {
		now = loop_now();
		poll(&pollfd, 1, now < until ? (int)((until - now) / MS + 1) : 0);
		err = events_read(events, finalize_event, wait);
		if (err && err != -ENOBUFS)
			return error_set(error, err, "cannot receive events: %s", strerror(-err));
		if (!wait->over)
			err = finalize_look(control, wait, loop_now() >= until, error);
		else
			err = 0;
	}
	return err;
}

/* It was accepted, and nobody knows how it went: nothing is to be held. */
static void finalize_undo(struct control *control, uint32_t index, uint64_t generation,
			  uint32_t deadline)
{
	uint64_t until = loop_now() + (deadline + LATE) * MS;

	while (device_release(control, index, generation, NULL) == -EBUSY && loop_now() < until)
		poll(NULL, 0, 5);
}

int device_finalize(struct control *control, uint32_t index, uint64_t generation,
		    uint32_t deadline, uint32_t hold_time, struct finalized *finalized,
		    struct error *error)
{
	const struct device in = {
		.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION) | DEVICE_HAS(DEADLINE) |
			   DEVICE_HAS(HOLD_TIME),
		.index = index,
		.generation = generation,
		.deadline = deadline,
		.hold_time = hold_time,
	};
	struct finalize_wait wait = { .index = index, .generation = generation };
	struct events *events;
	int err;

	err = events_open(control, &events, error);
	if (err)
		return err;
	err = device_request(control, R3MAP_CMD_DEVICE_FINALIZE, &in, NULL, error);
	if (!err) {
		err = finalize_wait(control, events, &wait, loop_now() + (deadline + LATE) * MS,
				    error);
		if (err)
			finalize_undo(control, index, generation, deadline);
	}
	events_close(events);
	if (err)
		return err;
	if (wait.event.sync_errno)
		return error_set(error, -(int)wait.event.sync_errno,
				 wait.event.sync_errno == ETIMEDOUT ?
				 "what was written to r3map%" PRIu32 " did not come to rest in time: writes go on" :
				 "r3map%" PRIu32 " cannot be finalized: %s",
				 index, strerror((int)wait.event.sync_errno));
	finalized->freeze = wait.event.freeze_time;
	finalized->drain = wait.event.drain_time;
	finalized->held_since = wait.event.held_since;
	return 0;
}

/* --- chunks that have changed where they come from ---------------------------------------- */

/* Whole chunks, none twice; the caller frees. */
static int drop_round(const struct chunks *chunks, uint64_t size, const struct r3map_extent *extents,
		      unsigned int count, struct epoch_extents *whole)
{
	const uint64_t mask = chunks->chunk - 1;

	if (extents_reserve(whole, count))
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		uint64_t from = extents[i].offset & ~mask;
		uint64_t to = (extents[i].offset + extents[i].length + mask) & ~mask;

		if (to > size)
			to = size;
		if (from >= to)
			continue;
		whole->extent[whole->count++] =
			(struct r3map_extent) { .offset = from, .length = to - from };
	}
	epoch_extents_merge(whole);
	return 0;
}

int chunks_drop(const struct chunks *chunks, uint64_t size, const struct r3map_extent *extents,
		unsigned int count, struct error *error)
{
	struct epoch_extents whole = { 0 };
	int err = 0;

	if (!count)
		return 0;
	if (drop_round(chunks, size, extents, count, &whole))
		err = error_set(error, -ENOMEM, "out of memory");
	else
		err = chunks_forget(chunks, whole.extent, whole.count, error);
	free(whole.extent);
	return err;
}
