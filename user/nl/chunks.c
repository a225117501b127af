// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages about chunks. See chunks.h.
 */
#include <errno.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <string.h>
#include <time.h>

#include "lib/error.h"
#include "nl/chunks.h"
#include "nl/control.h"
#include "nl/device.h"

#define MEMORY_TRIES	100
#define MEMORY_PAUSE	50000000	/* ns */

/* A message that names the device. NULL: out of memory. */
static struct nl_msg *chunks_message(const struct chunks *chunks, int cmd)
{
	struct nl_msg *msg = control_message(chunks->control, cmd, 0);

	if (!msg)
		return NULL;
	if (nla_put_u32(msg, R3MAP_A_CHUNK_INDEX, chunks->index) ||
	    (cmd != R3MAP_CMD_CHUNK_GET &&
	     nla_put_u64(msg, R3MAP_A_CHUNK_GENERATION, chunks->generation))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/*
 * Is a request that ended with @err to be made again? Then a moment has passed: memory that is
 * short now comes back, and giving up would leave chunks claimed or taken. @tries begins as 0.
 */
static bool chunks_again(int err, unsigned int *tries)
{
	if ((err != -ENOMEM && err != -ENOBUFS) || (*tries)++ == MEMORY_TRIES)
		return false;
	nanosleep(&(struct timespec){ .tv_nsec = MEMORY_PAUSE }, NULL);
	return true;
}

/* Puts what @what describes in @msg; nonzero if it does not fit. */
typedef int chunks_put(struct nl_msg *msg, const void *what);
typedef int chunks_reply(struct nlattr **attrs, void *data);

/* Sends command @cmd with what @put puts in it. */
static int chunks_request(const struct chunks *chunks, int cmd, chunks_put *put, const void *what,
			  chunks_reply *reply, void *data, struct error *error)
{
	unsigned int tries = 0;
	struct nl_msg *msg;
	int err;

	do {
		if (error)
			*error = (struct error){ 0 };
		msg = chunks_message(chunks, cmd);
		if (msg && !put(msg, what)) {
			err = control_request(chunks->control, msg, R3MAP_A_CHUNK_MAX, reply, data,
					      error);
		} else {
			nlmsg_free(msg);
			err = error_set(error, -ENOMEM, "out of memory for a message");
		}
	} while (chunks_again(err, &tries));
	return err;
}

static int extents_reply(struct nlattr **attrs, void *data)
{
	struct nlattr *extents = attrs[R3MAP_A_CHUNK_EXTENTS];
	struct chunk_extents *answer = data;
	size_t bytes;

	if (!extents || !attrs[R3MAP_A_CHUNK_NEXT] ||
	    nla_len(attrs[R3MAP_A_CHUNK_NEXT]) != sizeof(uint64_t))
		return -EBADMSG;
	bytes = (size_t)nla_len(extents);
	if (bytes % sizeof(struct r3map_extent) || bytes > sizeof(answer->extent))
		return -EBADMSG;
	answer->next = nla_get_u64(attrs[R3MAP_A_CHUNK_NEXT]);
	answer->count = (unsigned int)(bytes / sizeof(struct r3map_extent));
	memcpy(answer->extent, nla_data(extents), bytes);
	return 0;
}

/* What is asked for. */
struct chunks_question {
	uint64_t offset, length, max;	/* bytes; 0: not given */
	bool loose;
};

static int question_put(struct nl_msg *msg, const void *what)
{
	const struct chunks_question *question = what;

	return nla_put_u64(msg, R3MAP_A_CHUNK_OFFSET, question->offset) ||
	       (question->length && nla_put_u64(msg, R3MAP_A_CHUNK_LENGTH, question->length)) ||
	       (question->max && nla_put_u64(msg, R3MAP_A_CHUNK_LIMIT, question->max)) ||
	       (question->loose && nla_put_flag(msg, R3MAP_A_CHUNK_LOOSE));
}

static int chunks_ask(const struct chunks *chunks, int cmd, const struct chunks_question *question,
		      struct chunk_extents *extents, struct error *error)
{
	extents->count = 0;
	extents->next = question->offset;
	return chunks_request(chunks, cmd, question_put, question, extents_reply, extents, error);
}

/* What one message tells. */
struct chunks_statement {
	unsigned int count;
	int code;
	struct r3map_extent extent[R3MAP_MAX_EXTENTS];
};

static int statement_put(struct nl_msg *msg, const void *what)
{
	const struct chunks_statement *statement = what;

	return nla_put(msg, R3MAP_A_CHUNK_EXTENTS,
		       (int)(statement->count * sizeof(statement->extent[0])), statement->extent) ||
	       (statement->code && nla_put_s32(msg, R3MAP_A_CHUNK_ERROR, statement->code));
}

/* Tells about @extents in as many messages as it takes: one is for so many chunks only. */
static int chunks_tell(const struct chunks *chunks, int cmd, const struct r3map_extent *extents,
		       unsigned int count, int code, struct error *error)
{
	const uint64_t most = (uint64_t)R3MAP_CHUNKS_MESSAGE * chunks->chunk;
	struct chunks_statement statement = { .code = code };
	struct r3map_extent left;
	uint64_t room = most;
	int err;

	for (unsigned int i = 0; i < count; i++) {
		for (left = extents[i]; left.length;) {
			struct r3map_extent *part = &statement.extent[statement.count++];

			*part = left;
			if (part->length > room)
				part->length = room;
			left.offset += part->length;
			left.length -= part->length;
			/* A short chunk at the end takes the room of a whole one. */
			room -= (part->length + chunks->chunk - 1) / chunks->chunk * chunks->chunk;
			if (room && statement.count < R3MAP_MAX_EXTENTS)
				continue;
			err = chunks_request(chunks, cmd, statement_put, &statement, NULL, NULL,
					     error);
			if (err)
				return err;
			statement.count = 0;
			room = most;
		}
	}
	return statement.count ? chunks_request(chunks, cmd, statement_put, &statement, NULL, NULL,
						error) : 0;
}

int chunks_claim(const struct chunks *chunks, uint64_t offset, uint64_t length, uint64_t max,
		 bool loose, struct chunk_extents *extents, struct error *error)
{
	const struct chunks_question question = { offset, length, max, loose };

	if (chunks->ops)
		return chunks->ops->claim(chunks->map, offset, length, max, loose, extents, error);
	return chunks_ask(chunks, R3MAP_CMD_CHUNK_CLAIM, &question, extents, error);
}

int chunks_firm(const struct chunks *chunks, uint64_t offset, uint64_t length,
		struct chunk_extents *extents, struct error *error)
{
	const struct chunks_question question = { .offset = offset, .length = length };

	if (chunks->ops)
		return chunks->ops->firm(chunks->map, offset, length, extents, error);
	return chunks_ask(chunks, R3MAP_CMD_CHUNK_FIRM, &question, extents, error);
}

int chunks_take(const struct chunks *chunks, uint64_t offset, uint64_t length, uint64_t max,
		struct chunk_extents *extents, struct error *error)
{
	const struct chunks_question question = { offset, length, max, false };

	if (chunks->ops)
		return chunks->ops->take(chunks->map, offset, length, max, extents, error);
	return chunks_ask(chunks, R3MAP_CMD_DIRTY_TAKE, &question, extents, error);
}

int chunks_get(const struct chunks *chunks, uint64_t offset, struct chunk_extents *extents,
	       struct error *error)
{
	const struct chunks_question question = { .offset = offset };

	return chunks_ask(chunks, R3MAP_CMD_CHUNK_GET, &question, extents, error);
}

int chunks_fill(const struct chunks *chunks, const struct r3map_extent *extents,
		unsigned int count, int code, struct error *error)
{
	if (chunks->ops)
		return chunks->ops->fill(chunks->map, extents, count, code, error);
	return chunks_tell(chunks, R3MAP_CMD_CHUNK_FILL, extents, count, code, error);
}

int chunks_done(const struct chunks *chunks, const struct r3map_extent *extents,
		unsigned int count, int code, struct error *error)
{
	if (chunks->ops)
		return chunks->ops->done(chunks->map, extents, count, code, error);
	return chunks_tell(chunks, R3MAP_CMD_DIRTY_DONE, extents, count, code, error);
}

int chunks_local(const struct chunks *chunks, uint64_t *bytes, struct error *error)
{
	unsigned int tries = 0;
	struct device device;
	int err;

	if (chunks->ops)
		return chunks->ops->local(chunks->map, bytes, error);
	do {
		if (error)
			*error = (struct error){ 0 };
		err = device_get(chunks->control, chunks->index, &device, error);
	} while (chunks_again(err, &tries));
	if (!err)
		*bytes = device.local;
	return err;
}

static int store_reply(struct nlattr **attrs, void *data)
{
	int *fd = data;

	if (!attrs[R3MAP_A_CHUNK_FD] || nla_len(attrs[R3MAP_A_CHUNK_FD]) != sizeof(uint32_t))
		return -EBADMSG;
	*fd = (int)nla_get_u32(attrs[R3MAP_A_CHUNK_FD]);
	return 0;
}

static int nothing_put(struct nl_msg *msg, const void *what)
{
	(void)msg;
	(void)what;
	return 0;
}

int chunks_store(const struct chunks *chunks, int *fd, struct error *error)
{
	return chunks_request(chunks, R3MAP_CMD_STORE_OPEN, nothing_put, NULL, store_reply, fd,
			      error);
}
