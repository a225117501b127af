/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scripted NBD server for tests of negotiation. What a server says does not depend on what it
 * hears, so a test writes the whole of it into one end of a socket pair before the client
 * starts, and reads afterwards what the client said.
 *
 * Included by exactly one file of a program, so everything is static.
 */
#ifndef R3MAP_UNIT_TALK_H
#define R3MAP_UNIT_TALK_H

#include "drive.h"

#include <endian.h>
#include <sys/socket.h>

#include "nbd/protocol.h"
#include "tls/stream.h"

static int client_fd, server_fd;
static struct stream stream;
static struct error error;

static UNUSED int setup(void **state)
{
	const int room = 200000;	/* the kernel doubles it */
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds))
		return -1;
	client_fd = fds[0];
	stream = (struct stream) { .fd = client_fd };
	server_fd = fds[1];
	setsockopt(server_fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	memset(&error, 0, sizeof(error));
	return 0;
}

static UNUSED int teardown(void **state)
{
	(void)state;
	close(client_fd);
	if (server_fd >= 0)
		close(server_fd);
	return 0;
}

static UNUSED void say(const void *data, size_t length)
{
	assert_int_equal(write(server_fd, data, length), length);
}

static UNUSED void say16(uint16_t n)
{
	n = htobe16(n);
	say(&n, 2);
}

static UNUSED void say32(uint32_t n)
{
	n = htobe32(n);
	say(&n, 4);
}

static UNUSED void say64(uint64_t n)
{
	n = htobe64(n);
	say(&n, 8);
}

static UNUSED void say_greeting(uint16_t flags)
{
	say64(NBDMAGIC);
	say64(NBD_IHAVEOPT);
	say16(flags);
}

static UNUSED void say_reply(uint32_t option, uint32_t type, uint32_t length)
{
	say64(NBD_REP_MAGIC);
	say32(option);
	say32(type);
	say32(length);
}

static UNUSED void say_nothing_more(void)
{
	close(server_fd);
	server_fd = -1;
}

/* What the client said, exactly. */
static UNUSED void heard(const void *want, size_t length)
{
	char got[8192];
	ssize_t n = read(server_fd, got, sizeof(got));

	assert_int_equal(n, length);
	assert_memory_equal(got, want, length);
}

#define BOTH (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)

/* The next case of several in one test. */
static UNUSED void again(void **state)
{
	teardown(state);
	assert_int_equal(setup(state), 0);
}

#endif
