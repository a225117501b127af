// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file:PATH, a region that is a regular file or a block device of this machine.
 *
 * What is in the page cache is read or written on the spot, by a call that refuses to wait
 * (RWF_NOWAIT); what would wait goes to io_uring, so that one slow read holds up nobody, or, where
 * there is no io_uring, to threads. Everything else, which are calls that block, always goes to
 * a thread. A file on tmpfs is memory: everything is done on the spot.
 *
 * The size is what it was at open. A file that is cut off underneath gives errors, never zeroes
 * that nobody wrote. The file is locked (flock) and a block device opened exclusively, so that two
 * helpers do not write to one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOG_PREFIX "file: "
#include "file.h"
#include "holes.h"
#include "ring.h"
#include "schemes.h"
#include "threads.h"
#include "../lib/error.h"
#include "../lib/log.h"

#define BLOCKING_THREADS	8	/* of a channel without io_uring */
#define ZEROES			(64u << 10)
#define CACHE_STEP		(128u << 10)	/* of one call; the kernel may do less at once */
#define CACHE_MOST		(32u << 20)	/* of one request, which keeps a thread busy */

struct file {
	struct backend backend;
	int fd;
	bool block_device;
	bool in_memory;			/* tmpfs: no call waits for a disk */
	/* What the file system has turned out to support; any channel may turn one off. */
	_Atomic bool nowait_read;
	_Atomic bool nowait_write;
	_Atomic bool can_punch;
	_Atomic bool can_zero_range;
	_Atomic bool eof_told;
	_Atomic uint64_t holes_made;	/* how often a part was freed or zeroed here */
};

struct file_channel {
	struct backend_channel channel;
	struct ring *ring;		/* NULL: threads do everything */
	struct threads *threads;	/* NULL: in_memory */
	struct holes_seen seen;		/* in_memory only */
};

static struct file *file_from(struct backend *backend)
{
	return (struct file *)backend;
}

/* A read met the end of the file, which was behind it when the file was opened. */
static void file_eof(void *context, struct backend_io *io)
{
	struct file *file = context;

	if (!atomic_exchange(&file->eof_told, true))
		log_error("%s: the file was cut off while in use: nothing at byte %llu; reads there fail",
			  file->backend.name,
			  (unsigned long long)(io->offset + io->backend_data));
}

/* READ or WRITE, waiting for it; io->backend_data bytes are done already. */
static int transfer(struct file *file, struct backend_io *io, int flags)
{
	while (io->backend_data < io->length) {
		struct iovec iovec = {
			(char *)io->buf + io->backend_data, io->length - io->backend_data,
		};
		off_t at = (off_t)(io->offset + io->backend_data);
		ssize_t got;

		got = io->op == BACKEND_READ ? preadv2(file->fd, &iovec, 1, at, flags) :
					       pwritev2(file->fd, &iovec, 1, at, flags);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) {
			if (flags & RWF_NOWAIT)
				return -EAGAIN;
			if (io->op == BACKEND_READ)
				file_eof(file, io);
			return -EIO;
		}
		io->backend_data += (uint64_t)got;
	}
	return 0;
}

static int zeroes_write(struct file *file, const struct backend_io *io)
{
	static const char zeroes[ZEROES];
	uint64_t at = io->offset;
	uint64_t left = io->length;

	while (left) {
		ssize_t wrote = pwrite(file->fd, zeroes, left < ZEROES ? left : ZEROES, (off_t)at);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return wrote ? -errno : -EIO;
		at += (uint64_t)wrote;
		left -= (uint64_t)wrote;
	}
	return 0;
}

/* Returns 0, -EOPNOTSUPP (and remembers that) or another negative errno. */
static int allocate(struct file *file, const struct backend_io *io, int mode, _Atomic bool *can)
{
	if (!atomic_load_explicit(can, memory_order_relaxed))
		return -EOPNOTSUPP;
	if (fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)io->offset, io->length) == 0) {
		atomic_fetch_add(&file->holes_made, 1);
		return 0;
	}
	/* A block device says EINVAL for a range that is not in its own blocks. */
	if (errno == EOPNOTSUPP || (errno == EINVAL && !file->block_device))
		atomic_store_explicit(can, false, memory_order_relaxed);
	return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

static int zero(struct file *file, const struct backend_io *io)
{
	bool fast = io->flags & BACKEND_FAST_ZERO;
	bool punched = false;
	int error = -EOPNOTSUPP;

	if (!(io->flags & BACKEND_NO_UNMAP)) {
		punched = atomic_load_explicit(&file->can_punch, memory_order_relaxed);
		error = allocate(file, io, FALLOC_FL_PUNCH_HOLE, &file->can_punch);
	}
	/*
	 * A block device takes this as BLKZEROOUT, which may write. One that has just refused to
	 * punch has lost the range from its page cache: there is no way back, fast or not.
	 */
	if (error == -EOPNOTSUPP && (!fast || !file->block_device || punched))
		error = allocate(file, io, FALLOC_FL_ZERO_RANGE, &file->can_zero_range);
	if (error == -EOPNOTSUPP && (!fast || (file->block_device && punched)))
		error = zeroes_write(file, io);
	if (!error && (io->flags & BACKEND_FUA) && fdatasync(file->fd) < 0)
		error = -errno;
	return error;
}

/* A hint: where it cannot be followed, nothing is lost. */
static int discard(struct file *file, const struct backend_io *io)
{
	int error;

	if (file->block_device) {
		uint64_t range[2] = { io->offset, io->length };

		error = ioctl(file->fd, BLKDISCARD, range) < 0 ? -errno : 0;
	} else {
		error = allocate(file, io, FALLOC_FL_PUNCH_HOLE, &file->can_punch);
	}
	return error == -EOPNOTSUPP ? 0 : error;
}

/* Starts reading ahead; what cannot be is no error. */
static int cache(struct file *file, const struct backend_io *io)
{
	uint32_t most = io->length < CACHE_MOST ? io->length : CACHE_MOST;
	uint32_t done;

	for (done = 0; done < most; done += CACHE_STEP)
		if (posix_fadvise(file->fd, (off_t)(io->offset + done),
				  most - done < CACHE_STEP ? most - done : CACHE_STEP,
				  POSIX_FADV_WILLNEED))
			break;
	return 0;
}

/* Serves a request by calls that may block. */
static int file_work(void *context, struct backend_io *io)
{
	struct file *file = context;

	switch (io->op) {
	case BACKEND_READ:
		return transfer(file, io, 0);
	case BACKEND_WRITE:
		return transfer(file, io, io->flags & BACKEND_FUA ? RWF_DSYNC : 0);
	case BACKEND_DISCARD:
		return discard(file, io);
	case BACKEND_WRITE_ZEROES:
		return zero(file, io);
	case BACKEND_FLUSH:
		return fdatasync(file->fd) < 0 ? -errno : 0;
	case BACKEND_EXTENTS:
		return holes_find(file->fd, io, NULL, 0);
	case BACKEND_CACHE:
		return cache(file, io);
	}
	return -EOPNOTSUPP;
}

/* Serves what needs no waiting. Returns true if the request is complete. */
static bool transfer_now(struct file *file, struct backend_io *io)
{
	_Atomic bool *nowait = io->op == BACKEND_READ ? &file->nowait_read : &file->nowait_write;
	int error;

	if (!atomic_load_explicit(nowait, memory_order_relaxed) || (io->flags & BACKEND_FUA))
		return false;
	error = transfer(file, io, RWF_NOWAIT);
	if (error == -EOPNOTSUPP)
		atomic_store_explicit(nowait, false, memory_order_relaxed);
	if (error)	/* whatever it is: the call that may wait finds out again */
		return false;
	io->done(io, 0);
	return true;
}

static void file_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct file_channel *c = (struct file_channel *)channel;
	struct file *file = file_from(channel->backend);
	bool is_transfer = io->op == BACKEND_READ || io->op == BACKEND_WRITE;

	io->backend_data = 0;
	if (!c->threads && io->op == BACKEND_EXTENTS)
		io->done(io, holes_find(file->fd, io, &c->seen, atomic_load(&file->holes_made)));
	else if (!c->threads)
		io->done(io, file_work(file, io));
	else if (is_transfer && transfer_now(file, io))
		return;
	else if (c->ring && (is_transfer || io->op == BACKEND_FLUSH))
		ring_submit(c->ring, io);
	else
		threads_submit(c->threads, io);
}

static void file_kick(struct backend_channel *channel)
{
	struct file_channel *c = (struct file_channel *)channel;

	if (c->ring)
		ring_kick(c->ring);
}

static void ring_refused(void *context, struct backend_io *io)
{
	struct file_channel *c = context;

	threads_submit(c->threads, io);
}

static void channel_eof(void *context, struct backend_io *io)
{
	struct file_channel *c = context;

	file_eof(file_from(c->channel.backend), io);
}

static void file_channel_close(struct backend_channel *channel)
{
	struct file_channel *c = (struct file_channel *)channel;

	ring_free(c->ring);	/* before the threads: it may hand them requests */
	threads_free(c->threads);
	free(c);
}

static int file_channel_open(struct backend *backend, struct loop *loop,
			     struct backend_channel **channel, struct error *error)
{
	struct file *file = file_from(backend);
	struct file_channel *c;
	int code;

	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(error, -ENOMEM, "out of memory");
	c->channel.backend = backend;
	if (!file->in_memory) {
		code = ring_new(loop, file->fd, ring_refused, channel_eof, c, &c->ring);
		if (code)
			log_info("%s: no io_uring (%s), threads do its work", backend->name,
				 strerror(-code));
		code = threads_new(loop, c->ring ? 1 : BLOCKING_THREADS, file_work, file,
				   &c->threads);
		if (code) {
			ring_free(c->ring);
			free(c);
			return error_set(error, code, "%s: cannot start threads: %s",
					 backend->name, strerror(-code));
		}
	}
	*channel = &c->channel;
	return 0;
}

/* A number of the disk's queue, for a partition its whole disk's; -1: unknown. */
static long long queue_attribute(dev_t device, const char *name)
{
	static const char *const places[] = { "", "../" };
	long long value = -1;
	char path[128];
	size_t i;
	FILE *in;

	for (i = 0; i < 2 && value < 0; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(device),
			 minor(device), places[i], name);
		in = fopen(path, "re");
		if (!in)
			continue;
		if (fscanf(in, "%lld", &value) != 1)
			value = -1;
		fclose(in);
	}
	return value;
}

static int block_device_look(struct file *file, const struct stat *stat, struct error *error)
{
	struct backend_info *info = &file->backend.info;
	int logical = 512, read_only = 0;
	unsigned int physical = 0;

	file->block_device = true;
	if (ioctl(file->fd, BLKGETSIZE64, &info->size) < 0)
		return error_set(error, -errno, "cannot read the device's size: %s",
				 strerror(errno));
	if (ioctl(file->fd, BLKROGET, &read_only) == 0 && read_only)
		info->read_only = true;
	/* The page cache takes any offset, but discards and zeroes are in the device's blocks. */
	if (ioctl(file->fd, BLKSSZGET, &logical) == 0)
		info->block_min = (uint32_t)logical;
	info->block_preferred = info->block_min > 4096 ? info->block_min : 4096;
	if (ioctl(file->fd, BLKPBSZGET, &physical) == 0 && physical > info->block_preferred)
		info->block_preferred = physical;
	info->rotational = queue_attribute(stat->st_rdev, "rotational") > 0;
	info->can_discard = !info->read_only &&
		queue_attribute(stat->st_rdev, "discard_max_bytes") > 0;
	info->can_fast_zero = !info->read_only &&
		queue_attribute(stat->st_rdev, "write_zeroes_max_bytes") > 0;
	return 0;
}

static void regular_file_look(struct file *file, const struct stat *stat)
{
	struct backend_info *info = &file->backend.info;
	struct statfs fs;

	info->size = (uint64_t)stat->st_size;
	info->block_min = 1;
	info->block_preferred = 4096;
	info->rotational = queue_attribute(stat->st_dev, "rotational") > 0;
	if (fstatfs(file->fd, &fs) == 0)
		file->in_memory = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
	/* A hole behind the end changes nothing and tells whether holes can be made. */
	info->can_discard = !info->read_only &&
		fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (stat->st_size + 4095) & ~(off_t)4095, 4096) == 0;
	atomic_store(&file->can_punch, info->can_discard);
	info->can_fast_zero = info->can_discard;
	info->can_extents = true;
}

static int file_lock(struct file *file, struct error *error)
{
	if (flock(file->fd, (file->backend.info.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return error_set(error, -EBUSY,
			"another process has locked it: it is in use, end that use first");
	return 0;	/* a file system without locks */
}

/* Sets file->fd and info.read_only. */
static int descriptor_open(struct file *file, const char *path, bool read_only,
			   struct error *error)
{
	struct stat stat_before;
	int flags = O_CLOEXEC;

	if (stat(path, &stat_before) < 0)
		return errno == ENOENT ?
			error_set(error, -ENOENT, "no such file: make one, as in truncate -s 1G %s",
				  path) :
			error_set(error, -errno, "%s", strerror(errno));
	if (!S_ISREG(stat_before.st_mode) && !S_ISBLK(stat_before.st_mode))
		return error_set(error, -EINVAL, "it is neither a regular file nor a block device");
	if (S_ISBLK(stat_before.st_mode))
		flags |= O_EXCL;	/* nobody has it mounted */
	file->fd = -1;
	if (!read_only) {
		file->fd = open(path, flags | O_RDWR);
		if (file->fd < 0 && errno != EACCES && errno != EPERM && errno != EROFS &&
		    errno != ETXTBSY)
			goto failed;
	}
	if (file->fd < 0) {
		if (!read_only)
			log_info("%s: not writable (%s), the region is read-only", path,
				 strerror(errno));
		file->backend.info.read_only = true;
		file->fd = open(path, (flags & ~O_EXCL) | O_RDONLY);
	}
	if (file->fd >= 0)
		return 0;
failed:
	if (errno == EBUSY)
		return error_set(error, -EBUSY, "the device is in use (mounted?): end that use first");
	return error_set(error, -errno, "cannot open it: %s", strerror(errno));
}

static int look(struct file *file, struct error *error)
{
	struct stat stat;
	int code;

	if (fstat(file->fd, &stat) < 0)
		return error_set(error, -errno, "%s", strerror(errno));
	if (S_ISBLK(stat.st_mode))
		return block_device_look(file, &stat, error);
	code = file_lock(file, error);
	if (!code)
		regular_file_look(file, &stat);
	return code;
}

/*
 * Splits "PATH?ro": the part behind the last '?' is options if all of it is options, and may be
 * empty, so that "PATH?" names any path. Returns the path, to be freed, or NULL: out of memory.
 */
static char *options_split(const char *rest, bool *read_only)
{
	const char *mark = strrchr(rest, '?');

	*read_only = mark && !strcmp(mark, "?ro");
	return mark && (*read_only || !mark[1]) ? strndup(rest, (size_t)(mark - rest)) :
						  strdup(rest);
}

static char *name_format(const char *path, bool read_only)
{
	char *real = realpath(path, NULL);	/* the same from every working directory */
	char *name = NULL;

	if (real && asprintf(&name, "file:%s%s", real,
			     read_only ? "?ro" : strchr(real, '?') ? "?" : "") < 0)
		name = NULL;
	free(real);
	return name;
}

static void file_close(struct backend *backend)
{
	struct file *file = file_from(backend);

	if (file->fd >= 0)
		close(file->fd);
	free(backend->name);
	free(file);
}

/* One that has no descriptor and no name yet; NULL: out of memory. */
static struct file *file_new(void)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->backend.ops = &backend_file;
	file->fd = -1;
	atomic_init(&file->nowait_read, true);
	atomic_init(&file->nowait_write, true);
	atomic_init(&file->can_punch, true);
	atomic_init(&file->can_zero_range, true);
	atomic_init(&file->eof_told, false);
	atomic_init(&file->holes_made, 0);
	return file;
}

static int file_open(const char *rest, struct backend **backend, struct error *error)
{
	struct file *file;
	bool read_only;
	char *path;
	int code;

	if (!*rest)
		return error_set(error, -EINVAL, "file: the path is missing: write file:PATH");
	path = options_split(rest, &read_only);
	file = file_new();
	if (!path || !file) {
		free(path);
		free(file);
		return error_set(error, -ENOMEM, "out of memory");
	}
	code = descriptor_open(file, path, read_only, error);
	if (!code)
		code = look(file, error);
	if (!code) {
		file->backend.name = name_format(path, read_only);
		if (!file->backend.name)
			code = error_set(error, -errno, "%s", strerror(errno));
	}
	free(path);
	if (code) {
		file_close(&file->backend);
		return error_prefix(error, "file:%s", rest);
	}
	file->backend.info.can_flush = !file->backend.info.read_only;
	file->backend.info.can_fua = true;
	file->backend.info.can_zeroes = !file->backend.info.read_only;
	file->backend.info.can_cache = !file->in_memory;
	file->backend.info.waits = !file->in_memory;
	*backend = &file->backend;
	return 0;
}

static struct file *file_descriptor_new(int fd, const struct stat *stat, char *name, bool read_only)
{
	struct file *file = file_new();

	if (!file)
		return NULL;
	file->fd = fd;
	file->backend.name = name;
	file->backend.info.read_only = read_only;
	regular_file_look(file, stat);
	return file;
}

struct backend *file_memory_new(int fd, const struct stat *stat, char *name)
{
	struct file *file = file_descriptor_new(fd, stat, name, false);

	if (!file)
		return NULL;
	file->in_memory = true;
	file->backend.info.can_zeroes = true;
	return &file->backend;
}

struct backend *file_reader_new(int fd, const struct stat *stat, char *name)
{
	struct file *file = file_descriptor_new(fd, stat, name, true);

	if (!file)
		return NULL;
	file->backend.info.can_cache = !file->in_memory;
	file->backend.info.waits = !file->in_memory;
	return &file->backend;
}

const struct backend_ops backend_file = {
	.scheme = "file",
	.synopsis = "file:PATH[?ro]",
	.help = "a regular file or block device of this machine; ?ro, or a file that cannot be "
		"written, makes the region read-only",
	.open = file_open,
	.close = file_close,
	.channel_open = file_channel_open,
	.channel_close = file_channel_close,
	.submit = file_submit,
	.kick = file_kick,
};
