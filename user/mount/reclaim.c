// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * In the path of memory reclaim, see reclaim.h.
 *
 * Memory is locked with MCL_ONFAULT: what has been touched stays, but a backend such as mem:1T is
 * not made present as a whole, and mounting does not read in every page of every library. The
 * program's own code, which a request may run for the first time while memory is short, is made
 * present explicitly.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOG_PREFIX "mount: "
#include "lib/error.h"
#include "lib/log.h"
#include "mount/reclaim.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static char oom_before[16] = "0";

static void oom_write(const char *value)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t wrote;

	if (fd < 0)
		return;
	wrote = write(fd, value, strlen(value));
	(void)wrote;
	close(fd);
}

static void oom_protect(void)
{
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd >= 0) {
		got = read(fd, oom_before, sizeof(oom_before) - 1);
		oom_before[got > 0 ? got : 0] = '\0';
		close(fd);
	}
	oom_write("-1000");
}

static int object_touch(struct dl_phdr_info *object, size_t size, void *unused)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)unused;
	for (unsigned int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t from = object->dlpi_addr + part->p_vaddr, to = from + part->p_memsz;

		if (part->p_type != PT_LOAD || (part->p_flags & (PF_R | PF_W)) != PF_R)
			continue;
		for (uintptr_t at = from & ~(page - 1); at < to; at += page)
			(void)*(const volatile uint8_t *)at;
	}
	return 0;
}

/*
 * Makes the code of the program and its libraries present, and their constants. The loader knows
 * where they are. Touching costs one fault for each 16 pages that the page cache has;
 * MADV_POPULATE_READ looks at every page by itself, 0.4 ms of virtual time more for each mount, and
 * /proc/self/maps instead of the loader 0.3 ms.
 */
static void code_touch(void)
{
	dl_iterate_phdr(object_touch, NULL);
}

void reclaim_enter(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		log_warn("cannot become part of the I/O path (PR_SET_IO_FLUSHER): %s; do not swap to the device",
			 strerror(errno));
	oom_protect();
}

int reclaim_lock(struct error *error)
{
	struct rlimit limit;
	int err;

	code_touch();
	if (!mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		return 0;
	err = -errno;
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
		return error_set(error, err,
				 "cannot lock the helper's memory: %s; raise RLIMIT_MEMLOCK (now %llu bytes, 'ulimit -l unlimited') or give --no-mlock",
				 strerror(-err), (unsigned long long)limit.rlim_cur);
	return error_set(error, err, "cannot lock the helper's memory: %s; or give --no-mlock",
			 strerror(-err));
}

void reclaim_unprotect(void)
{
	prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	oom_write(oom_before);
}
