// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What cJSON lacks, see json.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/json.h"

bool json_add_u64(cJSON *object, const char *name, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	return cJSON_AddRawToObject(object, name, digits);
}

int json_print(cJSON *json, bool line)
{
	char *text = json ? (line ? cJSON_PrintUnformatted(json) : cJSON_Print(json)) : NULL;
	int err = 0;

	cJSON_Delete(json);
	if (!text)
		return -ENOMEM;
	if (puts(text) == EOF || fflush(stdout) == EOF)
		err = errno ? -errno : -EIO;
	cJSON_free(text);
	return err;
}
