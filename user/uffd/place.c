// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client's memory. See place.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/error.h"
#include "uffd/place.h"

int place_file(uint64_t size, struct error *error)
{
	int fd = memfd_create("r3map-uffd", MFD_CLOEXEC | MFD_ALLOW_SEALING), code = 0;

	if (fd < 0)
		return error_set(error, -errno, "cannot make a memfd: %s", strerror(errno));
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		code = -errno;
	if (!code)
		return fd;
	close(fd);
	return error_set(error, code, "cannot make a memfd of the region's size: %s", strerror(-code));
}

int place_nothing(struct error *error)
{
	return place_file(0, error);
}

/*
 * Whoever looks behind a file's end gets SIGBUS. Each page shows another part of what is not there,
 * in order, so that neighbours become one mapping: a process can have 65530 of them.
 */
int place_forbid(int nothing, uint64_t address, uint64_t length)
{
	return mmap((void *)(uintptr_t)address, length, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, nothing, (off_t)address) == MAP_FAILED ? -errno : 0;
}
