// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nowait DEVICE read|write how: one 4 KiB request that must not wait, by preadv2(RWF_NOWAIT) ("call")
 * or by io_uring ("ring"). Prints "done" or the name of the error; status 0 either way, 1 when it
 * could not be tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int by_ring(int fd, struct iovec *iov, int writing)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int got = io_uring_queue_init(4, &ring, 0);

	if (got < 0) {
		fprintf(stderr, "nowait: no io_uring: %s\n", strerror(-got));
		exit(1);
	}
	sqe = io_uring_get_sqe(&ring);
	if (writing)
		io_uring_prep_writev2(sqe, fd, iov, 1, 0, RWF_NOWAIT);
	else
		io_uring_prep_readv2(sqe, fd, iov, 1, 0, RWF_NOWAIT);
	io_uring_submit(&ring);
	got = io_uring_wait_cqe(&ring, &cqe);
	return got < 0 ? got : cqe->res;
}

static int by_call(int fd, struct iovec *iov, int writing)
{
	ssize_t got = writing ? pwritev2(fd, iov, 1, 0, RWF_NOWAIT) :
				preadv2(fd, iov, 1, 0, RWF_NOWAIT);

	return got < 0 ? -errno : (int)got;
}

int main(int argc, char **argv)
{
	struct iovec iov = { .iov_len = 4096 };
	int fd, got, writing;

	if (argc != 4 || posix_memalign(&iov.iov_base, 4096, 4096))
		return 2;
	memset(iov.iov_base, 'n', 4096);
	writing = !strcmp(argv[2], "write");
	fd = open(argv[1], (writing ? O_RDWR : O_RDONLY) | O_DIRECT);
	if (fd < 0) {
		fprintf(stderr, "nowait: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	got = !strcmp(argv[3], "ring") ? by_ring(fd, &iov, writing) : by_call(fd, &iov, writing);
	if (got == 4096)
		puts("done");
	else
		puts(got < 0 ? strerrorname_np(-got) : "short");
	return 0;
}
