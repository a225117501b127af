// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When the server leaves a client's input alone: not where the client waits for each answer, rarely
 * where it has turned out to wait, and not for long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "serve/thread.h"

static struct server_thread thread;
static struct peer peer;

static int ends[2];		/* the server's, the client's */

static int begin(void **state)
{
	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
		return -1;
	peer = (struct peer) { .phase = PEER_REQUESTS, .stream.fd = ends[0], .thread = &thread };
	return loop_new(&thread.loop);
}

static int end(void **state)
{
	(void)state;
	gather_stop(&peer);
	loop_free(thread.loop);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

#define MUCH	(64 << 10)	/* bytes of requests */

/*
 * @came requests have come, and @more bytes that have not been read; the client has not read all
 * answers, or all. Is there a rest?
 */
static bool rests_before(unsigned int came, bool unread, size_t more)
{
	static char bytes[MUCH];

	while (recv(ends[1], bytes, sizeof(bytes), 0) > 0)
		;
	while (recv(ends[0], bytes, sizeof(bytes), 0) > 0)
		;
	if (unread)
		assert_int_equal(send(ends[0], bytes, 1, 0), 1);
	assert_int_equal(send(ends[1], bytes, more, 0), more);
	peer.gather.came = came;
	gather_round(&peer);
	gather_rest(&peer);
	return gather_rests(&peer.gather);
}

/* The same where nothing more has come. */
static bool rests(unsigned int came, bool unread)
{
	return rests_before(came, unread, 0);
}

/* The rest is over. */
static void rest_over(void)
{
	gather_stop(&peer);
	peer.gather.rested = true;
}

static void one_request_at_a_time(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		assert_false(rests(1, true));
		assert_false(rests(0, true));
	}
}

static void a_client_that_reads_all(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 10; i++)
		assert_false(rests(64, false));
	assert_true(rests(64, true));
}

/* Its answers may be in a record of TLS that it has taken out of the socket: it has not to wait. */
static void a_client_that_reads_all_and_sends(void **state)
{
	(void)state;
	assert_true(rests_before(64, false, 1));
	rest_over();
	assert_true(rests_before(64, false, 1));
	rest_over();
	assert_false(rests_before(64, false, 0));
	assert_false(rests_before(1, false, 1));
}

/* There is no need to wait for more, and that is no sign that it was wrong to have waited. */
static void much_that_has_come(void **state)
{
	(void)state;
	assert_false(rests_before(64, false, MUCH));
	assert_true(rests_before(64, false, 1));
	rest_over();
	assert_false(rests_before(64, false, MUCH));
	assert_true(rests_before(64, false, 1));
}

static void what_is_not_to_be_read(void **state)
{
	(void)state;
	peer.closing = true;
	assert_false(rests(64, true));
	peer.closing = false;
	assert_true(rests(64, true));
	gather_stop(&peer);
	assert_false(rests(0, true));
}

static void answers_that_have_still_to_leave(void **state)
{
	(void)state;
	peer.out.used = 1;
	assert_false(rests(64, true));
	peer.out.used = 0;
	gather_rest(&peer);
	assert_true(gather_rests(&peer.gather));
}

static void a_rest_is_short(void **state)
{
	uint64_t before = loop_now();

	(void)state;
	assert_true(rests(2, true));
	assert_in_range(peer.gather.timer.deadline, before, loop_now() + 100000);
}

/* One that has waited for the end of its rests gets fewer and fewer; one that did not, more again. */
static void rests_that_were_too_long(void **state)
{
	unsigned int i, rounds, last = 0;

	(void)state;
	assert_true(rests(64, true));
	for (i = 0; i < 20; i++) {
		rest_over();
		assert_false(rests(64, false));
		for (rounds = 0; !rests(64, true); rounds++)
			;
		assert_true(rounds == 2 * last + 1 || (rounds == last && rounds > 1000));
		last = rounds;
	}
	for (i = last; i; i /= 2) {
		rest_over();
		assert_true(rests(64, true));
	}
	rest_over();
	assert_false(rests(64, false));
	assert_false(rests(64, true));
	assert_true(rests(64, true));
}

int main(void)
{
#define CASE(test)	cmocka_unit_test_setup_teardown(test, begin, end)
	const struct CMUnitTest tests[] = {
		CASE(one_request_at_a_time),
		CASE(a_client_that_reads_all),
		CASE(a_client_that_reads_all_and_sends),
		CASE(much_that_has_come),
		CASE(what_is_not_to_be_read),
		CASE(answers_that_have_still_to_leave),
		CASE(a_rest_is_short),
		CASE(rests_that_were_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
