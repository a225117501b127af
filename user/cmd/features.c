// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map features: what the loaded module offers, and what this kernel has of userfaultfd, which
 * needs no module.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/r3map.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/size.h"
#include "nl/control.h"
#include "uffd/kernel.h"

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

/* Of userfaultfd; without it, @error says why. */
struct faults {
	bool there;
	enum uffd_way way;
	uint64_t features;	/* UFFD_FEATURE_* */
	bool scan;		/* PAGEMAP_SCAN */
	uint64_t huge;		/* bytes of a huge page, 0: none */
	uint64_t huge_free;	/* pages */
	struct error error;
};

static void faults_look(struct faults *faults)
{
	*faults = (struct faults) { .scan = uffd_can_scan() };
	faults->huge = uffd_huge(&faults->huge_free);
	faults->there = !uffd_probe(&faults->features, &faults->way, &faults->error);
}

/* NULL: no memory. */
static cJSON *faults_json(const struct faults *faults)
{
	cJSON *json = cJSON_CreateObject(), *array;
	const char *name;
	uint64_t bit;
	bool fine = json && cJSON_AddBoolToObject(json, "available", faults->there);

	if (fine && !faults->there) {
		fine = cJSON_AddStringToObject(json, "error", faults->error.text);
	} else if (fine) {
		array = cJSON_AddArrayToObject(json, "features");
		fine = array && cJSON_AddStringToObject(json, "way", uffd_way_name(faults->way)) &&
		       cJSON_AddBoolToObject(json, "pagemap_scan", faults->scan) &&
		       json_add_u64(json, "huge_page", faults->huge) &&
		       json_add_u64(json, "huge_pages_free", faults->huge_free);
		for (unsigned int i = 0; fine && (name = uffd_feature_name(i, &bit)); i++)
			if (faults->features & bit)
				fine = cJSON_AddItemToArray(array, cJSON_CreateString(name));
	}
	if (fine)
		return json;
	cJSON_Delete(json);
	return NULL;
}

static bool module_json(cJSON *json, const struct features *f)
{
	cJSON *array = cJSON_AddArrayToObject(json, "features");
	bool fine = array;

	for (size_t i = 0; fine && i < FEATURES; i++)
		if (f->features & feature_names[i].bit)
			fine = cJSON_AddItemToArray(array,
						    cJSON_CreateString(feature_names[i].name));
	return fine && cJSON_AddStringToObject(json, "version", f->version) &&
	       json_add_u64(json, "max_queues", f->max_queues) &&
	       json_add_u64(json, "max_depth", f->max_depth) &&
	       json_add_u64(json, "max_io", f->max_io) &&
	       json_add_u64(json, "max_io_inline", f->max_io_inline) &&
	       json_add_u64(json, "max_area", f->max_area) &&
	       json_add_u64(json, "max_batch", f->max_batch);
}

/* @f: NULL: there is no module. */
static int features_json(const struct features *f, const struct faults *faults)
{
	cJSON *json = cJSON_CreateObject(), *more = faults_json(faults);
	bool fine = json && more && cJSON_AddStringToObject(json, "program", program_version) &&
		    (!f || module_json(json, f)) && cJSON_AddItemToObject(json, "userfaultfd", more);

	if (!fine) {
		cJSON_Delete(json);
		json = NULL;
	}
	return json_print(json, false);
}

static void faults_text(const struct faults *faults)
{
	char text[SIZE_TEXT];
	const char *name;
	uint64_t bit;

	if (!faults->there) {
		printf("userfaultfd    no: %s\n", faults->error.text);
		return;
	}
	printf("userfaultfd    %s", uffd_way_name(faults->way));
	for (unsigned int i = 0; (name = uffd_feature_name(i, &bit)); i++)
		printf(" %s%s", faults->features & bit ? "" : "no-", name);
	printf(" %spagemap-scan\n", faults->scan ? "" : "no-");
	if (faults->huge)
		printf("huge-pages     %" PRIu64 " free of %s\n", faults->huge_free,
		       size_format(faults->huge, text));
	else
		printf("huge-pages     none\n");
}

static void module_text(const struct features *f)
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
}

static int features_text(const struct features *f, const struct faults *faults)
{
	if (f)
		module_text(f);
	else
		printf("program        %s\n", program_version);
	faults_text(faults);
	return fflush(stdout) == EOF ? -errno : 0;
}

/* 0, or a negative errno with a sentence: there is no module, above all. */
static int module_look(struct features *features, struct error *error)
{
	struct control *control;
	int err = control_open(&control, error);

	if (err)
		return err;
	err = control_features(control, features, error);
	control_close(control);
	return err;
}

static int features_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct features_options *options = settings;
	struct features features;
	struct faults faults;
	int module, err;

	(void)argc;
	(void)argv;
	module = module_look(&features, error);
	faults_look(&faults);
	err = options->json ? features_json(module ? NULL : &features, &faults) :
			      features_text(module ? NULL : &features, &faults);
	return module ? module : err;
}

const struct command command_features = {
	.name = "features",
	.arguments = "[OPTION]...",
	.summary = "Show what the loaded module offers, and the kernel of userfaultfd",
	.options = features_opts,
	.defaults = &features_defaults,
	.settings_size = sizeof(features_defaults),
	.args_min = 0,
	.args_max = 0,
	.run = features_run,
};
