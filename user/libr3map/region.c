// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of a region. See r3map.h.
 *
 * A device can only be unmounted when nobody has it open, this process included. So r3map_close()
 * steps back first: reserved address space takes the place of the mapping, and /dev/null that of
 * the descriptor. If the unmount then fails, device and mapping come back to where they were.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libr3map/call.h"
#include "libr3map/fail.h"
#include "libr3map/options.h"
#include "libr3map/r3map.h"

#define HELPER_END	10000	/* ms that are waited for its end, once the device is gone */

struct r3map_region {
	char *program;
	char *path;
	uint64_t size;		/* bytes */
	bool read_only;
	int fd;
	int helper;		/* a pidfd, or -1 */
	pthread_mutex_t lock;	/* guards the next one */
	void *map;		/* or NULL */
};

/* --- the program -------------------------------------------------------------------------- */

/* r3map @command [@option] PATH */
static int region_call(const struct r3map_region *region, const char *command, const char *option,
		       char **error)
{
	struct call call;

	call_begin(&call, region->program);
	call_add(&call, command);
	if (option)
		call_add(&call, option);
	call_add(&call, region->path);
	return call_run(&call, error);
}

/* Mounts; the path of the device, to be freed, or NULL. */
static char *region_mount(const char *backend, const struct options *options, char **error)
{
	struct call call;
	char *path;

	call_begin(&call, options->program);
	call_add(&call, "mount");
	call_add(&call, "--daemon");
	for (unsigned int i = 0; i < options->used; i++)
		call_add(&call, options->words[i]);
	call_add(&call, "--");
	if (call_add(&call, backend)) {
		fail(error, EINVAL, "there are too many options");
		return NULL;
	}
	if (call_run(&call, error))
		return NULL;
	call.out[strcspn(call.out, "\n")] = '\0';
	if (call.out[0] != '/') {
		fail(error, EIO, "%s told no path: is it another program?", options->program);
		return NULL;
	}
	path = strdup(call.out);
	if (!path)
		fail(error, ENOMEM, "out of memory");
	return path;
}

/* Its end can be waited for, even if its number is another's by then. */
static int helper_open(const char *path)
{
	const char *disk = strrchr(path, '/') + 1;
	const char *const forms[] = { "/sys/block/%s/r3map/helper_pid", "/sys/block/%s/pid" };
	char name[128];
	FILE *file = NULL;
	int pid = 0;

	for (size_t i = 0; !file && i < 2; i++) {
		snprintf(name, sizeof(name), forms[i], disk);
		file = fopen(name, "re");
	}
	if (!file)
		return -1;
	if (fscanf(file, "%d", &pid) != 1 || pid <= 0)
		pid = 0;
	fclose(file);
	return pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

/* --- device and mapping ------------------------------------------------------------------- */

static int device_open(const struct r3map_region *region)
{
	return open(region->path, (region->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
}

/* Size, and whether it can be written, as the device tells them. */
static int device_look(struct r3map_region *region)
{
	int fd = open(region->path, O_RDONLY | O_CLOEXEC), read_only = 0, code;
	struct stat info;

	if (fd < 0)
		return -1;
	code = fstat(fd, &info);
	if (!code && S_ISBLK(info.st_mode)) {
		code = ioctl(fd, BLKGETSIZE64, &region->size);
		if (!code)
			code = ioctl(fd, BLKROGET, &read_only);
	} else if (!code) {
		region->size = (uint64_t)info.st_size;
	}
	region->read_only |= read_only;
	close(fd);
	return code;
}

static void *map_place(struct r3map_region *region, void *at)
{
	const int prot = region->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	void *map = mmap(at, (size_t)region->size, prot, MAP_SHARED | (at ? MAP_FIXED : 0), region->fd,
			 0);

	/* Else one page that is touched brings many more. */
	if (map != MAP_FAILED)
		madvise(map, (size_t)region->size, MADV_RANDOM);
	return map;
}

/* Lets go of the device, and keeps its place. */
static int region_retreat(struct r3map_region *region, char **error)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return fail(error, errno, "cannot open /dev/null: %s", strerror(errno));
	if (region->map && mmap(region->map, (size_t)region->size, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
				0) == MAP_FAILED) {
		int code = errno;

		close(null);
		return fail(error, code, "cannot unmap %s: %s", region->path, strerror(code));
	}
	dup3(null, region->fd, O_CLOEXEC);
	close(null);
	return 0;
}

/* Back to where it was. */
static int region_return(struct r3map_region *region)
{
	int fd = device_open(region);

	if (fd < 0)
		return -1;
	dup3(fd, region->fd, O_CLOEXEC);
	close(fd);
	return region->map && map_place(region, region->map) == MAP_FAILED ? -1 : 0;
}

static void region_free(struct r3map_region *region)
{
	if (region->map)
		munmap(region->map, (size_t)region->size);
	if (region->fd >= 0)
		close(region->fd);
	if (region->helper >= 0)
		close(region->helper);
	pthread_mutex_destroy(&region->lock);
	free(region->program);
	free(region->path);
	free(region);
}

static void region_gone(struct r3map_region *region)
{
	struct pollfd helper = { .fd = region->helper, .events = POLLIN };

	if (region->helper >= 0)
		while (poll(&helper, 1, HELPER_END) < 0 && errno == EINTR)
			;
	region_free(region);
}

/* --- what the library offers -------------------------------------------------------------- */

struct r3map_region *r3map_open(const char *backend, const char *const *list, char **error)
{
	struct r3map_region *region = calloc(1, sizeof(*region));
	struct options options;
	int code;

	if (!region) {
		fail(error, ENOMEM, "out of memory");
		return NULL;
	}
	region->fd = -1;
	region->helper = -1;
	pthread_mutex_init(&region->lock, NULL);
	if (options_read(&options, list, error))
		goto free;
	region->read_only = options.read_only;
	region->program = strdup(options.program);
	if (!region->program) {
		fail(error, ENOMEM, "out of memory");
		goto free;
	}
	region->path = region_mount(backend, &options, error);
	if (!region->path)
		goto free;
	region->helper = helper_open(region->path);
	if (!device_look(region))
		region->fd = device_open(region);
	if (region->fd < 0) {
		code = errno;
		region_call(region, "umount", NULL, NULL);
		fail(error, code, "cannot open %s: %s", region->path, strerror(code));
		goto free;
	}
	options_free(&options);
	return region;

free:
	code = errno;
	options_free(&options);
	region_free(region);
	errno = code;
	return NULL;
}

const char *r3map_path(const struct r3map_region *region)
{
	return region->path;
}

uint64_t r3map_size(const struct r3map_region *region)
{
	return region->size;
}

int r3map_fd(const struct r3map_region *region)
{
	return region->fd;
}

void *r3map_map(struct r3map_region *region, char **error)
{
	void *map;

	if (region->size > SIZE_MAX) {
		fail(error, EOVERFLOW, "%s has %" PRIu64 " bytes, more than there are addresses",
		     region->path, region->size);
		return NULL;
	}
	pthread_mutex_lock(&region->lock);
	if (!region->map) {
		map = map_place(region, NULL);
		if (map == MAP_FAILED)
			fail(error, errno, "cannot map %s: %s", region->path, strerror(errno));
		else
			region->map = map;
	}
	map = region->map;
	pthread_mutex_unlock(&region->lock);
	return map;
}

/*
 * Descriptor and mapping share one page cache, so fsync() writes back what came by either; and it
 * tells of writes that failed, which the program could not.
 */
int r3map_sync(struct r3map_region *region, char **error)
{
	if (region->read_only)
		return 0;
	if (fsync(region->fd) < 0)
		return fail(error, errno, "cannot write back what is cached of %s: %s", region->path,
			    strerror(errno));
	return region_call(region, "sync", NULL, error);
}

int r3map_close(struct r3map_region *region, char **error)
{
	int code;

	if (r3map_sync(region, error) || region_retreat(region, error))
		return -1;
	if (!region_call(region, "umount", NULL, error)) {
		region_gone(region);
		return 0;
	}
	code = errno;
	if (region_return(region)) {
		if (error)
			free(*error);
		return fail(error, errno, "cannot unmount %s, nor open it again: %s", region->path,
			    strerror(errno));
	}
	errno = code;
	return -1;
}

int r3map_abandon(struct r3map_region *region, char **error)
{
	int code, why;

	if (region->map)
		munmap(region->map, (size_t)region->size);
	region->map = NULL;
	close(region->fd);
	region->fd = -1;
	code = region_call(region, "umount", "--force", error);
	why = errno;
	region_gone(region);
	errno = why;
	return code;
}
