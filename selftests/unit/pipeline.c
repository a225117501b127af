// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pipeline against a model in memory: random requests, many at a time, of a region that is
 * pulled and pushed meanwhile, from a backend that is slow, fails, or both; with syncs and locks in
 * between. What is read is what was written, and after a sync the backend is the model.
 *
 * No two requests that are under way touch the same bytes, for then nobody could say what is right;
 * but they touch the same chunks.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "chunk/pipeline.h"
#include "drive.h"
#include "mount/managed.h"

#define SECTOR	512u
#define SIZE	((1u << 20) + 3 * SECTOR)
#define SECTORS	(SIZE / SECTOR)
#define DEPTH	24
#define IO_MAX	(300u << 10)
#define OPS	400

/* What is known of a sector's bytes. */
enum { KNOWN, KNOWN_OR_ZERO, UNKNOWN };

struct try {
	struct request request;
	char *buf;
	bool used;
};

struct round {
	const char *what;		/* for messages */
	const char *fault;		/* in front of the file, "%s" is a path that turns it on; or NULL */
	uint32_t chunk, pull, push, interval;
	uint64_t rate;
	enum pipeline_flush flush;
	const char *order;
};

static char *model, *image;		/* the image is the file's mapping */
static uint8_t state[SECTORS];
static bool busy[SECTORS];
static struct try tries[DEPTH];
static struct drive drive;
static struct pipeline *pipeline;
static uint64_t random_state;
static unsigned int failures, syncs;
static char broken[64];

static uint64_t next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state >> 11;
}

static void turn(void)
{
	assert_int_equal(loop_once(drive.loop, UINT64_MAX), 0);
}

static bool is_zero(const char *bytes)
{
	return is_filled(bytes, SECTOR, 0);
}

/* What was read is what has to be there. */
static void check(const struct backend_io *io)
{
	for (uint32_t at = 0; at < io->length; at += SECTOR) {
		const char *is = (char *)io->buf + at;
		char *want = model + io->offset + at;
		uint8_t *how = &state[(io->offset + at) / SECTOR];

		if (memcmp(is, want, SECTOR)) {
			if (*how == KNOWN || (*how == KNOWN_OR_ZERO && !is_zero(is)))
				fail_msg("wrong bytes at %llu", (unsigned long long)io->offset + at);
			memcpy(want, is, SECTOR);
		}
		*how = KNOWN;
	}
}

static void states_set(const struct backend_io *io, uint8_t to)
{
	for (uint32_t i = 0; i < io->length / SECTOR; i++)
		if (to != KNOWN_OR_ZERO || state[io->offset / SECTOR + i] == KNOWN)
			state[io->offset / SECTOR + i] = to;
}

/* The request is over: the model is told. */
static void settle(struct try *try)
{
	const struct backend_io *io = &try->request.io;
	int result = try->request.result;

	assert_int_equal(try->request.completed, 1);
	try->used = false;
	memset(busy + io->offset / SECTOR, 0, io->length / SECTOR);
	if (result) {
		failures++;
		assert_int_equal(result, -EIO);
		if (io->op != BACKEND_READ && io->op != BACKEND_FLUSH)
			states_set(io, UNKNOWN);
		return;
	}
	switch (io->op) {
	case BACKEND_READ:
		check(io);
		break;
	case BACKEND_WRITE:
		memcpy(model + io->offset, io->buf, io->length);
		states_set(io, KNOWN);
		break;
	case BACKEND_WRITE_ZEROES:
		memset(model + io->offset, 0, io->length);
		states_set(io, KNOWN);
		break;
	case BACKEND_DISCARD:
		states_set(io, KNOWN_OR_ZERO);
		break;
	default:
		break;
	}
}

static void settle_all(void)
{
	for (int i = 0; i < DEPTH; i++)
		if (tries[i].used && tries[i].request.completed)
			settle(&tries[i]);
}

/* Bytes that no other request has. */
static void choose(const struct round *round, uint64_t *offset, uint32_t *length)
{
	uint64_t first, count, i;

	for (;;) {
		first = next() % SECTORS;
		switch (next() % 4) {
		case 0:
			count = 1;
			break;
		case 1:			/* whole chunks */
			first = first * SECTOR / round->chunk * round->chunk / SECTOR;
			count = round->chunk / SECTOR * (1 + next() % 3);
			break;
		default:
			count = 1 + next() % (IO_MAX / SECTOR / (1 + next() % 30));
		}
		if (count > IO_MAX / SECTOR)
			count = IO_MAX / SECTOR;
		if (count > SECTORS - first)
			count = SECTORS - first;
		for (i = 0; i < count && !busy[first + i]; i++)
			;
		if (i == count || (i && next() % 2)) {
			*offset = first * SECTOR;
			*length = (uint32_t)i * SECTOR;
			memset(busy + first, 1, i);
			return;
		}
	}
}

static void try_begin(const struct round *round, struct try *try)
{
	static const enum backend_op ops[] = {
		BACKEND_READ, BACKEND_READ, BACKEND_READ, BACKEND_WRITE, BACKEND_WRITE,
		BACKEND_WRITE, BACKEND_WRITE, BACKEND_WRITE_ZEROES, BACKEND_DISCARD, BACKEND_FLUSH,
	};
	enum backend_op op = ops[next() % (sizeof(ops) / sizeof(ops[0]))];
	uint64_t offset = 0;
	uint32_t length = 0;

	if (op != BACKEND_FLUSH)
		choose(round, &offset, &length);
	if (op == BACKEND_WRITE)
		for (uint32_t i = 0; i < length; i += 8)
			memcpy(try->buf + i, &(uint64_t){ next() }, 8);
	request_make(&try->request, op, offset, op <= BACKEND_WRITE ? try->buf : NULL, length,
		     op == BACKEND_WRITE && !(next() % 8) ? BACKEND_FUA : 0);
	try->used = true;
	backend_submit(drive.channel, &try->request.io);
}

struct sync {
	struct pipeline_wait wait;
	bool over;
	int error;
};

static void sync_done(struct pipeline_wait *wait, int error)
{
	struct sync *sync = wait->owner;

	assert_false(sync->over);
	sync->over = true;
	sync->error = error;
}

/* Syncs, perhaps as before an unmount, while requests go on. */
static int sync_all(bool lock)
{
	struct sync sync = { .wait = { .done = sync_done, .owner = &sync } };
	unsigned int completed = 0, now = 0;

	if (lock)
		pipeline_settle(pipeline, &sync.wait);
	else
		pipeline_sync(pipeline, &sync.wait);
	while (!sync.over)
		turn();
	syncs++;
	if (!lock || sync.error)
		return sync.error;
	/* Locked: nothing comes through. */
	for (int i = 0; i < DEPTH; i++)
		completed += tries[i].used && tries[i].request.completed;
	loop_once(drive.loop, 0);
	for (int i = 0; i < DEPTH; i++)
		now += tries[i].used && tries[i].request.completed;
	assert_int_equal(now, completed);
	pipeline_unlock(pipeline);
	return 0;
}

static unsigned int under_way(void)
{
	unsigned int count = 0;

	for (int i = 0; i < DEPTH; i++)
		count += tries[i].used;
	return count;
}

/* Somebody who looks on from another thread. */
static atomic_bool watched;

static void *watch(void *data)
{
	struct pipeline_facts facts;

	(void)data;
	while (!atomic_load(&watched)) {
		pipeline_facts(pipeline, &facts);
		assert_true(facts.local <= SIZE && facts.dirty <= SIZE);
		usleep(100);
	}
	return NULL;
}

/* The file behind the region; it has no name for long. */
static char path[64];

static int file_make(void)
{
	int file;

	snprintf(path, sizeof(path), "/tmp/r3map-pipeline.XXXXXX");
	file = mkstemp(path);
	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, SIZE), 0);
	return file;
}

static void region_open(const struct round *round)
{
	static struct managed_options managed;
	char spec[256], fault[160];
	struct pipeline_options options = {
		.size = SIZE,
		.chunk = round->chunk,
		.flush = round->flush,
		.managed = &managed,
	};
	struct error error = { 0 };
	struct backend *backend;

	managed = (struct managed_options) {
		.pull_workers = round->pull,
		.push_workers = round->push,
		.push_interval = round->interval,
		.pull_rate = round->rate,
		.order = round->order,
	};
	snprintf(fault, sizeof(fault), round->fault ? round->fault : "", broken);
	snprintf(spec, sizeof(spec), "%sfile:%s", fault, path);
	if (backend_open(spec, &backend, &error))
		fail_msg("%s: %s", spec, error.text);
	unlink(path);
	if (pipeline_new(backend, &options, &pipeline, &error))
		fail_msg("%s", error.text);
	drive.backend = pipeline_region(pipeline);
	assert_int_equal(drive.backend->info.size, SIZE);
	assert_int_equal(loop_new(&drive.loop), 0);
	if (backend_channel_open(drive.backend, drive.loop, &drive.channel, &error))
		fail_msg("%s", error.text);
	/* Else the pull would wait for that. */
	managed_ready(pipeline_managed(pipeline));
}

/* Until no more than @most requests are under way. */
static void wait_for(unsigned int most)
{
	for (settle_all(); under_way() > most; settle_all())
		turn();
}

static void requests_make(const struct round *round)
{
	unsigned int made = 0;

	while (made < OPS) {
		unsigned int burst = 1 + (unsigned int)next() % DEPTH;

		for (int i = 0; i < DEPTH && burst; i++) {
			if (tries[i].used)
				continue;
			try_begin(round, &tries[i]);
			made++;
			burst--;
		}
		backend_kick(drive.channel);
		if (round->fault && !(next() % 8)) {
			if (access(broken, F_OK))
				fclose(fopen(broken, "w"));
			else
				unlink(broken);
		}
		if (!(next() % 16)) {
			int error = sync_all(next() % 2);

			if (!round->fault)
				assert_int_equal(error, 0);
		}
		wait_for((unsigned int)next() % DEPTH);
	}
	unlink(broken);
	wait_for(0);
}

/* What is left open is what the region says now; then the backend is to be the same. */
static void end_check(const struct round *round)
{
	struct pipeline_facts facts;
	uint32_t length;

	for (uint64_t at = 0; at < SIZE; at += IO_MAX) {
		length = SIZE - at < IO_MAX ? (uint32_t)(SIZE - at) : IO_MAX;
		memset(busy + at / SECTOR, 1, length / SECTOR);
		request_make(&tries[0].request, BACKEND_READ, at, tries[0].buf, length, 0);
		tries[0].used = true;
		backend_submit(drive.channel, &tries[0].request.io);
		backend_kick(drive.channel);
		drive_wait(&drive, &tries[0].request);
		assert_int_equal(tries[0].request.result, 0);
		settle(&tries[0]);
	}
	assert_int_equal(sync_all(false), 0);
	pipeline_facts(pipeline, &facts);
	assert_int_equal(facts.local, SIZE);
	assert_int_equal(facts.dirty, 0);
	if (memcmp(image, model, SIZE))
		fail_msg("%s: the backend is not the model", round->what);
}

static void round_run(const struct round *round, uint64_t seed, bool onlooker)
{
	int file = file_make();
	pthread_t thread;

	random_state = (seed + 1) * 0x9e3779b97f4a7c15ull;
	image = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	for (uint32_t at = 0; at < SIZE; at += 8)	/* the second quarter is a hole */
		if (at / (SIZE / 4) != 1)
			memcpy(image + at, &(uint64_t){ next() }, 8);
	memcpy(model, image, SIZE);
	memset(state, KNOWN, sizeof(state));
	memset(busy, 0, sizeof(busy));
	drive_log_clear();
	region_open(round);
	atomic_store(&watched, false);
	if (onlooker)
		assert_int_equal(pthread_create(&thread, NULL, watch, NULL), 0);
	requests_make(round);
	end_check(round);
	atomic_store(&watched, true);
	if (onlooker)
		pthread_join(thread, NULL);
	backend_channel_close(drive.channel);
	backend_close(drive.backend);
	loop_free(drive.loop);
	munmap(image, SIZE);
	close(file);
}

#define R(...)	(struct round) { .what = #__VA_ARGS__, __VA_ARGS__ }

static void rounds_run(const struct round *rounds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (uint64_t seed = 0; seed < 3; seed++)
			round_run(&rounds[i], seed * 100 + i, seed == 2);
}

static void model_holds(void **unused)
{
	const struct round rounds[] = {
		R(.chunk = 4096, .pull = 0, .push = 1, .interval = 0, .flush = PIPELINE_FLUSH_NONE),
		R(.chunk = 4096, .pull = 16, .push = 8, .interval = 1,
		  .flush = PIPELINE_FLUSH_REMOTE),
		R(.chunk = 16384, .pull = 3, .push = 2, .interval = 2,
		  .flush = PIPELINE_FLUSH_REMOTE, .order = "reverse"),
		R(.chunk = 65536, .pull = 64, .push = 32, .interval = 1,
		  .flush = PIPELINE_FLUSH_STORE),
		R(.chunk = 2 << 20, .pull = 2, .push = 1, .interval = 3,
		  .flush = PIPELINE_FLUSH_REMOTE),
	};

	(void)unused;
	rounds_run(rounds, sizeof(rounds) / sizeof(rounds[0]));
	assert_int_equal(failures, 0);
	assert_true(syncs > 0);
}

static void model_holds_slowly(void **unused)
{
#define SLOW "delay:200us,jitter=2ms:"
	const struct round rounds[] = {
		R(.fault = SLOW, .chunk = 4096, .pull = 8, .push = 4, .interval = 1,
		  .flush = PIPELINE_FLUSH_REMOTE),
		R(.fault = SLOW, .chunk = 16384, .pull = 64, .push = 2, .interval = 1,
		  .flush = PIPELINE_FLUSH_NONE, .rate = 4 << 20),
		R(.fault = SLOW, .chunk = 131072, .pull = 3, .push = 3, .interval = 5,
		  .flush = PIPELINE_FLUSH_REMOTE),
		/* most of what is written is on its way then */
		R(.fault = "delay:10ms,write=100us,jitter=20ms:", .chunk = 4096, .pull = 16, .push = 4,
		  .interval = 1, .flush = PIPELINE_FLUSH_REMOTE),
	};

	(void)unused;
	rounds_run(rounds, sizeof(rounds) / sizeof(rounds[0]));
	assert_int_equal(failures, 0);
}

static void model_holds_in_trouble(void **unused)
{
	const struct round rounds[] = {
		R(.fault = "fault:random=3,file=%s:", .chunk = 4096, .pull = 4, .push = 4,
		  .interval = 1, .flush = PIPELINE_FLUSH_REMOTE),
		R(.fault = "fault:random=2,file=%s,mode=short:" SLOW, .chunk = 16384, .pull = 8,
		  .push = 2, .interval = 1, .flush = PIPELINE_FLUSH_REMOTE),
		R(.fault = SLOW "fault:op=read+write+zero+flush,file=%s:", .chunk = 65536, .pull = 2,
		  .push = 8, .interval = 2, .flush = PIPELINE_FLUSH_NONE),
		R(.fault = "fault:op=write+zero,random=2,mode=lost,file=%s:" SLOW, .chunk = 16384,
		  .pull = 8, .push = 8, .interval = 1, .flush = PIPELINE_FLUSH_REMOTE),
	};

	(void)unused;
	rounds_run(rounds, sizeof(rounds) / sizeof(rounds[0]));
	assert_true(failures > 0);
}

/* It is closed while much is under way: everything completes, once. */
static void end_is_orderly(void **unused)
{
	const struct round round = R(.fault = "delay:1s:", .chunk = 16384, .pull = 8, .push = 4,
				     .interval = 1, .flush = PIPELINE_FLUSH_REMOTE);
	int file = file_make();

	(void)unused;
	random_state = 77;
	memset(busy, 0, sizeof(busy));
	region_open(&round);
	for (int i = 0; i < DEPTH; i++)
		try_begin(&round, &tries[i]);
	backend_kick(drive.channel);
	loop_once(drive.loop, loop_now() + 5000000);
	loop_once(drive.loop, loop_now() + 5000000);
	backend_channel_close(drive.channel);
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(tries[i].request.completed, 1);
		tries[i].used = false;
	}
	backend_close(drive.backend);
	loop_free(drive.loop);
	close(file);
}

static void mistakes_are_told(void **unused)
{
	struct managed_options managed = { .push_workers = 1, .record = "/nonexistent/file" };
	struct pipeline_options options = { .size = 1 << 20, .chunk = 65536, .managed = &managed };
	struct backend_channel *channel;
	struct error error = { 0 };
	struct backend *backend;
	struct loop *loop;

	(void)unused;
	assert_int_equal(backend_open("mem:1M", &backend, &error), 0);
	assert_int_equal(pipeline_new(backend, &options, &pipeline, &error), -ENOENT);
	assert_non_null(strstr(error.text, "cannot open /nonexistent/file"));
	managed.record = NULL;
	managed.pull_workers = 1;
	managed.order = "/nonexistent/order";
	assert_int_equal(backend_open("mem:1M", &backend, &error), 0);
	assert_int_equal(pipeline_new(backend, &options, &pipeline, &error), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(backend_channel_open(pipeline_region(pipeline), loop, &channel, &error),
			 -ENOENT);
	memset(&error, 0, sizeof(error));
	assert_int_equal(pipeline_opened(pipeline, &error), -ENOENT);
	assert_non_null(strstr(error.text, "cannot open the order"));
	backend_close(pipeline_region(pipeline));
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model_holds),
		cmocka_unit_test(model_holds_slowly),
		cmocka_unit_test(model_holds_in_trouble),
		cmocka_unit_test(end_is_orderly),
		cmocka_unit_test(mistakes_are_told),
	};

	model = malloc(SIZE);
	for (int i = 0; i < DEPTH; i++)
		tries[i].buf = malloc(IO_MAX);
	snprintf(broken, sizeof(broken), "/tmp/r3map-pipeline.%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
