// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A migration in words. See migration.h.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/size.h"
#include "show/latency.h"
#include "show/migration.h"

static uint64_t number_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 0x1p63 ?
		       (uint64_t)item->valuedouble : 0;
}

static const char *text_of(const cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

	return text ? text : "";
}

static void leech_print(const cJSON *migration)
{
	static const struct { const char *phase, *words; } phases[] = {
		{ "pulling", "the region is being pulled; it is in use at its seeder" },
		{ "following", "the region is here; what is written at its seeder follows" },
		{ "finalizing", "what was written at its seeder is brought to rest" },
		{ "prepared", "at rest at its seeder; the others of its group are waited for" },
		{ "arriving", "in use here; what was written last is still coming" },
		{ "complete", "in use here, all of it" },
		{ "lost", "its region has gone to another leecher: remove this device" },
		{ "failed", "it has failed: see the helper's log" },
	};
	const cJSON *stop = cJSON_GetObjectItemCaseSensitive(migration, "downtime");
	const char *phase = text_of(migration, "phase"), *words = phase;
	char a[LATENCY_TIME], b[SIZE_TEXT];

	for (unsigned int i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
		if (!strcmp(phases[i].phase, phase))
			words = phases[i].words;
	printf("  migration    %s\n", words);
	if (stop) {
		printf("  stopped      for %s", latency_time(number_of(stop, "ns"), a));
		printf("; before that %s to write back and freeze\n",
		       latency_time(number_of(stop, "freeze_ns"), a));
	} else if (number_of(migration, "round")) {
		printf("  rounds       %" PRIu64 ", %s written in the last; a stop of %s is expected\n",
		       number_of(migration, "round"), size_format(number_of(migration, "dirty"), b),
		       latency_time(number_of(migration, "expected_ns"), a));
	}
}

static void leecher_print(const cJSON *leecher, uint64_t size)
{
	const uint64_t local = number_of(leecher, "local");
	char a[SIZE_TEXT];

	printf("  leecher      %s; %s of it there, round %" PRIu64 "\n", text_of(leecher, "state"),
	       local >= size ? "all" : size_format(local, a), number_of(leecher, "round"));
}

void migration_print(const cJSON *helper, uint64_t size)
{
	const cJSON *migration = cJSON_GetObjectItemCaseSensitive(helper, "migration"), *leecher;

	if (migration)
		leech_print(migration);
	cJSON_ArrayForEach(leecher, cJSON_GetObjectItemCaseSensitive(helper, "leechers"))
		leecher_print(leecher, size);
}
