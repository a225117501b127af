// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From options and backend to the parameters of a device, see parameters.h. The kernel checks
 * ranges by itself; what is checked here is what the kernel cannot know: the backend.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "mount: "
#include "backend/backend.h"
#include "lib/error.h"
#include "lib/log.h"
#include "mount/mount.h"
#include "mount/parameters.h"
#include "nl/device.h"

#define QUEUES_AUTO	8		/* more do not help a single device */
#define MAX_IO_SHARED	(1U << 20)	/* bytes, the module's defaults */
#define MAX_IO_INLINE	(128U << 10)
/*
 * The default area in largest requests, and at least in bytes: as much as is to be under way while a
 * network answers. A backend that never waits has only one message at a time to work on, one that
 * is near answers before as much is asked for; and making the area present is a part of the time to
 * attach, 0.6 ms for each 2 MiB (virtual time).
 */
#define AREA_REQUESTS(far)	((far) ? 4 : 2)
#define AREA_AUTO(far)		((far) ? 4ULL << 20 : 2ULL << 20)
#define BLOCK_MIN	512U
#define BLOCK_MAX	4096U
#define CHUNK_AUTO	(4U << 10)	/* bytes: a page, so that writing one needs no fetch */
#define CHUNKS_AUTO	(16U << 20)	/* chunks: 10 MiB of tables in the kernel */
#define PHYSICAL_AUTO	4096U		/* the module's default */
/*
 * The kernel reads ahead twice this much. Its own 128 KiB leave a reader waiting where each read is a round trip.
 */
#define IO_OPT_AUTO	(128U << 10)

#define PUT(device, attr, member, value) \
	((device)->present |= DEVICE_HAS(attr), (device)->member = (value))

static uint32_t parameters_queues(const struct mount_options *options,
				  const struct backend_info *info)
{
	long queues = sysconf(_SC_NPROCESSORS_ONLN);

	if (options->queues != MOUNT_AUTO)
		return options->queues;
	/*
	 * Each has a connection of its own, which is made behind the first one and takes as many round trips again. Only
	 * what is not local needs one, and the pull knows of what is asked for beside it on its own one only.
	 */
	if (options->managed && info->waits && !info->near)
		return 1;
	if (queues > QUEUES_AUTO)
		queues = QUEUES_AUTO;
	if (info->channels_max && queues > (long)info->channels_max)
		queues = (long)info->channels_max;
	/* One is for who reads the region from elsewhere. */
	if (options->seed && !options->leech && info->channels_max && queues == (long)info->channels_max && queues > 1)
		queues--;
	return queues > 0 ? (uint32_t)queues : 1;
}

static int parameters_blocks(const struct mount_options *options, const struct backend *backend,
			     struct device *device, struct error *error)
{
	const struct backend_info *info = &backend->info;
	uint32_t logical = options->logical_block;
	uint32_t physical = options->physical_block == MOUNT_AUTO ? PHYSICAL_AUTO :
			    options->physical_block;

	if (logical == MOUNT_AUTO)
		logical = info->block_min > BLOCK_MIN ? info->block_min : BLOCK_MIN;
	if (info->block_min > BLOCK_MAX)
		return error_set(error, -EINVAL,
				 "%s needs blocks of %" PRIu32 " bytes: a device has at most %u",
				 backend->name, info->block_min, BLOCK_MAX);
	if (logical < info->block_min || logical > BLOCK_MAX)
		return error_set(error, -EINVAL,
				 "blocks of %" PRIu32 " bytes do not fit %s, which needs multiples of %" PRIu32 ": give --block-size %" PRIu32 " to %u",
				 logical, backend->name, info->block_min,
				 info->block_min > BLOCK_MIN ? info->block_min : BLOCK_MIN, BLOCK_MAX);
	PUT(device, LOGICAL_BLOCK, logical_block, logical);
	if (options->physical_block != MOUNT_AUTO)
		PUT(device, PHYSICAL_BLOCK, physical_block, options->physical_block);
	if (options->io_min != MOUNT_AUTO)
		PUT(device, IO_MIN, io_min, options->io_min);
	if (options->io_opt != MOUNT_AUTO)
		PUT(device, IO_OPT, io_opt, options->io_opt);
	else if (info->block_preferred > BLOCK_MAX && !(info->block_preferred % physical))
		PUT(device, IO_OPT, io_opt, info->block_preferred);
	else if (info->waits && !options->managed && !(IO_OPT_AUTO % physical))
		PUT(device, IO_OPT, io_opt, IO_OPT_AUTO);
	return 0;
}

static int parameters_max_io(const struct mount_options *options, const struct backend *backend,
			     struct device *device, struct error *error)
{
	const struct backend_info *info = &backend->info;
	const uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
	uint32_t max = options->max_io;

	if (info->max_io && info->max_io < page)
		return error_set(error, -EINVAL,
				 "%s takes no more than %" PRIu32 " bytes at once, and a device needs %" PRIu32 ": let its server take more",
				 backend->name, info->max_io, page);
	if (max == MOUNT_AUTO) {
		max = options->transport == MOUNT_INLINE ? MAX_IO_INLINE : MAX_IO_SHARED;
		if (info->max_io && max > info->max_io)
			max = info->max_io / page * page;
	} else if (info->max_io && max > info->max_io) {
		return error_set(error, -EINVAL,
				 "%s takes no more than %" PRIu32 " bytes at once: give a smaller --max-io",
				 backend->name, info->max_io);
	}
	PUT(device, MAX_IO, max_io, max);
	if (options->max_discard != MOUNT_AUTO) {
		PUT(device, MAX_DISCARD, max_discard, options->max_discard);
		PUT(device, MAX_ZEROES, max_zeroes, options->max_discard);
	}
	return 0;
}

static uint32_t parameters_flags(const struct mount_options *options,
				 const struct backend_info *info)
{
	bool read_only = options->read_only || info->read_only;

	return (read_only ? R3MAP_DEVICE_READ_ONLY : 0) |
	       (info->can_flush ? R3MAP_DEVICE_WRITE_CACHE : 0) |
	       (info->can_discard && !read_only ? R3MAP_DEVICE_DISCARD : 0) |
	       (info->can_zeroes && !read_only ? R3MAP_DEVICE_WRITE_ZEROES : 0) |
	       (info->rotational ? R3MAP_DEVICE_ROTATIONAL : 0) |
	       (options->part_scan ? 0 : R3MAP_DEVICE_NO_PART_SCAN);
}

static int parameters_name(const struct backend *backend, struct device *device,
			   struct error *error)
{
	if (strlen(backend->name) >= sizeof(device->backend))
		return error_set(error, -ENAMETOOLONG, "the backend's name is too long: %zu bytes, %zu are possible",
				 strlen(backend->name), sizeof(device->backend) - 1);
	snprintf(device->backend, sizeof(device->backend), "%s", backend->name);
	device->present |= DEVICE_HAS(BACKEND);
	return 0;
}

int parameters_new(const struct mount_options *options, const struct backend *backend,
		   struct device *device, struct error *error)
{
	const struct backend_info *info = &backend->info;
	uint64_t size;
	int err;

	memset(device, 0, sizeof(*device));
	err = parameters_blocks(options, backend, device, error);
	if (!err)
		err = parameters_max_io(options, backend, device, error);
	if (!err)
		err = parameters_name(backend, device, error);
	if (err)
		return err;
	size = info->size / device->logical_block * device->logical_block;
	if (!size)
		return error_set(error, -EINVAL, "%s is smaller than one block of %" PRIu32 " bytes",
				 backend->name, device->logical_block);
	if (size != info->size)
		log_warn("%s ends with %" PRIu64 " bytes that are no whole block: they cannot be reached",
			 backend->name, info->size - size);
	PUT(device, SIZE, size, size);
	PUT(device, FLAGS, flags, parameters_flags(options, info));
	PUT(device, QUEUES, queues, parameters_queues(options, info));
	PUT(device, DEPTH, depth, options->depth);
	PUT(device, TRANSPORT, transport, options->transport == MOUNT_INLINE ?
	    R3MAP_TRANSPORT_INLINE : R3MAP_TRANSPORT_SHARED);
	PUT(device, TIMEOUT, timeout, options->timeout);
	PUT(device, PARK, park, options->on_death == MOUNT_FAIL ? 0 : options->park);
	if (options->index != MOUNT_AUTO)
		PUT(device, INDEX, index, options->index);
	return 0;
}

int parameters_recoverable(const struct device *device, struct error *error)
{
	if (device->state == R3MAP_STATE_PARKED || device->state == R3MAP_STATE_FAILED)
		return 0;
	return error_set(error, -EBUSY,
			 "/dev/r3map%" PRIu32 " is %s, its helper is process %" PRIu32 ": only a device whose helper is gone can be taken over",
			 device->index, device_state_name(device->state), device->helper_pid);
}

int parameters_attach(const struct mount_options *options, const struct backend *backend,
		      struct device *device, struct error *error)
{
	const struct backend_info *info = &backend->info;
	int err;

	if (info->size < device->size)
		return error_set(error, -EINVAL,
				 "%s has %" PRIu64 " bytes, /dev/r3map%" PRIu32 " has %" PRIu64 ": this is not what it was mounted from",
				 backend->name, info->size, device->index, device->size);
	/* Nothing is written to a leecher's. */
	if (info->read_only && !(device->flags & R3MAP_DEVICE_READ_ONLY) && !options->leech)
		return error_set(error, -EROFS,
				 "%s is read-only, /dev/r3map%" PRIu32 " is not: this is not what it was mounted from",
				 backend->name, device->index);
	if (info->block_min > device->logical_block)
		return error_set(error, -EINVAL,
				 "%s needs blocks of %" PRIu32 " bytes, /dev/r3map%" PRIu32 " has %" PRIu32,
				 backend->name, info->block_min, device->index,
				 device->logical_block);
	if (info->max_io && info->max_io < device->max_io)
		return error_set(error, -EINVAL,
				 "%s takes no more than %" PRIu32 " bytes at once, /dev/r3map%" PRIu32 " sends up to %" PRIu32,
				 backend->name, info->max_io, device->index, device->max_io);
	if (info->max_io && info->max_io < device->chunk)
		return error_set(error, -EINVAL,
				 "%s takes no more than %" PRIu32 " bytes at once, the chunks of /dev/r3map%" PRIu32 " have %" PRIu32,
				 backend->name, info->max_io, device->index, device->chunk);
	err = parameters_name(backend, device, error);
	if (err)
		return err;
	device->present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION) | DEVICE_HAS(SIZE) |
			  DEVICE_HAS(BACKEND);
	if (options->force)
		PUT(device, FORCE, force, true);
	return 0;
}

/* A page, or more where the region is so large that the chunk map would not be small. */
static uint32_t parameters_chunk(uint64_t size)
{
	uint32_t chunk = CHUNK_AUTO;

	while (chunk < R3MAP_MAX_CHUNK && size / chunk > CHUNKS_AUTO)
		chunk *= 2;
	return chunk;
}

int parameters_managed(const struct mount_options *options, const struct backend *backend,
		       uint32_t found, struct device *device, struct error *error)
{
	const struct backend_info *info = &backend->info;
	uint32_t chunk = options->chunk;

	if (found && chunk != MOUNT_AUTO && chunk != found)
		return error_set(error, -EINVAL,
				 "%s has chunks of %" PRIu32 " bytes: leave out --chunk-size",
				 options->store, found);
	if (found) {
		chunk = found;
	} else if (chunk == MOUNT_AUTO) {
		chunk = parameters_chunk(device->size);
		while (info->max_io && chunk > info->max_io)
			chunk /= 2;
	}
	if ((chunk & (chunk - 1)) || chunk < R3MAP_MIN_CHUNK)
		return error_set(error, -EINVAL,
				 "a chunk of %" PRIu32 " bytes is not possible: --chunk-size is a power of two from 4K to 16M",
				 chunk);
	if (info->max_io && chunk > info->max_io)
		return error_set(error, -EINVAL,
				 "%s gives no more than %" PRIu32 " bytes at once: give a smaller --chunk-size",
				 backend->name, info->max_io);
	PUT(device, CHUNK, chunk, chunk);
	PUT(device, FLUSH, flush, options->flush + R3MAP_FLUSH_LOCAL);
	/* What the store can do, whatever the backend can. */
	device->flags &= ~(R3MAP_DEVICE_WRITE_CACHE | R3MAP_DEVICE_ROTATIONAL);
	if (options->flush != MOUNT_FLUSH_LOCAL)
		device->flags |= R3MAP_DEVICE_WRITE_CACHE;
	if (!(device->flags & R3MAP_DEVICE_READ_ONLY))
		device->flags |= R3MAP_DEVICE_DISCARD | R3MAP_DEVICE_WRITE_ZEROES;
	return 0;
}

size_t parameters_area(const struct mount_options *options, const struct device *device,
		       const struct backend *backend)
{
	const bool far = backend->info.waits && !backend->info.near;
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t area = options->area;

	if (device->transport == R3MAP_TRANSPORT_INLINE || device->chunk)
		return 0;
	if (area == MOUNT_AUTO) {
		area = (uint64_t)AREA_REQUESTS(far) * device->max_io;
		if (area < AREA_AUTO(far))
			area = AREA_AUTO(far);
	}
	return (size_t)((area + page - 1) / page * page);
}
