// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map features: what the loaded module offers.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/r3map.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/size.h"
#include "nl/control.h"

struct features_options {
	bool json;
};

static const struct features_options features_defaults = { .json = false };

static const struct opt features_opts[] = {
	OPT_JSON(features_options),
	{ OPT_END },
};

static const struct { uint64_t bit; const char *name; } feature_names[] = {
	{ R3MAP_FEATURE_SHARED, "shared" },
	{ R3MAP_FEATURE_INLINE, "inline" },
	{ R3MAP_FEATURE_RECOVER, "recover" },
	{ R3MAP_FEATURE_RESIZE, "resize" },
	{ R3MAP_FEATURE_MANAGED, "managed" },
	{ R3MAP_FEATURE_MIGRATE, "migrate" },
};
#define FEATURES	(sizeof(feature_names) / sizeof(feature_names[0]))

static int features_json(const struct features *f)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *array = cJSON_AddArrayToObject(json, "features");
	bool fine = json && array;

	for (size_t i = 0; fine && i < FEATURES; i++)
		if (f->features & feature_names[i].bit)
			fine = cJSON_AddItemToArray(array, cJSON_CreateString(feature_names[i].name));
	fine = fine && cJSON_AddStringToObject(json, "program", program_version) &&
	       cJSON_AddStringToObject(json, "version", f->version) &&
	       json_add_u64(json, "max_queues", f->max_queues) &&
	       json_add_u64(json, "max_depth", f->max_depth) &&
	       json_add_u64(json, "max_io", f->max_io) &&
	       json_add_u64(json, "max_io_inline", f->max_io_inline) &&
	       json_add_u64(json, "max_area", f->max_area) &&
	       json_add_u64(json, "max_batch", f->max_batch);
	if (!fine) {
		cJSON_Delete(json);
		json = NULL;
	}
	return json_print(json, false);
}

static int features_text(const struct features *f)
{
	char text[SIZE_TEXT];

	printf("module         %s\nprogram        %s\nfeatures      ", f->version, program_version);
	for (size_t i = 0; i < FEATURES; i++)
		if (f->features & feature_names[i].bit)
			printf(" %s", feature_names[i].name);
	printf("\nmax-queues     %" PRIu32 "\nmax-depth      %" PRIu32 "\n", f->max_queues,
	       f->max_depth);
	printf("max-io         %s\n", size_format(f->max_io, text));
	printf("max-io-inline  %s\n", size_format(f->max_io_inline, text));
	printf("max-area       %s\n", size_format(f->max_area, text));
	printf("max-batch      %" PRIu32 "\n", f->max_batch);
	return fflush(stdout) == EOF ? -errno : 0;
}

static int features_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct features_options *options = settings;
	struct control *control;
	struct features features;
	int err;

	(void)argc;
	(void)argv;
	err = control_open(&control, error);
	if (err)
		return err;
	err = control_features(control, &features, error);
	control_close(control);
	if (err)
		return err;
	return options->json ? features_json(&features) : features_text(&features);
}

const struct command command_features = {
	.name = "features",
	.arguments = "[OPTION]...",
	.summary = "Show what the loaded module offers",
	.options = features_opts,
	.defaults = &features_defaults,
	.settings_size = sizeof(features_defaults),
	.args_min = 0,
	.args_max = 0,
	.run = features_run,
};
