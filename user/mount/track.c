// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is written to a device, for others. See track.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "lib/rights.h"
#include "mount/door.h"
#include "mount/track.h"
#include "nl/device.h"
#include "nl/epoch.h"

#define MS		1000000ull	/* ns */
#define LINE_BYTES	512u
#define TIMEOUT		5000u		/* ms that a helper may take for an answer */
#define SEALS		(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static size_t words_of(uint64_t size, uint32_t grain)
{
	const uint64_t each = 64ull * grain;

	return (size_t)(size / each + (size % each != 0));
}

/* --- the helper's side -------------------------------------------------------------------- */

struct tracker {
	struct loop_source source;
	struct tracker *next;
	struct trackers *all;
	struct epoch epoch;
	int memory;
	uint64_t *word;			/* NULL: no epoch is open */
	size_t words;
};

static void tracker_free(struct tracker *tracker)
{
	struct tracker **at = &tracker->all->first;

	while (*at != tracker)
		at = &(*at)->next;
	*at = tracker->next;
	if (tracker->epoch.number)
		epoch_close(&tracker->epoch, NULL);	/* it fails if the device is no more */
	if (tracker->word)
		munmap(tracker->word, tracker->words * sizeof(*tracker->word));
	if (tracker->memory >= 0)
		close(tracker->memory);
	loop_remove(tracker->all->loop, &tracker->source);
	close(tracker->source.fd);
	free(tracker);
}

/* One line; false: it does not fit, so nobody reads there, or they are gone. */
static bool tracker_say(struct tracker *tracker, const struct error *error, const char *text,
			const int *memory)
{
	char line[LINE_BYTES];
	int length = snprintf(line, sizeof(line), "%d%s%.400s\n", -error->code,
			      error->code || *text ? " " : "", error->code ? error->text : text);

	return !rights_send(tracker->source.fd, line, (size_t)length, memory, memory ? 1 : 0);
}

/* What the other end has, too: neither of them can make it smaller under the other one. */
static int memory_new(struct tracker *tracker, struct error *error)
{
	const size_t bytes = tracker->words * sizeof(*tracker->word);
	void *map;

	tracker->memory = memfd_create("r3map-track", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (tracker->memory < 0 || ftruncate(tracker->memory, (off_t)bytes) < 0 ||
	    fcntl(tracker->memory, F_ADD_SEALS, SEALS) < 0)
		return error_set(error, -errno, "cannot make memory to share: %s", strerror(errno));
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, tracker->memory, 0);
	if (map == MAP_FAILED)
		return error_set(error, -errno, "cannot map memory to share: %s", strerror(errno));
	tracker->word = map;
	return 0;
}

static void tracker_ready(struct loop_source *source, uint32_t events)
{
	struct tracker *tracker = (struct tracker *)source;	/* its first member */
	struct error error = { 0 };
	ssize_t got;
	char order;

	(void)events;
	got = read(source->fd, &order, sizeof(order));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0)
		epoch_take(&tracker->epoch, tracker->word, tracker->words, &error);
	if (got <= 0 || !tracker_say(tracker, &error, "", NULL) || error.code)
		tracker_free(tracker);
}

void tracker_new(struct trackers *trackers, int fd)
{
	const struct device *device = trackers->device;
	struct tracker *tracker = calloc(1, sizeof(*tracker));
	struct error error = { 0 };
	char facts[64] = "";

	if (!tracker) {
		close(fd);
		return;
	}
	*tracker = (struct tracker) {
		.source = { .fd = fd, .ready = tracker_ready }, .all = trackers, .memory = -1,
		.next = trackers->first,
		.epoch = { trackers->control, device->index, device->generation, device->size, 0, 0 },
	};
	trackers->first = tracker;
	if (!epoch_open(&tracker->epoch, &error)) {
		tracker->words = words_of(device->size, tracker->epoch.grain);
		memory_new(tracker, &error);
		snprintf(facts, sizeof(facts), "%" PRIu64 " %" PRIu32, device->size, tracker->epoch.grain);
	}
	if (!error.code && loop_add(trackers->loop, &tracker->source, EPOLLIN))
		error_set(&error, -ENOMEM, "out of memory");
	if (!tracker_say(tracker, &error, facts, error.code ? NULL : &tracker->memory) || error.code)
		tracker_free(tracker);
}

void trackers_close(struct trackers *trackers)
{
	while (trackers->first)
		tracker_free(trackers->first);
}

/* --- the other side ----------------------------------------------------------------------- */

/* "r3map0" of the device that @fd is. */
static int disk_name(int fd, char *name, size_t size, struct error *error)
{
	char path[64], target[256];
	struct stat status;
	const char *last;
	uint32_t index;
	ssize_t length;

	if (fstat(fd, &status) < 0)
		return error_set(error, -errno, "cannot look at it: %s", strerror(errno));
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(status.st_rdev),
		 minor(status.st_rdev));
	length = S_ISBLK(status.st_mode) ? readlink(path, target, sizeof(target) - 1) : 0;
	target[length > 0 ? length : 0] = '\0';
	last = strrchr(target, '/');
	if (!last || strncmp(last + 1, "r3map", 5) || device_index(last + 1, &index, NULL))
		return error_set(error, -EOPNOTSUPP, "it is no device of r3map, so nobody tells what is written to it");
	snprintf(name, size, "r3map%" PRIu32, index);
	return 0;
}

/* One line, and what comes with it: *@memory, or -1. */
static int line_hear(int fd, char line[LINE_BYTES], int *memory, struct error *error)
{
	const uint64_t deadline = loop_now() + TIMEOUT * MS;
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	unsigned int count;
	ssize_t got = 0;
	size_t used = 0;
	long code;
	char *rest;

	*memory = -1;
	while (!used || line[used - 1] != '\n') {
		uint64_t now = loop_now();
		int ready = poll(&pollfd, 1, now < deadline ? (int)((deadline - now) / MS + 1) : 0);

		if (!ready)
			return error_set(error, -ETIMEDOUT, "the device's helper does not answer");
		got = rights_receive(fd, line + used, LINE_BYTES - 1 - used, *memory < 0 ? memory : NULL,
				     *memory < 0, &count);
		if (got == -EAGAIN)
			continue;
		if (got <= 0)
			return error_set(error, got ? (int)got : -EPIPE, "the device's helper has ended");
		used += (size_t)got;
	}
	line[used - 1] = '\0';
	code = strtol(line, &rest, 10);
	memmove(line, rest + (*rest == ' '), strlen(rest + (*rest == ' ')) + 1);
	return code ? error_set(error, code > 0 && code < 4096 ? -(int)code : -EPROTO, "%s", line) : 0;
}

/* What the helper has said, held against what is there. */
static int memory_map(struct track *track, const char *line, int memory, struct error *error)
{
	struct dirty *dirty = &track->dirty;
	struct stat status;
	void *map;

	if (sscanf(line, "%" SCNu64 " %" SCNu32, &dirty->size, &dirty->grain) != 2 || !dirty->size ||
	    !dirty->grain || dirty->grain & (dirty->grain - 1) || fstat(memory, &status) < 0)
		return error_set(error, -EPROTO, "the device's helper answers what makes no sense: is it another version?");
	dirty->words = words_of(dirty->size, dirty->grain);
	if ((uint64_t)status.st_size < dirty->words * sizeof(*dirty->word))
		return error_set(error, -EPROTO, "the device's helper shares too little memory");
	map = mmap(NULL, dirty->words * sizeof(*dirty->word), PROT_READ, MAP_SHARED, memory, 0);
	if (map == MAP_FAILED)
		return error_set(error, -errno, "cannot map what is shared: %s", strerror(errno));
	dirty->word = map;
	return 0;
}

int track_open(int device, struct track **made, struct error *error)
{
	struct track *track = calloc(1, sizeof(*track));
	char disk[32], line[LINE_BYTES];
	int memory = -1, code;

	if (!track)
		return error_set(error, -ENOMEM, "out of memory");
	track->fd = -1;
	track->all = true;
	code = disk_name(device, disk, sizeof(disk), error);
	if (!code)
		code = door_call(disk, DOOR_TRACK, NULL, &track->fd, error);
	if (!code)
		code = line_hear(track->fd, line, &memory, error);
	if (!code)
		code = memory_map(track, line, memory, error);
	if (memory >= 0)
		close(memory);
	if (code)
		track_close(track);
	else
		*made = track;
	return code;
}

static void cache_drop(const struct dirty *dirty, int device)
{
	uint64_t at = 0, end;

	while (at < dirty->size) {
		end = dirty_turn(dirty, at, dirty->size);
		if (dirty_any(dirty, at, 1))
			posix_fadvise(device, (off_t)at, (off_t)(end - at), POSIX_FADV_DONTNEED);
		at = end;
	}
}

int track_take(struct track *track, int device, struct error *error)
{
	char line[LINE_BYTES];
	int memory, code;

	if (sync_file_range(device, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			    SYNC_FILE_RANGE_WAIT_AFTER) < 0)
		return error_set(error, -errno, "cannot write back what is cached of it: %s",
				 strerror(errno));
	if (send(track->fd, "t", 1, MSG_NOSIGNAL) != 1)
		return error_set(error, -EPIPE, "the device's helper has ended");
	code = line_hear(track->fd, line, &memory, error);
	if (memory >= 0)
		close(memory);
	if (!code)
		cache_drop(&track->dirty, device);
	return code;
}

void track_close(struct track *track)
{
	if (!track)
		return;
	if (track->dirty.word)
		munmap(track->dirty.word, track->dirty.words * sizeof(*track->dirty.word));
	if (track->fd >= 0)
		close(track->fd);
	free(track);
}
