// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Work for another thread's loop: all of it runs, once, in the order in which each sender sent it, also
 * what was sent before there was a loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "lib/post.h"

#define SENDERS	4
#define JOBS	2000

struct job {
	struct post_job job;
	unsigned int sender, number;
};

static struct post post;
static struct job jobs[SENDERS][JOBS];
static unsigned int ran[SENDERS], all;

static void run(struct post_job *job)
{
	const struct job *this = (const struct job *)job;	/* its first member */

	assert_int_equal(this->number, ran[this->sender]);
	ran[this->sender]++;
	all++;
}

static void *send_all(void *data)
{
	struct job *mine = data;

	for (unsigned int i = 0; i < JOBS; i++) {
		mine[i].job.run = run;
		mine[i].number = i;
		post_send(&post, &mine[i].job);
	}
	return NULL;
}

static void jobs_run_in_order(void **state)
{
	pthread_t threads[SENDERS];
	struct loop *loop;

	(void)state;
	assert_int_equal(post_open(&post), 0);
	assert_int_equal(loop_new(&loop), 0);
	for (unsigned int i = 0; i < SENDERS; i++) {
		for (unsigned int n = 0; n < JOBS; n++)
			jobs[i][n].sender = i;
		/* The first is done before there is a loop. */
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, jobs[i]), 0);
		if (!i)
			pthread_join(threads[i], NULL);
	}
	assert_int_equal(post_attach(&post, loop), 0);
	while (all < SENDERS * JOBS)
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	for (unsigned int i = 1; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	/* Another loop goes on where the first was left. */
	post_detach(&post);
	jobs[0][0].number = JOBS;
	post_send(&post, &jobs[0][0].job);
	assert_int_equal(all, SENDERS * JOBS);
	assert_int_equal(post_attach(&post, loop), 0);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	assert_int_equal(all, SENDERS * JOBS + 1);
	post_detach(&post);
	post_close(&post);
	loop_free(loop);
}

/* A job may send itself again: it runs in another round. */
static unsigned int again;

static void run_again(struct post_job *job)
{
	if (++again < 3)
		post_send(&post, job);
}

static void a_job_sends_itself(void **state)
{
	struct post_job job = { .run = run_again };
	struct loop *loop;

	(void)state;
	assert_int_equal(post_open(&post), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(post_attach(&post, loop), 0);
	post_send(&post, &job);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	assert_int_equal(again, 1);
	while (again < 3)
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	post_detach(&post);
	post_close(&post);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_run_in_order),
		cmocka_unit_test(a_job_sends_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
