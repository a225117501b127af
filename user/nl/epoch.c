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

/* --- what was written --------------------------------------------------------------------- */

#define TOUCHED		512u	/* words: no page has more */
#define TRIES		8u	/* pages are where they are touched; only a fork in between takes them away */

static int take_reply(struct nlattr **attrs, void *data)
{
	uint64_t *next = data;

	if (!attrs[R3MAP_A_CHUNK_NEXT] || nla_len(attrs[R3MAP_A_CHUNK_NEXT]) != sizeof(*next))
		return -EBADMSG;
	*next = nla_get_u64(attrs[R3MAP_A_CHUNK_NEXT]);
	return 0;
}

/* Makes the pages be there, to be written: the module does not wait for one. */
static void words_touch(volatile uint64_t *words, size_t count)
{
	for (size_t i = 0; i < count; i += TOUCHED)
		words[i] = words[i];
	words[count - 1] = words[count - 1];
}

static size_t words_most(size_t count)
{
	return count < R3MAP_MAX_BITMAP / sizeof(uint64_t) ? count : R3MAP_MAX_BITMAP / sizeof(uint64_t);
}

/* The words from @offset on, in the region's bytes. */
static int words_put(struct nl_msg *msg, uint64_t offset, const uint64_t *words, size_t count)
{
	return nla_put_u64(msg, R3MAP_A_CHUNK_OFFSET, offset) ||
	       nla_put_u64(msg, R3MAP_A_CHUNK_BITMAP, (uintptr_t)words) ||
	       nla_put_u32(msg, R3MAP_A_CHUNK_BITMAP_SIZE, (uint32_t)(count * sizeof(*words)));
}

/* One message; *@next: where it stopped, or as it was. */
static int take_some(const struct epoch *epoch, uint64_t *next, uint64_t *words, size_t count,
		     bool keep, struct error *error)
{
	struct nl_msg *msg = epoch_message(epoch, R3MAP_CMD_EPOCH_TAKE);

	if (!msg || words_put(msg, *next, words, count) ||
	    (keep && nla_put_flag(msg, R3MAP_A_CHUNK_KEEP))) {
		nlmsg_free(msg);
		return error_set(error, -ENOMEM, "out of memory");
	}
	return control_request(epoch->control, msg, R3MAP_A_CHUNK_MAX, take_reply, next, error);
}

static int take_words(const struct epoch *epoch, size_t first, uint64_t *words, size_t count,
		      bool keep, struct error *error)
{
	const uint64_t each = 64ull * epoch->grain;
	uint64_t next = first * each, end = (first + count) * each;
	unsigned int tries = 0;
	int err = 0;

	while (!err && next < end && next < epoch->size) {
		size_t done = (size_t)(next / each) - first;

		err = take_some(epoch, &next, words + done, words_most(count - done), keep, error);
		if (err != -EFAULT || tries++ == TRIES)
			continue;
		words_touch(words + done, words_most(count - done));
		*error = (struct error) { 0 };
		err = 0;
	}
	return err;
}

int epoch_take(const struct epoch *epoch, uint64_t *words, size_t count, struct error *error)
{
	return take_words(epoch, 0, words, count, false, error);
}

int epoch_peek(const struct epoch *epoch, size_t first, uint64_t *words, size_t count,
	       struct error *error)
{
	return take_words(epoch, first, words, count, true, error);
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

int device_throttle(struct control *control, uint32_t index, uint64_t generation, uint64_t rate,
		    struct error *error)
{
	const struct device in = {
		.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION) | DEVICE_HAS(THROTTLE),
		.index = index,
		.generation = generation,
		.throttle = rate,
	};

	return device_request(control, R3MAP_CMD_DEVICE_SET, &in, NULL, error);
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

static int drop_some(const struct chunks *chunks, uint64_t offset, const uint64_t *words,
		     size_t count, struct error *error)
{
	struct nl_msg *msg = control_message(chunks->control, R3MAP_CMD_CHUNK_DROP, 0);

	if (!msg || nla_put_u32(msg, R3MAP_A_CHUNK_INDEX, chunks->index) ||
	    nla_put_u64(msg, R3MAP_A_CHUNK_GENERATION, chunks->generation) ||
	    words_put(msg, offset, words, count)) {
		nlmsg_free(msg);
		return error_set(error, -ENOMEM, "out of memory");
	}
	return control_request(chunks->control, msg, R3MAP_A_CHUNK_MAX, NULL, NULL, error);
}

int chunks_drop(const struct chunks *chunks, uint64_t *words, size_t count, struct error *error)
{
	unsigned int tries = 0;
	size_t done = 0, some;
	int err = 0;

	while (!err && done < count) {
		some = words_most(count - done);
		err = drop_some(chunks, done * 64 * chunks->chunk, words + done, some, error);
		if (!err) {
			done += some;
		} else if (err == -EFAULT && tries++ < TRIES) {
			words_touch(words + done, some);
			*error = (struct error) { 0 };
			err = 0;
		}
	}
	return err;
}
