// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stages of the pipeline, one at a time, in front of a backend that keeps what it is asked and
 * answers when it is told to. All of them together are in pipeline.c.
 */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "chunk/bits.h"
#include "chunk/lockable.h"
#include "chunk/stage.h"
#include "chunk/synced.h"
#include "chunk/tracking.h"
#include "drive.h"
#include "mount/store.h"

#define CHUNK	4096u
#define SIZE	(10 * CHUNK + 512)	/* the last chunk is short */

/* --- a backend that keeps requests ---------------------------------------------------------- */

static struct backend_io *kept[64];
static unsigned int kept_count;

static void probe_close(struct backend *backend)
{
	free(backend->name);
	free(backend);
}

static int probe_channel_open(struct backend *backend, struct loop *loop,
			      struct backend_channel **channel, struct error *error)
{
	(void)backend;
	(void)loop;
	(void)error;
	*channel = calloc(1, sizeof(**channel));
	return 0;
}

static void probe_channel_close(struct backend_channel *channel)
{
	while (kept_count) {
		struct backend_io *io = kept[--kept_count];

		io->done(io, -ECANCELED);
	}
	free(channel);
}

static void probe_submit(struct backend_channel *channel, struct backend_io *io)
{
	(void)channel;
	assert_true(kept_count < 64);
	kept[kept_count++] = io;
}

static const struct backend_ops probe_ops = {
	.scheme = "probe",
	.close = probe_close,
	.channel_open = probe_channel_open,
	.channel_close = probe_channel_close,
	.submit = probe_submit,
};

static struct backend *probe_new(uint32_t max_io)
{
	struct backend *probe = calloc(1, sizeof(*probe));

	probe->ops = &probe_ops;
	probe->name = strdup("probe");
	probe->info = (struct backend_info) {
		.size = SIZE,
		.block_min = 1,
		.block_preferred = 4096,
		.max_io = max_io,
		.can_flush = true,
		.can_discard = true,
		.can_zeroes = true,
		.waits = true,
	};
	kept_count = 0;
	return probe;
}

/* Answers request @i of those that are kept, which those behind it then take the places of. */
static void probe_answer(unsigned int i, int error)
{
	struct backend_io *io = kept[i];

	assert_true(i < kept_count);
	if (io->op == BACKEND_READ && !error)
		memset(io->buf, 'r', io->length);
	memmove(kept + i, kept + i + 1, (--kept_count - i) * sizeof(kept[0]));
	io->done(io, error);
}

/* What is kept, as text: "r0+512 w4096+4096". */
static const char *probe_text(void)
{
	static char text[64 * 32];
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int i = 0; i < kept_count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%c%llu+%u", i ? " " : "",
					 "rwfdz"[kept[i]->op], (unsigned long long)kept[i]->offset,
					 kept[i]->length);
	return text;
}

static void stage_open(struct drive *drive, struct backend *stage)
{
	struct error error = { 0 };

	drive->backend = stage;
	assert_int_equal(loop_new(&drive->loop), 0);
	if (backend_channel_open(stage, drive->loop, &drive->channel, &error))
		fail_msg("%s", error.text);
}

static char buf[SIZE];

static void submit(struct drive *drive, struct request *request, enum backend_op op,
		   uint64_t offset, uint32_t length)
{
	request_make(request, op, offset, op <= BACKEND_WRITE ? buf + offset : NULL, length, 0);
	backend_submit(drive->channel, &request->io);
}

/* --- bits --------------------------------------------------------------------------------- */

static void bits_are_counted(void **state)
{
	struct error error = { 0 };
	struct bits bits;
	bool set;

	(void)state;
	assert_int_equal(bits_new(&bits, SIZE, CHUNK, &error), 0);
	assert_int_equal(bits_bytes(&bits), 0);
	bits_set(&bits, CHUNK + 5, CHUNK + 6);
	assert_int_equal(bits_bytes(&bits), CHUNK);
	bits_set(&bits, 0, SIZE);
	assert_int_equal(bits_bytes(&bits), SIZE);
	bits_clear(&bits, SIZE - 1, SIZE);
	assert_int_equal(bits_bytes(&bits), 10 * CHUNK);
	bits_clear(&bits, SIZE - 1, SIZE);
	bits_clear(&bits, CHUNK, 3 * CHUNK);
	assert_int_equal(bits_bytes(&bits), 8 * CHUNK);
	assert_int_equal(bits_run(&bits, 0, SIZE, &set), CHUNK);
	assert_true(set);
	assert_int_equal(bits_run(&bits, CHUNK, SIZE, &set), 2 * CHUNK);
	assert_false(set);
	assert_true(bits_has(&bits, 3 * CHUNK));
	assert_false(bits_has(&bits, 3 * CHUNK - 1));
	bits_free(&bits);
}

/* --- arbitrary ---------------------------------------------------------------------------- */

static void any_range_becomes_chunks(void **state)
{
	struct error error = { 0 };
	struct request request;
	struct backend *stage;
	struct drive drive;

	(void)state;
	assert_int_equal(arbitrary_new(probe_new(0), CHUNK, &stage, &error), 0);
	stage_open(&drive, stage);
	submit(&drive, &request, BACKEND_WRITE, 512, 3 * CHUNK);
	assert_string_equal(probe_text(), "w512+3584 w4096+8192 w12288+512");
	for (unsigned int i = 0; i < 3; i++)
		assert_ptr_equal(kept[i]->buf, buf + kept[i]->offset);
	/* In any order; the last tells. */
	probe_answer(2, 0);
	probe_answer(0, 0);
	assert_int_equal(request.completed, 0);
	probe_answer(0, 0);
	assert_int_equal(request.completed, 1);
	assert_int_equal(request.result, 0);

	submit(&drive, &request, BACKEND_READ, 100, 50);
	assert_string_equal(probe_text(), "r100+50");
	probe_answer(0, -EIO);
	assert_int_equal(request.result, -EIO);
	submit(&drive, &request, BACKEND_DISCARD, CHUNK, SIZE - CHUNK);	/* the tail is whole */
	assert_string_equal(probe_text(), "d4096+37376");
	probe_answer(0, 0);
	submit(&drive, &request, BACKEND_WRITE_ZEROES, 10 * CHUNK + 100, 412);
	assert_string_equal(probe_text(), "z41060+412");
	probe_answer(0, 0);
	submit(&drive, &request, BACKEND_FLUSH, 0, 0);
	assert_string_equal(probe_text(), "f0+0");
	probe_answer(0, 0);

	/* One error is enough, the first one, when all are over. */
	submit(&drive, &request, BACKEND_WRITE, 512, 3 * CHUNK);
	probe_answer(1, -ENOSPC);
	probe_answer(0, -EIO);
	assert_int_equal(request.completed, 0);
	probe_answer(0, 0);
	assert_int_equal(request.result, -ENOSPC);
	drive_close(&drive);
}

/* --- chunked ------------------------------------------------------------------------------ */

static void whole_chunks_go_as_far_as_they_fit(void **state)
{
	struct error error = { 0 };
	struct request request;
	struct backend *stage;
	struct drive drive;

	(void)state;
	/* Two chunks and a half at once: two. */
	assert_int_equal(chunked_new(probe_new(10240), SIZE, CHUNK, &stage, &error), 0);
	assert_int_equal(stage->info.max_io, 0);
	stage_open(&drive, stage);
	submit(&drive, &request, BACKEND_READ, 0, 5 * CHUNK);
	assert_string_equal(probe_text(), "r0+8192 r8192+8192 r16384+4096");
	while (kept_count)
		probe_answer(0, 0);
	assert_int_equal(request.result, 0);
	submit(&drive, &request, BACKEND_WRITE, 9 * CHUNK, CHUNK + 512);
	assert_string_equal(probe_text(), "w36864+4608");
	probe_answer(0, 0);
	submit(&drive, &request, BACKEND_WRITE, 512, CHUNK);	/* no whole chunk */
	assert_int_equal(request.result, -EINVAL);
	submit(&drive, &request, BACKEND_WRITE_ZEROES, 0, 9 * CHUNK);
	assert_string_equal(probe_text(), "z0+36864");
	probe_answer(0, 0);
	drive_close(&drive);

	/* Less than a chunk at once; more parts than are begun at a time. */
	assert_int_equal(chunked_new(probe_new(512), SIZE, CHUNK, &stage, &error), 0);
	stage_open(&drive, stage);
	submit(&drive, &request, BACKEND_READ, CHUNK, 2 * CHUNK);
	assert_int_equal(kept_count, 8);
	for (unsigned int i = 0; i < 16; i++) {
		assert_int_equal(kept[0]->offset, CHUNK + i * 512);
		assert_int_equal(kept[0]->length, 512);
		probe_answer(0, 0);
	}
	assert_int_equal(request.completed, 1);
	/* None is begun after an error. */
	submit(&drive, &request, BACKEND_READ, CHUNK, 2 * CHUNK);
	probe_answer(3, -EIO);
	while (kept_count > 1)
		probe_answer(0, 0);
	assert_int_equal(request.completed, 0);
	probe_answer(0, 0);
	assert_int_equal(request.result, -EIO);
	drive_close(&drive);

	/* A region that ends before the backend does; anything may come in. */
	assert_int_equal(chunked_new(probe_new(CHUNK), SIZE - 512, 0, &stage, &error), 0);
	stage_open(&drive, stage);
	submit(&drive, &request, BACKEND_READ, 512, CHUNK + 512);
	assert_string_equal(probe_text(), "r512+4096 r4608+512");
	while (kept_count)
		probe_answer(0, 0);
	submit(&drive, &request, BACKEND_READ, SIZE - 512, 512);
	assert_int_equal(request.result, -EINVAL);
	drive_close(&drive);
}

/* --- lockable ----------------------------------------------------------------------------- */

static void count_one(void *data)
{
	++*(unsigned int *)data;
}

static void a_lock_lets_nothing_through(void **state)
{
	struct request before, after, last;
	struct error error = { 0 };
	struct backend *stage;
	unsigned int locked = 0;
	struct drive drive;

	(void)state;
	assert_int_equal(lockable_new(probe_new(0), &stage, &error), 0);
	stage_open(&drive, stage);
	submit(&drive, &before, BACKEND_WRITE, 0, 512);
	lockable_lock(stage, count_one, &locked);
	assert_int_equal(locked, 0);		/* that one is still under way */
	submit(&drive, &after, BACKEND_WRITE, 512, 512);
	assert_string_equal(probe_text(), "w0+512");
	probe_answer(0, 0);
	assert_int_equal(before.completed, 1);
	assert_int_equal(locked, 1);
	assert_int_equal(kept_count, 0);
	lockable_unlock(stage);
	assert_string_equal(probe_text(), "w512+512");
	probe_answer(0, 0);
	assert_int_equal(after.completed, 1);
	/* With nothing under way at once; what waits at the end is told. */
	lockable_lock(stage, count_one, &locked);
	assert_int_equal(locked, 2);
	submit(&drive, &last, BACKEND_READ, 0, 512);
	assert_int_equal(last.completed, 0);
	drive_close(&drive);
	assert_int_equal(last.completed, 1);
	assert_int_equal(last.result, -ECANCELED);
}

/* --- tracking ----------------------------------------------------------------------------- */

static void changes_are_tracked(void **state)
{
	struct chunk_extents extents;
	struct error error = { 0 };
	struct request request;
	struct backend *stage;
	struct drive drive;

	(void)state;
	assert_int_equal(tracking_new(probe_new(0), CHUNK, &stage, &error), 0);
	stage_open(&drive, stage);
	submit(&drive, &request, BACKEND_READ, 0, SIZE);
	probe_answer(0, 0);
	submit(&drive, &request, BACKEND_WRITE, 0, CHUNK);
	assert_int_equal(tracking_bytes(stage), 0);	/* not before it is there */
	probe_answer(0, -EIO);
	assert_int_equal(tracking_bytes(stage), 0);
	submit(&drive, &request, BACKEND_WRITE, CHUNK - 1, 2);
	probe_answer(0, 0);
	submit(&drive, &request, BACKEND_WRITE_ZEROES, 5 * CHUNK, 100);
	probe_answer(0, 0);
	submit(&drive, &request, BACKEND_DISCARD, SIZE - 1, 1);
	probe_answer(0, 0);
	assert_int_equal(tracking_bytes(stage), 3 * CHUNK + 512);

	/* At least one chunk, up to what is allowed, and on from there. */
	assert_int_equal(tracking_take(stage, 0, SIZE, 1, &extents, &error), 0);
	assert_int_equal(extents.count, 1);
	assert_int_equal(extents.extent[0].offset, 0);
	assert_int_equal(extents.extent[0].length, CHUNK);
	assert_int_equal(extents.next, CHUNK);
	assert_int_equal(tracking_take(stage, extents.next, SIZE, SIZE, &extents, &error), 0);
	assert_int_equal(extents.count, 3);
	assert_int_equal(extents.extent[1].offset, 5 * CHUNK);
	assert_int_equal(extents.extent[2].offset, 10 * CHUNK);
	assert_int_equal(extents.extent[2].length, 512);
	assert_int_equal(extents.next, SIZE);
	assert_int_equal(tracking_bytes(stage), 3 * CHUNK + 512);	/* taken is not done */

	/* Written again while it is taken: not given out twice, and dirty when it is done. */
	submit(&drive, &request, BACKEND_WRITE, 5 * CHUNK, 512);
	probe_answer(0, 0);
	assert_int_equal(tracking_take(stage, 0, SIZE, SIZE, &extents, &error), 0);
	assert_int_equal(extents.count, 0);
	assert_int_equal(tracking_done(stage, (struct r3map_extent[]) {
				{ .offset = 5 * CHUNK, .length = CHUNK },
				{ .offset = 10 * CHUNK, .length = 512 } }, 2, 0, &error), 0);
	assert_int_equal(tracking_bytes(stage), 3 * CHUNK);
	/* What failed is dirty. */
	extents.extent[0] = (struct r3map_extent) { .length = 2 * CHUNK };
	assert_int_equal(tracking_done(stage, extents.extent, 1, -EIO, &error), 0);
	assert_int_equal(tracking_bytes(stage), 3 * CHUNK);
	assert_int_equal(tracking_take(stage, 0, SIZE, SIZE, &extents, &error), 0);
	assert_int_equal(extents.count, 2);
	assert_int_equal(tracking_done(stage, extents.extent, 2, 0, &error), 0);
	assert_int_equal(tracking_bytes(stage), 0);
	/* Nobody is done with what he has not taken. */
	assert_int_equal(tracking_done(stage, extents.extent, 1, 0, &error), -EINVAL);
	extents.extent[0] = (struct r3map_extent) { .offset = SIZE, .length = 512 };
	assert_int_equal(tracking_done(stage, extents.extent, 1, 0, &error), -EINVAL);
	drive_close(&drive);
}

/* --- synced ------------------------------------------------------------------------------- */

static struct store store;
static char missed[256];

static void on_missed(void *data, uint64_t offset, uint32_t length)
{
	size_t used = strlen(missed);

	(void)data;
	snprintf(missed + used, sizeof(missed) - used, "%llu+%u ", (unsigned long long)offset, length);
}

static void synced_open(struct drive *drive, uint32_t fetch_max)
{
	const struct synced_options options = {
		.store = &store, .chunk = CHUNK, .fetch_max = fetch_max, .missed = on_missed,
	};
	struct backend *local, *stage;
	struct error error = { 0 };

	assert_int_equal(store_new(&store, SIZE, &error), 0);
	assert_int_equal(local_new(&store, &local, &error), 0);
	assert_int_equal(synced_new(probe_new(0), local, &options, &stage, &error), 0);
	stage_open(drive, stage);
	missed[0] = '\0';
}

static void synced_end(struct drive *drive)
{
	drive_close(drive);
	store_close(&store);
}

static void round_over(struct drive *drive)
{
	assert_int_equal(loop_once(drive->loop, 0), 0);
}

static void chunks_are_fetched_once(void **state)
{
	struct request readers[3];
	struct drive drive;

	(void)state;
	synced_open(&drive, 4 * CHUNK);
	submit(&drive, &readers[0], BACKEND_READ, 100, 100);
	submit(&drive, &readers[1], BACKEND_READ, 512, 512);
	submit(&drive, &readers[2], BACKEND_READ, 100, 3 * CHUNK);	/* and three more */
	assert_string_equal(probe_text(), "r0+4096 r4096+12288");
	assert_string_equal(missed, "0+4096 4096+12288 ");
	probe_answer(1, 0);
	round_over(&drive);
	assert_int_equal(readers[2].completed, 0);
	probe_answer(0, 0);
	round_over(&drive);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(readers[i].completed, 1);
		assert_int_equal(readers[i].result, 0);
	}
	assert_true(is_filled(buf + 100, 3 * CHUNK, 'r'));
	assert_int_equal(synced_bytes(drive.backend), 4 * CHUNK);
	submit(&drive, &readers[0], BACKEND_READ, 0, 4 * CHUNK);
	assert_int_equal(readers[0].completed, 1);
	assert_int_equal(kept_count, 0);
	assert_int_equal(synced_counts(drive.backend)->hits, 1);
	assert_int_equal(synced_counts(drive.backend)->misses, 3);
	assert_int_equal(synced_counts(drive.backend)->fetches, 2);
	/* All that is missing at once, no request larger than allowed. */
	submit(&drive, &readers[0], BACKEND_READ, 0, SIZE);
	assert_string_equal(probe_text(), "r16384+16384 r32768+8704");
	/* What failed before the request got there is asked for again; then it counts. */
	probe_answer(1, -EIO);
	probe_answer(0, 0);
	round_over(&drive);
	assert_string_equal(probe_text(), "r32768+8704");
	probe_answer(0, -ENOSPC);
	round_over(&drive);
	assert_int_equal(readers[0].result, -ENOSPC);
	synced_end(&drive);
}

static void a_failed_fetch_fails_who_waits(void **state)
{
	struct request readers[2], other;
	struct drive drive;

	(void)state;
	synced_open(&drive, CHUNK);
	submit(&drive, &readers[0], BACKEND_READ, 0, 512);
	submit(&drive, &readers[1], BACKEND_WRITE, 512, 512);
	submit(&drive, &other, BACKEND_READ, CHUNK, 512);
	probe_answer(0, -EIO);
	round_over(&drive);
	assert_int_equal(readers[0].result, -EIO);
	assert_int_equal(readers[1].result, -EIO);
	assert_int_equal(other.completed, 0);
	/* The next one asks again. */
	submit(&drive, &readers[0], BACKEND_READ, 0, 512);
	assert_string_equal(probe_text(), "r4096+4096 r0+4096");
	synced_end(&drive);
	assert_int_equal(other.result, -ECANCELED);
}

static void writes_fetch_what_they_must(void **state)
{
	struct request request, other;
	struct drive drive;

	(void)state;
	synced_open(&drive, SIZE);
	memset(buf, 'w', sizeof(buf));
	submit(&drive, &request, BACKEND_WRITE, CHUNK, 2 * CHUNK);
	assert_int_equal(request.completed, 1);
	submit(&drive, &request, BACKEND_WRITE, 10 * CHUNK, 512);	/* the tail, all of it */
	assert_int_equal(request.completed, 1);
	submit(&drive, &request, BACKEND_WRITE_ZEROES, 4 * CHUNK, CHUNK);
	assert_int_equal(request.completed, 1);
	submit(&drive, &request, BACKEND_DISCARD, 5 * CHUNK, CHUNK);
	assert_int_equal(request.completed, 1);
	assert_int_equal(synced_bytes(drive.backend), 4 * CHUNK + 512);
	submit(&drive, &request, BACKEND_DISCARD, 7 * CHUNK + 1, 100);	/* a part: nothing */
	assert_int_equal(request.completed, 1);
	assert_int_equal(synced_bytes(drive.backend), 4 * CHUNK + 512);
	assert_int_equal(kept_count, 0);
	submit(&drive, &request, BACKEND_WRITE, 0, 512);
	assert_string_equal(probe_text(), "r0+4096");
	submit(&drive, &other, BACKEND_WRITE_ZEROES, 7 * CHUNK + 512, 512);
	assert_string_equal(probe_text(), "r0+4096 r28672+4096");
	probe_answer(0, 0);
	probe_answer(0, 0);
	round_over(&drive);
	assert_int_equal(request.result, 0);
	assert_int_equal(other.result, 0);
	submit(&drive, &request, BACKEND_READ, 0, 3 * CHUNK);
	assert_true(is_filled(buf, 512, 'w'));
	assert_true(is_filled(buf + 512, CHUNK - 512, 'r'));
	assert_true(is_filled(buf + CHUNK, 2 * CHUNK, 'w'));
	submit(&drive, &request, BACKEND_READ, 7 * CHUNK, CHUNK);
	assert_true(is_filled(buf + 7 * CHUNK + 512, 512, 0));
	assert_true(is_filled(buf + 7 * CHUNK + 1024, 512, 'r'));
	submit(&drive, &request, BACKEND_FLUSH, 0, 0);
	assert_int_equal(request.completed, 1);
	synced_end(&drive);
}

/* What is claimed is nobody else's until it is filled, and a late fill overwrites nothing. */
static void claims_keep_writes_out(void **state)
{
	struct request writer, reader;
	struct chunk_extents extents;
	struct error error = { 0 };
	struct drive drive;

	(void)state;
	synced_open(&drive, SIZE);
	memset(buf, 'w', sizeof(buf));
	submit(&drive, &writer, BACKEND_WRITE, CHUNK, CHUNK);
	assert_int_equal(synced_claim(drive.backend, 0, 4 * CHUNK, SIZE, false, &extents, &error), 0);
	assert_int_equal(extents.count, 2);		/* not the one that was written */
	assert_int_equal(extents.extent[1].offset, 2 * CHUNK);
	assert_int_equal(extents.extent[1].length, 2 * CHUNK);
	submit(&drive, &writer, BACKEND_WRITE, 2 * CHUNK, CHUNK);
	submit(&drive, &reader, BACKEND_READ, 0, 512);
	assert_int_equal(writer.completed, 0);
	assert_int_equal(kept_count, 0);		/* the claim is its fetch */
	memset(store.bytes, 'p', 4 * CHUNK);
	memset(store.bytes + CHUNK, 'w', CHUNK);
	assert_int_equal(synced_fill(drive.backend, &extents.extent[1], 1, 0, &error), 0);
	round_over(&drive);
	assert_int_equal(writer.completed, 1);
	assert_true(is_filled((char *)store.bytes + 2 * CHUNK, CHUNK, 'w'));
	assert_int_equal(synced_fill(drive.backend, &extents.extent[1], 1, 0, &error), -EINVAL);
	/* It could not be filled: whoever waits asks for himself. */
	assert_int_equal(synced_fill(drive.backend, &extents.extent[0], 1, -EIO, &error), 0);
	round_over(&drive);
	assert_string_equal(probe_text(), "r0+4096");
	assert_int_equal(synced_claim(drive.backend, 0, CHUNK, SIZE, false, &extents, &error), 0);
	assert_int_equal(extents.count, 0);		/* that one is fetched */
	probe_answer(0, 0);
	round_over(&drive);
	assert_int_equal(reader.result, 0);
	assert_int_equal(synced_counts(drive.backend)->fill_bytes, 2 * CHUNK);
	synced_end(&drive);
}

/* Who writes all of a chunk does not wait for a loose claim, which has lost it then; others wait. */
static void a_loose_claim_gives_way(void **state)
{
	struct request writer, part, reader;
	struct chunk_extents extents;
	struct error error = { 0 };
	struct drive drive;

	(void)state;
	synced_open(&drive, SIZE);
	assert_int_equal(synced_claim(drive.backend, 0, 4 * CHUNK, SIZE, true, &extents, &error), 0);
	assert_int_equal(extents.count, 1);
	memset(buf, 'w', sizeof(buf));
	submit(&drive, &writer, BACKEND_WRITE, CHUNK, CHUNK);
	assert_int_equal(writer.completed, 1);
	submit(&drive, &part, BACKEND_WRITE, 2 * CHUNK + 512, 512);
	submit(&drive, &reader, BACKEND_READ, 3 * CHUNK, 512);
	round_over(&drive);
	assert_int_equal(part.completed + reader.completed, 0);
	assert_int_equal(kept_count, 0);		/* the claim is their fetch */
	/* Nobody claims them a second time, and what was not made firm is not in the store. */
	extents.count = 1;
	assert_int_equal(synced_claim(drive.backend, 0, 4 * CHUNK, SIZE, true, &extents, &error), 0);
	assert_int_equal(extents.count, 0);
	extents.extent[0] = (struct r3map_extent) { .offset = 0, .length = CHUNK };
	assert_int_equal(synced_fill(drive.backend, extents.extent, 1, 0, &error), -EINVAL);
	assert_int_equal(synced_firm(drive.backend, 0, 4 * CHUNK, &extents, &error), 0);
	assert_int_equal(extents.count, 2);
	assert_int_equal(extents.extent[0].length, CHUNK);
	assert_int_equal(extents.extent[1].offset, 2 * CHUNK);
	assert_int_equal(extents.extent[1].length, 2 * CHUNK);
	/* Now he does wait. */
	submit(&drive, &writer, BACKEND_WRITE, 0, CHUNK);
	assert_int_equal(writer.completed, 0);
	memset(store.bytes, 'p', CHUNK);
	memset(store.bytes + 2 * CHUNK, 'p', 2 * CHUNK);
	assert_int_equal(synced_fill(drive.backend, extents.extent, 2, 0, &error), 0);
	round_over(&drive);
	assert_int_equal(writer.completed + part.completed + reader.completed, 3);
	assert_true(is_filled((char *)store.bytes, 2 * CHUNK, 'w'));
	assert_true(is_filled((char *)store.bytes + 2 * CHUNK, 512, 'p'));
	assert_true(is_filled((char *)store.bytes + 2 * CHUNK + 512, 512, 'w'));
	assert_int_equal(synced_counts(drive.backend)->fill_bytes, 3 * CHUNK);
	synced_end(&drive);
}

/* What is absent is read as zeroes, and stays absent. */
static void zeroes_cost_nothing(void **state)
{
	uint32_t length = 8 * CHUNK;
	struct request request;
	struct drive drive;

	(void)state;
	synced_open(&drive, SIZE);
	submit(&drive, &request, BACKEND_WRITE_ZEROES, 0, 8 * CHUNK);
	submit(&drive, &request, BACKEND_READ, 0, 8 * CHUNK);
	assert_int_equal(request.result, 0);
	assert_true(is_filled(buf, 8 * CHUNK, 0));
	assert_true(store_run(&store, 0, &length, CHUNK));
	assert_int_equal(length, 8 * CHUNK);
	synced_end(&drive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_are_counted),
		cmocka_unit_test(any_range_becomes_chunks),
		cmocka_unit_test(whole_chunks_go_as_far_as_they_fit),
		cmocka_unit_test(a_lock_lets_nothing_through),
		cmocka_unit_test(changes_are_tracked),
		cmocka_unit_test(chunks_are_fetched_once),
		cmocka_unit_test(a_failed_fetch_fails_who_waits),
		cmocka_unit_test(writes_fetch_what_they_must),
		cmocka_unit_test(claims_keep_writes_out),
		cmocka_unit_test(a_loose_claim_gives_way),
		cmocka_unit_test(zeroes_cost_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
