// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A migration in words. See migration.h.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/size.h"
#include "show/helper.h"
#include "show/latency.h"
#include "show/migration.h"

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
	const char *phase = helper_text(migration, "phase"), *words = phase;
	char a[LATENCY_TIME], b[SIZE_TEXT];

	for (unsigned int i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
		if (!strcmp(phases[i].phase, phase))
			words = phases[i].words;
	printf("  migration    %s\n", words);
	if (*helper_text(migration, "error"))
		printf("  reason       %s\n", helper_text(migration, "error"));
	if (*helper_text(migration, "group"))
		printf("  group        %s\n", helper_text(migration, "group"));
	if (stop) {
		printf("  stopped      for %s", latency_time(helper_number(stop, "ns"), a));
		printf("; before that %s to write back and freeze\n",
		       latency_time(helper_number(stop, "freeze_ns"), a));
		if (helper_number(stop, "stopped_ns"))
			printf("  application  stood still for %s in all\n",
			       latency_time(helper_number(stop, "stopped_ns"), a));
	} else if (helper_number(migration, "round")) {
		printf("  rounds       %" PRIu64 ", %s written in the last; a stop of %s is expected\n",
		       helper_number(migration, "round"), size_format(helper_number(migration, "dirty"), b),
		       latency_time(helper_number(migration, "expected_ns"), a));
	}
}

static void leecher_print(const cJSON *leecher, uint64_t size)
{
	const uint64_t local = helper_number(leecher, "local");
	char a[SIZE_TEXT];

	printf("  leecher      %s; %s of it there, round %" PRIu64 "\n", helper_text(leecher, "state"),
	       local >= size ? "all" : size_format(local, a), helper_number(leecher, "round"));
}

void migration_print(const cJSON *helper, uint64_t size)
{
	const cJSON *migration = cJSON_GetObjectItemCaseSensitive(helper, "migration"), *leecher;

	if (migration)
		leech_print(migration);
	cJSON_ArrayForEach(leecher, cJSON_GetObjectItemCaseSensitive(helper, "leechers"))
		leecher_print(leecher, size);
}
