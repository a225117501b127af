// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a mount by way of the kernel's NBD client tells of itself. See via_state.h.
 */
#include <unistd.h>

#include "chunk/synced.h"
#include "lib/json.h"
#include "mount/tell.h"
#include "mount/via_state.h"

/* The names are those of the module's counters. */
static bool add_counters(cJSON *object, const struct pipeline_facts *facts)
{
	const struct synced_counts *counts = facts->counts;
	const struct {
		unsigned int counter;
		uint64_t number;
	} list[] = {
		{ R3MAP_A_COUNTER_READS, counts->op[BACKEND_READ] },
		{ R3MAP_A_COUNTER_READ_BYTES, counts->bytes[BACKEND_READ] },
		{ R3MAP_A_COUNTER_WRITES, counts->op[BACKEND_WRITE] },
		{ R3MAP_A_COUNTER_WRITE_BYTES, counts->bytes[BACKEND_WRITE] },
		{ R3MAP_A_COUNTER_DISCARDS, counts->op[BACKEND_DISCARD] },
		{ R3MAP_A_COUNTER_ZEROES, counts->op[BACKEND_WRITE_ZEROES] },
		{ R3MAP_A_COUNTER_ERRORS, counts->errors },
		{ R3MAP_A_COUNTER_HITS, counts->hits },
		{ R3MAP_A_COUNTER_MISSES, counts->misses },
		{ R3MAP_A_COUNTER_DEMANDS, latency_count(&counts->demanded) },
		{ R3MAP_A_COUNTER_COALESCED, latency_count(&counts->coalesced) },
		{ R3MAP_A_COUNTER_FETCHES, counts->fetches },
		{ R3MAP_A_COUNTER_FETCH_BYTES, counts->fetch_bytes },
		{ R3MAP_A_COUNTER_FILL_BYTES, counts->fill_bytes },
		{ R3MAP_A_COUNTER_PUSH_BYTES, facts->push_bytes },
	};

	object = cJSON_AddObjectToObject(object, "counters");
	for (unsigned int i = 0; object && i < sizeof(list) / sizeof(list[0]); i++)
		if (!json_add_u64(object, device_counter_name(list[i].counter), list[i].number))
			return false;
	return object;
}

static bool add_latency(cJSON *object, const struct via *v, const struct synced_counts *counts)
{
	object = cJSON_AddObjectToObject(object, "latency");
	return object && tell_kind(object, "hits", &counts->hit) &&
	       tell_kind(object, "demands", &counts->demanded) &&
	       tell_kind(object, "coalesced", &counts->coalesced) &&
	       tell_latency(object, pipeline_managed(v->pipeline));
}

char *via_show(const struct via *v)
{
	cJSON *object = cJSON_CreateObject();
	struct pipeline_facts facts = { 0 };
	char *text = NULL;
	bool well;

	if (!object)
		return NULL;
	well = cJSON_AddStringToObject(object, "device", v->path) &&
	       cJSON_AddStringToObject(object, "via", "nbd") &&
	       cJSON_AddStringToObject(object, "backend", v->region->name) &&
	       json_add_u64(object, "size", v->device.size) &&
	       json_add_u64(object, "helper_pid", (uint64_t)getpid()) &&
	       json_add_u64(object, "connections", v->server.thread_count);
	if (well && v->pipeline) {
		pipeline_facts(v->pipeline, &facts);
		well = json_add_u64(object, "chunk", v->device.chunk) &&
		       cJSON_AddStringToObject(object, "flush", device_flush_name(v->device.flush)) &&
		       json_add_u64(object, "local", facts.local) &&
		       json_add_u64(object, "dirty", facts.dirty) &&
		       tell_pull(object, pipeline_managed(v->pipeline)) &&
		       tell_trouble(object, pipeline_managed(v->pipeline), &v->reach) &&
		       add_counters(object, &facts) && add_latency(object, v, facts.counts);
	}
	if (well)
		text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	return text;
}
