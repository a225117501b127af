// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Words for the numbers of the uapi header, and a device as JSON. An unknown number, of a newer
 * module, becomes "unknown", never a crash.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "nl/attr.h"
#include "nl/device.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static const char *const state_names[] = {
	[R3MAP_STATE_NEW] = "NEW",
	[R3MAP_STATE_LIVE] = "LIVE",
	[R3MAP_STATE_PARKED] = "PARKED",
	[R3MAP_STATE_FAILED] = "FAILED",
	[R3MAP_STATE_DELETING] = "DELETING",
	[R3MAP_STATE_REMOVED] = "REMOVED",
};
_Static_assert(COUNT(state_names) == __R3MAP_STATE_MAX, "a name for each state");

static const char *const event_names[] = {
	[R3MAP_EVENT_CREATED] = "CREATED",
	[R3MAP_EVENT_READY] = "READY",
	[R3MAP_EVENT_ATTACHED] = "ATTACHED",
	[R3MAP_EVENT_PARKED] = "PARKED",
	[R3MAP_EVENT_FAILED] = "FAILED",
	[R3MAP_EVENT_CHANGED] = "CHANGED",
	[R3MAP_EVENT_DELETING] = "DELETING",
	[R3MAP_EVENT_REMOVED] = "REMOVED",
	[R3MAP_EVENT_SYNCED] = "SYNCED",
	[R3MAP_EVENT_FINALIZED] = "FINALIZED",
	[R3MAP_EVENT_RELEASED] = "RELEASED",
	[R3MAP_EVENT_RETIRED] = "RETIRED",
	[R3MAP_EVENT_TROUBLE] = "TROUBLE",
	[R3MAP_EVENT_RECOVERED] = "RECOVERED",
};
_Static_assert(COUNT(event_names) == __R3MAP_EVENT_MAX, "a name for each event");

static const char *const transport_names[] = {
	[R3MAP_TRANSPORT_SHARED] = "shared",
	[R3MAP_TRANSPORT_INLINE] = "inline",
};
_Static_assert(COUNT(transport_names) == __R3MAP_TRANSPORT_MAX, "a name for each transport");

static const char *const flush_names[] = {
	[R3MAP_FLUSH_LOCAL] = "local",
	[R3MAP_FLUSH_DURABLE] = "local-durable",
	[R3MAP_FLUSH_REMOTE] = "remote",
};
_Static_assert(COUNT(flush_names) == __R3MAP_FLUSH_MAX, "a name for each meaning of FLUSH");

static const char *const hold_names[] = {
	[R3MAP_HOLD_NONE] = "none",
	[R3MAP_HOLD_ALL] = "all",
	[R3MAP_HOLD_WRITES] = "writes",
	[R3MAP_HOLD_REFUSED] = "refused",
};
_Static_assert(COUNT(hold_names) == __R3MAP_HOLD_MAX, "a name for each hold");

static const char *const wrong_names[] = {
	[R3MAP_WRONG_SERVER] = "server",
	[R3MAP_WRONG_PULL] = "pull",
	[R3MAP_WRONG_PUSH] = "push",
};
_Static_assert(COUNT(wrong_names) == __R3MAP_WRONG_MAX, "a name for all that may be wrong");

static const char *const flag_names[] = {
	"read-only", "write-cache", "discard", "write-zeroes", "rotational", "no-part-scan",
	"held",
};
_Static_assert((1U << COUNT(flag_names)) - 1 == R3MAP_DEVICE_FLAGS_ALL, "a name for each flag");

static const char *const counter_names[] = {
	[R3MAP_A_COUNTER_READS] = "reads",
	[R3MAP_A_COUNTER_READ_BYTES] = "read_bytes",
	[R3MAP_A_COUNTER_WRITES] = "writes",
	[R3MAP_A_COUNTER_WRITE_BYTES] = "write_bytes",
	[R3MAP_A_COUNTER_FLUSHES] = "flushes",
	[R3MAP_A_COUNTER_DISCARDS] = "discards",
	[R3MAP_A_COUNTER_ZEROES] = "zeroes",
	[R3MAP_A_COUNTER_ERRORS] = "errors",
	[R3MAP_A_COUNTER_TIMEOUTS] = "timeouts",
	[R3MAP_A_COUNTER_PARKED] = "parked",
	[R3MAP_A_COUNTER_REISSUED] = "reissued",
	[R3MAP_A_COUNTER_REFUSED] = "refused",
	[R3MAP_A_COUNTER_REQUEST_MESSAGES] = "request_messages",
	[R3MAP_A_COUNTER_COMPLETE_MESSAGES] = "complete_messages",
	[R3MAP_A_COUNTER_DELAYED] = "delayed",
	[R3MAP_A_COUNTER_WOULD_BLOCK] = "would_block",
	[R3MAP_A_COUNTER_HITS] = "hits",
	[R3MAP_A_COUNTER_MISSES] = "misses",
	[R3MAP_A_COUNTER_FETCHES] = "fetches",
	[R3MAP_A_COUNTER_FETCH_BYTES] = "fetch_bytes",
	[R3MAP_A_COUNTER_FILL_BYTES] = "fill_bytes",
	[R3MAP_A_COUNTER_PUSH_BYTES] = "push_bytes",
	[R3MAP_A_COUNTER_DEMANDS] = "demands",
	[R3MAP_A_COUNTER_COALESCED] = "coalesced",
	[R3MAP_A_COUNTER_LENT] = "lent",
};
_Static_assert(COUNT(counter_names) == __R3MAP_A_COUNTER_MAX, "a name for each counter");

static const char *name_of(const char *const *names, size_t count, uint32_t number)
{
	return number < count && names[number] ? names[number] : "unknown";
}

const char *device_state_name(uint32_t state)
{
	return name_of(state_names, COUNT(state_names), state);
}

const char *device_event_name(uint32_t event)
{
	return name_of(event_names, COUNT(event_names), event);
}

const char *device_transport_name(uint32_t transport)
{
	return name_of(transport_names, COUNT(transport_names), transport);
}

const char *device_flush_name(uint32_t flush)
{
	return name_of(flush_names, COUNT(flush_names), flush);
}

const char *device_hold_name(uint32_t hold)
{
	return name_of(hold_names, COUNT(hold_names), hold);
}

const char *device_wrong_name(uint32_t wrong)
{
	return name_of(wrong_names, COUNT(wrong_names), wrong);
}

uint32_t device_flush_find(const char *name)
{
	for (uint32_t i = 0; i < COUNT(flush_names); i++)
		if (flush_names[i] && !strcmp(flush_names[i], name))
			return i;
	return R3MAP_FLUSH_UNSPEC;
}

const char *device_flag_name(unsigned int bit)
{
	return bit < COUNT(flag_names) ? flag_names[bit] : NULL;
}

const char *device_counter_name(unsigned int counter)
{
	return counter < COUNT(counter_names) ? counter_names[counter] : NULL;
}

uint32_t device_event_find(const char *name)
{
	for (uint32_t i = 0; i < COUNT(event_names); i++)
		if (event_names[i] && !strcasecmp(event_names[i], name))
			return i;
	return 0;
}

static bool json_flags(cJSON *object, uint32_t flags)
{
	cJSON *array = cJSON_AddArrayToObject(object, "flags");

	if (!array)
		return false;
	for (unsigned int i = 0; device_flag_name(i); i++)
		if ((flags & (1U << i)) &&
		    !cJSON_AddItemToArray(array, cJSON_CreateString(device_flag_name(i))))
			return false;
	return true;
}

static bool json_counters(cJSON *object, const uint64_t *counters)
{
	cJSON *nest = cJSON_AddObjectToObject(object, "counters");

	if (!nest)
		return false;
	for (unsigned int i = 0; i < COUNT(counter_names); i++)
		if (counter_names[i] && !json_add_u64(nest, counter_names[i], counters[i]))
			return false;
	return true;
}

static bool json_troubles(cJSON *object, const struct device *device)
{
	cJSON *array = cJSON_AddArrayToObject(object, "troubles");

	for (uint32_t i = 0; array && i < device->troubles_count; i++) {
		const struct r3map_trouble *trouble = &device->troubles[i];
		cJSON *item = cJSON_CreateObject();

		if (!cJSON_AddItemToArray(array, item) ||
		    !cJSON_AddStringToObject(item, "what", device_wrong_name(trouble->wrong)) ||
		    !cJSON_AddStringToObject(item, "error", strerror((int)trouble->error)) ||
		    !json_add_u64(item, "since", trouble->since))
			return false;
	}
	return array;
}

static bool json_attr(cJSON *object, int attr, const struct device *device)
{
	const struct device_attr *a = &device_attrs[attr];
	const void *field = (const char *)device + a->offset;

	switch (attr) {
	case R3MAP_A_DEVICE_STATE:
		return cJSON_AddStringToObject(object, "state", device_state_name(device->state));
	case R3MAP_A_DEVICE_EVENT:
		return cJSON_AddStringToObject(object, "event", device_event_name(device->event));
	case R3MAP_A_DEVICE_TRANSPORT:
		return cJSON_AddStringToObject(object, "transport",
					       device_transport_name(device->transport));
	case R3MAP_A_DEVICE_FLUSH:
		return cJSON_AddStringToObject(object, "flush", device_flush_name(device->flush));
	case R3MAP_A_DEVICE_HOLD:
		return cJSON_AddStringToObject(object, "hold", device_hold_name(device->hold));
	case R3MAP_A_DEVICE_FLAGS:
		return json_flags(object, device->flags);
	}
	switch (a->kind) {
	case DEVICE_U32:
		return json_add_u64(object, a->name, *(const uint32_t *)field);
	case DEVICE_U64:
		return json_add_u64(object, a->name, *(const uint64_t *)field);
	case DEVICE_STRING:
		return cJSON_AddStringToObject(object, a->name, field);
	case DEVICE_COUNTERS:
		return json_counters(object, device->counters);
	case DEVICE_TROUBLES:
		return json_troubles(object, device);
	default:
		return true;
	}
}

cJSON *device_json(const struct device *device)
{
	cJSON *object = cJSON_CreateObject();
	char path[32];

	if (!object)
		return NULL;
	snprintf(path, sizeof(path), "/dev/r3map%" PRIu32, device->index);
	if (!cJSON_AddStringToObject(object, "device", path))
		goto fail;
	for (int i = 0; i <= R3MAP_A_DEVICE_MAX; i++)
		if ((device->present & (1ULL << i)) && !json_attr(object, i, device))
			goto fail;
	return object;

fail:
	cJSON_Delete(object);
	return NULL;
}
