// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a helper tells. See helper.h.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/error.h"
#include "mount/door.h"
#include "show/helper.h"

#define ASK_TIMEOUT	10000	/* ms for a helper that is to tell about itself */

cJSON *helper_ask(const char *disk, struct error *error)
{
	cJSON *object;
	char *answer;

	if (door_ask_disk(disk, DOOR_SHOW, NULL, ASK_TIMEOUT, &answer, error))
		return NULL;
	object = cJSON_Parse(answer);
	free(answer);
	if (!cJSON_IsObject(object)) {
		error_set(error, -EBADMSG,
			  "what the helper of /dev/%s tells makes no sense: is it of another version?",
			  disk);
		cJSON_Delete(object);
		return NULL;
	}
	return object;
}

uint64_t helper_number(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 0x1p63 ?
		       (uint64_t)item->valuedouble : 0;
}

const char *helper_text(const cJSON *object, const char *name)
{
	const char *text =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

	return text ? text : "";
}
