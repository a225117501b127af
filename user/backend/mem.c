// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mem:SIZE, a region in this process's own memory, and null:SIZE, a region that is not there.
 *
 * mem: is private anonymous memory, absent until it is written: a read of an absent page maps the
 * kernel's zero page and costs nothing, a discard gives the pages back. Memory is not reserved: a
 * region may be larger than the machine, as long as what is written fits. All of it is lost with
 * the process. Whoever locks memory must use MCL_ONFAULT, or every absent page becomes real. The
 * kernel does not tell which pages are absent, so a bit per page remembers it, behind the bytes.
 *
 * With a name it is something else, which shared.c has.
 *
 * null: answers everything at once and touches no data: what is written is dropped, what is read is
 * whatever the buffer held before. It measures the path to a backend, as ublk's null target does;
 * it is not a region of zeroes (mem: is).
 *
 * Neither ever waits, so every request completes within submit; any number of channels.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "extents.h"
#include "pages.h"
#include "schemes.h"
#include "shared.h"
#include "../lib/error.h"
#include "../lib/size.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24	/* Linux 5.18 */
#endif

struct mem_backend {
	struct backend backend;
	char *bytes;		/* NULL for null: */
	size_t mapped;		/* of bytes, whole pages */
	size_t page;
	struct pages written;	/* right behind, in the same mapping */
};

static struct mem_backend *mem_from(struct backend *backend)
{
	return (struct mem_backend *)backend;
}

static int region_new(const struct backend_ops *ops, const char *rest,
		      struct mem_backend **region, struct error *error)
{
	char text[SIZE_TEXT];
	struct mem_backend *r;
	uint64_t size;
	int code;

	code = size_parse(rest, &size, error);
	if (code)
		return error_prefix(error, "%s:%s", ops->scheme, rest);
	if (size == 0 || size > INT64_MAX)
		return error_set(error, -EINVAL,
				 "%s:%s: a region has at least 1 byte and less than 8E",
				 ops->scheme, rest);
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(error, -ENOMEM, "out of memory");
	r->backend.ops = ops;
	r->backend.info = (struct backend_info) {
		.size = size,
		.block_min = 1,
		.block_preferred = 4096,
		.can_discard = true,
		.can_zeroes = true,
		.can_fast_zero = true,
	};
	if (asprintf(&r->backend.name, "%s:%s", ops->scheme, size_format(size, text)) < 0) {
		free(r);
		return error_set(error, -ENOMEM, "out of memory");
	}
	*region = r;
	return 0;
}

static size_t region_bytes(const struct mem_backend *mem)
{
	return mem->mapped + pages_bytes(mem->mapped, mem->written.shift);
}

static int mem_open(const char *rest, struct backend **backend, struct error *error)
{
	struct mem_backend *mem;
	uint64_t size;
	int code;

	if (strchr(rest, '?'))
		return shared_open(rest, backend, error);
	code = region_new(&backend_mem, rest, &mem, error);
	if (code)
		return code;
	size = mem->backend.info.size;
	mem->page = (size_t)sysconf(_SC_PAGESIZE);
	mem->mapped = (size + mem->page - 1) & ~(mem->page - 1);
	mem->written.shift = (unsigned int)__builtin_ctzl(mem->page);
	mem->bytes = mmap(NULL, region_bytes(mem), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem->bytes == MAP_FAILED) {
		code = error_set(error, -ENOMEM,
			"mem:%s: no address space or memory for it (%s): choose a smaller size",
			rest, strerror(errno));
		free(mem->backend.name);
		free(mem);
		return code;
	}
	mem->written.words = (_Atomic uint64_t *)(mem->bytes + mem->mapped);
	mem->backend.info.can_extents = true;
	mem->backend.info.can_map_writes = true;
	madvise(mem->bytes, region_bytes(mem), MADV_DONTFORK);
	madvise(mem->bytes, region_bytes(mem), MADV_DONTDUMP);
	*backend = &mem->backend;
	return 0;
}

static int null_open(const char *rest, struct backend **backend, struct error *error)
{
	struct mem_backend *null;
	int code;

	code = region_new(&backend_null, rest, &null, error);
	if (!code)
		*backend = &null->backend;
	return code;
}

static void region_close(struct backend *backend)
{
	struct mem_backend *region = mem_from(backend);

	if (region->bytes)
		munmap(region->bytes, region_bytes(region));
	free(backend->name);
	free(region);
}

static int region_channel_open(struct backend *backend, struct loop *loop,
			       struct backend_channel **channel, struct error *error)
{
	struct backend_channel *c;

	(void)loop;
	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(error, -ENOMEM, "out of memory");
	c->backend = backend;
	*channel = c;
	return 0;
}

static void region_channel_close(struct backend_channel *channel)
{
	free(channel);
}

static void mem_fill(struct mem_backend *mem, uint64_t offset, uint64_t length)
{
	memset(mem->bytes + offset, 0, length);
	pages_mark(&mem->written, offset, length);
}

/*
 * Gives whole pages back and clears the rest by hand. Clearing an absent page makes it real, though
 * not marked, but at most two pages, at the edges, are cleared.
 */
static void mem_release(struct mem_backend *mem, uint64_t offset, uint64_t length)
{
	uint64_t mask = mem->page - 1;
	uint64_t end = offset + length;
	uint64_t first = (offset + mask) & ~mask;
	uint64_t last = end & ~mask;

	if (end == mem->backend.info.size)
		last = mem->mapped;	/* nobody sees what is behind the end */
	if (first >= last) {
		memset(mem->bytes + offset, 0, length);
		return;
	}
	memset(mem->bytes + offset, 0, first - offset);
	if (end > last)
		memset(mem->bytes + last, 0, end - last);
	pages_clear(&mem->written, first, last);
	if (madvise(mem->bytes + first, last - first, MADV_DONTNEED) < 0 &&
	    madvise(mem->bytes + first, last - first, MADV_DONTNEED_LOCKED) < 0)
		mem_fill(mem, first, last - first);
}

static void mem_extents(const struct mem_backend *mem, const struct backend_io *io)
{
	uint64_t end = io->offset + io->length;
	uint64_t at = io->offset;
	uint64_t length;
	bool written;

	do {
		length = pages_run(&mem->written, at, end, &written);
	} while (extents_add(io, &at, length,
			     written ? 0 : BACKEND_EXTENT_HOLE | BACKEND_EXTENT_ZERO));
}

static void mem_submit(struct backend_channel *channel, struct backend_io *io)
{
	struct mem_backend *mem = mem_from(channel->backend);

	switch (io->op) {
	case BACKEND_READ:
		memcpy(io->buf, mem->bytes + io->offset, io->length);
		break;
	case BACKEND_WRITE:
		if (io->buf != mem->bytes + io->offset)		/* else they are there */
			memcpy(mem->bytes + io->offset, io->buf, io->length);
		pages_mark(&mem->written, io->offset, io->length);
		break;
	case BACKEND_WRITE_ZEROES:
		if (io->flags & BACKEND_NO_UNMAP) {
			mem_fill(mem, io->offset, io->length);
			break;
		}
		/* fall through */
	case BACKEND_DISCARD:
		mem_release(mem, io->offset, io->length);
		break;
	case BACKEND_EXTENTS:
		mem_extents(mem, io);
		break;
	case BACKEND_FLUSH:
	case BACKEND_CACHE:
		break;
	}
	io->done(io, 0);
}

static void *mem_map(struct backend *backend, uint64_t offset, uint32_t length)
{
	(void)length;
	return mem_from(backend)->bytes + offset;
}

static void null_submit(struct backend_channel *channel, struct backend_io *io)
{
	(void)channel;
	io->done(io, 0);
}

const struct backend_ops backend_mem = {
	.scheme = "mem",
	.synopsis = "mem:SIZE[?name=NAME]",
	.help = "memory of the helper process itself, zeroes until it is written, lost when the "
		"helper ends; with a name, shared by all processes that give it and kept in "
		"/dev/shm/r3map-NAME until that is removed",
	.open = mem_open,
	.close = region_close,
	.channel_open = region_channel_open,
	.channel_close = region_channel_close,
	.submit = mem_submit,
	.map = mem_map,
};

const struct backend_ops backend_null = {
	.scheme = "null",
	.synopsis = "null:SIZE",
	.help = "for measuring: answers at once, drops what is written, reads give no particular data",
	.open = null_open,
	.close = region_close,
	.channel_open = region_channel_open,
	.channel_close = region_channel_close,
	.submit = null_submit,
};
