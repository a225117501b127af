// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * DEVICE_* commands and the one table of a device's attributes, see device.h.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/error.h"
#include "lib/size.h"
#include "nl/attr.h"
#include "nl/control.h"
#include "nl/device.h"

_Static_assert(R3MAP_A_DEVICE_MAX < 64, "struct device has a bit for each attribute");

#define ATTR(attr, kind, member) \
	[R3MAP_A_DEVICE_##attr] = { #member, DEVICE_##kind, offsetof(struct device, member) }

const struct device_attr device_attrs[__R3MAP_A_DEVICE_MAX] = {
	ATTR(INDEX, U32, index),
	ATTR(GENERATION, U64, generation),
	ATTR(STATE, U32, state),
	ATTR(STATE_TIME, U64, state_time),
	ATTR(EVENT, U32, event),
	ATTR(TIME, U64, time),
	ATTR(SIZE, U64, size),
	ATTR(FLAGS, U32, flags),
	ATTR(LOGICAL_BLOCK, U32, logical_block),
	ATTR(PHYSICAL_BLOCK, U32, physical_block),
	ATTR(IO_MIN, U32, io_min),
	ATTR(IO_OPT, U32, io_opt),
	ATTR(MAX_IO, U32, max_io),
	ATTR(MAX_DISCARD, U32, max_discard),
	ATTR(MAX_ZEROES, U32, max_zeroes),
	ATTR(DISCARD_GRANULARITY, U32, discard_granularity),
	ATTR(QUEUES, U32, queues),
	ATTR(DEPTH, U32, depth),
	ATTR(TRANSPORT, U32, transport),
	ATTR(TIMEOUT, U32, timeout),
	ATTR(PARK, U32, park),
	ATTR(PARK_LEFT, U32, park_left),
	ATTR(BACKEND, STRING, backend),
	ATTR(FORCE, FLAG, force),
	ATTR(HELPER_PID, U32, helper_pid),
	ATTR(OPENERS, U32, openers),
	ATTR(IN_FLIGHT, U32, in_flight),
	ATTR(WAITING, U32, waiting),
	ATTR(AREA, U64, area),
	ATTR(MEMORY, U64, memory),
	ATTR(COUNTERS, COUNTERS, counters),
	ATTR(CHUNK, U32, chunk),
	ATTR(STORE, U32, store),
	ATTR(FLUSH, U32, flush),
	ATTR(LOCAL, U64, local),
	ATTR(DIRTY, U64, dirty),
	ATTR(SYNC, U64, sync),
	ATTR(ERRNO, U32, sync_errno),
	ATTR(MAP, U32, map),
	ATTR(MAP_REGION, U64, map_region),
	ATTR(DEADLINE, U32, deadline),
	ATTR(HOLD_TIME, U32, hold_time),
	ATTR(HOLD, U32, hold),
	ATTR(HELD, U32, held),
	ATTR(EPOCHS, U32, epochs),
	ATTR(FREEZE_TIME, U64, freeze_time),
	ATTR(DRAIN_TIME, U64, drain_time),
	ATTR(HELD_SINCE, U64, held_since),
	ATTR(FIRST_IO, U64, first_io),
	ATTR(THROTTLE, U64, throttle),
	ATTR(THROTTLED, U32, throttled),
	ATTR(TROUBLES, TROUBLES, troubles),
};

static int device_put(struct nl_msg *msg, int attr, const struct device *device)
{
	const struct device_attr *a = &device_attrs[attr];
	const void *field = (const char *)device + a->offset;

	switch (a->kind) {
	case DEVICE_U32:
		return nla_put_u32(msg, attr, *(const uint32_t *)field);
	case DEVICE_U64:
		return nla_put_u64(msg, attr, *(const uint64_t *)field);
	case DEVICE_STRING:
		return nla_put_string(msg, attr, field);
	case DEVICE_FLAG:
		return *(const bool *)field ? nla_put_flag(msg, attr) : 0;
	case DEVICE_TROUBLES:
		return nla_put(msg, attr, (int)(device->troubles_count * sizeof(device->troubles[0])),
			       device->troubles);
	default:
		return 0;
	}
}

static int device_parse_counters(struct nlattr *nest, uint64_t *counters)
{
	struct nlattr *attrs[__R3MAP_A_COUNTER_MAX];

	if (nla_parse_nested(attrs, R3MAP_A_COUNTER_MAX, nest, NULL))
		return -EBADMSG;
	for (int i = R3MAP_A_COUNTER_PAD + 1; i <= R3MAP_A_COUNTER_MAX; i++) {
		if (!attrs[i])
			continue;
		if (nla_len(attrs[i]) != sizeof(uint64_t))
			return -EBADMSG;
		counters[i] = nla_get_u64(attrs[i]);
	}
	return 0;
}

static int device_parse_troubles(struct nlattr *attr, struct device *device)
{
	size_t length = (size_t)nla_len(attr);

	if (length > sizeof(device->troubles) || length % sizeof(device->troubles[0]))
		return -EBADMSG;
	memcpy(device->troubles, nla_data(attr), length);
	device->troubles_count = (uint32_t)(length / sizeof(device->troubles[0]));
	return 0;
}

int device_parse(struct nlattr **attrs, struct device *device)
{
	memset(device, 0, sizeof(*device));
	for (int i = 0; i <= R3MAP_A_DEVICE_MAX; i++) {
		const struct device_attr *a = &device_attrs[i];
		void *field = (char *)device + a->offset;

		if (!attrs[i] || a->kind == DEVICE_NONE)
			continue;
		switch (a->kind) {
		case DEVICE_U32:
			if (nla_len(attrs[i]) != sizeof(uint32_t))
				return -EBADMSG;
			*(uint32_t *)field = nla_get_u32(attrs[i]);
			break;
		case DEVICE_U64:
			if (nla_len(attrs[i]) != sizeof(uint64_t))
				return -EBADMSG;
			*(uint64_t *)field = nla_get_u64(attrs[i]);
			break;
		case DEVICE_STRING:
			nla_strlcpy(field, attrs[i], sizeof(device->backend));
			break;
		case DEVICE_FLAG:
			*(bool *)field = true;
			break;
		case DEVICE_COUNTERS:
			if (device_parse_counters(attrs[i], field))
				return -EBADMSG;
			break;
		case DEVICE_TROUBLES:
			if (device_parse_troubles(attrs[i], device))
				return -EBADMSG;
			break;
		default:
			break;
		}
		device->present |= 1ULL << i;
	}
	return 0;
}

static int device_reply(struct nlattr **attrs, void *data)
{
	return device_parse(attrs, data);
}

int device_request(struct control *control, int cmd, const struct device *in, struct device *out,
		   struct error *error)
{
	struct nl_msg *msg = control_message(control, cmd, 0);

	if (!msg)
		return error_set(error, -ENOMEM, "out of memory");
	for (int i = 0; i <= R3MAP_A_DEVICE_MAX; i++) {
		if ((in->present & (1ULL << i)) && device_put(msg, i, in)) {
			nlmsg_free(msg);
			return error_set(error, -EMSGSIZE, "the parameters do not fit one message");
		}
	}
	return control_request(control, msg, R3MAP_A_DEVICE_MAX, out ? device_reply : NULL, out,
			       error);
}

int device_get(struct control *control, uint32_t index, struct device *device,
	       struct error *error)
{
	struct device in = { .present = DEVICE_HAS(INDEX), .index = index };
	int err;

	memset(device, 0, sizeof(*device));
	err = device_request(control, R3MAP_CMD_DEVICE_GET, &in, device, error);
	if (err == -ENODEV || err == -ENOENT)
		return error_set(error, -ENODEV,
				 "there is no device r3map%u: see 'r3map list'", index);
	if (!err && !(device->present & DEVICE_HAS(GENERATION)))
		return error_set(error, -EBADMSG, "the module's answer has no generation: module and program do not fit");
	return err;
}

struct device_array {
	struct device *devices;
	unsigned int count, room;
};

static int device_array_add(struct nlattr **attrs, void *data)
{
	struct device_array *array = data;
	struct device *bigger;

	if (array->count == array->room) {
		array->room = array->room ? array->room * 2 : 16;
		bigger = reallocarray(array->devices, array->room, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		array->devices = bigger;
	}
	return device_parse(attrs, &array->devices[array->count++]);
}

static int device_compare(const void *a, const void *b)
{
	const struct device *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

int device_list(struct control *control, struct device **devices, unsigned int *count,
		struct error *error)
{
	struct nl_msg *msg = control_message(control, R3MAP_CMD_DEVICE_GET, NLM_F_DUMP);
	struct device_array array = { 0 };
	int err;

	if (!msg)
		return error_set(error, -ENOMEM, "out of memory");
	err = control_request(control, msg, R3MAP_A_DEVICE_MAX, device_array_add, &array, error);
	if (err) {
		free(array.devices);
		return err;
	}
	if (array.count)
		qsort(array.devices, array.count, sizeof(*array.devices), device_compare);
	*devices = array.devices;
	*count = array.count;
	return 0;
}

int device_index(const char *text, uint32_t *index, struct error *error)
{
	const char *digits = text;
	uint64_t number;

	if (!strncmp(digits, "/dev/r3map", 10))
		digits += 10;
	else if (!strncmp(digits, "r3map", 5))
		digits += 5;
	if (number_parse(digits, 0, INT32_MAX, &number, NULL))
		return error_set(error, -EINVAL,
				 "'%s' names no r3map device: give /dev/r3mapN, r3mapN or N", text);
	*index = (uint32_t)number;
	return 0;
}
