// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads for a loop. See pool.h.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "sync/pool.h"

#define THREADS_MAX	8u		/* by default */

static void job_done(struct post_job *post)
{
	struct pool_job *job = (struct pool_job *)((char *)post - offsetof(struct pool_job, post));

	job->done(job);
}

/* The next job, or NULL: it is over. */
static struct pool_job *job_take(struct pool *pool)
{
	struct pool_job *job;

	pthread_mutex_lock(&pool->lock);
	while (!pool->first && !pool->ending)
		pthread_cond_wait(&pool->work, &pool->lock);
	job = pool->ending ? NULL : pool->first;
	if (job) {
		pool->first = job->next;
		if (!pool->first)
			pool->last = &pool->first;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

static void job_drop(struct pool_job *job)
{
	if (job->drop)
		job->drop(job);
}

static void job_drop_posted(struct post_job *post)
{
	job_drop((struct pool_job *)((char *)post - offsetof(struct pool_job, post)));
}

static void *pool_thread(void *data)
{
	struct pool *pool = data;
	void *scratch = malloc(POOL_SCRATCH);
	struct pool_job *job;

	if (!scratch)
		abort();	/* at the start, and there is nobody to tell */
	while ((job = job_take(pool))) {
		job->run(job, scratch);
		job->post.run = job_done;
		post_send(&pool->post, &job->post);
	}
	free(scratch);
	return NULL;
}

static unsigned int threads_default(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > THREADS_MAX ? THREADS_MAX : (unsigned int)cpus;
}

int pool_new(struct loop *loop, unsigned int threads, struct pool **made, struct error *error)
{
	struct pool *pool;
	int code;

	if (!threads)
		threads = threads_default();
	pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->thread[0]));
	if (!pool)
		return error_set(error, -ENOMEM, "out of memory");
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	code = post_open(&pool->post);
	if (code) {
		free(pool);
		return error_set(error, code, "cannot make an event: %s", strerror(-code));
	}
	code = post_attach(&pool->post, loop);
	while (!code && pool->threads < threads) {
		code = -pthread_create(&pool->thread[pool->threads], NULL, pool_thread, pool);
		if (!code)
			pool->threads++;
	}
	if (code) {
		pool_free(pool);
		return error_set(error, code, "cannot start a thread: %s", strerror(-code));
	}
	*made = pool;
	return 0;
}

void pool_free(struct pool *pool)
{
	struct pool_job *job, *next;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->threads; i++)
		pthread_join(pool->thread[i], NULL);
	if (pool->post.loop)
		post_detach(&pool->post);
	for (job = pool->first; job; job = next) {
		next = job->next;
		job_drop(job);
	}
	post_drop(&pool->post, job_drop_posted);
	post_close(&pool->post);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
	job->pool = pool;
	job->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->last = job;
	pool->last = &job->next;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}
