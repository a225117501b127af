// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sending end of one connection. See sending.h; what a stream does is in sending_stream.c.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "sync/sending_stream.h"

static struct sending *of_owner(struct wire_owner *owner)
{
	return (struct sending *)((char *)owner - offsetof(struct sending, owner));
}

/* The first of ours that they can, 0: none. */
static unsigned int hash_agreed(const uint8_t ours[SYNC_HASHES], const uint8_t theirs[SYNC_HASHES])
{
	for (unsigned int i = 0; i < SYNC_HASHES && ours[i]; i++)
		if (memchr(theirs, ours[i], SYNC_HASHES))
			return ours[i];
	return 0;
}

static int sending_hello(struct wire_owner *owner, const struct sync_hello *hello,
			 struct error *error)
{
	struct sending *sending = of_owner(owner);
	uint32_t chunk = hello->chunk ? hello->chunk : sending->offer.chunk;
	unsigned int hash;
	int code;

	if (hello->version_min > SYNC_VERSION)
		return error_set(error, -EPROTONOSUPPORT, "the other end speaks a newer protocol only: use a newer r3map here");
	if (hello->role != SYNC_RECEIVER)
		return error_set(error, -EPROTO, "both ends want to send: one has to be r3map receive, or a hub");
	hash = hash_agreed(sending->offer.hashes, hello->hashes);
	if (!hash)
		return error_set(error, -EPROTONOSUPPORT, "the other end does not know, or does not allow, the hash of --hash");
	if (chunk < SYNC_CHUNK_MIN || chunk > SYNC_CHUNK_MAX || chunk & (chunk - 1) || !hello->streams)
		return error_set(error, -EPROTO, "the other end wants chunks of %u bytes in %u streams, which makes no sense",
				 chunk, hello->streams);
	code = hashing_init(&sending->hashing, (enum sync_hash)hash, chunk, error);
	if (code)
		return code;
	sending->most = hello->streams < SYNC_STREAMS_MAX ? hello->streams : SYNC_STREAMS_MAX;
	sending->ready = true;
	loop_task_queue(sending->loop, &sending->pump);
	return 0;
}

/* Is ROUND, or END, the answer to what was said? */
static bool answer_is_due(const struct sending *sending, const struct sync_message *m)
{
	return m->type == SYNC_END ? sending->goodbye : sending->round && m->round == sending->round;
}

static int sending_message(struct wire_owner *owner, const struct sync_message *m,
			   struct error *error)
{
	struct sending *sending = of_owner(owner);

	switch (m->type) {
	case SYNC_ROUND:
	case SYNC_END:
		if (!answer_is_due(sending, m))
			return error_set(error, -EPROTO, "the other end broke the protocol: it answers %s, which was not said",
					 sync_type_name(m->type));
		sending->round = 0;
		sending->ops->answered(sending, m->type);
		loop_task_queue(sending->loop, &sending->pump);
		return 0;
	case SYNC_OPENED:
	case SYNC_HASH_LIST:
	case SYNC_CREDIT:
	case SYNC_COMMITTED:
	case SYNC_DIFFERS:
	case SYNC_ERROR:
		break;
	default:
		return error_set(error, -EPROTO, "the other end broke the protocol: %s is for a sender",
				 sync_type_name(m->type));
	}
	for (struct sending_stream *s = sending->streams; s; s = s->next)
		if (s->number == m->stream)
			return sending_stream_message(s, m, error);
	if (!m->stream || m->stream > sending->numbered)
		return error_set(error, -EPROTO, "the other end broke the protocol: there never was a stream %u",
				 m->stream);
	return 0;		/* it crossed our CLOSE */
}

/* --- what is to be done -------------------------------------------------------------------- */

static void list_init(struct sending_list *list)
{
	list->last = &list->first;
}

static void list_leave(struct sending_entry *entry)
{
	*entry->link = entry->next;
	if (entry->next)
		entry->next->link = entry->link;
	else
		entry->list->last = entry->link;
}

static void list_join(struct sending_list *list, struct sending_entry *entry)
{
	entry->list = list;
	entry->next = NULL;
	entry->link = list->last;
	*list->last = entry;
	list->last = &entry->next;
}

/* It is in no table any more. */
static void entry_free(struct sending_entry *entry)
{
	list_leave(entry);
	free(entry->name);
	free(entry);
}

static bool is_due(const struct sending_entry *entry)
{
	return entry->due > entry->done && !entry->failed && !entry->gone;
}

void sending_place(struct sending_entry *entry, struct sending *sending)
{
	struct sending_list *list = entry->gone ? &sending->gone :
				    is_due(entry) && !entry->stream ? &sending->waiting : &sending->rest;

	if (entry->list == list)
		return;
	list_leave(entry);
	list_join(list, entry);
}

/* A stream that has nothing to do gives its place to another entry. False: all are at work. */
static bool stream_spare(struct sending *sending)
{
	for (struct sending_stream *s = sending->streams; s; s = s->next) {
		if (!sending_stream_idle(s))
			continue;
		sending_stream_close(s);
		return true;
	}
	return false;
}

/* Entries that are gone, and have no stream any more. */
static void entries_drop(struct sending *sending)
{
	struct sending_entry *entry, *next;

	for (entry = sending->gone.first; entry; entry = next) {
		struct sync_message m = { .type = SYNC_REMOVE };

		next = entry->next;
		if (entry->stream)
			continue;
		strcpy(m.open.name, entry->name);
		wire_say(&sending->wire, &m);
		entry_free(entry);
	}
}

/* Is there still a stream of another region of that name? The receiver has one at a time. */
static bool name_leaving(const struct sending *sending, const struct sending_entry *entry)
{
	const struct sending_stream *s = sending->streams;

	while (s && strcmp(s->entry->name, entry->name) != 0)
		s = s->next;
	return s;
}

/* Those that failed are closed, and others opened. False: all of them are done. */
static bool streams_settle(struct sending *sending)
{
	struct sending_stream *stream, *next;
	struct sending_entry *e, *after;

	for (stream = sending->streams; stream; stream = next) {
		next = stream->next;
		if (stream->state == SENDING_FAILED && !stream->flying)
			sending_stream_close(stream);
	}
	entries_drop(sending);
	for (e = sending->waiting.first; e; e = after) {
		struct region *region;
		struct error error = { 0 };

		after = e->next;
		if (name_leaving(sending, e))
			continue;
		if (sending->open >= sending->most && !stream_spare(sending))
			break;
		if (!sending->ops->open(sending, e, &region, &error)) {
			if (!sending_stream_open(sending, e, region, &error))
				continue;
			sending->ops->close(sending, e, region);
		}
		e->failed = true;
		sending_place(e, sending);
		sending->ops->failed(sending, e, &error);
	}
	stream = sending->streams;
	while (stream && !is_due(stream->entry))
		stream = stream->next;
	return stream || sending->waiting.first;
}

/* The first in the row goes to its end, so that all have their turn at the batches. */
static void streams_rotate(struct sending *sending)
{
	struct sending_stream *first = sending->streams, **link = &sending->streams;

	if (!first || !first->next)
		return;
	sending->streams = first->next;
	first->next = NULL;
	while (*link)
		link = &(*link)->next;
	*link = first;
}

static void sending_pump(struct loop_task *task)
{
	struct sending *sending = (struct sending *)((char *)task - offsetof(struct sending, pump));

	if (sending->over) {
		if (!sending->flying)
			sending->ops->ended(sending, &sending->why);
		return;
	}
	if (!sending->ready)
		return;
	streams_rotate(sending);
	for (struct sending_stream *s = sending->streams; s; s = s->next)
		sending_stream_go_on(s);
	if (!streams_settle(sending) && !sending->flying)
		sending->ops->idle(sending);
}

static void sending_ended(struct wire_owner *owner, const struct error *error)
{
	struct sending *sending = of_owner(owner);

	sending->over = true;
	sending->why = *error;
	loop_task_queue(sending->loop, &sending->pump);
}

/* --- for the owner ------------------------------------------------------------------------- */

int sending_new(const struct sending_setup *setup, int fd, struct sending **made,
		struct error *error)
{
	struct sending *sending = calloc(1, sizeof(*sending));
	int code;

	if (!sending)
		return error_set(error, -ENOMEM, "out of memory");
	*sending = (struct sending) {
		.owner = { sending_hello, sending_message, sending_ended },
		.loop = setup->loop, .pool = setup->pool, .ops = setup->ops, .data = setup->data,
		.pump.run = sending_pump,
		.offer = {
			.version_min = SYNC_VERSION, .version_max = SYNC_VERSION, .role = SYNC_SENDER,
			.chunk = setup->chunk,
		},
	};
	list_init(&sending->waiting);
	list_init(&sending->gone);
	list_init(&sending->rest);
	memcpy(sending->offer.hashes, setup->hashes, SYNC_HASHES);
	code = wire_open(&sending->wire, setup->loop, &sending->owner, fd, setup->credentials,
			 setup->hostname, setup->address, &setup->limits, &sending->offer, error);
	if (code) {
		free(sending);
		return code;
	}
	*made = sending;
	return 0;
}

void sending_free(struct sending *sending)
{
	while (sending->streams)
		sending_stream_close(sending->streams);
	wire_free(&sending->wire);
	loop_task_cancel(sending->loop, &sending->pump);
	while (sending->waiting.first)
		entry_free(sending->waiting.first);
	while (sending->gone.first)
		entry_free(sending->gone.first);
	while (sending->rest.first)
		entry_free(sending->rest.first);
	names_free(&sending->names);
	sending_batches_free(sending);
	free(sending);
}

struct sending_entry *sending_add(struct sending *sending, const char *name, void *data)
{
	struct sending_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->name = strdup(name);
	entry->named.name = entry->name;
	if (!entry->name || names_add(&sending->names, &entry->named)) {
		free(entry->name);
		free(entry);
		return NULL;
	}
	entry->data = data;
	list_join(&sending->rest, entry);
	return entry;
}

struct sending_entry *sending_find(const struct sending *sending, const char *name)
{
	struct name *found = names_find(&sending->names, name);

	return found ? (struct sending_entry *)((char *)found - offsetof(struct sending_entry, named)) :
		       NULL;
}

void sending_remove(struct sending *sending, struct sending_entry *entry)
{
	entry->gone = true;
	names_remove(&sending->names, &entry->named);
	sending_place(entry, sending);
	if (entry->stream)
		entry->stream->state = SENDING_FAILED;
	loop_task_queue(sending->loop, &sending->pump);
}

void sending_due(struct sending *sending, struct sending_entry *entry, uint64_t version)
{
	entry->due = version;
	entry->failed = false;
	sending_place(entry, sending);
	loop_task_queue(sending->loop, &sending->pump);
}

void sending_restart(struct sending *sending, struct sending_entry *entry)
{
	if (entry->stream)
		entry->stream->state = SENDING_FAILED;
	loop_task_queue(sending->loop, &sending->pump);
}

void sending_round(struct sending *sending, uint64_t round)
{
	sending->round = round;
	wire_say(&sending->wire, &(struct sync_message) { .type = SYNC_ROUND, .round = round });
}

void sending_end(struct sending *sending)
{
	sending->goodbye = true;
	wire_say(&sending->wire, &(struct sync_message) { .type = SYNC_END });
}

void sending_progress(const struct sending *sending, uint64_t *total, uint64_t *left)
{
	*total = *left = 0;
	for (const struct sending_stream *s = sending->streams; s; s = s->next) {
		*total += s->region->size;
		*left += s->state == SENDING_DATA || s->state == SENDING_COMMIT ?
			 bits_bytes(&s->dirty) : s->region->size;
	}
}
