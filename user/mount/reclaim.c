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
#include <inttypes.h>
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

/*
 * Makes the code of the program and its libraries present, and their constants. What fails here is
 * only slower later.
 */
static void code_populate(void)
{
	uint64_t start, end;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], mode[8];

	if (!maps)
		return;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, mode) != 3 ||
		    (strcmp(mode, "r-xp") && strcmp(mode, "r--p")) || strstr(line, "[v"))
			continue;
		madvise((void *)(uintptr_t)start, end - start, MADV_POPULATE_READ);
	}
	fclose(maps);
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

	code_populate();
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
