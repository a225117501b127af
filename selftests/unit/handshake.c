// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The NBD handshake against servers that do it well, in old ways, badly and with malice.
 */
#include "talk.h"

#include <pthread.h>
#include <signal.h>

#include "nbd/handshake.h"

static struct nbd_export export;
static struct nbd_uri uri;
static struct nbd_wish wish;

static void say_export(uint64_t size, uint16_t flags)
{
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 12);
	say16(NBD_INFO_EXPORT);
	say64(size);
	say16(flags);
}

static void say_block_size(uint32_t min, uint32_t preferred, uint32_t max)
{
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 14);
	say16(NBD_INFO_BLOCK_SIZE);
	say32(min);
	say32(preferred);
	say32(max);
}

static void say_ack(void)
{
	say_reply(NBD_OPT_GO, NBD_REP_ACK, 0);
}

static int shake(const char *name)
{
	snprintf(uri.name, sizeof(uri.name), "%s", name);
	return nbd_handshake(&stream, &uri, &wish, loop_now() + 20000000000ull, &export,
			     &error);
}

static void fails(const char *name, int code, const char *part)
{
	int got = shake(name);

	if (got != code || error.code != code || !strstr(error.text, part))
		fail_msg("%d, '%s'; wanted %d, '%s'", got, error.text, code, part);
}

static void go_is_preferred(void **state)
{
	static const char said[] =
		"\0\0\0\3" "IHAVEOPT" "\0\0\0\7" "\0\0\0\16"
		"\0\0\0\4" "disk" "\0\2" "\0\0" "\0\3";

	(void)state;
	say_greeting(BOTH);
	say_export(1 << 20, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_CAN_MULTI_CONN);
	say_block_size(512, 65536, 1 << 20);
	say_ack();
	assert_int_equal(shake("disk"), 0);
	assert_int_equal(export.size, 1 << 20);
	assert_int_equal(export.flags, 1 | 4 | 256);
	assert_int_equal(export.block_min, 512);
	assert_int_equal(export.block_preferred, 65536);
	assert_int_equal(export.payload_max, 1 << 20);
	heard(said, sizeof(said) - 1);
}

static void unknown_information_is_passed_over(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 6);
	say16(NBD_INFO_NAME);
	say("disk", 4);
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 2);
	say16(999);
	say_export(4097, NBD_FLAG_HAS_FLAGS);
	say_ack();
	assert_int_equal(shake(""), 0);
	assert_int_equal(export.size, 4097);
	assert_int_equal(export.block_min, 1);
	assert_int_equal(export.block_preferred, 4096);
	assert_int_equal(export.payload_max, 32 << 20);
}

static void block_sizes_are_made_good(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_block_size(4096, 512, UINT32_MAX);	/* preferred below minimum, no maximum */
	say_export(4096 * 10 + 512, NBD_FLAG_HAS_FLAGS);
	say_ack();
	assert_int_equal(shake(""), 0);
	assert_int_equal(export.block_preferred, 4096);
	assert_int_equal(export.payload_max, 32 << 20);
	assert_int_equal(export.size, 4096 * 10);
}

static void a_maximum_is_cut_to_blocks(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_block_size(4096, 4096, 100000);
	say_export(1 << 20, NBD_FLAG_HAS_FLAGS);
	say_ack();
	assert_int_equal(shake(""), 0);
	assert_int_equal(export.payload_max, 98304);
}

static void flags_without_has_flags_mean_nothing(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_export(512, NBD_FLAG_READ_ONLY | NBD_FLAG_SEND_TRIM);
	say_ack();
	assert_int_equal(shake(""), 0);
	assert_int_equal(export.flags, 0);
}

static void export_name_is_the_fallback(void **state)
{
	static const char said[] =
		"\0\0\0\3" "IHAVEOPT" "\0\0\0\7" "\0\0\0\13" "\0\0\0\1" "d" "\0\2" "\0\0" "\0\3"
		"IHAVEOPT" "\0\0\0\1" "\0\0\0\1" "d";

	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_ERR_UNSUP, 3);
	say("no!", 3);
	say64(1 << 20);
	say16(NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FUA);
	assert_int_equal(shake("d"), 0);
	assert_int_equal(export.size, 1 << 20);
	assert_int_equal(export.flags, 1 | 8);
	heard(said, sizeof(said) - 1);
}

static void not_fixed_newstyle(void **state)
{
	static const char said[] = "\0\0\0\0" "IHAVEOPT" "\0\0\0\1" "\0\0\0\1" "d";
	char zeroes[124] = "";

	(void)state;
	say_greeting(0);
	say64(8192);
	say16(NBD_FLAG_HAS_FLAGS);
	say(zeroes, sizeof(zeroes));
	assert_int_equal(shake("d"), 0);
	assert_int_equal(export.size, 8192);
	heard(said, sizeof(said) - 1);
	assert_int_equal(recv(client_fd, zeroes, 1, MSG_DONTWAIT), -1);	/* all was taken */
}

static void fallback_to_an_unknown_export(void **state)
{
	(void)state;
	say_greeting(0);
	assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
	fails("nope", -ENOENT, "no export 'nope'");
}

static void refusals_are_told(void **state)
{
	static const struct {
		uint32_t type;
		int code;
		const char *part;
	} cases[] = {
		{ NBD_REP_ERR_UNKNOWN, -ENOENT, "no export 'disk': why?not" },
		{ NBD_REP_ERR_POLICY, -EACCES, "does not allow" },
		{ NBD_REP_ERR_TLS_REQD, -EPROTONOSUPPORT, "TLS" },
		{ NBD_REP_ERR_SHUTDOWN, -ESHUTDOWN, "shutting down" },
		{ NBD_REP_ERR_INVALID, -EPROTO, "error 3" },
		{ NBD_REP_ERR_TOO_BIG, -EPROTO, "name is too long" },
		{ NBD_REP_ERR_PLATFORM, -EOPNOTSUPP, "machine cannot do GO: why?not" },
		{ NBD_REP_ERR_BLOCK_SIZE_REQD, -EPROTO, "although they were: why?not" },
		{ NBD_REP_ERR_EXT_HEADER_REQD, -EPROTO, "has not agreed to them: why?not" },
		{ NBD_REP_ERROR | 77, -EPROTO, "error 77" },
	};
	char said[256];
	ssize_t got;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		say_greeting(BOTH);
		say_reply(NBD_OPT_GO, cases[i].type, 7);
		say("why\033not", 7);
		if (cases[i].type == NBD_REP_ERR_UNKNOWN)
			say_reply(NBD_OPT_LIST, NBD_REP_ERR_POLICY, 0);
		fails("disk", cases[i].code, cases[i].part);
		got = read(server_fd, said, sizeof(said));
		assert_true(got > 16);		/* it said goodbye: ABORT */
		assert_memory_equal(said + got - 16, "IHAVEOPT\0\0\0\2\0\0\0\0", 16);
		again(state);
	}
}

static void not_nbd(void **state)
{
	(void)state;
	say("HTTP/1.1 400 Bad Request\r\n", 26);
	fails("", -EPROTO, "not an NBD server");
}

static void oldstyle(void **state)
{
	(void)state;
	say64(NBDMAGIC);
	say64(NBD_OLDSTYLE_MAGIC);
	say64(1 << 20);
	fails("", -EPROTO, "oldstyle");
}

static void strange_version(void **state)
{
	(void)state;
	say64(NBDMAGIC);
	say64(12345);
	fails("", -EPROTO, "newstyle");
}

static void closed_before_the_greeting(void **state)
{
	(void)state;
	say_nothing_more();
	fails("", -ECONNRESET, "closed");
}

static void closed_within_the_greeting(void **state)
{
	(void)state;
	say64(NBDMAGIC);
	say("IHAV", 4);
	say_nothing_more();
	fails("", -ECONNRESET, "closed");
}

static void closed_within_a_reply(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 12);
	say16(NBD_INFO_EXPORT);
	assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
	fails("", -ECONNRESET, "closed");
}

static void a_reply_without_magic(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say64(NBD_REP_MAGIC + 1);
	say32(NBD_OPT_GO);
	say32(NBD_REP_ACK);
	say32(0);
	fails("", -EPROTO, "magic");
}

static void a_reply_to_something_else(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_LIST, NBD_REP_ACK, 0);
	fails("", -EPROTO, "option 3, not option 7");
}

static void a_reply_of_four_gigabytes(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_INFO, UINT32_MAX);
	fails("", -EPROTO, "4294967295 bytes");
}

static void information_of_wrong_length(void **state)
{
	char data[16] = "";

	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 11);
	say(data, 11);
	fails("", -EPROTO, "11 bytes");
	again(state);
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 15);
	say16(NBD_INFO_BLOCK_SIZE);
	say(data, 13);
	fails("", -EPROTO, "15 bytes");
	again(state);
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 1);
	say(data, 1);
	fails("", -EPROTO, "1 bytes");
}

static void acknowledged_without_a_size(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_ack();
	fails("", -EPROTO, "size");
}

static void information_without_end(void **state)
{
	int i;

	(void)state;
	say_greeting(BOTH);
	for (i = 0; i < 40; i++)
		say_export(512, NBD_FLAG_HAS_FLAGS);
	fails("", -EPROTO, "strange reply");
}

static void impossible_block_sizes(void **state)
{
	static const struct {
		uint32_t min, max;
	} cases[] = {
		{ 0, 4096 }, { 3, 4096 }, { 1 << 17, 1 << 20 }, { 4096, 512 }, { 1, 0 },
		{ 1u << 31, UINT32_MAX },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		say_greeting(BOTH);
		say_export(1 << 20, NBD_FLAG_HAS_FLAGS);
		say_block_size(cases[i].min, 4096, cases[i].max);
		say_ack();
		fails("", -EPROTO, "bytes");
		again(state);
	}
}

static void a_server_that_says_nothing(void **state)
{
	(void)state;
	assert_int_equal(nbd_handshake(&stream, &uri, &wish, loop_now() + 50000000,
				       &export, &error),
			 -ETIMEDOUT);
	assert_non_null(strstr(error.text, "does not answer"));
}

static void *dribble(void *argument)
{
	static const char all[] = "NBDMAGICIHAVEOPT";
	size_t i = 0;

	(void)argument;
	/* A byte now and then, for ever: only the deadline ends this. */
	while (write(server_fd, all + i++ % 8, 1) == 1 || errno == EAGAIN)
		usleep(1000);
	return NULL;
}

static void a_server_that_never_ends(void **state)
{
	pthread_t thread;
	int code;

	(void)state;
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_INFO, 4096);
	assert_int_equal(pthread_create(&thread, NULL, dribble, NULL), 0);
	code = nbd_handshake(&stream, &uri, &wish, loop_now() + 100000000, &export, &error);
	shutdown(client_fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	assert_int_equal(code, -ETIMEDOUT);
}

static void *byte_by_byte(void *argument)
{
	int pipe_fd = *(int *)argument;
	char byte;

	while (read(pipe_fd, &byte, 1) == 1)
		while (write(server_fd, &byte, 1) != 1)
			usleep(100);
	return NULL;
}

static void a_slow_server(void **state)
{
	int keep = server_fd;
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	server_fd = fds[1];
	say_greeting(BOTH);
	say_export(1 << 20, NBD_FLAG_HAS_FLAGS);
	say_block_size(1, 4096, 1 << 20);
	say_ack();
	close(fds[1]);
	server_fd = keep;
	assert_int_equal(pthread_create(&thread, NULL, byte_by_byte, &fds[0]), 0);
	assert_int_equal(shake("slow"), 0);
	pthread_join(thread, NULL);
	close(fds[0]);
	assert_int_equal(export.size, 1 << 20);
}

/* What is asked for in these: everything. */
#define EVERYTHING { .headers = NBD_HEADERS_EXTENDED, .allocation = true }

static void say_context(uint32_t id, const char *name)
{
	say_reply(NBD_OPT_SET_META_CONTEXT, NBD_REP_META_CONTEXT, 4 + (uint32_t)strlen(name));
	say32(id);
	say(name, strlen(name));
}

static void say_end_of(uint32_t option)
{
	say_reply(option, NBD_REP_ACK, 0);
}

static void say_export_and_end(void)
{
	say_export(1 << 20, NBD_FLAG_HAS_FLAGS);
	say_ack();
}

#define SAID_EXTENDED	"IHAVEOPT" "\0\0\0\13" "\0\0\0\0"
#define SAID_STRUCTURED	"IHAVEOPT" "\0\0\0\10" "\0\0\0\0"
#define SAID_CONTEXT	"IHAVEOPT" "\0\0\0\12" "\0\0\0\34" "\0\0\0\1" "d" "\0\0\0\1" \
			"\0\0\0\17" "base:allocation"
#define SAID_GO		"IHAVEOPT" "\0\0\0\7" "\0\0\0\13" "\0\0\0\1" "d" "\0\2" "\0\0" "\0\3"

static void all_is_granted(void **state)
{
	static const char said[] = "\0\0\0\3" SAID_EXTENDED SAID_CONTEXT SAID_GO;

	(void)state;
	wish = (struct nbd_wish)EVERYTHING;
	say_greeting(BOTH);
	say_end_of(NBD_OPT_EXTENDED_HEADERS);
	say_context(0xdeadbeef, NBD_META_BASE_ALLOCATION);
	say_end_of(NBD_OPT_SET_META_CONTEXT);
	say_export_and_end();
	assert_int_equal(shake("d"), 0);
	assert_int_equal(export.headers, NBD_HEADERS_EXTENDED);
	assert_true(export.has_allocation);
	assert_int_equal(export.allocation_id, 0xdeadbeef);
	heard(said, sizeof(said) - 1);
}

static const uint32_t refusals[] = {
	NBD_REP_ERR_UNSUP, NBD_REP_ERR_POLICY, NBD_REP_ERR_INVALID, NBD_REP_ERR_PLATFORM,
	NBD_REP_ERR_UNKNOWN, NBD_REP_ERR_TOO_BIG, NBD_REP_ERR_EXT_HEADER_REQD, NBD_REP_ERROR | 99,
	UINT32_MAX,
};
#define REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

static void extended_headers_are_refused(void **state)
{
	static const char said[] = "\0\0\0\3" SAID_EXTENDED SAID_STRUCTURED SAID_CONTEXT SAID_GO;

	wish = (struct nbd_wish)EVERYTHING;
	for (size_t i = 0; i < REFUSALS; i++) {
		say_greeting(BOTH);
		say_reply(NBD_OPT_EXTENDED_HEADERS, refusals[i], 2);
		say("no", 2);
		say_end_of(NBD_OPT_STRUCTURED_REPLY);
		say_context(0, NBD_META_BASE_ALLOCATION);
		say_end_of(NBD_OPT_SET_META_CONTEXT);
		say_export_and_end();
		assert_int_equal(shake("d"), 0);
		assert_int_equal(export.headers, NBD_HEADERS_STRUCTURED);
		assert_true(export.has_allocation);
		assert_int_equal(export.allocation_id, 0);
		heard(said, sizeof(said) - 1);
		again(state);
	}
}

static void all_headers_are_refused(void **state)
{
	static const char said[] = "\0\0\0\3" SAID_EXTENDED SAID_STRUCTURED SAID_GO;

	wish = (struct nbd_wish)EVERYTHING;
	for (size_t i = 0; i < REFUSALS; i++) {
		say_greeting(BOTH);
		say_reply(NBD_OPT_EXTENDED_HEADERS, refusals[i], 0);
		say_reply(NBD_OPT_STRUCTURED_REPLY, refusals[i], 0);
		say_export_and_end();
		assert_int_equal(shake("d"), 0);
		assert_int_equal(export.headers, NBD_HEADERS_SIMPLE);
		assert_false(export.has_allocation);
		heard(said, sizeof(said) - 1);
		again(state);
	}
}

static void the_context_is_refused(void **state)
{
	wish = (struct nbd_wish)EVERYTHING;
	for (size_t i = 0; i < REFUSALS; i++) {
		say_greeting(BOTH);
		say_end_of(NBD_OPT_EXTENDED_HEADERS);
		if (i & 1)	/* even after it was granted */
			say_context(7, NBD_META_BASE_ALLOCATION);
		say_reply(NBD_OPT_SET_META_CONTEXT, refusals[i], 0);
		say_export_and_end();
		assert_int_equal(shake("d"), 0);
		assert_false(export.has_allocation);
		again(state);
	}
	say_greeting(BOTH);	/* or just not granted */
	say_end_of(NBD_OPT_EXTENDED_HEADERS);
	say_end_of(NBD_OPT_SET_META_CONTEXT);
	say_export_and_end();
	assert_int_equal(shake("d"), 0);
	assert_false(export.has_allocation);
}

static void no_more_than_the_wish(void **state)
{
	static const char structured[] = "\0\0\0\3" SAID_STRUCTURED SAID_GO;
	static const char simple[] = "\0\0\0\3" SAID_GO;

	wish.headers = NBD_HEADERS_STRUCTURED;
	say_greeting(BOTH);
	say_end_of(NBD_OPT_STRUCTURED_REPLY);
	say_export_and_end();
	assert_int_equal(shake("d"), 0);
	assert_int_equal(export.headers, NBD_HEADERS_STRUCTURED);
	heard(structured, sizeof(structured) - 1);
	again(state);

	wish = (struct nbd_wish) { .headers = NBD_HEADERS_SIMPLE, .allocation = true };
	say_greeting(BOTH);
	say_export_and_end();
	assert_int_equal(shake("d"), 0);
	heard(simple, sizeof(simple) - 1);
}

static void old_servers_are_not_asked(void **state)
{
	static const char said[] = "\0\0\0\2" "IHAVEOPT" "\0\0\0\1" "\0\0\0\1" "d";

	(void)state;
	wish = (struct nbd_wish)EVERYTHING;
	say_greeting(NBD_FLAG_NO_ZEROES);
	say64(8192);
	say16(NBD_FLAG_HAS_FLAGS);
	assert_int_equal(shake("d"), 0);
	assert_int_equal(export.headers, NBD_HEADERS_SIMPLE);
	heard(said, sizeof(said) - 1);
}

static void export_name_after_options(void **state)
{
	(void)state;
	wish = (struct nbd_wish)EVERYTHING;
	say_greeting(BOTH);
	say_reply(NBD_OPT_EXTENDED_HEADERS, NBD_REP_ERR_UNSUP, 0);
	say_end_of(NBD_OPT_STRUCTURED_REPLY);
	say_context(3, NBD_META_BASE_ALLOCATION);
	say_end_of(NBD_OPT_SET_META_CONTEXT);
	say_reply(NBD_OPT_GO, NBD_REP_ERR_UNSUP, 0);
	say64(8192);
	say16(NBD_FLAG_HAS_FLAGS);
	assert_int_equal(shake("d"), 0);
	assert_int_equal(export.headers, NBD_HEADERS_STRUCTURED);
	assert_true(export.has_allocation);
	assert_int_equal(export.size, 8192);
}

static void tls_is_demanded(void **state)
{
	static const uint32_t options[] = {
		NBD_OPT_EXTENDED_HEADERS, NBD_OPT_STRUCTURED_REPLY,
	};

	wish = (struct nbd_wish)EVERYTHING;
	say_greeting(BOTH);
	say_reply(options[0], NBD_REP_ERR_TLS_REQD, 0);
	fails("d", -EPROTONOSUPPORT, "demands TLS: write nbds: in place of nbd:");
	again(state);
	say_greeting(BOTH);
	say_reply(options[0], NBD_REP_ERR_UNSUP, 0);
	say_reply(options[1], NBD_REP_ERR_TLS_REQD, 0);
	uri.transport = NBD_UNIX;
	fails("d", -EPROTONOSUPPORT, "demands TLS: write nbds+unix: in place of nbd+unix:");
	again(state);
	say_greeting(BOTH);
	say_reply(options[0], NBD_REP_ERR_SHUTDOWN, 0);
	fails("d", -ESHUTDOWN, "shutting down");
}

/* One wrong reply, instead of what is said to @option. */
static void wrong_reply(void **state, uint32_t option, uint32_t echo, uint32_t type, uint32_t told,
			uint32_t length, const char *part)
{
	static const char data[64] = "\0\0\0\1base:allocation";

	wish = (struct nbd_wish)EVERYTHING;
	say_greeting(BOTH);
	if (option != NBD_OPT_EXTENDED_HEADERS)
		say_reply(NBD_OPT_EXTENDED_HEADERS, NBD_REP_ERR_UNSUP, 0);
	if (option == NBD_OPT_SET_META_CONTEXT)
		say_end_of(NBD_OPT_STRUCTURED_REPLY);
	say_reply(echo, type, told);
	say(data, length);
	fails("d", -EPROTO, part);
	again(state);
}

static void wrong_replies(void **state)
{
	static const uint32_t options[] = {
		NBD_OPT_EXTENDED_HEADERS, NBD_OPT_STRUCTURED_REPLY, NBD_OPT_SET_META_CONTEXT,
	};

	for (size_t i = 0; i < 3; i++) {
		wrong_reply(state, options[i], NBD_OPT_GO, NBD_REP_ACK, 0, 0, "it answered option 7");
		wrong_reply(state, options[i], options[i], NBD_REP_SERVER, 0, 0, "strange reply");
		wrong_reply(state, options[i], options[i], NBD_REP_INFO, 0, 0, "strange reply");
		wrong_reply(state, options[i], options[i], 0, 0, 0, "strange reply");
		wrong_reply(state, options[i], options[i], 0x7fffffff, 0, 0, "strange reply");
		wrong_reply(state, options[i], options[i], NBD_REP_ACK, UINT32_MAX, 0,
			    "4294967295 bytes");
		wrong_reply(state, options[i], options[i], NBD_REP_ERR_UNSUP, 1 << 20, 0,
			    "1048576 bytes");
	}
	wrong_reply(state, options[0], options[0], NBD_REP_ACK, 1, 1, "strange reply");
	wrong_reply(state, options[1], options[1], NBD_REP_ACK, 1, 1, "strange reply");
	wrong_reply(state, options[0], options[0], NBD_REP_META_CONTEXT, 19, 19, "strange reply");
	wrong_reply(state, options[2], options[2], NBD_REP_META_CONTEXT, 0, 0, "strange reply");
	wrong_reply(state, options[2], options[2], NBD_REP_META_CONTEXT, 3, 3, "strange reply");
	wrong_reply(state, options[2], options[2], NBD_REP_META_CONTEXT, 4, 4, "not asked for");
	wrong_reply(state, options[2], options[2], NBD_REP_META_CONTEXT, 18, 18, "not asked for");
	wrong_reply(state, options[2], options[2], NBD_REP_META_CONTEXT, 20, 20, "not asked for");
}

static void a_context_twice(void **state)
{
	static const uint32_t second[] = { 1, 2 };	/* with the same id, and another one */

	wish = (struct nbd_wish)EVERYTHING;
	for (size_t i = 0; i < 2; i++) {
		say_greeting(BOTH);
		say_end_of(NBD_OPT_EXTENDED_HEADERS);
		say_context(1, NBD_META_BASE_ALLOCATION);
		say_context(second[i], NBD_META_BASE_ALLOCATION);
		fails("d", -EPROTO, "twice");
		again(state);
	}
	say_greeting(BOTH);
	say_end_of(NBD_OPT_EXTENDED_HEADERS);
	say_context(1, "qemu:dirty-bitmap:x");
	fails("d", -EPROTO, "not asked for");
}

static void an_export_too_large(void **state)
{
	(void)state;
	say_greeting(BOTH);
	say_export(1ull << 63, NBD_FLAG_HAS_FLAGS);
	say_ack();
	fails("", -EPROTO, "8 EiB");
}

/* Everything a server may say, in memory. */
static size_t dialogue(char *bytes, size_t room)
{
	int keep = server_fd;
	ssize_t length;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	server_fd = fds[1];
	say_greeting(BOTH);
	say_reply(NBD_OPT_EXTENDED_HEADERS, NBD_REP_ERR_UNSUP, 2);
	say("no", 2);
	say_end_of(NBD_OPT_STRUCTURED_REPLY);
	say_context(5, NBD_META_BASE_ALLOCATION);
	say_end_of(NBD_OPT_SET_META_CONTEXT);
	say_export(1 << 20, NBD_FLAG_HAS_FLAGS);
	say_block_size(1, 4096, 1 << 20);
	say_ack();
	close(fds[1]);
	server_fd = keep;
	length = read(fds[0], bytes, room);
	close(fds[0]);
	assert_true(length > 100);
	return (size_t)length;
}

static void cut_at_each_byte(void **state)
{
	char bytes[1024];
	size_t length = dialogue(bytes, sizeof(bytes));

	wish = (struct nbd_wish)EVERYTHING;
	for (size_t i = 0; i < length; i++) {
		say(bytes, i);
		assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
		fails("d", -ECONNRESET, "closed the connection");
		again(state);
	}
	say(bytes, length);
	assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
	assert_int_equal(shake("d"), 0);
}

/* Whatever a bit changes: it ends, and what it ends with makes sense. */
static void each_bit_flipped(void **state)
{
	char bytes[1024];
	size_t length = dialogue(bytes, sizeof(bytes));

	wish = (struct nbd_wish)EVERYTHING;
	for (size_t i = 0; i < 8 * length; i++) {
		bytes[i / 8] ^= (char)(1 << i % 8);
		say(bytes, length);
		bytes[i / 8] ^= (char)(1 << i % 8);
		assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
		if (shake("d")) {
			assert_int_not_equal(error.code, 0);
			assert_true(strlen(error.text) > 10);
		} else {
			assert_true(export.size <= INT64_MAX);
			assert_true(export.payload_max >= export.block_min);
		}
		again(state);
	}
}

static void say_listed(const char *name)
{
	say_reply(NBD_OPT_LIST, NBD_REP_SERVER, 4 + (uint32_t)strlen(name));
	say32((uint32_t)strlen(name));
	say(name, strlen(name));
}

static void unknown_export_begin(void)
{
	say_greeting(BOTH);
	say_reply(NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, 0);
}

static void other_exports_are_told(void **state)
{
	char name[400];

	unknown_export_begin();
	say_listed("");
	say_listed("sda");
	say_listed("a\033[2Jb");
	say_end_of(NBD_OPT_LIST);
	fails("disk", -ENOENT, "the server has no export 'disk'; it has '', 'sda', 'a?[2Jb'");
	again(state);

	unknown_export_begin();
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		say_listed(name);
	}
	say_end_of(NBD_OPT_LIST);
	fails("disk", -ENOENT, "it has 'n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7' and others");
	again(state);

	memset(name, 'x', 350);		/* too long to be told */
	name[350] = '\0';
	unknown_export_begin();
	say_listed(name);
	say_listed("b");
	say_end_of(NBD_OPT_LIST);
	fails("disk", -ENOENT, "it has 'b'");
	assert_null(strstr(error.text, "xxx"));
	again(state);

	unknown_export_begin();
	say_end_of(NBD_OPT_LIST);
	fails("disk", -ENOENT, "no export 'disk'");
	assert_null(strstr(error.text, "it has"));
	again(state);

	unknown_export_begin();		/* trouble on the way does not hide what is wrong */
	say_listed("sda");
	assert_int_equal(shutdown(server_fd, SHUT_WR), 0);
	fails("disk", -ENOENT, "no export 'disk'");
}

static int setup_plain(void **state)
{
	memset(&uri, 0, sizeof(uri));
	memset(&wish, 0, sizeof(wish));
	return setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_plain, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(go_is_preferred),
		TEST(unknown_information_is_passed_over),
		TEST(block_sizes_are_made_good),
		TEST(a_maximum_is_cut_to_blocks),
		TEST(flags_without_has_flags_mean_nothing),
		TEST(export_name_is_the_fallback),
		TEST(not_fixed_newstyle),
		TEST(fallback_to_an_unknown_export),
		TEST(refusals_are_told),
		TEST(not_nbd),
		TEST(oldstyle),
		TEST(strange_version),
		TEST(closed_before_the_greeting),
		TEST(closed_within_the_greeting),
		TEST(closed_within_a_reply),
		TEST(a_reply_without_magic),
		TEST(a_reply_to_something_else),
		TEST(a_reply_of_four_gigabytes),
		TEST(information_of_wrong_length),
		TEST(acknowledged_without_a_size),
		TEST(information_without_end),
		TEST(impossible_block_sizes),
		TEST(a_server_that_says_nothing),
		TEST(a_server_that_never_ends),
		TEST(a_slow_server),
		TEST(all_is_granted),
		TEST(extended_headers_are_refused),
		TEST(all_headers_are_refused),
		TEST(the_context_is_refused),
		TEST(no_more_than_the_wish),
		TEST(old_servers_are_not_asked),
		TEST(export_name_after_options),
		TEST(tls_is_demanded),
		TEST(wrong_replies),
		TEST(a_context_twice),
		TEST(an_export_too_large),
		TEST(cut_at_each_byte),
		TEST(each_bit_flipped),
		TEST(other_exports_are_told),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
