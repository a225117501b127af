/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * userfaultfd(2) and PAGEMAP_SCAN of the running kernel: how a descriptor is got, what is there,
 * and what the headers of Debian 12 do not have yet. Pure system calls, usable by both ends and in
 * any thread.
 */
#ifndef R3MAP_UFFD_KERNEL_H
#define R3MAP_UFFD_KERNEL_H

#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct error;

/* Linux 6.1: the file /dev/userfaultfd, include/uapi/linux/userfaultfd.h */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW	_IO(0xaa, 0x00)
#endif
/* Linux 6.4 to 6.7, the same file */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON	(1 << 14)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC	(1 << 15)
#endif
#ifndef UFFDIO_CONTINUE_MODE_WP
#define UFFDIO_CONTINUE_MODE_WP	((uint64_t)1 << 1)
#endif
#ifndef UFFDIO_POISON
struct uffdio_poison {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};
#define UFFDIO_POISON		_IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
/* Linux 6.7: include/uapi/linux/fs.h */
#ifndef PAGEMAP_SCAN
#define PAGEMAP_SCAN		_IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN		(1 << 1)
#define PM_SCAN_WP_MATCHING	(1 << 0)
#define PM_SCAN_CHECK_WPASYNC	(1 << 1)
struct page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};
struct pm_scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};
#endif

/* How a descriptor was got, the best way first. */
enum uffd_way {
	UFFD_WAY_FILE,		/* /dev/userfaultfd, whose permissions say who may */
	UFFD_WAY_CALL,		/* the system call: CAP_SYS_PTRACE, or the sysctl is 1 */
	UFFD_WAY_USER,		/* the same with UFFD_USER_MODE_ONLY: system calls get EFAULT */
};

/*
 * A new descriptor, close-on-exec and non-blocking, with @features (UFFD_FEATURE_*) agreed on.
 * Returns it and *@way, or a negative errno with a sentence.
 */
int uffd_new(uint64_t features, enum uffd_way *way, struct error *error);
/* What the kernel has: UFFD_FEATURE_*. *@way: how this process gets a descriptor. As above. */
int uffd_probe(uint64_t *features, enum uffd_way *way, struct error *error);

/* "file", "call", "user-mode-only" */
const char *uffd_way_name(enum uffd_way way);
/* The features that are told, by name: n-th, NULL behind the last. */
const char *uffd_feature_name(unsigned int n, uint64_t *bit);

/* Can written pages be asked for (PAGEMAP_SCAN)? */
bool uffd_can_scan(void);
/* Bytes of a huge page, 0: none. *@free: how many of them are reserved and free. */
uint64_t uffd_huge(uint64_t *free);

/*
 * Each of these works on a range of whole pages of the process that the descriptor is of, goes on
 * after pages that are there already, or no longer registered, and wakes who waits in the range. 0
 * or a negative errno: -ENOENT: some are not registered, all others are done; -ESRCH: the process
 * is gone. @wp: what is new is write-protected.
 */
int uffd_copy(int uffd, uint64_t to, const void *from, uint64_t length, uint64_t page, bool wp);
int uffd_zero(int uffd, uint64_t at, uint64_t length, uint64_t page);
/* -EFAULT: a page is not in the file. */
int uffd_continue(int uffd, uint64_t at, uint64_t length, uint64_t page, bool wp);
/*
 * An access raises SIGBUS. @wp: what is absent may be write-protected, which the kernel would take
 * for a page that is there; what is there then counts as written.
 */
int uffd_poison(int uffd, uint64_t at, uint64_t length, uint64_t page, bool wp);

int uffd_wake(int uffd, uint64_t at, uint64_t length);

#endif
