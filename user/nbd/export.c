// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a server tells about an export, in reply to GO, INFO or EXPORT_NAME: see haggle.h. It is
 * checked here once; the rest of the program relies on struct nbd_export.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "haggle.h"
#include "wait.h"
#include "../lib/error.h"
#include "../lib/text.h"

#define REPLIES_MAX	32	/* INFO replies to one option */

void nbd_export_init(struct nbd_export *export)
{
	*export = (struct nbd_export) {
		.block_min = 1,
		.block_preferred = 4096,
		.payload_max = NBD_DEFAULT_PAYLOAD,
	};
}

static int option_send(struct nbd_haggle *h, uint32_t option, const char *name, bool details)
{
	nbd_haggle_option(h, option);
	nbd_put_string(&h->option, name);
	nbd_put16(&h->option, details ? 4 : 2);
	nbd_put16(&h->option, NBD_INFO_EXPORT);
	nbd_put16(&h->option, NBD_INFO_BLOCK_SIZE);
	if (details) {
		nbd_put16(&h->option, NBD_INFO_NAME);
		nbd_put16(&h->option, NBD_INFO_DESCRIPTION);
	}
	return nbd_haggle_send(h);
}

/* The rest of an INFO reply is a text. */
static int text_take(struct nbd_haggle *h, char to[NBD_MAX_STRING + 1])
{
	size_t length = h->reply.left;

	if (length > NBD_MAX_STRING)
		return nbd_haggle_broken(h, "a text of %zu bytes", length);
	memcpy(to, nbd_get(&h->reply, length), length);
	to[length] = '\0';
	text_clean(to);
	return 0;
}

/* One piece of information, h->reply. *@told: the size has been told. */
static int info_take(struct nbd_haggle *h, struct nbd_export *export, struct nbd_details *details,
		     bool *told)
{
	size_t length = h->reply.left;
	uint16_t info = nbd_get16(&h->reply);

	if (h->reply.failed)
		return nbd_haggle_broken(h, "information of %zu bytes", length);
	switch (info) {
	case NBD_INFO_EXPORT:
		if (length != sizeof(struct nbd_info_export))
			return nbd_haggle_broken(h, "export information of %zu bytes", length);
		export->size = nbd_get64(&h->reply);
		export->flags = nbd_get16(&h->reply);
		*told = true;
		return 0;
	case NBD_INFO_BLOCK_SIZE:
		if (length != sizeof(struct nbd_info_block_size))
			return nbd_haggle_broken(h, "block sizes of %zu bytes", length);
		export->block_min = nbd_get32(&h->reply);
		export->block_preferred = nbd_get32(&h->reply);
		export->payload_max = nbd_get32(&h->reply);
		return 0;
	case NBD_INFO_NAME:
		return details ? text_take(h, details->name) : 0;
	case NBD_INFO_DESCRIPTION:
		return details ? text_take(h, details->description) : 0;
	default:
		return 0;
	}
}

int nbd_haggle_export(struct nbd_haggle *h, uint32_t option, const char *name,
		      struct nbd_export *export, struct nbd_details *details)
{
	bool told = false;
	int replies, code;

	code = option_send(h, option, name, details);
	for (replies = 0; !code; replies++) {
		code = nbd_haggle_reply(h, option);
		if (code)
			break;
		if (h->type == NBD_REP_ACK)
			return told ? 0 : nbd_haggle_broken(h, "it did not tell the export's size");
		if (h->type == NBD_REP_ERR_UNSUP)
			return 1;
		if (h->type & NBD_REP_ERROR)
			return nbd_haggle_refused(h, option, name);
		if (h->type != NBD_REP_INFO || replies >= REPLIES_MAX)
			return nbd_haggle_broken(h, "a strange reply to %s (type %u, %zu bytes)",
						 nbd_option_name(option), h->type, h->reply.left);
		code = info_take(h, export, details, &told);
	}
	return code;
}

int nbd_haggle_export_name(struct nbd_haggle *h, const char *name, struct nbd_export *export)
{
	char answer[sizeof(struct nbd_export_name_reply) + NBD_EXPORT_NAME_ZEROES];
	struct nbd_export_name_reply reply;
	int code;

	nbd_haggle_option(h, NBD_OPT_EXPORT_NAME);
	nbd_put(&h->option, name, strlen(name));
	code = nbd_haggle_send(h);
	if (code)
		return code;
	code = nbd_receive(h->stream, answer,
			   h->no_zeroes ? sizeof(reply) : sizeof(answer), h->deadline);
	h->broken = true;	/* the haggling is over, one way or the other */
	if (code == -ETIMEDOUT)
		return error_set(h->error, code, "the server does not answer (EXPORT_NAME)");
	if (code)
		return error_set(h->error, code == -ECONNRESET ? -ENOENT : code,
			"the server closed the connection: it seems to have no export '%.200s'", name);
	memcpy(&reply, answer, sizeof(reply));
	export->size = be64toh(reply.size);
	export->flags = be16toh(reply.flags);
	return 0;
}

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

int nbd_haggle_export_check(struct nbd_haggle *h, struct nbd_export *export)
{
	if (!power_of_two(export->block_min) || export->block_min > NBD_MAX_BLOCK_MIN)
		return nbd_haggle_broken(h, "it asks for blocks of %u bytes", export->block_min);
	if (export->size > INT64_MAX)
		return nbd_haggle_broken(h, "the export is larger than 8 EiB");
	if (export->payload_max < export->block_min)
		return nbd_haggle_broken(h,
			"it takes at most %u bytes a request, less than a block",
			export->payload_max);
	if (export->payload_max > NBD_DEFAULT_PAYLOAD)
		export->payload_max = NBD_DEFAULT_PAYLOAD;
	export->payload_max &= ~(export->block_min - 1);
	if (!power_of_two(export->block_preferred) || export->block_preferred < export->block_min)
		export->block_preferred = export->block_min > 4096 ? export->block_min : 4096;
	export->size &= ~(uint64_t)(export->block_min - 1);
	if (!(export->flags & NBD_FLAG_HAS_FLAGS))
		export->flags = 0;
	return 0;
}
