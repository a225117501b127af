/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device as the module describes it, and the commands on one. The same struct goes both ways:
 * `present` has a bit for each attribute that is in it. One table in device.c says where each
 * attribute lives, so that building, parsing and printing cannot disagree.
 */
#ifndef R3MAP_NL_DEVICE_H
#define R3MAP_NL_DEVICE_H

#include <linux/r3map.h>
#include <stdbool.h>
#include <stdint.h>

struct control;
struct error;
struct nlattr;
struct cJSON;

#define DEVICE_HAS(attr)	(1ULL << R3MAP_A_DEVICE_##attr)

struct device {
	uint64_t present;	/* DEVICE_HAS() of what is filled in */
	uint32_t index;
	uint64_t generation;
	uint32_t state;		/* enum r3map_state */
	uint64_t state_time;	/* CLOCK_MONOTONIC ns */
	uint32_t event;		/* enum r3map_event */
	uint64_t time;		/* CLOCK_MONOTONIC ns */
	uint64_t size;		/* bytes */
	uint32_t flags;		/* R3MAP_DEVICE_* */
	uint32_t logical_block, physical_block, io_min, io_opt;	/* bytes */
	uint32_t max_io, max_discard, max_zeroes, discard_granularity; /* bytes */
	uint32_t queues, depth;
	uint32_t transport;	/* enum r3map_transport */
	uint32_t timeout, park, park_left;	/* ms */
	char backend[R3MAP_MAX_BACKEND];
	bool force;
	uint32_t helper_pid, openers, in_flight, waiting;
	uint64_t area, memory;	/* bytes */
	uint32_t chunk;		/* bytes; managed devices, and so the next ones */
	uint32_t store;		/* descriptor */
	uint32_t map;		/* descriptor */
	uint64_t map_region;	/* bytes */
	uint32_t flush;		/* enum r3map_flush */
	uint64_t local, dirty;	/* bytes */
	uint64_t sync;		/* number of a DEVICE_SYNC */
	uint32_t sync_errno;	/* or of a DEVICE_FINALIZE */
	uint32_t deadline, hold_time;	/* ms, of a DEVICE_FINALIZE */
	uint32_t hold;		/* enum r3map_hold */
	uint32_t held;		/* bios */
	uint32_t epochs;
	uint64_t freeze_time, drain_time; /* ns */
	uint64_t held_since, first_io;	/* CLOCK_MONOTONIC ns */
	uint64_t throttle;	/* bytes a second, 0: none */
	uint32_t throttled;	/* bios */
	struct r3map_trouble troubles[R3MAP_WRONG_MAX];
	uint32_t troubles_count;
	uint64_t counters[__R3MAP_A_COUNTER_MAX];
};

const char *device_state_name(uint32_t state);		/* "LIVE" */
const char *device_event_name(uint32_t event);		/* "READY" */
const char *device_transport_name(uint32_t transport);	/* "shared" */
const char *device_flush_name(uint32_t flush);		/* "remote" */
const char *device_hold_name(uint32_t hold);		/* "writes" */
const char *device_wrong_name(uint32_t wrong);		/* "push" */
/* The meaning of a flush called @name, or 0. */
uint32_t device_flush_find(const char *name);
/* Name of flag bit @bit, "read-only", NULL beyond the last. */
const char *device_flag_name(unsigned int bit);
/* Name of counter R3MAP_A_COUNTER_*, "read_bytes", NULL if there is none. */
const char *device_counter_name(unsigned int counter);
/* The event called @name, or 0. */
uint32_t device_event_find(const char *name);

/*
 * Sends command @cmd with everything that is in @in, and fills in *@out (may be NULL) from the
 * reply. Returns 0 or a negative errno with the kernel's sentence in @error.
 */
int device_request(struct control *control, int cmd, const struct device *in, struct device *out,
		   struct error *error);
/* DEVICE_GET of one index; -ENODEV if there is none. */
int device_get(struct control *control, uint32_t index, struct device *device,
	       struct error *error);
/*
 * All devices, by rising index. *@devices is the caller's to free(). Returns 0 or a negative errno.
 */
int device_list(struct control *control, struct device **devices, unsigned int *count,
		struct error *error);

/* Fills in @device from parsed attributes. 0 or -EBADMSG. */
int device_parse(struct nlattr **attrs, struct device *device);

/* "/dev/r3map3", "r3map3" or "3" to 3. 0 or -EINVAL with a sentence. */
int device_index(const char *text, uint32_t *index, struct error *error);

/* Everything that is present, as a JSON object; the caller owns it. NULL: out of memory. */
struct cJSON *device_json(const struct device *device);

#endif
