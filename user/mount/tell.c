// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A helper's words about pull and push. See tell.h.
 */
#include <errno.h>
#include <string.h>

#include "lib/error.h"
#include "lib/json.h"
#include "lib/latency.h"
#include "lib/loop.h"
#include "lib/size.h"
#include "mount/managed.h"
#include "mount/tell.h"
#include "mount/trouble.h"

#define MS	1000000ULL	/* ns */

bool tell_pull(cJSON *object, const struct managed *managed)
{
	uint64_t since = atomic_load(&managed->pull_paused);

	if (!managed->options->pull_workers)
		return cJSON_AddStringToObject(object, "pull", "off");
	if (!cJSON_AddStringToObject(object, "pull", since ? "paused" : "running") ||
	    !json_add_u64(object, "pull_rate", atomic_load(&managed->pull_rate)) ||
	    !json_add_u64(object, "ahead_bytes", atomic_load(&managed->ahead.bytes)) ||
	    !json_add_u64(object, "ahead_used", atomic_load(&managed->ahead.used)))
		return false;
	return !since || json_add_u64(object, "pull_paused_ms", (loop_now() - since) / MS);
}

static bool since_tell(cJSON *object, const char *key, uint64_t since)
{
	uint64_t now = loop_now();

	return json_add_u64(object, key, now > since ? (now - since) / MS : 0);
}

static bool failure_tell(cJSON *object, const char *key, const char *key_since, const struct trouble *trouble)
{
	uint64_t since = atomic_load(&trouble->since);

	return !since || (cJSON_AddStringToObject(object, key, strerror(-atomic_load(&trouble->code))) &&
			  since_tell(object, key_since, since));
}

bool tell_trouble(cJSON *object, const struct managed *managed, const struct reach *reach)
{
	uint64_t lost = atomic_load(&reach->trouble.since);

	return (!lost || since_tell(object, "server_lost_ms", lost)) &&
	       failure_tell(object, "pull_error", "pull_error_ms", &managed->pull_trouble) &&
	       failure_tell(object, "push_error", "push_error_ms", &managed->push_trouble);
}

bool tell_kind(cJSON *latency, const char *kind, const struct latency *noted)
{
	struct latency_view view;

	latency_look(noted, &view);
	return !view.count || cJSON_AddItemToObject(latency, kind, latency_json(&view));
}

bool tell_latency(cJSON *latency, const struct managed *managed)
{
	return tell_kind(latency, "pulls", &managed->pulls) &&
	       tell_kind(latency, "pushes", &managed->pushes);
}

void tell_shown(struct door *door, char *json)
{
	door_answer(door, DOOR_SHOW, json ? 0 : -ENOMEM, json ? json : "out of memory");
	cJSON_free(json);
}

int tell_change(struct managed *managed, enum door_word word, const char *argument,
		struct error *error)
{
	uint64_t rate;

	if (!managed->options->pull_workers)
		return error_set(error, -EOPNOTSUPP,
				 "nothing is pulled: the device was mounted with --pull-workers 0");
	if (word == DOOR_RATE) {
		if (number_parse(argument, 0, INT64_MAX, &rate, error))
			return error->code;
		managed_rate(managed, rate);
		return 0;
	}
	if (strcmp(argument, "pause") && strcmp(argument, "run"))
		return error_set(error, -EINVAL, "the helper does not know 'pull %s': is it of another version?",
				 argument);
	managed_pause(managed, !strcmp(argument, "pause"));
	return 0;
}
