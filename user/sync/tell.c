// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What has come. See tell.h.
 */
#include <stdio.h>
#include <string.h>

#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/text.h"
#include "sync/region.h"
#include "sync/tell.h"

/* Text of others, for a line of output. Returns @clean. */
static char *name_clean(const char *name, char clean[SYNC_NAME_MAX + 1])
{
	strcpy(clean, name);
	text_clean(clean);
	return clean;
}

void tell_committed(const struct region *region, const unsigned char root[SYNC_ROOT],
		    const char *peer, bool as_json)
{
	char text[2 * SYNC_ROOT + 1], clean[SYNC_NAME_MAX + 1];
	cJSON *json;

	if (!as_json) {
		printf("%s  %s\n", hash_text(root, text), name_clean(region->name, clean));
		fflush(stdout);
		return;
	}
	json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "name", name_clean(region->name, clean));
	json_add_u64(json, "size", region->size);
	cJSON_AddStringToObject(json, "root", hash_text(root, text));
	cJSON_AddStringToObject(json, "from", peer);
	json_print(json, true);
}

void tell_removed(const char *address, const char *name, const struct error *error)
{
	char clean[SYNC_NAME_MAX + 1];

	if (error->code)
		log_warn("%s: %s", address, error->text);
	else
		log_info("%s: '%s' is gone", address, name_clean(name, clean));
}
