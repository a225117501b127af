// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file: on a disk's file system and on tmpfs, with io_uring and without: bytes, holes, what cannot
 * be written, a file that is cut off, locks, and the threads that do what blocks.
 */
#include "drive.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "backend/threads.h"

#define M	(1ull << 20)

static const char *const folders[] = { "/var/tmp", "/dev/shm" };
#define FOLDERS	2

static char path[128];
static char spec[160];

static int scratch(unsigned int folder, off_t size)
{
	int fd;

	snprintf(path, sizeof(path), "%s/r3map-file.XXXXXX", folders[folder]);
	fd = mkstemp(path);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(ftruncate(fd, size), 0);
	snprintf(spec, sizeof(spec), "file:%s", path);
	return fd;
}

static void scratch_end(int fd)
{
	close(fd);
	unlink(path);
}

static uint64_t allocated(int fd)
{
	struct stat stat;

	assert_int_equal(fstat(fd, &stat), 0);
	return (uint64_t)stat.st_blocks * 512;
}

static void bytes_are_kept(void **state)
{
	static char buf[M], back[M];
	struct drive drive;
	unsigned int folder;
	int fd;

	(void)state;
	for (folder = 0; folder < FOLDERS; folder++) {
		fd = scratch(folder, 8 * M + 1000);
		drive_open(&drive, spec);
		assert_string_equal(drive.backend->name, spec);
		assert_int_equal(drive.backend->info.size, 8 * M + 1000);
		assert_true(drive.backend->info.can_fua && drive.backend->info.can_flush);
		memset(buf, 'w', M);
		assert_int_equal(drive_do(&drive, BACKEND_WRITE, 7 * M + 1000, buf, M, 0), 0);
		assert_int_equal(drive_do(&drive, BACKEND_WRITE, 512, buf, 512, BACKEND_FUA), 0);
		assert_int_equal(drive_do(&drive, BACKEND_FLUSH, 0, NULL, 0, 0), 0);
		assert_int_equal(drive_do(&drive, BACKEND_READ, 7 * M + 1000, back, M, 0), 0);
		assert_memory_equal(buf, back, M);
		assert_int_equal(pread(fd, back, 1536, 0), 1536);
		assert_true(is_filled(back, 512, 0) && is_filled(back + 512, 512, 'w') &&
			    is_filled(back + 1024, 512, 0));
		drive_close(&drive);
		scratch_end(fd);
	}
}

/* What is not in the page cache is read by another way, and is the same. */
static void uncached_reads(void **state)
{
	static char buf[M];
	struct request requests[64];
	static char backs[64][8192];
	struct drive drive;
	int fd = scratch(0, 0);
	unsigned int i, left;

	(void)state;
	for (i = 0; i < M; i++)
		buf[i] = (char)(i >> 13);
	assert_int_equal(write(fd, buf, M), M);
	assert_int_equal(fsync(fd), 0);
	drive_open(&drive, spec);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	for (i = 0; i < 64; i++) {
		request_make(&requests[i], BACKEND_READ, (i * 37 % 128) * 8192, backs[i], 8192, 0);
		backend_submit(drive.channel, &requests[i].io);
	}
	backend_kick(drive.channel);
	do {
		for (left = 0, i = 0; i < 64; i++)
			left += !requests[i].completed;
		if (left)
			assert_int_equal(loop_once(drive.loop, UINT64_MAX), 0);
	} while (left);
	for (i = 0; i < 64; i++) {
		assert_int_equal(requests[i].completed, 1);
		assert_int_equal(requests[i].result, 0);
		assert_true(is_filled(backs[i], 8192, (char)(i * 37 % 128)));
	}
	drive_close(&drive);
	scratch_end(fd);
}

static void holes_are_made(void **state)
{
	static char buf[M];
	struct drive drive;
	unsigned int folder;
	int fd;

	(void)state;
	memset(buf, 'h', M);
	for (folder = 0; folder < FOLDERS; folder++) {
		fd = scratch(folder, 4 * M);
		drive_open(&drive, spec);
		if (!drive.backend->info.can_discard) {
			print_message("%s cannot punch holes, not looked at\n", folders[folder]);
			drive_close(&drive);
			scratch_end(fd);
			continue;
		}
		assert_int_equal(allocated(fd), 0);
		drive_do(&drive, BACKEND_WRITE, M, buf, M, 0);
		drive_do(&drive, BACKEND_FLUSH, 0, NULL, 0, 0);
		assert_true(allocated(fd) >= M);
		assert_int_equal(drive_do(&drive, BACKEND_DISCARD, M, NULL, M, 0), 0);
		assert_true(allocated(fd) < M / 4);
		drive_do(&drive, BACKEND_READ, M, buf, M, 0);
		assert_true(is_filled(buf, M, 0));

		memset(buf, 'h', M);
		drive_do(&drive, BACKEND_WRITE, M, buf, M, 0);
		assert_int_equal(drive_do(&drive, BACKEND_WRITE_ZEROES, M, NULL, M, 0), 0);
		assert_true(allocated(fd) < M / 4);
		drive_do(&drive, BACKEND_WRITE, M, buf, M, 0);
		assert_int_equal(drive_do(&drive, BACKEND_WRITE_ZEROES, M + 100, NULL, M - 300,
					  BACKEND_NO_UNMAP | BACKEND_FUA), 0);
		assert_true(allocated(fd) >= M - 8192);
		drive_do(&drive, BACKEND_READ, M, buf, M, 0);
		assert_true(is_filled(buf, 100, 'h'));
		assert_true(is_filled(buf + 100, M - 300, 0));
		assert_true(is_filled(buf + M - 200, 200, 'h'));
		drive_close(&drive);
		scratch_end(fd);
	}
}

/* False, and says so, where the file system of @folder has no holes. */
static bool has_holes(const struct drive *drive, unsigned int folder)
{
	if (!drive->backend->info.can_discard)
		print_message("%s cannot punch holes, not looked at\n", folders[folder]);
	return drive->backend->info.can_discard;
}

static void extents_are_found(void **state)
{
	static char buf[M];
	struct drive drive;
	unsigned int folder;
	char ro[200];
	int fd;

	(void)state;
	for (folder = 0; folder < FOLDERS; folder++) {
		fd = scratch(folder, 8 * M + 1000);
		drive_open(&drive, spec);
		assert_true(drive.backend->info.can_extents);
		if (!has_holes(&drive, folder))
			goto next;
		drive_extents(&drive, 0, 8 * M + 1000, ROOM, 0);
		assert_string_equal(drive_found_text(), "h8389608");
		drive_do(&drive, BACKEND_WRITE, M, buf, M, 0);	/* zeroes, but data */
		drive_do(&drive, BACKEND_WRITE, 8 * M + 999, buf, 1, 0);
		drive_extents(&drive, 0, 8 * M + 1000, ROOM, 0);
		assert_string_equal(drive_found_text(), "h1048576 d1048576 h6291456 d1000");
		drive_extents(&drive, M - 1, M + 2, ROOM, 0);
		assert_string_equal(drive_found_text(), "h1 d1048576 h1");
		drive_extents(&drive, 0, 8 * M + 1000, 1, 0);
		assert_string_equal(drive_found_text(), "h1048576");
		drive_extents(&drive, M + 5, 7 * M, 2, 0);
		assert_string_equal(drive_found_text(), "d1048571 h6291456");
		drive_extents(&drive, M + 5, 7 * M, ROOM, BACKEND_ONE);
		assert_string_equal(drive_found_text(), "d1048571");
		drive_extents(&drive, 8 * M + 999, 1, ROOM, 0);
		assert_string_equal(drive_found_text(), "d1");
		drive_do(&drive, BACKEND_DISCARD, M + 65536, NULL, 65536, 0);
		drive_extents(&drive, M, M, ROOM, 0);
		assert_string_equal(drive_found_text(), "d65536 h65536 d917504");
		drive_close(&drive);
		snprintf(ro, sizeof(ro), "%s?ro", spec);
		drive_open(&drive, ro);
		assert_false(drive.backend->info.can_fast_zero);
		drive_extents(&drive, M, M, ROOM, 0);
		assert_string_equal(drive_found_text(), "d65536 h65536 d917504");
		assert_int_equal(drive_do(&drive, BACKEND_CACHE, 0, NULL, 8 * M, 0), 0);
next:
		drive_close(&drive);
		scratch_end(fd);
	}
}

static void extents_follow_a_model(void **state)
{
	struct drive drive;
	unsigned int folder;
	struct stat stat;
	int fd;

	(void)state;
	for (folder = 0; folder < FOLDERS; folder++) {
		fd = scratch(folder, 99 * 4096 + 77);
		drive_open(&drive, spec);
		assert_int_equal(fstat(fd, &stat), 0);
		if (has_holes(&drive, folder) && stat.st_blksize == 4096)
			drive_model(&drive, 100, 77, false, 1000);
		drive_close(&drive);
		scratch_end(fd);
	}
}

static void extents_of_a_file_cut_off(void **state)
{
	static char buf[M];
	struct drive drive;
	unsigned int folder;
	int fd;

	(void)state;
	for (folder = 0; folder < FOLDERS; folder++) {
		fd = scratch(folder, 4 * M);
		drive_open(&drive, spec);
		if (!has_holes(&drive, folder))
			goto next;
		drive_do(&drive, BACKEND_WRITE, 0, buf, M, 0);
		assert_int_equal(ftruncate(fd, 2 * M), 0);
		drive_extents(&drive, 0, 4 * M, ROOM, 0);	/* behind the end is no hole */
		assert_string_equal(drive_found_text(), "d1048576 h1048576 d2097152");
		drive_extents(&drive, 3 * M, M, ROOM, 0);
		assert_string_equal(drive_found_text(), "d1048576");
		drive_extents(&drive, 2 * M, M, 1, 0);
		assert_string_equal(drive_found_text(), "d1048576");
		assert_int_equal(ftruncate(fd, M / 2), 0);
		drive_extents(&drive, 0, 4 * M, ROOM, 0);
		assert_string_equal(drive_found_text(), "d4194304");
		assert_int_equal(ftruncate(fd, 0), 0);
		drive_extents(&drive, 0, 4 * M, ROOM, 0);
		assert_string_equal(drive_found_text(), "d4194304");
next:
		drive_close(&drive);
		scratch_end(fd);
	}
}

static _Atomic bool spoil_stop;

/* Cuts off, extends, writes and punches the upper half of a file, as fast as it can. */
static void *spoil(void *argument)
{
	int fd = *(int *)argument;
	unsigned int round;
	char byte = 's';
	ssize_t wrote;

	for (round = 0; !atomic_load(&spoil_stop); round++) {
		off_t at = 128 * 4096 + (off_t)(round * 7 % 128) * 4096;

		wrote = pwrite(fd, &byte, 1, at);
		if (wrote != 1 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					    128 * 4096 + (off_t)(round * 3 % 128) * 4096, 8192) ||
		    (round % 5 == 0 && (ftruncate(fd, at) || ftruncate(fd, M))))
			abort();
		if (round % 64 == 0)
			usleep(1);
	}
	return NULL;
}

/* Every answer is sound in form, ends, and is right where nobody interferes. */
static void extents_while_the_file_is_spoilt(void **state)
{
	static char buf[64 * 4096];
	unsigned int folder, i;
	struct drive drive;
	pthread_t thread;
	uint64_t sum;
	int fd;

	(void)state;
	for (folder = 0; folder < FOLDERS; folder++) {
		fd = scratch(folder, M);
		drive_open(&drive, spec);
		if (!has_holes(&drive, folder))
			goto next;
		drive_do(&drive, BACKEND_WRITE, 0, buf, sizeof(buf), 0);
		atomic_store(&spoil_stop, false);
		assert_int_equal(pthread_create(&thread, NULL, spoil, &fd), 0);
		for (i = 0; i < 2000; i++) {
			sum = drive_extents(&drive, 0, M, ROOM, 0);
			assert_int_equal(sum, M);
			assert_int_equal(drive_found.list.extent[0].flags, 0);
			assert_int_equal(drive_found.list.extent[0].length, sizeof(buf));
			drive_extents(&drive, (i % 250) * 4096, 5 * 4096, 1 + i % 3, 0);
		}
		atomic_store(&spoil_stop, true);
		pthread_join(thread, NULL);
next:
		drive_close(&drive);
		scratch_end(fd);
	}
}

static void fast_zeroes_are_fast_or_refused(void **state)
{
	static char buf[M];
	struct drive drive;
	unsigned int folder;
	int fd, code;

	(void)state;
	memset(buf, 'z', M);
	for (folder = 0; folder < FOLDERS; folder++) {
		fd = scratch(folder, 4 * M);
		drive_open(&drive, spec);
		assert_int_equal(drive.backend->info.can_fast_zero,
				 drive.backend->info.can_discard);
		if (!has_holes(&drive, folder))
			goto next;
		drive_do(&drive, BACKEND_WRITE, 0, buf, M, 0);
		assert_int_equal(drive_do(&drive, BACKEND_WRITE_ZEROES, 65536, NULL, 131072,
					  BACKEND_FAST_ZERO | BACKEND_FUA), 0);
		drive_extents(&drive, 0, M, ROOM, 0);
		assert_string_equal(drive_found_text(), "d65536 h131072 d851968");
		drive_do(&drive, BACKEND_READ, 0, buf, M, 0);
		assert_true(is_filled(buf, 65536, 'z') && is_filled(buf + 65536, 131072, 0) &&
			    is_filled(buf + 196608, M - 196608, 'z'));
		code = drive_do(&drive, BACKEND_WRITE_ZEROES, 0, NULL, 65536,
				BACKEND_FAST_ZERO | BACKEND_NO_UNMAP);
		if (folder == 1)
			assert_int_equal(code, -EOPNOTSUPP);	/* tmpfs would have to write */
		drive_do(&drive, BACKEND_READ, 0, buf, 65536, 0);
		assert_true(is_filled(buf, 65536, code ? 'z' : 0));
next:
		drive_close(&drive);
		scratch_end(fd);
		memset(buf, 'z', M);
	}
}

static void cache_brings_it_nearer(void **state)
{
	static char buf[M];
	struct drive drive;
	int fd = scratch(0, 0);
	int i;

	(void)state;
	memset(buf, 'c', M);
	for (i = 0; i < 4; i++)
		assert_int_equal(write(fd, buf, M), M);
	assert_int_equal(fsync(fd), 0);
	drive_open(&drive, spec);
	assert_int_equal(drive.backend->info.can_cache, drive.backend->info.waits);	/* no tmpfs */
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(drive_do(&drive, BACKEND_CACHE, M + 100, NULL, 2 * M, 0), 0);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 2 * M, buf, M, 0), 0);
	assert_true(is_filled(buf, M, 'c'));
	assert_int_equal(ftruncate(fd, M), 0);		/* a hint is never an error */
	assert_int_equal(drive_do(&drive, BACKEND_CACHE, 0, NULL, 4 * M, 0), 0);
	drive_close(&drive);
	scratch_end(fd);
}

static void what_cannot_be_opened_is_told(void **state)
{
	int fd = scratch(0, 4096);

	(void)state;
	refuses("file:", -EINVAL, "file:PATH");
	refuses("file:/nonexistent/x", -ENOENT, "truncate");
	refuses("file:/dev", -EINVAL, "neither");
	refuses("file:/dev/null", -EINVAL, "neither");
	assert_int_equal(ftruncate(fd, 0), 0);
	refuses(spec, -EINVAL, "is empty");
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	refuses(spec, -EBUSY, "in use");
	scratch_end(fd);
}

static void one_writes_many_read(void **state)
{
	struct drive first, second;
	char read_only[200];
	int fd = scratch(0, 4096);

	(void)state;
	drive_open(&first, spec);
	refuses(spec, -EBUSY, "in use");
	drive_close(&first);
	snprintf(read_only, sizeof(read_only), "%s?ro", spec);
	drive_open(&first, read_only);
	drive_open(&second, read_only);
	assert_string_equal(second.backend->name, read_only);
	refuses(spec, -EBUSY, "in use");
	drive_close(&second);
	drive_close(&first);
	scratch_end(fd);
}

static void read_only(void **state)
{
	struct drive drive;
	char buf[512] = "", ro[200];
	bool root;
	int fd = scratch(0, 4096);

	(void)state;
	snprintf(ro, sizeof(ro), "%s?ro", spec);
	drive_open(&drive, ro);
	assert_true(drive.backend->info.read_only);
	assert_false(drive.backend->info.can_discard || drive.backend->info.can_zeroes);
	assert_int_equal(drive_do(&drive, BACKEND_WRITE, 0, buf, 512, 0), -EPERM);
	assert_int_equal(drive_do(&drive, BACKEND_DISCARD, 0, NULL, 512, 0), -EPERM);
	assert_int_equal(drive_do(&drive, BACKEND_FLUSH, 0, NULL, 0, 0), 0);
	assert_int_equal(drive_do(&drive, BACKEND_READ, 0, buf, 512, 0), 0);
	drive_close(&drive);

	assert_int_equal(fchmod(fd, 0444), 0);
	root = geteuid() == 0;		/* for whom modes mean nothing */
	if (root && seteuid(65534) < 0)
		fail_msg("seteuid: %s", strerror(errno));
	drive_log_clear();
	drive_open(&drive, spec);
	assert_true(drive.backend->info.read_only);
	assert_non_null(strstr(drive_log, "read-only"));
	drive_close(&drive);
	if (root)
		assert_int_equal(seteuid(0), 0);
	scratch_end(fd);
}

static void question_marks(void **state)
{
	struct drive drive;
	char odd[160], twin[200];
	int fd = scratch(0, 4096);
	int odd_fd;

	(void)state;
	snprintf(odd, sizeof(odd), "%s?ro", path);
	odd_fd = open(odd, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(odd_fd >= 0);
	assert_int_equal(ftruncate(odd_fd, 8192), 0);
	snprintf(twin, sizeof(twin), "file:%s?", odd);
	drive_open(&drive, twin);		/* an empty list of options */
	assert_int_equal(drive.backend->info.size, 8192);
	assert_string_equal(drive.backend->name, twin);
	drive_close(&drive);
	snprintf(twin, sizeof(twin), "file:%s", odd);
	drive_open(&drive, twin);
	assert_int_equal(drive.backend->info.size, 4096);
	assert_true(drive.backend->info.read_only);
	drive_close(&drive);
	unlink(odd);
	close(odd_fd);
	scratch_end(fd);
}

static void a_file_cut_off_gives_errors(void **state)
{
	static char buf[M];
	struct drive drive;
	unsigned int folder;
	int fd;

	(void)state;
	for (folder = 0; folder < FOLDERS; folder++) {
		fd = scratch(folder, 4 * M);
		drive_open(&drive, spec);
		drive_log_clear();
		assert_int_equal(ftruncate(fd, M + M / 2), 0);
		assert_int_equal(drive_do(&drive, BACKEND_READ, 0, buf, M, 0), 0);
		assert_int_equal(drive_do(&drive, BACKEND_READ, M, buf, M, 0), -EIO);
		assert_non_null(strstr(drive_log, "cut off"));
		drive_log_clear();
		assert_int_equal(drive_do(&drive, BACKEND_READ, 2 * M, buf, M, 0), -EIO);
		assert_string_equal(drive_log, "");	/* told once */
		assert_int_equal(drive_do(&drive, BACKEND_WRITE, 3 * M, buf, M, 0), 0);
		assert_int_equal(drive_do(&drive, BACKEND_READ, 2 * M, buf, M, 0), 0);
		drive_close(&drive);
		scratch_end(fd);
	}
}

/* Many more requests than a ring or a queue has places for, then a close in the middle. */
static void close_ends_what_is_in_flight(void **state)
{
	static struct request requests[3000];
	static char buf[4096];
	struct drive drive;
	unsigned int i, cancelled = 0;
	int fd = scratch(0, 16 * M);

	(void)state;
	drive_open(&drive, spec);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (i = 0; i < 3000; i++) {
		enum backend_op op = i % 7 == 0 ? BACKEND_FLUSH :
				     i % 5 == 0 ? BACKEND_WRITE_ZEROES : BACKEND_WRITE;

		request_make(&requests[i], op, i * 4096, op == BACKEND_WRITE ? buf : NULL,
			     op == BACKEND_FLUSH ? 0 : 4096, BACKEND_FUA);
		backend_submit(drive.channel, &requests[i].io);
	}
	backend_kick(drive.channel);
	backend_channel_close(drive.channel);
	for (i = 0; i < 3000; i++) {
		assert_int_equal(requests[i].completed, 1);
		if (requests[i].result) {
			assert_int_equal(requests[i].result, -ECANCELED);
			cancelled++;
		}
	}
	print_message("%u of 3000 were cancelled\n", cancelled);
	assert_false(loop_busy(drive.loop, NULL));
	loop_free(drive.loop);
	backend_close(drive.backend);
	scratch_end(fd);
}

static int work_add(void *context, struct backend_io *io)
{
	__atomic_fetch_add((uint64_t *)context, io->offset, __ATOMIC_RELAXED);
	return io->offset == 77 ? -EREMOTEIO : 0;
}

static void threads_run_everything_once(void **state)
{
	static struct request requests[2000];
	struct threads *threads;
	uint64_t sum = 0, want = 0;
	struct loop *loop;
	unsigned int i, left;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(threads_new(loop, 4, work_add, &sum, &threads), 0);
	assert_false(loop_busy(loop, NULL));
	for (i = 0; i < 2000; i++) {
		request_make(&requests[i], BACKEND_READ, i, NULL, 1, 0);
		want += i;
		threads_submit(threads, &requests[i].io);
	}
	assert_true(loop_busy(loop, NULL));
	do {
		assert_int_equal(loop_once(loop, UINT64_MAX), 0);
		for (left = 0, i = 0; i < 2000; i++)
			left += !requests[i].completed;
	} while (left);
	for (i = 0; i < 2000; i++) {
		assert_int_equal(requests[i].completed, 1);
		assert_int_equal(requests[i].result, i == 77 ? -EREMOTEIO : 0);
	}
	assert_true(sum == want);
	assert_false(loop_busy(loop, NULL));
	threads_free(threads);
	threads_free(NULL);
	loop_free(loop);
}

/* From here on this process has no io_uring, as in a container that forbids it. */
static int io_uring_forbid(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

static void threads_take_over(void **state)
{
	struct drive drive;
	int fd = scratch(0, 4096);

	(void)state;
	drive_log_clear();
	drive_open(&drive, spec);
	assert_non_null(strstr(drive_log, "no io_uring"));
	drive_close(&drive);
	scratch_end(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_kept),
		cmocka_unit_test(uncached_reads),
		cmocka_unit_test(holes_are_made),
		cmocka_unit_test(extents_are_found),
		cmocka_unit_test(extents_follow_a_model),
		cmocka_unit_test(extents_of_a_file_cut_off),
		cmocka_unit_test(extents_while_the_file_is_spoilt),
		cmocka_unit_test(fast_zeroes_are_fast_or_refused),
		cmocka_unit_test(cache_brings_it_nearer),
		cmocka_unit_test(what_cannot_be_opened_is_told),
		cmocka_unit_test(one_writes_many_read),
		cmocka_unit_test(read_only),
		cmocka_unit_test(question_marks),
		cmocka_unit_test(a_file_cut_off_gives_errors),
		cmocka_unit_test(close_ends_what_is_in_flight),
		cmocka_unit_test(threads_run_everything_once),
	};
	const struct CMUnitTest without_io_uring[] = {
		cmocka_unit_test(threads_take_over),
		cmocka_unit_test(bytes_are_kept),
		cmocka_unit_test(uncached_reads),
		cmocka_unit_test(holes_are_made),
		cmocka_unit_test(extents_are_found),
		cmocka_unit_test(cache_brings_it_nearer),
		cmocka_unit_test(a_file_cut_off_gives_errors),
		cmocka_unit_test(close_ends_what_is_in_flight),
	};
	int failed, error;

	failed = cmocka_run_group_tests(tests, NULL, NULL);
	error = io_uring_forbid();
	if (error) {
		fprintf(stderr, "io_uring cannot be forbidden here: %s\n", strerror(-error));
		return 1;
	}
	return failed + cmocka_run_group_tests(without_io_uring, NULL, NULL);
}
