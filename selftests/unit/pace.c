// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pace of a pull, against a path of known delay and rate: it fills the path, within few round trips, and
 * queues little, from the start; it follows a path that changes; a rate limit is kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mount/pace.h"

#define MS	1000000ull	/* ns */
#define SECOND	(1000 * MS)
#define MOST	1024u

/* A path: every chunk takes @delay, and @each of the bottleneck's time, one after the other. */
struct path {
	uint64_t delay, each;		/* ns */
	uint64_t now;
	uint64_t bottleneck;		/* ns: until when it is busy */
	struct pace_mark asked[MOST];	/* a ring of what is on its way */
	uint64_t due[MOST];
	unsigned int first, used;
	uint64_t arrived;
	uint64_t jitter;		/* ns: a chunk comes later by up to this, and those behind it */
};

static void path_fill(struct path *path, const struct pace *pace)
{
	while (path->used < pace_window(pace)) {
		unsigned int at = (path->first + path->used++) % MOST;
		uint64_t start = path->now > path->bottleneck ? path->now : path->bottleneck;

		path->asked[at] = pace_asked(pace, path->now);
		path->bottleneck = start + path->each;
		path->due[at] = path->bottleneck + path->delay;
		if (path->jitter)
			path->due[at] += (uint64_t)random() % path->jitter;
	}
}

static void path_run(struct path *path, struct pace *pace, uint64_t ns)
{
	const uint64_t end = path->now + ns;

	for (;;) {
		path_fill(path, pace);
		if (path->due[path->first] > end)
			break;
		if (path->due[path->first] > path->now)
			path->now = path->due[path->first];
		pace_arrived(pace, &path->asked[path->first], path->now,
			     path->used >= pace_window(pace));
		path->first = (path->first + 1) % MOST;
		path->used--;
		path->arrived++;
	}
	path->now = end;
}

/* Of the rate of the path in the last second, in percent. */
static unsigned int path_share(struct path *path, struct pace *pace)
{
	uint64_t before = path->arrived;

	path_run(path, pace, SECOND);
	return (unsigned int)((path->arrived - before) * path->each * 100 / SECOND);
}

static void test_fills(void **state)
{
	static const struct { uint64_t delay, each; } paths[] = {
		{ 10 * MS, 524288 },	/* 64 KiB at 1 Gbit/s */
		{ 30 * MS, 524288 },
		{ MS, 524288 },
		{ 100 * MS, MS },
		{ 50000, 52429 },	/* 10 Gbit/s, next door */
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct path path = { .delay = paths[i].delay, .each = paths[i].each };
		struct pace pace;
		uint32_t fills = (uint32_t)(path.delay / path.each) + 1;

		pace_init(&pace, MOST, 0, 0);
		path_run(&path, &pace, 5 * SECOND);
		assert_in_range(path_share(&path, &pace), 95, 101);
		assert_in_range(pace_window(&pace), fills, fills + 10);
	}
}

/* It doubles: 4, 8, 16, 32, 64 chunks; and what is then too many is seen, and is not for long. */
static void test_starts(void **state)
{
	static const uint64_t delays[] = { 10 * MS, 30 * MS, 100 * MS };

	(void)state;
	for (unsigned int i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		struct path path = { .delay = delays[i], .each = 524288 };
		uint32_t fills = (uint32_t)(path.delay / path.each) + 1;
		unsigned int trips = 0;
		struct pace pace;

		pace_init(&pace, MOST, 0, 0);
		for (; pace_window(&pace) < fills; trips++) {
			assert_in_range(trips, 0, 10);
			path_run(&path, &pace, path.delay);
		}
		for (trips = 0; trips < 8; trips++) {
			assert_in_range(pace_window(&pace), fills - 4, 3 * fills);
			path_run(&path, &pace, path.delay);
		}
		/* no more queued than two times 3 ms, which is what it may */
		assert_in_range(pace_window(&pace), fills - 4, fills + 6 * MS / path.each + 5);
		assert_in_range(path_share(&path, &pace), 95, 101);
	}
}

/* --- a transport that begins slowly -------------------------------------------------------------- */

#define MSS		1448u
#define PACKETS		45u	/* of a chunk of 64 KiB */
#define RING		(1u << 16)

/* Times, in the order in which they come. */
struct times {
	uint64_t at[RING];
	unsigned int first, end;
};

/*
 * TCP at its start, from a server @delay away, there and back: ten packets, and one more for each that was
 * acknowledged, up to @most; @each of the bottleneck's time for one. What is asked for waits at the server
 * for its turn.
 */
struct transport {
	uint64_t delay, each;		/* ns */
	uint64_t bottleneck;		/* ns: until when it is busy */
	uint32_t window, most, flight;	/* packets */
	uint32_t waiting, waiting_most;	/* packets, at the server */
	struct times requests;		/* when they are at the server */
	struct times arrivals;		/* of packets, at the client */
	struct times acks;		/* at the server */
	struct pace_mark asked[RING];
	unsigned int chunks_asked, chunks_arrived, packets_arrived;
	unsigned int demanded;		/* chunks, which come first */
};

static void times_add(struct times *times, uint64_t at)
{
	times->at[times->end++ % RING] = at;
}

static uint64_t times_first(const struct times *times)
{
	return times->first == times->end ? UINT64_MAX : times->at[times->first % RING];
}

static void transport_send(struct transport *t, uint64_t now)
{
	if (t->waiting > t->waiting_most)
		t->waiting_most = t->waiting;
	for (; t->waiting && t->flight < t->window; t->waiting--, t->flight++) {
		if (t->bottleneck < now)
			t->bottleneck = now;
		t->bottleneck += t->each;
		times_add(&t->arrivals, t->bottleneck + t->delay / 2);
	}
}

static void transport_ask(struct transport *t, const struct pace *pace, uint64_t now)
{
	while (t->chunks_asked - t->chunks_arrived < (pace ? pace_window(pace) : MOST)) {
		if (pace)
			t->asked[t->chunks_asked % RING] = pace_asked(pace, now);
		t->chunks_asked++;
		times_add(&t->requests, now + t->delay / 2);
	}
}

/* A packet has come, and perhaps the last one of a chunk. */
static void transport_arrived(struct transport *t, struct pace *pace, uint64_t now)
{
	bool full;

	times_add(&t->acks, now + t->delay / 2);
	if (++t->packets_arrived % PACKETS || t->packets_arrived < t->demanded * PACKETS)
		return;
	if (t->packets_arrived == t->demanded * PACKETS) {
		if (pace)
			pace_beside_arrived(pace, t->demanded);
		return;
	}
	full = pace && t->chunks_asked - t->chunks_arrived >= pace_window(pace);
	if (pace)
		pace_arrived(pace, &t->asked[t->chunks_arrived % RING], now, full);
	t->chunks_arrived++;
	transport_ask(t, pace, now);
}

/*
 * How long (ns) it takes until @chunks have come; without a pace as many as there are have been asked for. A reader
 * has asked for @demanded before, in one request: it has them when all of them are there.
 */
static uint64_t transport_run(struct transport *t, struct pace *pace, unsigned int demanded, unsigned int chunks)
{
	uint64_t now = 0;

	t->demanded = demanded;
	if (demanded)
		times_add(&t->requests, now + t->delay / 2);
	if (pace)
		pace_begin(pace, now, demanded);
	transport_ask(t, pace, now);
	while (t->chunks_arrived < chunks) {
		uint64_t request = times_first(&t->requests), ack = times_first(&t->acks);
		uint64_t arrival = times_first(&t->arrivals);

		now = request < ack ? request : ack;
		now = arrival < now ? arrival : now;
		if (now == arrival) {
			t->arrivals.first++;
			transport_arrived(t, pace, now);
			continue;
		}
		if (now == request) {
			t->waiting += PACKETS * (t->requests.first || !demanded ? 1 : demanded);
			t->requests.first++;
		} else {
			t->acks.first++;
			t->flight--;
			if (t->window < t->most)
				t->window++;
		}
		transport_send(t, now);
	}
	return now;
}

/* Larger than a stack of valgrind's takes at once. */
static void transport_begin(struct transport *t, uint64_t delay)
{
	memset(t, 0, sizeof(*t));
	t->delay = delay;
	t->each = 524288 / PACKETS;
	t->window = 10;
	t->most = RING / 4;
}

/*
 * While TCP begins, the pull is not what it waits for, also behind a reader's large request; and no more waits at
 * the server than before it or is on the path.
 */
static void test_slow_start(void **state)
{
	static const uint64_t delays[] = { 5 * MS, 10 * MS, 30 * MS, 100 * MS };
	static const unsigned int demands[] = { 0, 1, 16 };
	struct transport *t = malloc(sizeof(*t));

	(void)state;
	assert_non_null(t);
	for (unsigned int i = 0; i < 12; i++) {
		const uint64_t delay = delays[i / 3];
		const unsigned int fills = (unsigned int)(delay / 524288) + 1, chunks = 3 * fills + 20;
		uint64_t least, took;
		struct pace pace;

		transport_begin(t, delay);
		least = transport_run(t, NULL, demands[i % 3], chunks);
		transport_begin(t, delay);
		pace_init(&pace, MOST, 0, 0);
		took = transport_run(t, &pace, demands[i % 3], chunks);
		assert_in_range(took, least, least + least / 64);
		assert_in_range(t->waiting_most, 0, (2 * demands[i % 3] + 4) * PACKETS);
		assert_in_range(pace_window(&pace), fills, 2 * fills + 2 * demands[i % 3] + 10);
	}
	free(t);
}

/* Chunks that come late for other reasons than a queue do not make it slow. */
static void test_jitter(void **state)
{
	struct path path = { .delay = 10 * MS, .each = 524288, .jitter = 2 * MS };
	struct pace pace;

	(void)state;
	srandom(1);
	pace_init(&pace, MOST, 0, 0);
	path_run(&path, &pace, 5 * SECOND);
	assert_in_range(path_share(&path, &pace), 95, 101);
	assert_in_range(pace_window(&pace), 20, 30);
}

/* Nor does it stay small when all of them come 1.2 ms late, as they do when a processor has other work. */
static void test_late(void **state)
{
	struct path path = { .delay = 10 * MS, .each = 524288 };
	struct pace pace;

	(void)state;
	pace_init(&pace, MOST, 0, 0);
	path_run(&path, &pace, SECOND);
	path.delay += 1200000;
	pace.window = 10;
	path_run(&path, &pace, SECOND);
	assert_in_range(path_share(&path, &pace), 95, 101);
	assert_in_range(pace_window(&pace), 20, 30);
}

static void test_most(void **state)
{
	struct path path = { .delay = 100 * MS, .each = MS };
	struct pace pace;

	(void)state;
	pace_init(&pace, 7, 0, 0);
	path_run(&path, &pace, 5 * SECOND);
	assert_int_equal(pace_window(&pace), 7);
	pace_init(&pace, 1, 0, 0);
	assert_int_equal(pace_window(&pace), 1);
}

static void test_follows(void **state)
{
	struct path path = { .delay = 10 * MS, .each = 524288 };
	struct pace pace;
	uint32_t before;

	(void)state;
	pace_init(&pace, MOST, 0, 0);
	path_run(&path, &pace, 5 * SECOND);
	before = pace_window(&pace);
	path.delay = 40 * MS;		/* a longer way: believed after two periods */
	path_run(&path, &pace, 40 * SECOND);
	assert_in_range(path_share(&path, &pace), 90, 101);
	assert_true(pace_window(&pace) > 2 * before);
	path.each *= 4;			/* and a slower one */
	path_run(&path, &pace, 40 * SECOND);
	assert_in_range(pace_window(&pace), 40 * MS / path.each, 40 * MS / path.each + 12);
}

static void test_rate(void **state)
{
	const uint64_t rate = 10u << 20;
	uint64_t now = 0, wait, bytes = 0;
	struct pace pace;

	(void)state;
	pace_init(&pace, MOST, rate, now);
	while (now < 10 * SECOND) {
		wait = pace_wait(&pace, now);
		if (wait) {
			assert_true(wait > now);
			now = wait;
			continue;
		}
		pace_spend(&pace, 65536);
		bytes += 65536;
	}
	assert_in_range(bytes, rate * 10 * 95 / 100, rate * 10 * 102 / 100);
	pace_init(&pace, MOST, 0, now);
	pace_spend(&pace, UINT32_MAX);
	assert_int_equal(pace_wait(&pace, now), 0);
}

/* Bytes that come in a second from @now on. */
static uint64_t rate_second(struct pace *pace, uint64_t now)
{
	const uint64_t end = now + SECOND;
	uint64_t wait, bytes = 0;

	while (now < end) {
		wait = pace_wait(pace, now);
		if (wait) {
			now = wait;
			continue;
		}
		pace_spend(pace, 4096);
		bytes += 4096;
	}
	return bytes;
}

static void test_rate_changes(void **state)
{
	const uint64_t rate = 1u << 20;
	struct pace pace;

	(void)state;
	pace_init(&pace, MOST, rate, 0);
	assert_in_range(rate_second(&pace, 0), rate * 95 / 100, rate * 102 / 100);
	pace_set_rate(&pace, 8 * rate, SECOND);
	assert_in_range(rate_second(&pace, SECOND), 8 * rate * 95 / 100, 8 * rate * 112 / 100);
	pace_set_rate(&pace, rate / 4, 2 * SECOND);
	assert_in_range(rate_second(&pace, 2 * SECOND), rate / 4 * 95 / 100, rate / 4 * 112 / 100);
	/* What is owed is not, when there is no limit; nor is anything owed after it. */
	pace_spend(&pace, 1u << 30);
	pace_set_rate(&pace, 0, 3 * SECOND);
	assert_int_equal(pace_wait(&pace, 3 * SECOND), 0);
	pace_set_rate(&pace, rate, 100 * SECOND);
	assert_in_range(rate_second(&pace, 100 * SECOND), rate * 95 / 100, rate * 112 / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fills),
		cmocka_unit_test(test_starts),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_follows),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_rate_changes),
	};

	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
