// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How fast memory is hashed, chunk by chunk, by the code of user/sync.
 *
 *	hash-clock HASH CHUNK THREADS MIB
 *
 * HASH: xxh3, sha256, crc32c, blake2; memcmp, with a copy, which is what hashing saves; memcpy. CHUNK in bytes, 0: all of
 * it is one. Prints GB/s of all THREADS together, each with a part of its own, by the processor time of each: what others do with
 * the processors meanwhile is not in it, what they do with the memory is.
 */
#include <err.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/error.h"
#include "sync/hash.h"

#define CHUNK_LEAST	4096u

struct work {
	pthread_t thread;
	const struct hashing *hashing;
	int (*job)(const struct work *work, size_t at);
	const char *data;
	char *copy;
	size_t length, chunk;
	double seconds;
	pthread_barrier_t *begin;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int job_hash(const struct work *work, size_t at)
{
	unsigned char out[SYNC_HASH_MAX];

	hashing_fast(work->hashing, work->data + at, work->chunk, out);
	return out[0];
}

static int job_memcmp(const struct work *work, size_t at)
{
	return memcmp(work->data + at, work->copy + at, work->chunk);
}

static int job_memcpy(const struct work *work, size_t at)
{
	memcpy(work->copy + at, work->data + at, work->chunk);
	return work->copy[at];
}

static void *part(void *data)
{
	static _Thread_local volatile int sum;	/* so that nothing can be left out */
	struct work *work = data;
	double start;

	pthread_barrier_wait(work->begin);
	start = now();
	for (size_t at = 0; at < work->length; at += work->chunk)
		sum = sum + work->job(work, at);
	work->seconds = now() - start;
	return NULL;
}

static enum sync_hash hash_find(const char *word)
{
	for (unsigned int i = 0; sync_hash_words[i]; i++)
		if (!strcmp(word, sync_hash_words[i]))
			return i + 1;
	errx(2, "no hash '%s': give xxh3, sha256, crc32c, blake2, memcmp or memcpy", word);
}

int main(int argc, char **argv)
{
	const size_t threads = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
	const size_t size = argc == 5 ? strtoul(argv[4], NULL, 10) << 20 : 0;
	int (*job)(const struct work *work, size_t at) = job_hash;
	size_t chunk = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
	struct hashing hashing = {};
	struct error error = {};
	pthread_barrier_t begin;
	struct work *works;
	char *data, *copy;
	double rate = 0;

	if (!threads || threads > 64 || !size)
		errx(2, "usage: hash-clock HASH CHUNK THREADS MIB");
	if (!chunk)
		chunk = size / threads;
	if (!strcmp(argv[1], "memcmp"))
		job = job_memcmp;
	else if (!strcmp(argv[1], "memcpy"))
		job = job_memcpy;
	else if (hashing_init(&hashing, hash_find(argv[1]), CHUNK_LEAST, &error))
		errx(1, "%s", error.text);
	data = malloc(size);
	copy = malloc(size);
	works = calloc(threads, sizeof(*works));
	if (!data || !copy || !works || size / threads % chunk ||
	    pthread_barrier_init(&begin, NULL, (unsigned int)threads + 1))
		errx(1, "there is no memory, or a part is not whole chunks");
	for (size_t i = 0; i < size / 8; i++)
		((uint64_t *)data)[i] = i * 0x9e3779b97f4a7c15ull;
	memcpy(copy, data, size);
	for (size_t i = 0; i < threads; i++) {
		works[i] = (struct work) {
			.hashing = &hashing, .job = job, .chunk = chunk, .begin = &begin,
			.length = size / threads, .data = data + i * (size / threads),
			.copy = copy + i * (size / threads),
		};
		if (pthread_create(&works[i].thread, NULL, part, &works[i]))
			errx(1, "cannot start a thread");
	}
	pthread_barrier_wait(&begin);
	for (size_t i = 0; i < threads; i++) {
		pthread_join(works[i].thread, NULL);
		rate += (double)works[i].length / 1e9 / works[i].seconds;
	}
	printf("%.3f\n", rate);
	return 0;
}
