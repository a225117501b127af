// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the running kernel has of userfaultfd. See kernel.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/error.h"
#include "uffd/kernel.h"

#define DEVICE		"/dev/userfaultfd"
#define RETRIES		1000	/* of a range whose process changes its mappings meanwhile */

static const struct {
	uint64_t bit;
	const char *name;
} features_told[] = {
	{ UFFD_FEATURE_MISSING_SHMEM, "missing-shmem" },
	{ UFFD_FEATURE_MISSING_HUGETLBFS, "missing-huge" },
	{ UFFD_FEATURE_MINOR_SHMEM, "minor-shmem" },
	{ UFFD_FEATURE_WP_HUGETLBFS_SHMEM, "wp-shmem" },
	{ UFFD_FEATURE_WP_UNPOPULATED, "wp-unpopulated" },
	{ UFFD_FEATURE_WP_ASYNC, "wp-async" },
	{ UFFD_FEATURE_POISON, "poison" },
};

const char *uffd_feature_name(unsigned int n, uint64_t *bit)
{
	if (n >= sizeof(features_told) / sizeof(features_told[0]))
		return NULL;
	*bit = features_told[n].bit;
	return features_told[n].name;
}

const char *uffd_way_name(enum uffd_way way)
{
	static const char *const names[] = {
		[UFFD_WAY_FILE] = "file",
		[UFFD_WAY_CALL] = "call",
		[UFFD_WAY_USER] = "user-mode-only",
	};

	return names[way];
}

static int open_file(void)
{
	int device = open(DEVICE, O_RDWR | O_CLOEXEC), fd, code;

	if (device < 0)
		return -errno;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	code = fd < 0 ? -errno : fd;
	close(device);
	return code;
}

static int open_call(int flags)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);

	return fd < 0 ? -errno : fd;
}

static int uffd_open(enum uffd_way *way, struct error *error)
{
	int fd;

	*way = UFFD_WAY_FILE;
	fd = open_file();
	if (fd < 0) {
		*way = UFFD_WAY_CALL;
		fd = open_call(0);
	}
	if (fd < 0) {
		*way = UFFD_WAY_USER;
		fd = open_call(UFFD_USER_MODE_ONLY);
	}
	if (fd >= 0)
		return fd;
	if (fd == -ENOSYS)
		return error_set(error, fd,
				 "this kernel has no userfaultfd: it needs CONFIG_USERFAULTFD");
	if (fd == -EPERM)
		return error_set(error, fd,
				 "userfaultfd is not permitted: be root, get access to " DEVICE
				 ", or set the sysctl vm.unprivileged_userfaultfd to 1");
	return error_set(error, fd, "cannot use userfaultfd: %s", strerror(-fd));
}

int uffd_new(uint64_t features, enum uffd_way *way, struct error *error)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = uffd_open(way, error), code;

	if (fd < 0)
		return fd;
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	code = -errno;
	close(fd);
	return error_set(error, code,
			 "this kernel's userfaultfd lacks a feature that is needed (%s): see r3map features",
			 strerror(-code));
}

/* A descriptor that has agreed on nothing tells what there is. */
int uffd_probe(uint64_t *features, enum uffd_way *way, struct error *error)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = uffd_open(way, error), code;

	if (fd < 0)
		return fd;
	code = ioctl(fd, UFFDIO_API, &api) ? -errno : 0;
	close(fd);
	*features = api.features;
	return code ? error_set(error, code, "userfaultfd: %s", strerror(-code)) : 0;
}

bool uffd_can_scan(void)
{
	struct pm_scan_arg scan = { .size = sizeof(scan) };
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool can;

	if (fd < 0)
		return false;
	/* Of nothing: it succeeds where it is known. */
	scan.return_mask = PAGE_IS_WRITTEN;
	can = !ioctl(fd, PAGEMAP_SCAN, &scan);
	close(fd);
	return can;
}

uint64_t uffd_huge(uint64_t *free)
{
	FILE *file = fopen("/proc/meminfo", "re");
	uint64_t kib = 0, value;
	char line[128];

	*free = 0;
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "HugePages_Free: %" SCNu64, &value) == 1)
			*free = value;
		else if (sscanf(line, "Hugepagesize: %" SCNu64, &value) == 1)
			kib = value;
	}
	fclose(file);
	return kib * 1024;
}

/* --- resolving faults --------------------------------------------------------------------- */

int uffd_wake(int uffd, uint64_t at, uint64_t length)
{
	struct uffdio_range range = { .start = at, .len = length };

	return ioctl(uffd, UFFDIO_WAKE, &range) ? -errno : 0;
}

/*
 * One try of an operation on @length bytes from @done on. Returns how many of them are done, and
 * an errno, positive, if it stopped there.
 */
typedef int64_t (*try_fn)(int uffd, uint64_t at, const char *from, uint64_t length, bool wp,
			  int *code);

static int64_t try_copy(int uffd, uint64_t at, const char *from, uint64_t length, bool wp,
			int *code)
{
	struct uffdio_copy copy = {
		.dst = at, .src = (uint64_t)(uintptr_t)from, .len = length,
		.mode = wp ? UFFDIO_COPY_MODE_WP : 0,
	};

	*code = ioctl(uffd, UFFDIO_COPY, &copy) ? errno : 0;
	return copy.copy;
}

static int64_t try_zero(int uffd, uint64_t at, const char *from, uint64_t length, bool wp,
			int *code)
{
	struct uffdio_zeropage zero = { .range = { .start = at, .len = length } };

	(void)from;
	(void)wp;
	*code = ioctl(uffd, UFFDIO_ZEROPAGE, &zero) ? errno : 0;
	return zero.zeropage;
}

static int64_t try_continue(int uffd, uint64_t at, const char *from, uint64_t length, bool wp,
			    int *code)
{
	struct uffdio_continue go = {
		.range = { .start = at, .len = length }, .mode = wp ? UFFDIO_CONTINUE_MODE_WP : 0,
	};

	(void)from;
	*code = ioctl(uffd, UFFDIO_CONTINUE, &go) ? errno : 0;
	return go.mapped;
}

static int64_t try_unprotect(int uffd, uint64_t at, const char *from, uint64_t length, bool wp,
			     int *code)
{
	struct uffdio_writeprotect off = { .range = { .start = at, .len = length } };

	(void)from;
	(void)wp;
	*code = ioctl(uffd, UFFDIO_WRITEPROTECT, &off) ? errno : 0;
	return 0;
}

static int64_t try_poison(int uffd, uint64_t at, const char *from, uint64_t length, bool wp,
			  int *code)
{
	struct uffdio_poison poison = { .range = { .start = at, .len = length } };

	(void)from;
	(void)wp;
	*code = ioctl(uffd, UFFDIO_POISON, &poison) ? errno : 0;
	return poison.updated;
}

/*
 * The kernel stops early where a page is there already, which is passed over (its waiters have to
 * be woken), and where the process changes its mappings, which is tried again. It does nothing of a
 * range that is not in one mapping, as mprotect(2) of a part makes it: smaller ones are tried.
 */
static int resolve(try_fn try, int uffd, uint64_t at, const char *from, uint64_t length,
		   uint64_t page, bool wp)
{
	uint64_t done = 0, most = length, want;
	unsigned int retries = 0;
	bool missing = false;
	int64_t got;
	int code;

	while (done < length) {
		want = length - done < most ? length - done : most;
		got = try(uffd, at + done, from ? from + done : NULL, want, wp, &code);
		if (!code || got > 0) {
			done += code ? (uint64_t)got : want;
			most = most < length / 2 ? most * 2 : length;
			retries = 0;
		} else if (code == ENOENT && want > page) {
			most = want / 2 & ~(page - 1);
		} else if (code == EEXIST || code == ENOENT) {
			uffd_wake(uffd, at + done, page);
			done += page;
			missing = missing || code == ENOENT;
		} else if (code != EAGAIN || ++retries > RETRIES) {
			return -code;
		}
	}
	return missing ? -ENOENT : 0;
}

int uffd_copy(int uffd, uint64_t to, const void *from, uint64_t length, uint64_t page, bool wp)
{
	return resolve(try_copy, uffd, to, from, length, page, wp);
}

int uffd_zero(int uffd, uint64_t at, uint64_t length, uint64_t page)
{
	return resolve(try_zero, uffd, at, NULL, length, page, false);
}

int uffd_continue(int uffd, uint64_t at, uint64_t length, uint64_t page, bool wp)
{
	return resolve(try_continue, uffd, at, NULL, length, page, wp);
}

int uffd_poison(int uffd, uint64_t at, uint64_t length, uint64_t page, bool wp)
{
	int code = wp ? resolve(try_unprotect, uffd, at, NULL, length, page, false) : 0;

	if (code && code != -ENOENT)
		return code;
	return resolve(try_poison, uffd, at, NULL, length, page, false);
}
