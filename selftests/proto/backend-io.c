// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Drives one backend as the mount helper does: a loop, a channel, many requests at once.
 *
 * For the protocol tests, which need neither root nor the module. What is written is a function of
 * place and seed, so that a reader can tell a wrong place from a wrong byte. Exit status: 0 done
 * and right, 1 something failed or differs (said on stderr), 2 wrong usage.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "backend/backend.h"
#include "lib/error.h"
#include "lib/loop.h"
#include "lib/size.h"

#define MOST_THREADS	16

static const char usage[] =
	"usage: backend-io [option...] COMMAND BACKEND\n"
	"  info              what the backend is and can do, a line each\n"
	"  fill              write the pattern everywhere, then flush\n"
	"  verify            read everything, compare with the pattern\n"
	"  random            fill, then random reads and writes; every read is checked\n"
	"  bench             random reads, or writes with -w 100; prints figures\n"
	"  read|write|flush|discard|zero|cache   one request at -o, of -b bytes; prints its result\n"
	"  extents           the same; prints what is where as well, a line each\n"
	"  -b SIZE  bytes of a request (4K)      -d N  requests at once (32)\n"
	"  -n N     requests of random, bench (10000)   -w PERCENT  of them that write (50)\n"
	"  -s N     seed of the pattern (1)      -o OFFSET  of a single request (0)\n"
	"  -F       FUA on writes                -K  keep space allocated (zero)\n"
	"  -z       verify: expect zeroes        -c N  channels, one after the other (1)\n"
	"  -t N     threads, each with its part and a channel, all open at once (1)\n"
	"  -e       errors of requests are counted and printed, not fatal\n";

struct io {
	struct backend_io io;
	struct io *next;		/* among the ready ones */
	uint64_t block;
	int result;
	bool busy;
};

struct run {
	struct backend *backend;
	struct backend_channel *channel;
	struct loop *loop;
	struct io *ios;
	struct io *ready;
	uint64_t from, to;		/* bytes: the part of the region that this run is on */
	unsigned int depth;
	unsigned int in_flight;
	uint32_t block;
	uint64_t seed;
	bool zeroes;
	bool count_errors;
	uint64_t failed;
	uint64_t differing;
	unsigned char *generation;	/* random: of each block, what was last written */
	unsigned char *locked;		/* random: a request is on this block */
	uint64_t state;
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t pattern_word(const struct run *run, uint64_t offset, unsigned int generation)
{
	if (run->zeroes)
		return 0;
	return mix(offset + 0x9e3779b97f4a7c15ull * (run->seed + ((uint64_t)generation << 32)));
}

static void pattern_make(const struct run *run, char *buf, uint64_t offset, size_t length,
			 unsigned int generation)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < length; i += sizeof(word)) {
		word = pattern_word(run, offset + i, generation);
		memcpy(buf + i, &word, length - i < sizeof(word) ? length - i : sizeof(word));
	}
}

static bool pattern_is(struct run *run, const char *buf, uint64_t offset, size_t length,
		       unsigned int generation)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < length; i += sizeof(word)) {
		size_t n = length - i < sizeof(word) ? length - i : sizeof(word);

		word = pattern_word(run, offset + i, generation);
		if (!memcmp(buf + i, &word, n))
			continue;
		if (!run->differing++)
			fprintf(stderr, "backend-io: byte %" PRIu64 " and following differ\n",
				offset + i);
		return false;
	}
	return true;
}

static struct run *owner_of(struct backend_io *io)
{
	return io->owner;
}

static void io_done(struct backend_io *backend_io, int error)
{
	struct run *run = owner_of(backend_io);
	struct io *io = (struct io *)backend_io;

	if (!io->busy) {
		fprintf(stderr, "backend-io: a request was completed twice\n");
		abort();
	}
	io->busy = false;
	io->result = error;
	io->next = run->ready;
	run->ready = io;
	run->in_flight--;
}

static void io_submit(struct run *run, struct io *io)
{
	io->busy = true;
	run->in_flight++;
	backend_submit(run->channel, &io->io);
}

/* A finished request, or NULL if there is none and nothing under way. */
static struct io *io_next(struct run *run)
{
	struct io *io;
	int error;

	if (!run->ready && run->in_flight) {
		backend_kick(run->channel);
		while (!run->ready) {
			error = loop_once(run->loop, UINT64_MAX);
			if (error) {
				fprintf(stderr, "backend-io: loop: %s\n", strerror(-error));
				exit(1);
			}
		}
	}
	io = run->ready;
	if (io)
		run->ready = io->next;
	return io;
}

static bool io_failed(struct run *run, const struct io *io)
{
	if (!io->result)
		return false;
	if (!run->failed++ && !run->count_errors)
		fprintf(stderr, "backend-io: %s of %u bytes at %" PRIu64 ": %s\n",
			backend_op_name(io->io.op), io->io.length, io->io.offset,
			strerror(-io->result));
	return true;
}

static void all_ready(struct run *run)
{
	unsigned int i;

	run->ready = NULL;
	for (i = 0; i < run->depth; i++) {
		run->ios[i].io.op = BACKEND_FLUSH;
		run->ios[i].result = 0;
		run->ios[i].next = run->ready;
		run->ready = &run->ios[i];
	}
}

static int flush(struct run *run)
{
	struct io *io = &run->ios[0];

	run->ready = NULL;
	io->io.op = BACKEND_FLUSH;
	io->io.offset = 0;
	io->io.length = 0;
	io->io.flags = 0;
	io_submit(run, io);
	io = io_next(run);
	return io_failed(run, io) ? 1 : 0;
}

static int run_fill_or_verify(struct run *run, enum backend_op op, uint32_t flags)
{
	uint64_t offset = run->from;
	struct io *io;

	all_ready(run);
	while ((io = io_next(run))) {
		if (io->io.op != BACKEND_FLUSH && !io_failed(run, io) && op == BACKEND_READ)
			pattern_is(run, io->io.buf, io->io.offset, io->io.length, 0);
		if (offset >= run->to)
			continue;
		io->io.op = op;
		io->io.flags = flags;
		io->io.offset = offset;
		io->io.length = run->to - offset < run->block ? (uint32_t)(run->to - offset) :
								run->block;
		if (op == BACKEND_WRITE)
			pattern_make(run, io->io.buf, offset, io->io.length, 0);
		offset += io->io.length;
		io_submit(run, io);
	}
	if (op == BACKEND_WRITE)
		flush(run);
	return run->failed || run->differing ? 1 : 0;
}

static uint64_t draw(struct run *run)
{
	return mix(run->state += 0x9e3779b97f4a7c15ull);
}

static void random_finished(struct run *run, struct io *io)
{
	if (io->io.op == BACKEND_FLUSH)
		return;
	if (!io_failed(run, io) && io->io.op == BACKEND_READ)
		pattern_is(run, io->io.buf, io->io.offset, io->io.length,
			   run->generation[io->block]);
	run->locked[io->block] = 0;
}

/* Blocks carry a generation, so that an old write that comes through late is seen. */
static int run_random(struct run *run, uint64_t count, unsigned int writes, uint32_t flags)
{
	uint64_t blocks = (run->to - run->from) / run->block;
	struct io *io;

	if (blocks < run->depth) {
		fprintf(stderr, "backend-io: the region is too small for this depth\n");
		return 2;
	}
	run->generation = calloc(1, blocks);
	run->locked = calloc(1, blocks);
	if (!run->generation || !run->locked)
		return 1;
	all_ready(run);
	while ((io = io_next(run))) {
		random_finished(run, io);
		if (!count)
			continue;
		count--;
		do {
			io->block = draw(run) % blocks;
		} while (run->locked[io->block]);
		run->locked[io->block] = 1;
		io->io.op = draw(run) % 100 < writes ? BACKEND_WRITE : BACKEND_READ;
		io->io.flags = io->io.op == BACKEND_WRITE ? flags : 0;
		io->io.offset = run->from + io->block * run->block;
		io->io.length = run->block;
		if (io->io.op == BACKEND_WRITE)
			pattern_make(run, io->io.buf, io->io.offset, run->block,
				     ++run->generation[io->block]);
		io_submit(run, io);
	}
	free(run->generation);
	free(run->locked);
	return run->failed || run->differing ? 1 : 0;
}

static double seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static int run_bench(struct run *run, uint64_t count, unsigned int writes)
{
	uint64_t blocks = (run->to - run->from) / run->block;
	uint64_t left = count, start = loop_now();
	struct rusage used;
	struct io *io;
	double taken;

	all_ready(run);
	while ((io = io_next(run))) {
		if (io->io.op != BACKEND_FLUSH)
			io_failed(run, io);
		if (!left)
			continue;
		left--;
		io->io.op = draw(run) % 100 < writes ? BACKEND_WRITE : BACKEND_READ;
		io->io.offset = run->from + draw(run) % blocks * run->block;
		io->io.length = run->block;
		io_submit(run, io);
	}
	taken = (double)(loop_now() - start) / 1e9;
	getrusage(RUSAGE_SELF, &used);
	printf("%.0f requests/s, %.1f MB/s, %.2f us a request, own CPU %.2f us a request\n",
	       (double)count / taken, (double)count * run->block / taken / 1e6,
	       taken * 1e6 / (double)count,
	       (seconds(&used.ru_utime) + seconds(&used.ru_stime)) * 1e6 / (double)count);
	return run->failed ? 1 : 0;
}

static void extents_print(const struct backend_io *io)
{
	const struct backend_extent *extent = io->extents->extent;
	uint64_t at = io->offset;
	uint32_t i;

	for (i = 0; i < io->extents->used; at += extent[i++].length)
		printf("%" PRIu64 " %" PRIu64 "%s%s%s\n", at, extent[i].length,
		       extent[i].flags ? "" : " data",
		       extent[i].flags & BACKEND_EXTENT_HOLE ? " hole" : "",
		       extent[i].flags & BACKEND_EXTENT_ZERO ? " zero" : "");
}

static int run_single(struct run *run, enum backend_op op, uint64_t offset, uint32_t flags)
{
	static struct {
		struct backend_extents list;
		struct backend_extent room[64];
	} extents = { .list.room = 64 };
	struct io *io = &run->ios[0];

	io->io.op = op;
	io->io.flags = flags;
	io->io.offset = offset;
	io->io.length = op == BACKEND_FLUSH ? 0 : run->block;
	io->io.extents = &extents.list;
	if (op == BACKEND_WRITE)
		pattern_make(run, io->io.buf, offset, run->block, 0);
	io_submit(run, io);
	io = io_next(run);
	if (op == BACKEND_READ && !io->result)
		pattern_is(run, io->io.buf, offset, run->block, 0);
	if (op == BACKEND_EXTENTS && !io->result)
		extents_print(&io->io);
	printf("%s\n", io->result ? strerrorname_np(-io->result) : "ok");
	return io->result || run->differing ? 1 : 0;
}

static int run_info(const struct backend *backend)
{
	const struct backend_info *info = &backend->info;

	printf("name=%s\nsize=%" PRIu64 "\nblock_min=%u\nblock_preferred=%u\nmax_io=%u\n"
	       "channels_max=%u\nread_only=%d\ncan_flush=%d\ncan_fua=%d\ncan_discard=%d\n"
	       "can_zeroes=%d\ncan_fast_zero=%d\ncan_extents=%d\ncan_cache=%d\nrotational=%d\n"
	       "waits=%d\n",
	       backend->name, info->size, info->block_min, info->block_preferred, info->max_io,
	       info->channels_max, info->read_only, info->can_flush, info->can_fua,
	       info->can_discard, info->can_zeroes, info->can_fast_zero, info->can_extents,
	       info->can_cache, info->rotational, info->waits);
	return 0;
}

static int buffers_make(struct run *run)
{
	unsigned int i;

	run->ios = calloc(run->depth, sizeof(*run->ios));
	if (!run->ios)
		return -ENOMEM;
	for (i = 0; i < run->depth; i++) {
		run->ios[i].io.done = io_done;
		run->ios[i].io.owner = run;
		run->ios[i].io.buf = aligned_alloc(4096, (run->block + 4095) & ~4095u);
		if (!run->ios[i].io.buf)
			return -ENOMEM;
		memset(run->ios[i].io.buf, 0xa5, run->block);
	}
	return 0;
}

struct options {
	uint64_t block, depth, count, writes, seed, offset, channels, threads;
	uint32_t flags;
	bool zeroes, count_errors;
};

static int options_read(int argc, char **argv, struct options *o)
{
	struct error error;
	int code = 0;
	int c;

	while (!code && (c = getopt(argc, argv, "b:d:n:w:s:o:c:t:FKze")) != -1) {
		switch (c) {
		case 'b': code = size_parse(optarg, &o->block, &error); break;
		case 'd': code = number_parse(optarg, 1, 65536, &o->depth, &error); break;
		case 'n': code = number_parse(optarg, 0, UINT64_MAX, &o->count, &error); break;
		case 'w': code = number_parse(optarg, 0, 100, &o->writes, &error); break;
		case 's': code = number_parse(optarg, 0, UINT32_MAX, &o->seed, &error); break;
		case 'o': code = size_parse(optarg, &o->offset, &error); break;
		case 'c': code = number_parse(optarg, 1, 64, &o->channels, &error); break;
		case 't': code = number_parse(optarg, 1, MOST_THREADS, &o->threads, &error); break;
		case 'F': o->flags |= BACKEND_FUA; break;
		case 'K': o->flags |= BACKEND_NO_UNMAP; break;
		case 'z': o->zeroes = true; break;
		case 'e': o->count_errors = true; break;
		default: return 2;
		}
	}
	if (code) {
		fprintf(stderr, "backend-io: %s\n", error.text);
		return 2;
	}
	return argc - optind == 2 && o->block && o->block <= 32 << 20 ? 0 : 2;
}

static int command_run(struct run *run, const char *command, const struct options *o)
{
	unsigned int op;

	if (!strcmp(command, "fill"))
		return run_fill_or_verify(run, BACKEND_WRITE, o->flags);
	if (!strcmp(command, "verify"))
		return run_fill_or_verify(run, BACKEND_READ, 0);
	if (!strcmp(command, "random"))
		return run_fill_or_verify(run, BACKEND_WRITE, 0) ||
		       run_random(run, o->count, (unsigned int)o->writes, o->flags);
	if (!strcmp(command, "bench"))
		return run_bench(run, o->count, (unsigned int)o->writes);
	for (op = 0; backend_op_name(op); op++)
		if (!strcmp(command, backend_op_name(op)))
			return run_single(run, (enum backend_op)op, o->offset, o->flags);
	fputs(usage, stderr);
	return 2;
}

/* All threads have tried to open their channel: none ends before another begins. */
static pthread_barrier_t tried;

static int channel_run(struct backend *backend, const char *command, const struct options *o,
		       unsigned int part)
{
	uint64_t blocks = backend->info.size / o->block;
	struct run run = {
		.backend = backend,
		.from = blocks * part / o->threads * o->block,
		.to = part + 1 == o->threads ? backend->info.size :
					       blocks * (part + 1) / o->threads * o->block,
		.state = part,
		.depth = (unsigned int)o->depth,
		.block = (uint32_t)o->block,
		.seed = o->seed,
		.zeroes = o->zeroes,
		.count_errors = o->count_errors,
	};
	struct error error;
	unsigned int i;
	int status;

	if (buffers_make(&run) || loop_new(&run.loop)) {
		fprintf(stderr, "backend-io: out of memory\n");
		exit(1);		/* others wait for this thread */
	}
	status = backend_channel_open(backend, run.loop, &run.channel, &error);
	pthread_barrier_wait(&tried);
	if (status) {
		fprintf(stderr, "backend-io: %s\n", error.text);
		status = 1;
	} else {
		status = command_run(&run, command, o);
		backend_channel_close(run.channel);
	}
	loop_free(run.loop);
	if (run.count_errors)
		printf("failed=%" PRIu64 " differing=%" PRIu64 "\n", run.failed, run.differing);
	for (i = 0; i < run.depth; i++)
		free(run.ios[i].io.buf);
	free(run.ios);
	return status;
}

struct part {
	pthread_t thread;
	struct backend *backend;
	const char *command;
	const struct options *options;
	unsigned int number;
	int status;
};

static void *part_main(void *argument)
{
	struct part *part = argument;

	part->status = channel_run(part->backend, part->command, part->options, part->number);
	return NULL;
}

static int parts_run(struct backend *backend, const char *command, const struct options *o)
{
	struct part parts[MOST_THREADS];
	int status = 0;
	unsigned int i;

	pthread_barrier_init(&tried, NULL, (unsigned int)o->threads);
	for (i = 0; i < o->threads; i++) {
		parts[i] = (struct part) {
			.backend = backend, .command = command, .options = o, .number = i,
		};
		if (pthread_create(&parts[i].thread, NULL, part_main, &parts[i])) {
			fprintf(stderr, "backend-io: cannot start a thread\n");
			exit(1);
		}
	}
	for (i = 0; i < o->threads; i++) {
		pthread_join(parts[i].thread, NULL);
		if (parts[i].status > status)
			status = parts[i].status;
	}
	pthread_barrier_destroy(&tried);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = {
		.block = 4096, .depth = 32, .count = 10000, .writes = 50, .seed = 1, .channels = 1,
		.threads = 1,
	};
	struct backend *backend;
	struct error error;
	int status;

	if (options_read(argc, argv, &options)) {
		fputs(usage, stderr);
		return 2;
	}
	if (backend_open(argv[optind + 1], &backend, &error)) {
		fprintf(stderr, "backend-io: %s\n", error.text);
		return 1;
	}
	if (!strcmp(argv[optind], "info"))
		status = run_info(backend);
	else
		do {
			status = parts_run(backend, argv[optind], &options);
		} while (!status && --options.channels);
	backend_close(backend);
	return status;
}
