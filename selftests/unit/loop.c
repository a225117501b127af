// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event loop: sources that come and go while their events are delivered, timers in order,
 * stopping from elsewhere.
 */
#include "drive.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

struct bell {			/* an eventfd that is rung */
	struct loop_source source;
	int rung;
	void (*also)(struct bell *bell);
	struct loop *loop;
	struct bell *other;
};

static void bell_ready(struct loop_source *source, uint32_t events)
{
	struct bell *bell = (struct bell *)source;
	uint64_t count;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(source->fd, &count, sizeof(count)), sizeof(count));
	bell->rung++;
	if (bell->also)
		bell->also(bell);
}

static void bell_make(struct bell *bell, struct loop *loop)
{
	memset(bell, 0, sizeof(*bell));
	bell->source.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(bell->source.fd >= 0);
	bell->source.ready = bell_ready;
	bell->loop = loop;
	assert_int_equal(loop_add(loop, &bell->source, EPOLLIN), 0);
}

static void bell_ring(struct bell *bell)
{
	assert_int_equal(eventfd_write(bell->source.fd, 1), 0);
}

static void bell_end(struct bell *bell)
{
	loop_remove(bell->loop, &bell->source);
	close(bell->source.fd);
}

static void remove_other(struct bell *bell)
{
	loop_remove(bell->loop, &bell->other->source);
}

static void sources_are_called(void **state)
{
	struct bell a, b;
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	bell_make(&a, loop);
	bell_make(&b, loop);
	assert_int_equal(loop_once(loop, 0), 0);
	assert_int_equal(a.rung + b.rung, 0);
	bell_ring(&a);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	assert_int_equal(a.rung, 1);
	assert_int_equal(b.rung, 0);
	bell_end(&a);
	bell_end(&b);
	loop_free(loop);
}

/* Both are ready in the same turn; whichever runs first removes the other, which must not run. */
static void removal_forgets_what_is_pending(void **state)
{
	struct bell a, b;
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	bell_make(&a, loop);
	bell_make(&b, loop);
	a.other = &b;
	b.other = &a;
	a.also = b.also = remove_other;
	bell_ring(&a);
	bell_ring(&b);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	assert_int_equal(a.rung + b.rung, 1);
	bell_end(&a);
	bell_end(&b);
	loop_free(loop);
}

static void remove_self(struct bell *bell)
{
	loop_remove(bell->loop, &bell->source);
	loop_remove(bell->loop, &bell->source);
	assert_int_equal(loop_add(bell->loop, &bell->source, EPOLLIN), 0);
}

static void a_source_may_remove_itself(void **state)
{
	struct loop *loop;
	struct bell a;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	bell_make(&a, loop);
	a.also = remove_self;
	bell_ring(&a);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	bell_ring(&a);
	assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	assert_int_equal(a.rung, 2);
	bell_end(&a);
	loop_free(loop);
}

struct alarm {
	struct loop_timer timer;
	unsigned int number;
};

static unsigned int order[400];
static unsigned int fired;

static void alarm_fire(struct loop_timer *timer)
{
	order[fired++] = ((struct alarm *)timer)->number;
}

static void timers_fire_in_order(void **state)
{
	struct alarm alarms[400];
	struct loop *loop;
	unsigned int i;
	uint64_t base = loop_now() - 1000000;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	for (i = 0; i < 400; i++) {	/* 7 and 400 have no common factor: all places, mixed */
		alarms[i].number = i * 7 % 400;
		alarms[i].timer = (struct loop_timer) { .fire = alarm_fire };
		assert_int_equal(loop_timer_set(loop, &alarms[i].timer,
						base + alarms[i].number), 0);
	}
	for (i = 0; i < 400; i += 4)	/* a quarter is cancelled, twice */
		loop_timer_cancel(loop, &alarms[i].timer), loop_timer_cancel(loop, &alarms[i].timer);
	for (i = 1; i < 400; i += 4)	/* a quarter is set again, to the same */
		loop_timer_set(loop, &alarms[i].timer, base + alarms[i].number);
	fired = 0;
	assert_true(loop_busy(loop, NULL));
	while (loop_busy(loop, NULL))
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
	assert_int_equal(fired, 300);
	for (i = 1; i < fired; i++)
		assert_true(order[i - 1] < order[i]);
	loop_free(loop);
}

static struct loop *again_loop;
static unsigned int again_count;

static void again_fire(struct loop_timer *timer)
{
	again_count++;
	loop_timer_set(again_loop, timer, 1);	/* long past */
}

static void a_timer_in_the_past_does_not_hold_the_loop(void **state)
{
	struct loop_timer timer = { .fire = again_fire };

	(void)state;
	assert_int_equal(loop_new(&again_loop), 0);
	loop_timer_set(again_loop, &timer, 1);
	again_count = 0;
	assert_int_equal(loop_once(again_loop, UINT64_MAX), 0);
	assert_int_equal(again_count, 1);
	assert_int_equal(loop_once(again_loop, UINT64_MAX), 0);
	assert_int_equal(again_count, 2);
	loop_free(again_loop);
}

static void a_timer_never_fires_early(void **state)
{
	struct alarm alarm = { .timer = { .fire = alarm_fire } };
	uint64_t deadline = loop_now() + 3000000;
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	loop_timer_set(loop, &alarm.timer, deadline);
	fired = 0;
	while (!fired) {
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
		if (fired)
			assert_true(loop_now() >= deadline);
	}
	loop_free(loop);
}

static void busy_means_that_something_can_come(void **state)
{
	struct bell a, b;
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	assert_false(loop_busy(loop, NULL));
	bell_make(&a, loop);
	assert_true(loop_busy(loop, NULL));
	assert_false(loop_busy(loop, &a.source));
	bell_make(&b, loop);
	assert_true(loop_busy(loop, &a.source));
	b.source.idle = true;
	assert_false(loop_busy(loop, &a.source));
	bell_end(&b);
	bell_end(&a);
	assert_false(loop_busy(loop, NULL));
	loop_free(loop);
}

static void *stopper(void *argument)
{
	loop_stop(argument);
	return NULL;
}

static struct loop *signal_loop;

static void on_signal(int number)
{
	(void)number;
	loop_stop(signal_loop);
}

static void run_ends_by_stop(void **state)
{
	struct loop *loop;
	pthread_t thread;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	loop_stop(loop);
	assert_int_equal(loop_run(loop), 0);	/* stopped before it ran */
	assert_int_equal(pthread_create(&thread, NULL, stopper, loop), 0);
	assert_int_equal(loop_run(loop), 0);
	pthread_join(thread, NULL);
	signal_loop = loop;
	signal(SIGALRM, on_signal);
	ualarm(1000, 0);
	assert_int_equal(loop_run(loop), 0);
	signal(SIGALRM, SIG_DFL);
	loop_free(loop);
}

/* More sources than one wait delivers, and more than the tables had room for. */
static void many_sources(void **state)
{
	static struct bell bells[300];
	unsigned int turns = 0, i;
	int rung = 0;
	struct loop *loop;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	for (i = 0; i < 300; i++) {
		bell_make(&bells[i], loop);
		bell_ring(&bells[i]);
	}
	while (rung < 300 && turns++ < 300) {
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
		for (rung = 0, i = 0; i < 300; i++)
			rung += bells[i].rung;
	}
	assert_int_equal(rung, 300);
	for (i = 0; i < 300; i++)
		bell_end(&bells[i]);
	loop_free(loop);
}

struct counted_task {
	struct loop_task task;
	struct loop *loop;
	struct loop_task *other;	/* queued by this one, or NULL */
	int ran;
};

static void counted_task_run(struct loop_task *task)
{
	struct counted_task *counted = (struct counted_task *)task;

	counted->ran++;
	if (counted->other)
		loop_task_queue(counted->loop, counted->other);
}

static void tasks_end_a_round(void **state)
{
	struct counted_task first = { .task.run = counted_task_run };
	struct counted_task second = { .task.run = counted_task_run };
	struct loop *l;

	(void)state;
	assert_int_equal(loop_new(&l), 0);
	first.loop = l;
	first.other = &first.task;
	loop_task_queue(l, &first.task);
	loop_task_queue(l, &first.task);	/* once is enough */
	loop_task_queue(l, &second.task);
	assert_true(loop_busy(l, NULL));
	assert_int_equal(loop_once(l, UINT64_MAX), 0);	/* does not wait */
	assert_int_equal(first.ran, 1);
	assert_int_equal(second.ran, 1);
	assert_int_equal(loop_once(l, UINT64_MAX), 0);	/* it had queued itself */
	assert_int_equal(first.ran, 2);
	loop_task_queue(l, &second.task);
	loop_task_cancel(l, &first.task);
	loop_task_cancel(l, &first.task);
	assert_int_equal(loop_once(l, UINT64_MAX), 0);
	assert_int_equal(first.ran, 2);
	assert_int_equal(second.ran, 2);
	assert_false(loop_busy(l, NULL));
	loop_task_queue(l, &second.task);	/* the list is whole after it was emptied */
	assert_int_equal(loop_once(l, UINT64_MAX), 0);
	assert_int_equal(second.ran, 3);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_are_called),
		cmocka_unit_test(removal_forgets_what_is_pending),
		cmocka_unit_test(a_source_may_remove_itself),
		cmocka_unit_test(timers_fire_in_order),
		cmocka_unit_test(a_timer_in_the_past_does_not_hold_the_loop),
		cmocka_unit_test(a_timer_never_fires_early),
		cmocka_unit_test(busy_means_that_something_can_come),
		cmocka_unit_test(run_ends_by_stop),
		cmocka_unit_test(many_sources),
		cmocka_unit_test(tasks_end_a_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
