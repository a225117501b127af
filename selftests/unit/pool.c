// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads for a loop: each job is done once or, where the pool ends first, dropped once; NULL
 * where there is nothing to drop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "sync/pool.h"

#define JOBS	1000

struct job {
	struct pool_job job;
	_Atomic unsigned int runs;
	unsigned int done, dropped;
};

static struct job jobs[JOBS];
static unsigned int done;

static void job_run(struct pool_job *pool_job, void *scratch)
{
	struct job *job = (struct job *)pool_job;	/* its first member */

	*(char *)scratch = 1;
	job->runs++;
}

static void job_done(struct pool_job *pool_job)
{
	((struct job *)pool_job)->done++;
	done++;
}

static void job_drop(struct pool_job *pool_job)
{
	((struct job *)pool_job)->dropped++;
}

/* All jobs are submitted, and the pool ends when @wanted are done. */
static void ends_after(unsigned int threads, unsigned int wanted)
{
	struct error error = { 0 };
	struct loop *loop;
	struct pool *pool;

	memset(jobs, 0, sizeof(jobs));
	done = 0;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(pool_new(loop, threads, &pool, &error), 0);
	for (unsigned int i = 0; i < JOBS; i++) {
		jobs[i].job.run = job_run;
		jobs[i].job.done = job_done;
		jobs[i].job.drop = i % 10 ? job_drop : NULL;
		pool_submit(pool, &jobs[i].job);
	}
	while (done < wanted)
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	pool_free(pool);
	loop_free(loop);
	for (unsigned int i = 0; i < JOBS; i++) {
		assert_true(jobs[i].runs <= 1);
		assert_true(jobs[i].done <= jobs[i].runs);
		assert_int_equal(jobs[i].done + jobs[i].dropped, i % 10 || jobs[i].done);
	}
}

static void all_are_done(void **state)
{
	(void)state;
	ends_after(1, JOBS);
	ends_after(4, JOBS);
	assert_int_equal(done, JOBS);
}

static void the_rest_is_dropped(void **state)
{
	(void)state;
	ends_after(1, 0);
	assert_int_equal(done, 0);
	ends_after(1, 1);
	ends_after(4, JOBS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_done),
		cmocka_unit_test(the_rest_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
