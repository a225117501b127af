// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * LIST and LIST_META_CONTEXT, and help with a wrong name: see list.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "list.h"
#include "../lib/error.h"
#include "../lib/loop.h"
#include "../lib/text.h"

#define NAMES_TIME	2000000000ull	/* ns for asking which exports there are */
#define NAMES_SHOWN	8

/* The rest of a reply, as text. */
static bool rest_take(struct nbd_haggle *h, char to[NBD_MAX_STRING + 1])
{
	size_t length = h->reply.left;
	const char *at;

	if (h->reply.failed || length > NBD_MAX_STRING)
		return false;
	at = nbd_get(&h->reply, length);
	memcpy(to, at, length);
	to[length] = '\0';
	text_clean(to);
	return true;
}

/*
 * Reads replies until the last one; each of @type goes to @take, which tells a malformed one by
 * 1, or ends it with a negative errno.
 */
static int replies_read(struct nbd_haggle *h, uint32_t option, uint32_t type, const char *name,
			int (*take)(struct nbd_haggle *h, void *owner), void *owner)
{
	unsigned int count;
	int code;

	for (count = 0;; count++) {
		code = nbd_haggle_reply(h, option);
		if (code)
			return code;
		if (h->type == NBD_REP_ACK)
			return 0;
		if (h->type & NBD_REP_ERROR)
			return nbd_haggle_refused(h, option, name);
		if (h->type != type)
			return nbd_haggle_broken(h, "a strange reply to %s (type %u, %zu bytes)",
						 nbd_option_name(option), h->type, h->reply.left);
		if (count >= NBD_LIST_MAX) {
			h->broken = true;
			return error_set(h->error, -EFBIG, "the server lists more than %u entries",
					 NBD_LIST_MAX);
		}
		code = take(h, owner);
		if (code > 0)
			return nbd_haggle_broken(h, "a malformed reply to %s",
						 nbd_option_name(option));
		if (code) {
			h->broken = true;
			return code;
		}
	}
}

struct exports {
	int (*each)(const char *name, const char *description, void *owner);
	void *owner;
};

static int export_take(struct nbd_haggle *h, void *owner)
{
	const struct exports *exports = owner;
	char name[NBD_MAX_STRING + 1], description[NBD_MAX_STRING + 1];

	nbd_get_string(&h->reply, name);
	if (!rest_take(h, description))
		return 1;
	text_clean(name);
	return exports->each(name, description, exports->owner);
}

int nbd_list(struct nbd_haggle *h,
	     int (*each)(const char *name, const char *description, void *owner), void *owner)
{
	struct exports exports = { each, owner };
	int code;

	nbd_haggle_option(h, NBD_OPT_LIST);
	code = nbd_haggle_send(h);
	return code ? code : replies_read(h, NBD_OPT_LIST, NBD_REP_SERVER, NULL, export_take,
					  &exports);
}

struct contexts {
	int (*each)(const char *context, void *owner);
	void *owner;
};

static int context_take(struct nbd_haggle *h, void *owner)
{
	const struct contexts *contexts = owner;
	char context[NBD_MAX_STRING + 1];

	nbd_get32(&h->reply);	/* an id that means nothing before one is chosen */
	return rest_take(h, context) ? contexts->each(context, contexts->owner) : 1;
}

int nbd_list_contexts(struct nbd_haggle *h, const char *name,
		      int (*each)(const char *context, void *owner), void *owner)
{
	struct contexts contexts = { each, owner };
	int code;

	nbd_haggle_option(h, NBD_OPT_LIST_META_CONTEXT);
	nbd_put_string(&h->option, name);
	nbd_put32(&h->option, 0);	/* no query: all of them */
	code = nbd_haggle_send(h);
	return code ? code : replies_read(h, NBD_OPT_LIST_META_CONTEXT, NBD_REP_META_CONTEXT, name,
					  context_take, &contexts);
}

struct names {
	char text[300];
	size_t used;
	unsigned int count;
};

static int name_add(const char *name, const char *description, void *owner)
{
	struct names *names = owner;
	size_t room = sizeof(names->text) - names->used;
	int length;

	(void)description;
	if (names->count++ >= NAMES_SHOWN)
		return 0;
	length = snprintf(names->text + names->used, room, "%s'%s'", names->used ? ", " : "", name);
	if ((size_t)length < room)
		names->used += (size_t)length;
	else	/* a name that is cut would be a wrong one */
		names->text[names->used] = '\0';
	return 0;
}

void nbd_list_tell(struct nbd_haggle *h)
{
	struct names names = { .count = 0 };
	struct error *error = h->error;
	struct error ignored = { 0 };
	uint64_t deadline = loop_now() + NAMES_TIME;
	size_t used;
	int code;

	if (!error)
		return;
	h->error = &ignored;
	if (deadline < h->deadline)
		h->deadline = deadline;
	code = nbd_list(h, name_add, &names);
	h->error = error;
	if (code || !names.used)
		return;
	used = strlen(error->text);
	snprintf(error->text + used, sizeof(error->text) - used, "; it has %s%s", names.text,
		 names.count > NAMES_SHOWN ? " and others" : "");
}
