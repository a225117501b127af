// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One stream of a sending connection. See sending_stream.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "sync/sending_stream.h"

#define TRIES_MAX	3u

static uint64_t groups_of(const struct region *region)
{
	return region->chunks / SYNC_GROUP + (region->chunks % SYNC_GROUP != 0);
}

static void say(struct sending_stream *stream, enum sync_type type)
{
	wire_say(&stream->sending->wire,
		 &(struct sync_message) { .type = type, .stream = stream->number });
}

/* Says what costs credit, of which there is enough. */
static void pay(struct sending_stream *stream, const struct sync_message *m)
{
	stream->credit -= sync_cost(m);
	wire_say(&stream->sending->wire, m);
}

static void chunk_dirty(struct sending_stream *stream, uint64_t index)
{
	uint64_t from = index * stream->region->hashing->chunk;

	bits_set(&stream->dirty, from, from + region_length(stream->region, index));
}

/* Bits for the region as it is, also if that has no bytes. */
static int dirty_new(struct bits *dirty, const struct region *region, struct error *error)
{
	return bits_new(dirty, region->size ? region->size : 1, region->hashing->chunk, error);
}

/* --- life --------------------------------------------------------------------------------- */

int sending_stream_open(struct sending *sending, struct sending_entry *entry,
			struct region *region, struct error *error)
{
	struct sending_stream *stream = calloc(1, sizeof(*stream)), **link = &sending->streams;
	struct sync_message m = { .type = SYNC_OPEN };

	if (!stream)
		return error_set(error, -ENOMEM, "out of memory");
	if (dirty_new(&stream->dirty, region, error)) {
		free(stream);
		return error->code;
	}
	stream->sending = sending;
	stream->entry = entry;
	stream->region = region;
	stream->size = stream->cut = region->size;
	stream->number = ++sending->numbered;
	stream->region_next = region->streams;
	region->streams = stream;
	entry->stream = stream;
	sending_place(entry, sending);
	while (*link)
		link = &(*link)->next;
	*link = stream;
	sending->open++;
	m.stream = stream->number;
	m.open.kind = region->device ? SYNC_DEVICE : SYNC_FILE;
	m.open.mode = region->mode;
	m.open.size = region->size;
	snprintf(m.open.name, sizeof(m.open.name), "%s", entry->name);
	wire_say(&sending->wire, &m);
	return 0;
}

void sending_stream_close(struct sending_stream *stream)
{
	struct sending *sending = stream->sending;
	struct sending_stream **link;

	say(stream, SYNC_CLOSE);
	for (link = &sending->streams; *link != stream; link = &(*link)->next)
		;
	*link = stream->next;
	for (link = &stream->region->streams; *link != stream; link = &(*link)->region_next)
		;
	*link = stream->region_next;
	sending->open--;
	stream->entry->stream = NULL;
	sending_place(stream->entry, sending);
	sending->ops->close(sending, stream->entry, stream->region);
	bits_free(&stream->dirty);
	free(stream->groups);
	free(stream);
}

void sending_stream_fail(struct sending_stream *stream, const struct error *error)
{
	struct sending_entry *entry = stream->entry;

	if (stream->state == SENDING_FAILED)
		return;
	stream->state = SENDING_FAILED;
	entry->failed = true;
	stream->sending->ops->failed(stream->sending, entry, error);
	loop_task_queue(stream->sending->loop, &stream->sending->pump);
}

bool sending_stream_idle(const struct sending_stream *stream)
{
	return stream->state == SENDING_DATA && !stream->flying && !stream->resized &&
	       !bits_bytes(&stream->dirty) && stream->entry->done >= stream->entry->due;
}

/* --- comparing ---------------------------------------------------------------------------- */

/* Asks for the hashes of @count groups from @first on, or adds them to what will be asked. */
static void want_add(struct sending_stream *stream, struct sync_message *m, uint64_t first,
		     uint64_t count)
{
	struct sync_range *last = m->want.count ? &m->want.range[m->want.count - 1] : NULL;

	if (last && last->first + last->count == first) {
		last->count += count;
		return;
	}
	if (m->want.count == SYNC_RANGES_MAX) {
		wire_say(&stream->sending->wire, m);
		m->want.count = 0;
	}
	m->want.range[m->want.count++] = (struct sync_range) { first, count };
}

static uint64_t group_chunks(const struct region *region, uint64_t group)
{
	uint64_t left = region->chunks - group * SYNC_GROUP;

	return left < SYNC_GROUP ? left : SYNC_GROUP;
}

/* Both ends' groups are there: which chunks must be looked at? */
static void groups_compare(struct sending_stream *stream)
{
	struct sync_message m = { .type = SYNC_WANT, .stream = stream->number };
	const struct region *region = stream->region;
	const uint32_t bytes = region->hashing->bytes;
	unsigned char ours[SYNC_HASH_MAX];

	m.want.list = SYNC_CHUNKS;
	for (uint64_t group = 0; group < groups_of(region); group++) {
		region_group(region, group, ours);
		if (!memcmp(ours, stream->groups + group * bytes, bytes))
			continue;
		want_add(stream, &m, group, 1);
		stream->missing += group_chunks(region, group);
	}
	if (m.want.count)
		wire_say(&stream->sending->wire, &m);
	free(stream->groups);
	stream->groups = NULL;
	stream->state = stream->missing ? SENDING_CHUNKS : SENDING_DATA;
}

/* The receiver has zeroes: all that is data is to be sent. Holes are not looked at. */
static void data_dirty(struct sending_stream *stream)
{
	struct region *region = stream->region;
	uint64_t from, to = 0;

	while (to < region->size) {
		from = region_data(region->fd, to);
		if (from >= region->size)
			break;
		to = region_hole(region->fd, from);
		if (to > region->size)
			to = region->size;
		bits_set(&stream->dirty, from, to);
	}
}

/* The region is known, or the receiver is ready, whichever comes last. */
static void compare(struct sending_stream *stream)
{
	if (stream->state != SENDING_LEARNING || !stream->region->known)
		return;
	if (stream->empty) {
		/* What is zeroes in the tables the receiver has: for a known region that is exact. */
		for (uint64_t i = 0; !stream->known && i < stream->region->chunks; i++)
			if (memcmp(region_strong(stream->region, i),
				   stream->region->hashing->zero_strong, SYNC_ROOT) != 0)
				chunk_dirty(stream, i);
		stream->state = SENDING_DATA;
	} else {
		groups_compare(stream);
	}
	stream->known = true;
	loop_task_queue(stream->sending->loop, &stream->sending->pump);
}

/* The receiver has opened it. */
static int opened(struct sending_stream *stream, const struct sync_message *m)
{
	uint64_t bytes = groups_of(stream->region) * stream->region->hashing->bytes;

	stream->credit = m->opened.credit;
	stream->touched = true;
	stream->empty = m->opened.flags & SYNC_OPENED_EMPTY || !stream->region->chunks;
	stream->state = stream->empty ? SENDING_LEARNING : SENDING_GROUPS;
	if (!stream->empty) {
		stream->groups = malloc(bytes);
		if (!stream->groups)
			return -ENOMEM;
	}
	if (!stream->region->known)
		stream->sending->ops->learn(stream->sending, stream->region, stream->empty);
	compare(stream);
	return 0;
}

static bool take_groups(struct sending_stream *stream, const struct sync_message *m)
{
	const uint32_t bytes = stream->region->hashing->bytes;
	uint64_t count = m->hashes.bytes / bytes;

	if (stream->state != SENDING_GROUPS || m->hashes.first != stream->groups_got ||
	    count > groups_of(stream->region) - stream->groups_got)
		return false;
	memcpy(stream->groups + stream->groups_got * bytes, m->hashes.hash, m->hashes.bytes);
	stream->groups_got += count;
	if (stream->groups_got == groups_of(stream->region)) {
		stream->state = SENDING_LEARNING;
		compare(stream);
	}
	return true;
}

/* Of chunks, of either kind: what is not as ours is to be sent. */
static bool take_chunks(struct sending_stream *stream, const struct sync_message *m, bool strong)
{
	struct region *region = stream->region;
	const uint32_t bytes = strong ? SYNC_ROOT : region->hashing->bytes;
	uint64_t count = m->hashes.bytes / bytes;

	if (stream->state != (strong ? SENDING_STRONG : SENDING_CHUNKS) ||
	    m->hashes.first >= region->chunks || count > region->chunks - m->hashes.first ||
	    count > stream->missing)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		const unsigned char *ours = strong ? region_strong(region, m->hashes.first + i) :
						     region_fast(region, m->hashes.first + i);

		if (memcmp(ours, m->hashes.hash + i * bytes, bytes) != 0)
			chunk_dirty(stream, m->hashes.first + i);
	}
	stream->missing -= count;
	if (!stream->missing)
		stream->state = SENDING_DATA;
	return true;
}

static bool take_hashes(struct sending_stream *stream, const struct sync_message *m)
{
	uint32_t bytes = m->hashes.list == SYNC_STRONG ? SYNC_ROOT : stream->region->hashing->bytes;

	if (m->hashes.bytes % bytes)
		return false;
	if (m->hashes.list == SYNC_GROUPS)
		return take_groups(stream, m);
	return take_chunks(stream, m, m->hashes.list == SYNC_STRONG);
}

/* --- agreeing ----------------------------------------------------------------------------- */

static void commit(struct sending_stream *stream)
{
	struct sync_message m = { .type = SYNC_COMMIT, .stream = stream->number };

	if (stream->credit < sync_cost(&m))
		return;
	stream->version = stream->region->version;
	region_root(stream->region, stream->root);
	memcpy(m.commit.root, stream->root, SYNC_ROOT);
	m.commit.size = stream->size;
	pay(stream, &m);
	stream->touched = false;
	stream->state = SENDING_COMMIT;
}

static void version_done(struct sending_stream *stream)
{
	stream->entry->done = stream->version;
	stream->sending->ops->committed(stream->sending, stream->entry, stream->root);
	loop_task_queue(stream->sending->loop, &stream->sending->pump);
}

static int committed(struct sending_stream *stream, const struct sync_message *m,
		     struct error *error)
{
	if (memcmp(m->commit.root, stream->root, SYNC_ROOT) != 0)
		return error_set(error, -EPROTO, "the other end committed something else than was sent");
	stream->state = SENDING_DATA;
	stream->tries = 0;
	version_done(stream);
	return 0;
}

/* The chunks seemed the same and are not: their strong hashes tell. */
static void differs(struct sending_stream *stream)
{
	struct sync_message m = { .type = SYNC_WANT, .stream = stream->number };
	struct error error = { 0 };

	if (++stream->tries == TRIES_MAX || !stream->region->chunks) {
		error_set(&error, -EIO, "'%s' differs at the other end although all of it was sent: is it written to there?",
			  stream->entry->name);
		sending_stream_fail(stream, &error);
		return;
	}
	stream->sending->counts.repaired++;
	stream->touched = true;
	m.want.list = SYNC_STRONG;
	want_add(stream, &m, 0, groups_of(stream->region));
	stream->missing = stream->region->chunks;
	stream->state = SENDING_STRONG;
	wire_say(&stream->sending->wire, &m);
}

/* --- what comes, and what is to be done ---------------------------------------------------- */

int sending_stream_message(struct sending_stream *stream, const struct sync_message *m,
			   struct error *error)
{
	bool fine = true;

	if (m->type == SYNC_ERROR) {
		struct error theirs;

		error_set(&theirs, m->error.code, "'%s' at the other end: %s", stream->entry->name,
			  m->error.text);
		sending_stream_fail(stream, &theirs);
		return 0;
	}
	if (stream->state == SENDING_FAILED)
		return 0;
	switch (m->type) {
	case SYNC_OPENED:
		fine = stream->state == SENDING_OPENING;
		if (fine && opened(stream, m))
			return error_set(error, -ENOMEM, "out of memory");
		break;
	case SYNC_HASH_LIST:
		fine = take_hashes(stream, m);
		break;
	case SYNC_CREDIT:
		fine = m->credit <= UINT32_MAX - stream->credit;
		if (fine)
			stream->credit += m->credit;
		break;
	case SYNC_COMMITTED:
		if (stream->state == SENDING_COMMIT)
			return committed(stream, m, error);
		fine = false;
		break;
	case SYNC_DIFFERS:
		fine = stream->state == SENDING_COMMIT;
		if (fine)
			differs(stream);
		break;
	default:
		fine = false;
	}
	if (!fine)
		return error_set(error, -EPROTO, "the other end broke the protocol: %s of '%.200s' at a wrong time or out of range",
				 sync_type_name(m->type), stream->entry->name);
	loop_task_queue(stream->sending->loop, &stream->sending->pump);
	return 0;
}

static void size_say(struct sending_stream *stream, uint64_t size)
{
	struct sync_message m = { .type = SYNC_RESIZE, .stream = stream->number };

	m.commit.size = stream->size = stream->cut = size;
	pay(stream, &m);
}

/*
 * The receiver is told of the new size, and gets what that alone has changed. What was smaller meanwhile is cut there
 * as well: what has grown again has zeroes there.
 */
static void resize(struct sending_stream *stream)
{
	struct region *region = stream->region;
	struct bits before = stream->dirty;
	struct error error = { 0 };
	uint64_t edge, run;
	bool dirty;

	if (stream->credit < 2 * SYNC_COST_LEAST)
		return;
	if (dirty_new(&stream->dirty, region, &error)) {
		stream->dirty = before;
		sending_stream_fail(stream, &error);
		return;
	}
	for (uint64_t at = 0; at < before.size && at < region->size; at += run) {
		run = bits_run(&before, at, before.size, &dirty);
		if (dirty)
			bits_set(&stream->dirty, at, at + run < region->size ? at + run : region->size);
	}
	bits_free(&before);
	if (stream->cut < stream->size && stream->cut < region->size)
		size_say(stream, stream->cut);
	if (region_edge(region, stream->size, &edge))
		chunk_dirty(stream, edge);
	for (uint64_t i = region_chunks(stream->size, region->hashing->chunk); i < region->chunks; i++)
		if (memcmp(region_strong(region, i), region->hashing->zero_strong, SYNC_ROOT) != 0)
			chunk_dirty(stream, i);
	size_say(stream, region->size);
	stream->resized = false;
	stream->touched = true;
	stream->cursor = 0;
}

void sending_stream_go_on(struct sending_stream *stream)
{
	struct sending_entry *entry = stream->entry;

	if (stream->state == SENDING_FAILED || stream->state == SENDING_OPENING)
		return;
	/* What is new is in the tables once it was looked at; until then they are the scan's. */
	if (stream->state == SENDING_DATA && stream->resized && !stream->flying &&
	    (!stream->region->live || stream->region->settled))
		resize(stream);
	if (stream->state != SENDING_DATA || stream->resized)
		return;
	sending_batches(stream);
	if (stream->flying || bits_bytes(&stream->dirty) || !stream->region->settled ||
	    entry->done >= entry->due)
		return;
	if (stream->touched) {
		commit(stream);
		return;
	}
	/* Nothing was sent since the last time: that still holds. */
	stream->version = stream->region->version;
	version_done(stream);
}

/* --- for whoever has the region ------------------------------------------------------------ */

void sending_known(struct region *region, bool all)
{
	region->known = true;
	for (struct sending_stream *s = region->streams; s; s = s->region_next) {
		if (all && s->empty) {
			data_dirty(s);
			s->known = true;
		}
		compare(s);
	}
}

void sending_changed(struct region *region, uint64_t chunk)
{
	for (struct sending_stream *s = region->streams; s; s = s->region_next) {
		chunk_dirty(s, chunk);
		loop_task_queue(s->sending->loop, &s->sending->pump);
	}
}

void sending_resized(struct region *region)
{
	for (struct sending_stream *s = region->streams; s; s = s->region_next) {
		if (region->size < s->cut)
			s->cut = region->size;
		s->resized = s->size != region->size || s->cut < s->size;
		/* In the midst of comparing what had another size: it begins anew. */
		if (s->resized && s->state != SENDING_DATA && s->state != SENDING_COMMIT)
			s->state = SENDING_FAILED;
		loop_task_queue(s->sending->loop, &s->sending->pump);
	}
}

void sending_settled(struct region *region)
{
	for (struct sending_stream *s = region->streams; s; s = s->region_next)
		loop_task_queue(s->sending->loop, &s->sending->pump);
}

void sending_lost(struct region *region, const struct error *error)
{
	for (struct sending_stream *s = region->streams; s; s = s->region_next)
		sending_stream_fail(s, error);
}
