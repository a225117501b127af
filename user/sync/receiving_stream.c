// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One stream of a receiving connection. See receiving_stream.h.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/text.h"
#include "sync/receiving_stream.h"
#include "sync/sending.h"

#define WINDOW_MAX	(8u << 20)
#define LIST_BYTES	(SYNC_CONTROL_MAX - 64)	/* of hashes in one message */

static void stream_go_on(struct receiving_stream *stream);
static void stream_open(struct receiving *receiving, const struct sync_message *m);

/* --- life ---------------------------------------------------------------------------------- */

/* Credit that every stream gets: one chunk on its way while another one is written. */
static uint32_t window_least(const struct receiving *receiving)
{
	return 2 * (receiving->used->chunk + SYNC_HEADER + SYNC_DATA_HEAD);
}

static uint32_t window_take(struct receiving *receiving)
{
	const uint32_t least = window_least(receiving);
	uint64_t more = receiving->budget < WINDOW_MAX ? receiving->budget : WINDOW_MAX;

	receiving->budget -= more;
	return least + (uint32_t)more;
}

static void op_free(struct receiving_op *op)
{
	free(op->payload);
	free(op);
}

static void ops_drop(struct receiving_op **first)
{
	while (*first) {
		struct receiving_op *op = *first;

		*first = op->next;
		op_free(op);
	}
}

/* The stream called @name that was closed and is at work still, or NULL. */
static struct receiving_stream *ending_find(struct receiving *receiving, const char *name)
{
	struct receiving_stream *s = receiving->streams;

	while (s && (!s->closed || strcmp(s->region->name, name) != 0))
		s = s->next;
	return s;
}

void receiving_remove(struct receiving *receiving, const char *name)
{
	struct region *was;
	struct error why = { 0 };
	struct receiving_stream *ending = ending_find(receiving, name);

	if (ending) {
		ending->removed = true;
		return;
	}
	folder_remove(receiving->folder, name, &was, &why);
	receiving->ops->removed(receiving, name, was, &why);
	if (was)
		region_put(was);
}

/* Nothing of it is with the pool. */
static void stream_free(struct receiving_stream *stream)
{
	struct receiving *receiving = stream->receiving;
	struct receiving_stream **link = &receiving->streams;
	struct region *region = stream->removed ? region_get(stream->region) : NULL;
	struct sync_message *reopen = stream->reopen;

	while (*link != stream)
		link = &(*link)->next;
	*link = stream->next;
	ops_drop(&stream->doing);
	ops_drop(&stream->first);
	receiving->budget += stream->window - window_least(receiving);
	receiving->all--;
	folder_give(receiving->folder, stream->holding);
	free(stream);
	if (region) {
		receiving_remove(receiving, region->name);
		region_put(region);
	}
	if (reopen && !receiving->over)
		stream_open(receiving, reopen);
	free(reopen);
	if (receiving->over)
		loop_task_queue(receiving->loop, &receiving->end);
}

/* A region cannot be received; the others can. */
static void complain(struct receiving *receiving, uint32_t number, const char *name,
		     const struct error *error)
{
	receiving->trouble = *error;
	error_prefix(&receiving->trouble, "'%.200s': ", name);
	text_clean(receiving->trouble.text);
	wire_complain(&receiving->wire, number, error);
}

static void stream_fail(struct receiving_stream *stream, const struct error *error)
{
	if (stream->failed)
		return;
	stream->failed = true;
	complain(stream->receiving, stream->number, stream->region->name, error);
}

void receiving_stream_end(struct receiving_stream *stream)
{
	stream->closed = stream->failed = true;
	scan_stop(&stream->scan);
	if (!stream->busy)
		stream_free(stream);
}

/* --- hashes -------------------------------------------------------------------------------- */

static void list_say(struct receiving_stream *stream, enum sync_list list, uint64_t first,
		     const unsigned char *hash, uint64_t count, uint32_t bytes)
{
	struct sync_message m = { .type = SYNC_HASH_LIST, .stream = stream->number };

	m.hashes.list = list;
	while (count) {
		uint64_t part = count < LIST_BYTES / bytes ? count : LIST_BYTES / bytes;

		m.hashes.first = first;
		m.hashes.hash = hash;
		m.hashes.bytes = (uint32_t)part * bytes;
		wire_say(&stream->receiving->wire, &m);
		first += part;
		hash += part * bytes;
		count -= part;
	}
}

static uint64_t groups_of(const struct region *region)
{
	return region->chunks / SYNC_GROUP + (region->chunks % SYNC_GROUP != 0);
}

static void groups_say(struct receiving_stream *stream)
{
	const struct region *region = stream->region;
	const uint32_t bytes = region->hashing->bytes;
	unsigned char hash[LIST_BYTES];
	uint64_t groups = groups_of(region), first = 0;

	while (first < groups) {
		uint64_t count = groups - first;

		if (count > LIST_BYTES / bytes)
			count = LIST_BYTES / bytes;
		for (uint64_t i = 0; i < count; i++)
			region_group(region, first + i, hash + i * bytes);
		list_say(stream, SYNC_GROUPS, first, hash, count, bytes);
		first += count;
	}
}

/* Ranges ascend, so that no question has an answer that is longer than all hashes. */
static bool want_answer(struct receiving_stream *stream, const struct sync_message *m)
{
	const struct region *region = stream->region;
	const bool strong = m->want.list == SYNC_STRONG;
	uint64_t groups = groups_of(region), before = 0;

	for (uint32_t i = 0; i < m->want.count; i++) {
		const struct sync_range *range = &m->want.range[i];

		if (range->first < before || range->first >= groups ||
		    range->count > groups - range->first)
			return false;
		before = range->first + range->count;
	}
	for (uint32_t i = 0; i < m->want.count; i++) {
		uint64_t first = m->want.range[i].first * SYNC_GROUP;
		uint64_t count = m->want.range[i].count * SYNC_GROUP;

		if (count > region->chunks - first)
			count = region->chunks - first;
		list_say(stream, (enum sync_list)m->want.list, first,
			 strong ? region_strong(region, first) : region_fast(region, first), count,
			 strong ? SYNC_ROOT : region->hashing->bytes);
	}
	return true;
}

/* For whoever it is sent on to, and had it before it was lost. */
static void scan_changed(struct scan *scan, uint64_t chunk)
{
	sending_changed(scan->region, chunk);
}

static void scan_done(struct scan *scan, int code)
{
	struct receiving_stream *stream =
		(struct receiving_stream *)((char *)scan - offsetof(struct receiving_stream, scan));
	struct error error = { 0 };

	stream->busy = false;
	if (code && !stream->closed) {
		error_set(&error, code, "cannot read it: %s", strerror(-code));
		stream_fail(stream, &error);
	}
	if (!code) {
		sending_known(stream->region, false);
		if (!stream->failed)
			groups_say(stream);
	}
	stream_go_on(stream);
}

/* --- opening ------------------------------------------------------------------------------- */

/* Where the chunk ends that has the last of so many @bytes. */
static uint64_t chunk_end(const struct region *region, uint64_t bytes)
{
	return region_chunks(bytes, region->hashing->chunk) * region->hashing->chunk;
}

/* Zeroes up to the end of the chunk that @before is in: what a device has behind its region is anything. */
static int edge_zero(const struct region *region, uint64_t before)
{
	uint64_t end = chunk_end(region, before);

	if (end > region->size)
		end = region->size;
	return region->device && before < end ? region_zero(region->fd, before, end - before) : 0;
}

/* Chunk @edge was cut, or is not cut any more: its hashes. 0 or a negative errno. */
static int edge_hash(struct region *region, uint64_t edge)
{
	const uint32_t length = region_length(region, edge);
	unsigned char fast[SYNC_HASH_MAX], strong[SYNC_ROOT];
	char *data = malloc(length);
	int code;

	code = data ? region_read(region->fd, edge * region->hashing->chunk, data, length) : -ENOMEM;
	if (!code) {
		hashing_both(region->hashing, data, length, fast, strong);
		region_note(region, edge, fast, strong);
	}
	free(data);
	return code;
}

/* The tables have the new size: what that alone has changed, and who sends it on. */
static int size_changed(struct region *region, uint64_t before, struct error *error)
{
	uint64_t edge;
	int code;

	if (before == region->size)
		return 0;
	region->settled = false;
	code = edge_zero(region, before);
	if (code)
		return error_set(error, code, "cannot write it: %s", strerror(-code));
	if (region_edge(region, before, &edge))
		code = edge_hash(region, edge);
	if (code)
		return error_set(error, code, "cannot read it: %s", strerror(-code));
	sending_resized(region);
	return 0;
}

static int stream_begin(struct receiving *receiving, const struct sync_message *m,
			struct error *error)
{
	struct receiving_stream *stream = calloc(1, sizeof(*stream));
	struct sync_message answer = { .type = SYNC_OPENED, .stream = m->stream };
	struct holding *known;
	uint64_t before;
	bool empty;
	int code;

	if (!stream)
		return error_set(error, -ENOMEM, "out of memory");
	known = folder_find(receiving->folder, m->open.name);
	before = known ? known->region->size : m->open.size;
	code = folder_take(receiving->folder, m, receiving->used, &stream->holding, &empty, error);
	if (!code && known)
		code = size_changed(known->region, before, error);
	if (code) {
		if (stream->holding) {
			stream->holding->region->known = false;
			folder_give(receiving->folder, stream->holding);
		}
		free(stream);
		return code;
	}
	stream->receiving = receiving;
	stream->region = stream->holding->region;
	stream->number = m->stream;
	stream->size = m->open.size;
	stream->last = &stream->first;
	stream->window = stream->credit = window_take(receiving);
	stream->next = receiving->streams;
	receiving->streams = stream;
	receiving->open++;
	receiving->all++;
	answer.opened.flags = empty ? SYNC_OPENED_EMPTY : 0;
	answer.opened.credit = stream->window;
	wire_say(&receiving->wire, &answer);
	if (empty)
		sending_known(stream->region, false);
	if (stream->region->known) {
		if (!empty)
			groups_say(stream);
		return 0;
	}
	stream->scan = (struct scan) {
		.region = stream->region, .end = stream->region->chunks, .fresh = true,
		.changed = scan_changed, .done = scan_done,
	};
	stream->busy = true;
	scan_start(&stream->scan, receiving->pool);
	return 0;
}

static void stream_open(struct receiving *receiving, const struct sync_message *m)
{
	struct error why = { 0 };

	if (stream_begin(receiving, m, &why))
		complain(receiving, m->stream, m->open.name, &why);
}

int receiving_stream_open(struct receiving *receiving, const struct sync_message *m,
			  struct error *error)
{
	struct receiving_stream *ending = ending_find(receiving, m->open.name);
	struct error why = { 0 };

	if (!ending) {
		stream_open(receiving, m);
		return 0;
	}
	if (ending->reopen) {
		error_set(&why, -EBUSY, "stream %u is about to write to it: close that first",
			  ending->reopen->stream);
		complain(receiving, m->stream, m->open.name, &why);
		return 0;
	}
	ending->reopen = malloc(sizeof(*m));
	if (!ending->reopen)
		return error_set(error, -ENOMEM, "out of memory");
	*ending->reopen = *m;
	return 0;
}

void receiving_stream_forget(struct receiving *receiving, uint32_t number)
{
	for (struct receiving_stream *s = receiving->streams; s; s = s->next) {
		if (s->reopen && s->reopen->stream == number) {
			free(s->reopen);
			s->reopen = NULL;
		}
	}
}

/* --- doing --------------------------------------------------------------------------------- */

/* What came is on the disk; once for each stream its name, too: whoever made it may have been killed before. */
static int stream_sync(struct receiving_stream *stream)
{
	int code = 0;

	if (fdatasync(stream->region->fd) < 0)
		return -errno;
	if (!stream->named)
		code = folder_sync(stream->receiving->folder, stream->region->name);
	stream->named = !code;
	return code;
}

static void stream_run(struct pool_job *job, void *scratch)
{
	struct receiving_stream *stream = (struct receiving_stream *)job;
	const struct region *region = stream->region;

	(void)scratch;
	for (struct receiving_op *op = stream->doing; op && !stream->code; op = op->next) {
		if (op->type == SYNC_ZERO) {
			stream->code = region_zero(region->fd, op->offset, op->length);
		} else if (op->type == SYNC_COMMIT) {
			if (stream->receiving->durable)
				stream->code = stream_sync(stream);
		} else {
			stream->code = region_write(region->fd, op->offset, op->bytes, op->length);
			hashing_both(region->hashing, op->bytes, op->length, op->fast, op->strong);
		}
	}
}

/* The tables say what was written. */
static void op_note(struct receiving_stream *stream, const struct receiving_op *op)
{
	struct region *region = stream->region;
	const uint32_t chunk = region->hashing->chunk;
	uint64_t index = op->offset / chunk, end = region_chunks(op->offset + op->length, chunk);

	if (op->type == SYNC_DATA) {
		region_note(region, index, op->fast, op->strong);
		sending_changed(region, index);
		return;
	}
	for (; index < end; index++) {
		if (region_length(region, index) == chunk)
			region_note(region, index, NULL, NULL);
		else
			region_tail_zero(region);
		sending_changed(region, index);
	}
}

static void op_commit(struct receiving_stream *stream, const struct receiving_op *op)
{
	struct sync_message m = { .type = SYNC_COMMITTED, .stream = stream->number };
	struct region *region = stream->region;
	struct error error = { 0 };

	stream->committing = false;
	region_root(region, m.commit.root);
	if (op->length != region->size || memcmp(op->root, m.commit.root, SYNC_ROOT) != 0) {
		m.type = SYNC_DIFFERS;
	} else if (folder_settle(stream->receiving->folder, stream->holding, &error)) {
		stream_fail(stream, &error);
		return;
	} else if (!region->settled) {
		region->settled = true;
		region->version++;
	}
	wire_say(&stream->receiving->wire, &m);
	if (m.type == SYNC_COMMITTED)
		stream->receiving->ops->committed(stream->receiving, stream->holding, m.commit.root);
}

static void credit_say(struct receiving_stream *stream, uint32_t bytes)
{
	if (!bytes || stream->failed)
		return;
	stream->credit += bytes;
	wire_say(&stream->receiving->wire, &(struct sync_message) {
		.type = SYNC_CREDIT, .stream = stream->number, .credit = bytes });
}

static void stream_done(struct pool_job *job)
{
	struct receiving_stream *stream = (struct receiving_stream *)job;
	struct receiving_op *op, *next;
	struct error error = { 0 };
	uint32_t cost = 0;

	stream->busy = false;
	if (stream->code) {
		error_set(&error, stream->code, "cannot write it: %s", strerror(-stream->code));
		stream_fail(stream, &error);
	}
	for (op = stream->doing; op; op = next) {
		next = op->next;
		cost += op->cost;
		if (op->type != SYNC_COMMIT && !stream->code)
			op_note(stream, op);
		else if (!stream->failed)
			op_commit(stream, op);
		op_free(op);
	}
	stream->doing = NULL;
	if (stream->code)
		stream->region->known = false;	/* whoever writes to it next looks at it */
	credit_say(stream, cost);
	stream_go_on(stream);
}

/* What comes first of what is to be done, if the pool does that. */
static void ops_take(struct receiving_stream *stream)
{
	struct receiving_op **end = &stream->first;

	while (*end && ((*end)->type == SYNC_DATA || (*end)->type == SYNC_ZERO ||
			(*end)->type == SYNC_COMMIT)) {
		bool commit = (*end)->type == SYNC_COMMIT;

		end = &(*end)->next;
		if (commit)
			break;
	}
	if (end == &stream->first)
		return;
	stream->doing = stream->first;
	stream->first = *end;
	*end = NULL;
	if (!stream->first)
		stream->last = &stream->first;
}

/* The first that is to be done is done, or will not be. */
static void op_leave(struct receiving_stream *stream)
{
	struct receiving_op *op = stream->first;

	stream->first = op->next;
	if (!stream->first)
		stream->last = &stream->first;
	credit_say(stream, op->cost);
	op_free(op);
}

/* RESIZE, the first that is to be done. What is new are zeroes: a device is told so, by the pool. */
static void stream_resize(struct receiving_stream *stream)
{
	struct receiving_op *op = stream->first;
	struct region *region = stream->region;
	const uint64_t before = region->size;
	const uint64_t whole = chunk_end(region, before);
	struct error error = { 0 };
	int code;

	code = folder_resize(stream->receiving->folder, stream->holding, op->length, &error);
	if (!code)
		code = size_changed(region, before, &error);
	if (code) {
		region->known = false;	/* what it has now is not what the tables say */
		stream_fail(stream, &error);
	}
	if (code || !region->device || op->length <= whole) {
		op_leave(stream);
		return;
	}
	op->type = SYNC_ZERO;
	op->offset = whole;
	op->length -= whole;
}

static void stream_go_on(struct receiving_stream *stream)
{
	while (!stream->busy) {
		struct receiving_op *op = stream->first;

		if (stream->closed && (stream->failed || !op)) {
			stream_free(stream);
			return;
		}
		if (stream->failed) {
			ops_drop(&stream->first);
			stream->last = &stream->first;
			return;
		}
		if (!op)
			return;
		ops_take(stream);
		if (stream->doing) {
			stream->code = 0;
			stream->job.run = stream_run;
			stream->job.done = stream_done;
			stream->busy = true;
			pool_submit(stream->receiving->pool, &stream->job);
			return;
		}
		stream_resize(stream);
	}
}

/* --- what comes ---------------------------------------------------------------------------- */

/* Whole chunks, and within what the region will have then. */
static bool range_fits(const struct receiving_stream *stream, uint64_t offset, uint64_t length)
{
	const uint32_t chunk = stream->region->hashing->chunk;

	return offset % chunk == 0 && offset < stream->size && length <= stream->size - offset &&
	       (length % chunk == 0 || length == stream->size - offset);
}

static bool op_valid(const struct receiving_stream *stream, const struct sync_message *m)
{
	switch (m->type) {
	case SYNC_DATA:
		return m->data.length <= stream->region->hashing->chunk &&
		       range_fits(stream, m->data.offset, m->data.length);
	case SYNC_ZERO:
		return range_fits(stream, m->zero.offset, m->zero.length);
	default:
		return true;
	}
}

static int op_add(struct receiving_stream *stream, const struct sync_message *m,
		  struct error *error)
{
	struct receiving_op *op;
	struct error why = { 0 };

	if ((m->type == SYNC_DATA || m->type == SYNC_ZERO) &&
	    folder_mark(stream->receiving->folder, stream->holding, &why)) {
		stream_fail(stream, &why);
		return 0;
	}
	op = calloc(1, sizeof(*op));
	if (!op)
		return error_set(error, -ENOMEM, "out of memory");
	op->type = m->type;
	op->cost = sync_cost(m);
	switch (m->type) {
	case SYNC_DATA:
		op->offset = m->data.offset;
		op->length = m->data.length;
		op->payload = wire_keep(&stream->receiving->wire);
		op->bytes = op->payload + SYNC_DATA_HEAD;
		stream->receiving->data_bytes += op->length;
		stream->region->settled = false;
		break;
	case SYNC_ZERO:
		op->offset = m->zero.offset;
		op->length = m->zero.length;
		stream->region->settled = false;
		break;
	case SYNC_RESIZE:
		op->length = stream->size = m->commit.size;
		stream->region->settled = false;
		break;
	default:
		stream->committing = true;
		op->length = m->commit.size;
		memcpy(op->root, m->commit.root, SYNC_ROOT);
	}
	stream->credit -= op->cost;
	*stream->last = op;
	stream->last = &op->next;
	stream_go_on(stream);
	return 0;
}

int receiving_stream_message(struct receiving_stream *stream, const struct sync_message *m,
			     struct error *error)
{
	switch (m->type) {
	case SYNC_WANT:
		if (stream->failed)
			return 0;
		if (stream->region->known && want_answer(stream, m))
			return 0;
		break;
	case SYNC_DATA:
	case SYNC_ZERO:
	case SYNC_RESIZE:
	case SYNC_COMMIT:
		if (stream->failed)
			return 0;
		if (sync_cost(m) > stream->credit)
			return error_set(error, -EPROTO, "the sender sent more than it has credit for");
		if (!stream->committing && op_valid(stream, m))
			return op_add(stream, m, error);
		break;
	case SYNC_CLOSE:
		stream->closed = true;
		stream->receiving->open--;
		stream_go_on(stream);
		return 0;
	default:
		break;
	}
	return error_set(error, -EPROTO, "the sender broke the protocol: %s at a wrong time or out of range",
			 sync_type_name(m->type));
}
