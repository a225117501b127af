// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Work for another thread's loop. See post.h.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/post.h"

static void post_ready(struct loop_source *source, uint32_t events)
{
	struct post *post = (struct post *)((char *)source - offsetof(struct post, wake));
	struct post_job *job, *next;
	uint64_t count;
	ssize_t got;

	(void)events;
	got = read(source->fd, &count, sizeof(count));
	(void)got;
	pthread_mutex_lock(&post->lock);
	job = post->first;
	post->first = NULL;
	post->last = &post->first;
	pthread_mutex_unlock(&post->lock);
	for (; job; job = next) {
		next = job->next;	/* it may be sent again as it runs */
		job->run(job);
	}
}

int post_open(struct post *post)
{
	memset(post, 0, sizeof(*post));
	post->last = &post->first;
	post->wake.ready = post_ready;
	post->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (post->wake.fd < 0)
		return -errno;
	pthread_mutex_init(&post->lock, NULL);
	return 0;
}

void post_close(struct post *post)
{
	if (post->wake.fd < 0)
		return;
	close(post->wake.fd);
	post->wake.fd = -1;
	pthread_mutex_destroy(&post->lock);
}

int post_attach(struct post *post, struct loop *loop)
{
	int err = loop_add(loop, &post->wake, EPOLLIN);

	if (!err)
		post->loop = loop;
	return err;
}

void post_detach(struct post *post)
{
	if (post->loop)
		loop_remove(post->loop, &post->wake);
	post->loop = NULL;
}

void post_drop(struct post *post, void (*drop)(struct post_job *job))
{
	struct post_job *job = post->first, *next;

	post->first = NULL;
	post->last = &post->first;
	for (; job; job = next) {
		next = job->next;
		drop(job);
	}
}

void post_send(struct post *post, struct post_job *job)
{
	const uint64_t one = 1;
	ssize_t wrote;

	pthread_mutex_lock(&post->lock);
	job->next = NULL;
	*post->last = job;
	post->last = &job->next;
	pthread_mutex_unlock(&post->lock);
	wrote = write(post->wake.fd, &one, sizeof(one));
	(void)wrote;	/* only a full counter fails, and that wakes as well */
}
