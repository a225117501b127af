// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages about chunks. See chunks.h.
 */
#include <errno.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <string.h>

#include "lib/error.h"
#include "nl/chunks.h"
#include "nl/control.h"

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

static int chunks_out_of_memory(struct nl_msg *msg, struct error *error)
{
	if (msg)
		nlmsg_free(msg);
	return error_set(error, -ENOMEM, "out of memory for a message");
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

static int chunks_ask(const struct chunks *chunks, int cmd, uint64_t offset, uint64_t length,
		      uint64_t max, struct chunk_extents *extents, struct error *error)
{
	struct nl_msg *msg = chunks_message(chunks, cmd);

	if (!msg || nla_put_u64(msg, R3MAP_A_CHUNK_OFFSET, offset) ||
	    (length && nla_put_u64(msg, R3MAP_A_CHUNK_LENGTH, length)) ||
	    (max && nla_put_u64(msg, R3MAP_A_CHUNK_LIMIT, max)))
		return chunks_out_of_memory(msg, error);
	extents->count = 0;
	extents->next = offset;
	return control_request(chunks->control, msg, R3MAP_A_CHUNK_MAX, extents_reply, extents,
			       error);
}

static int chunks_tell(const struct chunks *chunks, int cmd, const struct r3map_extent *extents,
		       unsigned int count, int code, struct error *error)
{
	struct nl_msg *msg = chunks_message(chunks, cmd);

	if (!msg || nla_put(msg, R3MAP_A_CHUNK_EXTENTS, (int)(count * sizeof(*extents)), extents) ||
	    (code && nla_put_s32(msg, R3MAP_A_CHUNK_ERROR, code)))
		return chunks_out_of_memory(msg, error);
	return control_request(chunks->control, msg, 0, NULL, NULL, error);
}

int chunks_claim(const struct chunks *chunks, uint64_t offset, uint64_t length, uint64_t max,
		 struct chunk_extents *extents, struct error *error)
{
	return chunks_ask(chunks, R3MAP_CMD_CHUNK_CLAIM, offset, length, max, extents, error);
}

int chunks_take(const struct chunks *chunks, uint64_t offset, uint64_t length, uint64_t max,
		struct chunk_extents *extents, struct error *error)
{
	return chunks_ask(chunks, R3MAP_CMD_DIRTY_TAKE, offset, length, max, extents, error);
}

int chunks_get(const struct chunks *chunks, uint64_t offset, struct chunk_extents *extents,
	       struct error *error)
{
	return chunks_ask(chunks, R3MAP_CMD_CHUNK_GET, offset, 0, 0, extents, error);
}

int chunks_fill(const struct chunks *chunks, const struct r3map_extent *extents,
		unsigned int count, int code, struct error *error)
{
	return chunks_tell(chunks, R3MAP_CMD_CHUNK_FILL, extents, count, code, error);
}

int chunks_done(const struct chunks *chunks, const struct r3map_extent *extents,
		unsigned int count, int code, struct error *error)
{
	return chunks_tell(chunks, R3MAP_CMD_DIRTY_DONE, extents, count, code, error);
}

static int store_reply(struct nlattr **attrs, void *data)
{
	int *fd = data;

	if (!attrs[R3MAP_A_CHUNK_FD] || nla_len(attrs[R3MAP_A_CHUNK_FD]) != sizeof(uint32_t))
		return -EBADMSG;
	*fd = (int)nla_get_u32(attrs[R3MAP_A_CHUNK_FD]);
	return 0;
}

int chunks_store(const struct chunks *chunks, int *fd, struct error *error)
{
	struct nl_msg *msg = chunks_message(chunks, R3MAP_CMD_STORE_OPEN);

	if (!msg)
		return chunks_out_of_memory(msg, error);
	return control_request(chunks->control, msg, R3MAP_A_CHUNK_MAX, store_reply, fd, error);
}
