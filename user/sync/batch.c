// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Chunks on their way out: taken by what is dirty, read and hashed by the pool, and kept until the socket
 * has them. Memory is bounded by the number of batches; a stream that gets no credit has none.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sync/sending_stream.h"

#define BATCH_BYTES	SYNC_CHUNK_MAX
#define BATCH_PIECES	64u
#define BATCHES		2u		/* for each thread of the pool, and as many again */

struct piece {
	struct wire_frame frame;
	struct batch *batch;
	uint64_t index;			/* chunk */
	uint32_t length;
	bool zero;
	unsigned char fast[SYNC_HASH_MAX], strong[SYNC_ROOT];
};

struct batch {
	struct pool_job job;
	struct sending *sending;
	struct batch *next;		/* of the spare ones */
	struct sending_stream *stream;	/* while it is flying */
	const struct hashing *hashing;
	int fd;
	bool live;
	uint64_t chunk;			/* bytes */
	uint32_t credit;		/* that was taken for it */
	unsigned int count, waiting;	/* pieces; those that are in the wire */
	int code;
	char *buffer;			/* BATCH_BYTES */
	struct piece piece[BATCH_PIECES];
};

static uint32_t data_cost(uint32_t length)
{
	return sync_cost_of(SYNC_HEADER + SYNC_DATA_HEAD + length);
}

static struct batch *batch_get(struct sending *sending)
{
	struct batch *batch = sending->spare;

	if (batch) {
		sending->spare = batch->next;
		return batch;
	}
	if (sending->batches >= BATCHES * (sending->pool->threads + 1))
		return NULL;
	batch = calloc(1, sizeof(*batch));
	if (batch)
		batch->buffer = malloc(BATCH_BYTES);
	if (!batch || !batch->buffer) {
		free(batch);
		return NULL;		/* with fewer it takes longer */
	}
	batch->sending = sending;
	sending->batches++;
	return batch;
}

static void batch_spare(struct batch *batch)
{
	batch->next = batch->sending->spare;
	batch->sending->spare = batch;
}

static void batch_put(struct batch *batch)
{
	batch_spare(batch);
	loop_task_queue(batch->sending->loop, &batch->sending->pump);
}

void sending_batches_free(struct sending *sending)
{
	while (sending->spare) {
		struct batch *batch = sending->spare;

		sending->spare = batch->next;
		free(batch->buffer);
		free(batch);
	}
}

static void batch_run(struct pool_job *job, void *scratch)
{
	struct batch *batch = (struct batch *)job;
	char *at = batch->buffer;

	(void)scratch;
	for (unsigned int i = 0; i < batch->count && !batch->code; i++) {
		struct piece *piece = &batch->piece[i];

		batch->code = region_read(batch->fd, piece->index * batch->chunk, at,
					  piece->length);
		if (batch->code)
			break;
		piece->zero = bytes_zero(at, piece->length);
		if (batch->live)
			hashing_both(batch->hashing, at, piece->length, piece->fast,
				     piece->strong);
		piece->frame.data = at;
		at += piece->length;
	}
}

static void piece_released(struct wire_frame *frame)
{
	struct piece *piece = (struct piece *)((char *)frame - offsetof(struct piece, frame));

	if (!--piece->batch->waiting)
		batch_put(piece->batch);
}

static void piece_send(struct sending_stream *stream, struct piece *piece)
{
	struct sync_message m = { .type = SYNC_DATA, .stream = stream->number };

	m.data.offset = piece->index * piece->batch->chunk;
	m.data.length = piece->length;
	piece->frame.head_length = (uint32_t)sync_encoded(&m);
	sync_encode(&m, piece->frame.head);
	piece->frame.data_length = piece->length;
	piece->frame.release = piece_released;
	stream->sending->counts.data += piece->length;
	wire_send(&stream->sending->wire, &piece->frame);
}

/* Zeroes from piece @first on. Returns the piece behind them. */
static unsigned int zeroes_send(struct sending_stream *stream, struct batch *batch,
				unsigned int first)
{
	struct sync_message m = { .type = SYNC_ZERO, .stream = stream->number };
	unsigned int i = first;

	m.zero.offset = batch->piece[i].index * batch->chunk;
	do {
		m.zero.length += batch->piece[i].length;
		i++;
	} while (i < batch->count && batch->piece[i].zero &&
		 batch->piece[i].index == batch->piece[i - 1].index + 1);
	batch->credit -= sync_cost(&m);
	stream->sending->counts.zero += m.zero.length;
	wire_say(&stream->sending->wire, &m);
	return i;
}

static void batch_send(struct sending_stream *stream, struct batch *batch)
{
	unsigned int i;

	for (i = 0; i < batch->count; i++) {
		struct piece *piece = &batch->piece[i];

		if (batch->live)
			region_note(stream->region, piece->index, piece->fast, piece->strong);
		if (!piece->zero)
			batch->waiting++;
	}
	stream->sending->counts.chunks += batch->count;
	stream->touched = true;
	batch->waiting++;	/* what is sent may leave at once */
	for (i = 0; i < batch->count;) {
		struct piece *piece = &batch->piece[i];

		if (piece->zero) {
			i = zeroes_send(stream, batch, i);
			continue;
		}
		batch->credit -= data_cost(piece->length);
		piece_send(stream, piece);
		i++;
	}
	stream->credit += batch->credit;
	if (!--batch->waiting)
		batch_put(batch);
}

static void batch_done(struct pool_job *job)
{
	struct batch *batch = (struct batch *)job;
	struct sending_stream *stream = batch->stream;
	struct sending *sending = batch->sending;
	struct error error = { 0 };

	stream->flying--;
	sending->flying--;
	if (!sending->over && stream->state != SENDING_FAILED && batch->code) {
		error_set(&error, batch->code, "cannot read '%s': %s", stream->entry->name,
			  strerror(-batch->code));
		sending_stream_fail(stream, &error);
	}
	if (sending->over || stream->state == SENDING_FAILED)
		batch_put(batch);
	else
		batch_send(stream, batch);
	loop_task_queue(sending->loop, &sending->pump);
}

static void batch_drop(struct pool_job *job)
{
	batch_spare((struct batch *)job);
}

/* The next dirty chunk of @stream, from its cursor on, round the end. False: there is none. */
static bool chunk_take(struct sending_stream *stream, uint64_t *index)
{
	const uint64_t size = stream->region->size;
	bool dirty;
	uint64_t run;

	if (!bits_bytes(&stream->dirty))
		return false;
	for (;;) {
		if (stream->cursor >= size)
			stream->cursor = 0;
		run = bits_run(&stream->dirty, stream->cursor, size, &dirty);
		if (dirty)
			break;
		stream->cursor += run;
	}
	*index = stream->cursor / stream->region->hashing->chunk;
	bits_clear(&stream->dirty, stream->cursor, stream->cursor + 1);
	stream->cursor += region_length(stream->region, *index);
	return true;
}

static bool batch_fill(struct sending_stream *stream, struct batch *batch)
{
	const uint32_t chunk = stream->region->hashing->chunk;
	uint64_t index;

	batch->count = 0;
	batch->credit = 0;
	while (batch->count < BATCH_PIECES && (batch->count + 1) * (uint64_t)chunk <= BATCH_BYTES &&
	       stream->credit >= data_cost(chunk) && chunk_take(stream, &index)) {
		struct piece *piece = &batch->piece[batch->count++];

		piece->batch = batch;
		piece->index = index;
		piece->length = region_length(stream->region, index);
		stream->credit -= data_cost(piece->length);
		batch->credit += data_cost(piece->length);
	}
	return batch->count;
}

/* One: then others have their turn. */
void sending_batches(struct sending_stream *stream)
{
	struct sending *sending = stream->sending;
	struct batch *batch;

	if (!bits_bytes(&stream->dirty) || stream->credit < data_cost(stream->region->hashing->chunk))
		return;
	batch = batch_get(sending);
	if (!batch)
		return;
	if (!batch_fill(stream, batch)) {
		batch_spare(batch);
		return;
	}
	batch->job.run = batch_run;
	batch->job.done = batch_done;
	batch->job.drop = batch_drop;
	batch->stream = stream;
	batch->hashing = stream->region->hashing;
	batch->fd = stream->region->fd;
	batch->live = stream->region->live;
	batch->chunk = stream->region->hashing->chunk;
	batch->waiting = 0;
	batch->code = 0;
	stream->flying++;
	sending->flying++;
	pool_submit(sending->pool, &batch->job);
}
