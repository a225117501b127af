// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages of userfaultfd: what goes out comes back, what is none is refused, regions are checked
 * as a whole; and descriptors beside them, of which none is left open that nobody asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/rights.h"
#include "uffd/socket.h"

static struct uffd_message out, in;
static char buf[UFFD_MESSAGE_MAX];

static const struct uffd_hello hello = {
	.size = (1 << 20) + 512, .page = 4096, .chunk = 65536, .flags = UFFD_SHARED | UFFD_DIRTY,
};

static size_t there_and_back(void)
{
	size_t used = uffd_encode(&out, buf);

	assert_true(used <= UFFD_MESSAGE_MAX);
	memset(&in, 0x5a, sizeof(in));
	assert_true(uffd_decode(buf, used, &in));
	assert_int_equal(in.type, out.type);
	/* Neither less of it nor more is one. */
	for (size_t i = 0; i < used; i++)
		assert_false(uffd_decode(buf, i, &in));
	assert_false(uffd_decode(buf, used + 1, &in) && out.type != UFFD_ERROR &&
		     out.type != UFFD_SYNCED);
	assert_true(uffd_decode(buf, used, &in));
	return used;
}

static void regions_set(enum uffd_mode mode, unsigned int count)
{
	memset(&out, 0, sizeof(out));
	out.type = UFFD_REGISTER;
	out.regions.mode = mode;
	out.regions.count = count;
	for (unsigned int i = 0; i < count; i++)
		out.regions.list[i] = (struct uffd_region) {
			.address = 0x10000000 + i * 0x10000ull,
			.length = 4096,
			.offset = i * 4096ull,
		};
}

static void greetings(void **state)
{
	(void)state;
	memset(&out, 0, sizeof(out));
	out.type = UFFD_HELLO;
	out.hello = hello;
	there_and_back();
	assert_true(in.hello.size == hello.size && in.hello.page == hello.page &&
		    in.hello.chunk == hello.chunk && in.hello.flags == hello.flags);
	for (unsigned int count = 1; count <= UFFD_REGIONS_MAX; count += UFFD_REGIONS_MAX - 1) {
		regions_set(UFFD_MODE_SIGNALS, count);
		there_and_back();
		assert_int_equal(in.regions.mode, UFFD_MODE_SIGNALS);
		assert_int_equal(in.regions.count, count);
		assert_memory_equal(in.regions.list, out.regions.list,
				    count * sizeof(out.regions.list[0]));
	}
}

static void empty_ones(void **state)
{
	static const enum uffd_type types[] = { UFFD_READY, UFFD_PING, UFFD_PONG };

	(void)state;
	memset(&out, 0, sizeof(out));
	for (size_t i = 0; i < 3; i++) {
		out.type = types[i];
		assert_int_equal(uffd_encode(&out, buf), 8);
		assert_true(uffd_decode(buf, 8, &in));
		assert_int_equal(in.type, types[i]);
		assert_false(uffd_decode(buf, 9, &in));
	}
}

static void ranges(void **state)
{
	(void)state;
	memset(&out, 0, sizeof(out));
	out.type = UFFD_FAILED;
	out.range.offset = 1ull << 40;
	out.range.length = 4096;
	out.range.code = -EIO;
	there_and_back();
	assert_int_equal(in.range.code, -EIO);
	assert_true(in.range.offset == 1ull << 40 && in.range.length == 4096);
	out.type = UFFD_FETCHED;
	out.range.code = 0;
	there_and_back();
	/* A failure has a reason. */
	out.type = UFFD_FAILED;
	assert_false(uffd_decode(buf, uffd_encode(&out, buf), &in));
}

static void written(void **state)
{
	(void)state;
	memset(&out, 0, sizeof(out));
	out.type = UFFD_WRITTEN;
	out.written.more = true;
	out.written.count = UFFD_EXTENTS_MAX;
	for (unsigned int i = 0; i < UFFD_EXTENTS_MAX; i++)
		out.written.list[i] = (struct uffd_extent) { i * 8192ull, 4096 };
	assert_true(uffd_decode(buf, uffd_encode(&out, buf), &in));
	assert_true(in.written.more);
	assert_memory_equal(in.written.list, out.written.list, sizeof(out.written.list));
	out.written.count = 0;
	out.written.more = false;
	there_and_back();
	assert_int_equal(in.written.count, 0);
	/* Nothing, and more than there can be. */
	out.written.count = 1;
	out.written.list[0].length = 0;
	assert_false(uffd_decode(buf, uffd_encode(&out, buf), &in));
	out.written.list[0] = (struct uffd_extent) { UINT64_MAX - 4095, 8192 };
	assert_false(uffd_decode(buf, uffd_encode(&out, buf), &in));
}

static void texts(void **state)
{
	(void)state;
	memset(&out, 0, sizeof(out));
	out.type = UFFD_ERROR;
	out.outcome.code = -EINVAL;
	strcpy(out.outcome.text, "a\033[2Jb");
	assert_true(uffd_decode(buf, uffd_encode(&out, buf), &in));
	assert_string_equal(in.outcome.text, "a?[2Jb");
	assert_int_equal(in.outcome.code, -EINVAL);
	memset(out.outcome.text, 'x', UFFD_TEXT_MAX);
	assert_true(uffd_decode(buf, uffd_encode(&out, buf), &in));
	assert_int_equal(strlen(in.outcome.text), UFFD_TEXT_MAX);
	assert_false(uffd_decode(buf, uffd_encode(&out, buf) + 1, &in));
	assert_int_equal(uffd_encode(&out, buf), 12 + UFFD_TEXT_MAX);
	buf[20] = '\0';
	assert_false(uffd_decode(buf, 12 + UFFD_TEXT_MAX, &in));
	out.outcome.code = 0;
	assert_false(uffd_decode(buf, uffd_encode(&out, buf), &in));
}

/* Each byte that says what it is, wrong. */
static void headers(void **state)
{
	size_t used;

	(void)state;
	memset(&out, 0, sizeof(out));
	out.type = UFFD_PING;
	used = uffd_encode(&out, buf);
	for (size_t i = 0; i < used; i++) {
		buf[i] ^= 0x40;
		assert_false(uffd_decode(buf, used, &in));
		buf[i] ^= 0x40;
	}
}

static void hello_is_wrong(uint64_t size, uint32_t page, uint32_t chunk, uint32_t flags)
{
	memset(&out, 0, sizeof(out));
	out.type = UFFD_HELLO;
	out.hello = (struct uffd_hello) { size, page, chunk, flags };
	assert_false(uffd_decode(buf, uffd_encode(&out, buf), &in));
}

static void wrong_hellos(void **state)
{
	(void)state;
	hello_is_wrong(0, 4096, 4096, 0);
	hello_is_wrong(UINT64_MAX, 4096, 4096, 0);
	hello_is_wrong(4096, 0, 4096, 0);
	hello_is_wrong(4096, 2048, 4096, 0);
	hello_is_wrong(4096, 12288, 12288, 0);
	hello_is_wrong(4096, 8192, 4096, 0);
	hello_is_wrong(4096, 4096, 4096, 1u << 31);
	hello_is_wrong(4096, 4096, 4096, UFFD_DIRTY);
}

static void region_is(bool fine, uint64_t address, uint64_t length, uint64_t offset)
{
	struct error error = { 0 };
	bool taken;

	regions_set(UFFD_MODE_FAULTS, 1);
	out.regions.list[0] = (struct uffd_region) { address, length, offset };
	taken = uffd_decode(buf, uffd_encode(&out, buf), &in) &&
		!uffd_regions_check(&in, &hello, &error);
	assert_true(taken == fine);
}

static void regions(void **state)
{
	struct error error = { 0 };

	(void)state;
	region_is(true, 4096, 4096, 0);
	region_is(true, 4096, (1 << 20) + 4096, 0);	/* with the last page, which is not whole */
	region_is(true, 4096, 4096, 1 << 20);
	region_is(false, 4096, 8192, 1 << 20);
	region_is(false, 4096, 4096, (1 << 20) + 4096);
	region_is(false, 0, 4096, 0);
	region_is(false, 4096, 0, 0);
	region_is(false, 4097, 4096, 0);
	region_is(false, 4096, 4095, 0);
	region_is(false, 4096, 4096, 1);
	region_is(false, UINT64_MAX - 4095, 4096, 0);
	region_is(false, UFFD_ADDRESS_MAX, 4096, 0);
	region_is(false, 4096, UINT64_MAX - 4095, 0);
	region_is(false, 4096, 4096, UINT64_MAX - 4095);
	/* Two of the same bytes, here or there. */
	regions_set(UFFD_MODE_FAULTS, 2);
	assert_int_equal(uffd_regions_check(&out, &hello, &error), 0);
	out.regions.list[1].address = out.regions.list[0].address;
	assert_int_equal(uffd_regions_check(&out, &hello, &error), -EINVAL);
	regions_set(UFFD_MODE_FAULTS, 2);
	out.regions.list[1].offset = 0;
	assert_int_equal(uffd_regions_check(&out, &hello, &error), -EINVAL);
}

static void counts(void **state)
{
	struct uffd_hello without = hello;

	(void)state;
	regions_set(UFFD_MODE_FAULTS, 1);
	assert_int_equal(uffd_descriptors(&out, &hello), 2);
	without.flags = 0;
	assert_int_equal(uffd_descriptors(&out, &without), 1);
	out.regions.mode = UFFD_MODE_SIGNALS;
	assert_int_equal(uffd_descriptors(&out, &without), 2);
}

static unsigned int descriptors_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Sends @length bytes of buf with @count descriptors, as nobody here would. */
static void raw_send(int to, size_t length, unsigned int count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec data = { .iov_base = buf, .iov_len = length };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1 };
	struct cmsghdr *rights;

	if (count) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
		for (unsigned int i = 0; i < count; i++)
			memcpy(CMSG_DATA(rights) + i * sizeof(int), &to, sizeof(int));
	}
	assert_int_equal(sendmsg(to, &header, 0), length);
}

static void strays(void **state)
{
	static const unsigned int many[] = { 3, 8, 9, 60 };
	int ends[2], fds[UFFD_FDS_MAX];
	unsigned int count, before;
	size_t used;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	memset(&out, 0, sizeof(out));
	out.type = UFFD_PING;
	before = descriptors_open();
	assert_int_equal(uffd_receive(ends[1], &in, fds, &count, buf), -EAGAIN);
	for (size_t i = 0; i < 4; i++) {
		used = uffd_encode(&out, buf);
		raw_send(ends[0], used, many[i]);
		assert_int_equal(uffd_receive(ends[1], &in, fds, &count, buf), -EPROTO);
		assert_int_equal(count, 0);
		assert_int_equal(descriptors_open(), before);
	}
	/* With what is no message they are not kept either. */
	memset(buf, 0, sizeof(buf));
	raw_send(ends[0], 100, 2);
	assert_int_equal(uffd_receive(ends[1], &in, fds, &count, buf), -EPROTO);
	assert_int_equal(count, 0);
	raw_send(ends[0], 0, 1);
	assert_int_equal(uffd_receive(ends[1], &in, fds, &count, buf), -EPROTO);
	assert_int_equal(descriptors_open(), before);
	/* And those that are right come, in their order. */
	used = uffd_encode(&out, buf);
	assert_int_equal(uffd_send(ends[0], &out, ends, 2, buf), 0);
	assert_int_equal(uffd_receive(ends[1], &in, fds, &count, buf), 1);
	assert_int_equal(count, 2);
	assert_int_equal(descriptors_open(), before + 2);
	rights_close(fds, count);
	close(ends[0]);
	assert_int_equal(uffd_receive(ends[1], &in, fds, &count, buf), 0);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greetings),
		cmocka_unit_test(empty_ones),
		cmocka_unit_test(ranges),
		cmocka_unit_test(written),
		cmocka_unit_test(texts),
		cmocka_unit_test(headers),
		cmocka_unit_test(wrong_hellos),
		cmocka_unit_test(regions),
		cmocka_unit_test(counts),
		cmocka_unit_test(strays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
