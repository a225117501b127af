// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a leecher tells people and programs. See leech.h.
 */
#include <cjson/cJSON.h>
#include <stdio.h>

#include "backend/backend.h"
#include "lib/json.h"
#include "migrate/leech_state.h"
#include "mount/managed.h"

static const char *const phase_names[] = {
	[LEECH_PULLING] = "pulling",
	[LEECH_FOLLOWING] = "following",
	[LEECH_FINALIZING] = "finalizing",
	[LEECH_PREPARED] = "prepared",
	[LEECH_ARRIVING] = "arriving",
	[LEECH_COMPLETE] = "complete",
	[LEECH_LOST] = "lost",
	[LEECH_FAILED] = "failed",
};

/* How long the application stood still, all in all, as far as somebody here or at the seeder has stopped it. */
static uint64_t times_stopped(const struct leech_times *t)
{
	return t->suspend || t->resume ?
	       t->suspend + t->freeze + t->downtime - t->first + t->resume : 0;
}

void leech_summary(struct leech *l, char *text, unsigned int size)
{
	const struct leech_times *t = &l->times;
	char stood[100] = "";

	pthread_mutex_lock(&l->lock);
	if (times_stopped(t))
		snprintf(stood, sizeof(stood), "; the application stood still for %.2f ms, %.2f of it to stop",
			 (double)times_stopped(t) / MS, (double)t->suspend / MS);
	snprintf(text, size,
		 "stopped for %.2f ms (%.2f to write back and freeze before, %.2f for writes on their way, %.2f to list, %.2f network, %.2f to take over, %.2f first I/O)%s",
		 (double)t->downtime / MS, (double)t->freeze / MS, (double)t->drain / MS,
		 (double)t->list / MS, (double)(t->network + t->receive) / MS,
		 (double)t->apply / MS, (double)t->first / MS, stood);
	pthread_mutex_unlock(&l->lock);
}

static bool times_tell(cJSON *object, const struct leech_times *t)
{
	cJSON *times = cJSON_AddObjectToObject(object, "downtime");

	return times && json_add_u64(times, "ns", t->downtime) &&
	       json_add_u64(times, "suspend_ns", t->suspend) &&
	       json_add_u64(times, "freeze_ns", t->freeze) &&
	       json_add_u64(times, "drain_ns", t->drain) && json_add_u64(times, "list_ns", t->list) &&
	       json_add_u64(times, "network_ns", t->network) &&
	       json_add_u64(times, "receive_ns", t->receive) &&
	       json_add_u64(times, "apply_ns", t->apply) && json_add_u64(times, "first_io_ns", t->first) &&
	       json_add_u64(times, "resume_ns", t->resume) &&
	       json_add_u64(times, "stopped_ns", times_stopped(t));
}

bool leech_tell(cJSON *object, struct leech *l)
{
	cJSON *one = cJSON_AddObjectToObject(object, "migration");
	bool fine;

	if (!one)
		return false;
	pthread_mutex_lock(&l->lock);
	fine = cJSON_AddStringToObject(one, "phase", phase_names[l->phase]) &&
	       json_add_u64(one, "round", l->round) && json_add_u64(one, "dirty", l->dirty) &&
	       json_add_u64(one, "received", atomic_load(&l->link.received) +
			    atomic_load(&l->managed->backend->received)) &&
	       json_add_u64(one, "rtt_ns", l->rtt) && json_add_u64(one, "expected_ns", l->expected);
	if (fine && (l->phase == LEECH_LOST || l->phase == LEECH_FAILED) && l->outcome.code)
		fine = cJSON_AddStringToObject(one, "error", l->outcome.text);
	if (fine && l->options->group)
		fine = cJSON_AddStringToObject(one, "group", l->options->group);
	if (fine && l->times.downtime)
		fine = times_tell(one, &l->times);
	pthread_mutex_unlock(&l->lock);
	return fine;
}
