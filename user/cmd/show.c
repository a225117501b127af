// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map show: everything about one device, its state in words; how far a managed one is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/json.h"
#include "lib/loop.h"
#include "lib/progress.h"
#include "lib/size.h"
#include "mount/door.h"
#include "nl/chunks.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/latency.h"
#include "show/helper.h"
#include "show/latency.h"
#include "show/migration.h"
#include "show/picture.h"

struct show_options {
	bool json;
	bool latency;
	bool map;
	bool watch;
};

static const struct show_options show_defaults = { .json = false };

static const struct opt show_opts[] = {
	OPT_JSON(show_options),
	{ OPT_FLAG, "latency", 'l', OPT(show_options, latency),
	  .help = "what takes how long, by kind, as a picture" },
	{ OPT_FLAG, "map", 'm', OPT(show_options, map),
	  .help = "of a managed device: which parts are local, as a picture" },
	{ OPT_FLAG, "watch", 'w', OPT(show_options, watch),
	  .help = "of a managed device: how far it is, each second, until all of it is local and written back" },
	{ OPT_END },
};

/* "12 s", "500 ms"; whole seconds as soon as there are some. */
static const char *show_time(uint64_t ms, char text[32])
{
	if (ms >= 1000 || !ms)
		snprintf(text, 32, "%" PRIu64 " s", ms / 1000);
	else
		snprintf(text, 32, "%" PRIu64 " ms", ms);
	return text;
}

static void show_state(const struct device *d)
{
	uint64_t since = d->time > d->state_time ? (d->time - d->state_time) / 1000000 : 0;
	uint32_t requests = d->waiting + d->in_flight;
	char a[32], b[32];

	printf("  state        %s since %s: ", device_state_name(d->state), show_time(since, a));
	switch (d->state) {
	case R3MAP_STATE_NEW:
		printf("helper (pid %" PRIu32 ") is setting it up\n", d->helper_pid);
		break;
	case R3MAP_STATE_LIVE:
		printf("helper (pid %" PRIu32 ") serves it\n", d->helper_pid);
		break;
	case R3MAP_STATE_PARKED:
		if (d->helper_pid) {
			printf("helper (pid %" PRIu32 ") is taking it over\n", d->helper_pid);
			break;
		}
		printf("the helper is gone; %" PRIu32 " request%s wait%s another %s;\n"
		       "               take over with: r3map mount --recover /dev/r3map%" PRIu32 " '%s'\n",
		       requests, requests == 1 ? "" : "s", requests == 1 ? "s" : "",
		       show_time(d->park_left, b), d->index, d->backend);
		break;
	case R3MAP_STATE_FAILED:
		if (d->helper_pid) {
			printf("requests fail until helper (pid %" PRIu32 "), which is taking it over, has\n"
			       "               done so, or has ended\n", d->helper_pid);
			break;
		}
		printf("the helper is gone and requests fail;\n"
		       "               take over with: r3map mount --recover /dev/r3map%" PRIu32 " '%s'\n"
		       "               or remove with: r3map umount /dev/r3map%" PRIu32 "\n",
		       d->index, d->backend, d->index);
		break;
	case R3MAP_STATE_DELETING:
		printf("it is being removed, %" PRIu32 " still ha%s it open\n", d->openers,
		       d->openers == 1 ? "s" : "ve");
		break;
	default:
		printf("a state of a newer module\n");
	}
}

/* What waits or fails although a helper is there; epochs of those who watch what is written. */
static void show_hold(const struct device *d)
{
	char text[SIZE_TEXT];

	switch (d->hold) {
	case R3MAP_HOLD_ALL:
		printf("  held         everything, until the region is here; %" PRIu32 " wait\n", d->held);
		break;
	case R3MAP_HOLD_WRITES:
		printf("  held         writes, while the region goes to another host; %" PRIu32 " wait\n",
		       d->held);
		break;
	case R3MAP_HOLD_REFUSED:
		printf("  held         writes fail: another host has the region, or did not take it in time\n");
		break;
	default:
		break;
	}
	if (d->epochs)
		printf("  watched      by %" PRIu32 " migration%s: what is written is remembered\n", d->epochs,
		       d->epochs == 1 ? "" : "s");
	if (d->throttle)
		printf("  throttled    no more than %s a second are written; %" PRIu32 " wait\n",
		       size_format(d->throttle, text), d->throttled);
}

static void show_flags(const struct device *d)
{
	const char *separator = "";

	printf("  flags        ");
	for (unsigned int i = 0; device_flag_name(i); i++) {
		if (d->flags & (1U << i)) {
			printf("%s%s", separator, device_flag_name(i));
			separator = ", ";
		}
	}
	printf("%s\n", *separator ? "" : "none");
}

/* "12.3 %", never 100 unless it is all */
static const char *show_part(uint64_t part, uint64_t all, char text[32])
{
	double percent = all ? 100.0 * (double)part / (double)all : 100.0;

	if (part < all && percent > 99.9)
		percent = 99.9;
	snprintf(text, 32, part >= all ? "%.0f %%" : "%.1f %%", percent);
	return text;
}

/* --- what a helper tells ------------------------------------------------------------------ */

/* All that it tells of a device that the module knows; NULL if there is nothing to be had, as of a direct mount. */
static cJSON *helper_of(const struct device *d)
{
	char disk[16];

	if (d->state != R3MAP_STATE_LIVE)
		return NULL;
	snprintf(disk, sizeof(disk), "r3map%" PRIu32, d->index);
	return helper_ask(disk, &(struct error){ 0 });
}

/* --- in words ----------------------------------------------------------------------------- */

static void show_pull(const cJSON *helper, bool all_local)
{
	const char *pull = helper_text(helper, "pull");
	uint64_t rate = helper_number(helper, "pull_rate");
	char a[32], b[SIZE_TEXT];

	if (!*pull)
		return;
	printf("  pull         ");
	if (!strcmp(pull, "paused"))
		printf("paused since %s: only what is asked for, and what follows it, is fetched",
		       show_time(helper_number(helper, "pull_paused_ms"), a));
	else if (!strcmp(pull, "off"))
		printf("off: only what is asked for is fetched");
	else if (all_local)
		printf("done");
	else
		printf("%s", pull);
	if (rate)
		printf(", %s a second at most", size_format(rate, b));
	putchar('\n');
	if (helper_number(helper, "ahead_bytes"))
		printf("  read ahead   %s, of which %s was used\n",
		       size_format(helper_number(helper, "ahead_bytes"), b),
		       size_format(helper_number(helper, "ahead_used"), (char[SIZE_TEXT]){ 0 }));
}

/* What is wrong although the helper is there. */
static void show_trouble(const cJSON *helper)
{
	static const struct {
		const char *error, *since, *what, *so;
	} kinds[] = {
		{ "pull_error", "pull_error_ms", "the pull", "it is tried again" },
		{ "push_error", "push_error_ms", "writing back", "what is dirty is kept, and tried again" },
	};
	char a[32];

	if (cJSON_HasObjectItem(helper, "server_lost_ms"))
		printf("  trouble      the server is out of reach since %s: what is not here waits for it\n",
		       show_time(helper_number(helper, "server_lost_ms"), a));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *error = helper_text(helper, kinds[i].error);

		if (*error)
			printf("  trouble      %s fails since %s: %s; %s\n", kinds[i].what,
			       show_time(helper_number(helper, kinds[i].since), a), error, kinds[i].so);
	}
}

static void show_counters(const uint64_t *counters, uint64_t told)
{
	const uint64_t found = counters[R3MAP_A_COUNTER_HITS] + counters[R3MAP_A_COUNTER_MISSES];
	char part[32];

	printf("  counters\n");
	for (unsigned int i = 0; i < __R3MAP_A_COUNTER_MAX; i++) {
		if (!(told & (1ULL << i)))
			continue;
		printf("    %-18s %" PRIu64, device_counter_name(i), counters[i]);
		if (found && (i == R3MAP_A_COUNTER_HITS || i == R3MAP_A_COUNTER_MISSES ||
			      i == R3MAP_A_COUNTER_DEMANDS || i == R3MAP_A_COUNTER_COALESCED))
			printf(" (%s)", show_part(counters[i], found, part));
		putchar('\n');
	}
}

static void show_managed(const struct device *d, const cJSON *helper)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[32];

	printf("  managed      chunks of %s, fsync is %s\n", size_format(d->chunk, a),
	       device_flush_name(d->flush));
	printf("  local        %s of %s, %s", size_format(d->local, a), size_format(d->size, b),
	       show_part(d->local, d->size, c));
	if (d->dirty)
		printf("; %s (%s) %s to be written back\n", size_format(d->dirty, a),
		       show_part(d->dirty, d->size, c),
		       d->state == R3MAP_STATE_LIVE ? "are" : "wait for a helper");
	else
		printf("; nothing is to be written back\n");
	show_pull(helper, d->local >= d->size);
	show_trouble(helper);
}

static int show_text(const struct device *d, const cJSON *helper)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT], e[SIZE_TEXT];
	uint64_t told = 0;

	printf("/dev/r3map%" PRIu32 "\n", d->index);
	printf("  backend      %s\n", d->backend);
	printf("  size         %s (%" PRIu64 " bytes)\n", size_format(d->size, a), d->size);
	show_state(d);
	show_hold(d);
	migration_print(helper, d->size);
	if (d->present & DEVICE_HAS(CHUNK))
		show_managed(d, helper);
	show_flags(d);
	printf("  generation   %" PRIu64 "\n", d->generation);
	printf("  blocks       logical %s, physical %s, io_min %s, io_opt %s\n",
	       size_format(d->logical_block, a), size_format(d->physical_block, b),
	       size_format(d->io_min, c), size_format(d->io_opt, e));
	printf("  largest      io %s, discard %s, write-zeroes %s\n", size_format(d->max_io, a),
	       size_format(d->max_discard, b), size_format(d->max_zeroes, c));
	printf("  queues       %" PRIu32 " of depth %" PRIu32 ", transport %s\n", d->queues,
	       d->depth, device_transport_name(d->transport));
	printf("  timeouts     request %s, parked %s\n", show_time(d->timeout, (char[32]){ 0 }),
	       show_time(d->park, (char[32]){ 0 }));
	printf("  memory       %s pinned payload area, %s kernel tables\n", size_format(d->area, a),
	       size_format(d->memory, b));
	printf("  now          %" PRIu32 " in flight, %" PRIu32 " waiting, open %" PRIu32 " time%s\n",
	       d->in_flight, d->waiting, d->openers, d->openers == 1 ? "" : "s");
	for (unsigned int i = 0; i < __R3MAP_A_COUNTER_MAX; i++)
		if (device_counter_name(i) &&
		    (i < R3MAP_A_COUNTER_HITS || (d->present & DEVICE_HAS(CHUNK))))
			told |= 1ULL << i;
	show_counters(d->counters, told);
	return fflush(stdout) == EOF ? -errno : 0;
}

/* All that module and helper tell, on one level. */
static int show_json(const struct device *device, cJSON *helper)
{
	cJSON *object = device_json(device), *item;

	cJSON_DeleteItemFromObjectCaseSensitive(helper, "latency");
	while (object && helper && (item = cJSON_DetachItemFromArray(helper, 0)))
		cJSON_AddItemToObject(object, item->string, item);
	return json_print(object, false);
}

/* --- what takes how long ------------------------------------------------------------------ */

static int latency_show(const char *path, cJSON *latency, bool json, struct error *error)
{
	int err;

	if (json)
		return json_print(cJSON_Duplicate(latency, true), false);
	printf("%s\n", path);
	err = latency_print(latency);
	if (err)
		return error_set(error, err, "what is told of %s makes no sense: is its helper of another version?",
				 path);
	return fflush(stdout) == EOF ? -errno : 0;
}

/* The module knows of the bios, the helper of what it does in the background. */
static int show_latency(struct control *control, const struct device *device, cJSON *helper,
			bool json, struct error *error)
{
	cJSON *latency = cJSON_CreateObject(), *item, *more;
	char path[32];
	int err;

	if (!latency)
		return error_set(error, -ENOMEM, "out of memory");
	err = device_latency(control, device->index, latency, error);
	more = cJSON_GetObjectItemCaseSensitive(helper, "latency");
	while (!err && more && (item = cJSON_DetachItemFromArray(more, 0)))
		cJSON_AddItemToObject(latency, item->string, item);
	snprintf(path, sizeof(path), "/dev/r3map%" PRIu32, device->index);
	if (!err)
		err = latency_show(path, latency, json, error);
	cJSON_Delete(latency);
	return err;
}

static int show_map(struct control *control, const struct device *device, bool json,
		    struct error *error)
{
	const struct chunks chunks = {
		.control = control,
		.index = device->index,
		.generation = device->generation,
		.chunk = device->chunk,
	};

	return picture_print(&chunks, device->size, json, error);
}

/* A line a second, until nothing is left to do or the device is gone. */
static int show_watch(struct control *control, struct device *device, struct error *error)
{
	const uint64_t generation = device->generation;
	char more[SIZE_TEXT + 96], a[SIZE_TEXT];
	struct progress progress;
	cJSON *helper;
	int err = 0;

	progress_init(&progress, stdout);
	while (!err) {
		*more = '\0';
		if (device->dirty)
			snprintf(more, sizeof(more), "; %s to be written back",
				 size_format(device->dirty, a));
		if (device->state != R3MAP_STATE_LIVE)
			snprintf(more + strlen(more), sizeof(more) - strlen(more), "; it is %s",
				 device_state_name(device->state));
		helper = helper_of(device);
		if (!strcmp(helper_text(helper, "pull"), "paused"))
			snprintf(more + strlen(more), sizeof(more) - strlen(more),
				 "; the pull is paused");
		cJSON_Delete(helper);
		progress_show(&progress, device->local, device->size, loop_now(), more);
		if (device->local >= device->size && !device->dirty)
			break;
		nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
		err = device_get(control, device->index, device, error);
		if (!err && device->generation != generation && !device->helper_pid)
			err = error_set(error, -ESTALE, "it is another device now");
	}
	progress_end(&progress);
	return err;
}

/* --- a device that the module does not know ------------------------------------------------ */

/* In the words of show_text(), as far as its helper knows. */
static int other_text(const char *path, const cJSON *helper)
{
	const cJSON *told = cJSON_GetObjectItemCaseSensitive(helper, "counters");
	struct device d = { .state = R3MAP_STATE_LIVE };
	uint64_t counters = 0;
	char a[SIZE_TEXT];

	d.size = helper_number(helper, "size");
	d.chunk = (uint32_t)helper_number(helper, "chunk");
	d.flush = device_flush_find(helper_text(helper, "flush"));
	d.local = helper_number(helper, "local");
	d.dirty = helper_number(helper, "dirty");
	printf("%s\n", path);
	printf("  backend      %s\n", helper_text(helper, "backend"));
	printf("  size         %s (%" PRIu64 " bytes)\n", size_format(d.size, a), d.size);
	printf("  state        helper (pid %" PRIu64 ") serves it through the kernel's NBD client, %" PRIu64 " connection%s\n",
	       helper_number(helper, "helper_pid"), helper_number(helper, "connections"),
	       helper_number(helper, "connections") == 1 ? "" : "s");
	if (!d.chunk)
		return 0;
	show_managed(&d, helper);
	for (unsigned int i = 0; i < __R3MAP_A_COUNTER_MAX; i++) {
		const char *name = device_counter_name(i);

		if (!name || !cJSON_HasObjectItem(told, name))
			continue;
		d.counters[i] = helper_number(told, name);
		counters |= 1ULL << i;
	}
	show_counters(d.counters, counters);
	return 0;
}

static int show_other(uint32_t index, const struct show_options *options, struct error *error)
{
	char disk[16], path[32];
	cJSON *helper, *latency;
	int err;

	snprintf(disk, sizeof(disk), "nbd%" PRIu32, index);
	snprintf(path, sizeof(path), "/dev/nbd%" PRIu32, index);
	helper = helper_ask(disk, error);
	if (!helper)
		return error->code;
	latency = cJSON_DetachItemFromObjectCaseSensitive(helper, "latency");
	if (options->latency && !latency)
		err = error_set(error, -EOPNOTSUPP, "%s is not managed: the kernel's NBD client measures nothing",
				path);
	else if (options->latency)
		err = latency_show(path, latency, options->json, error);
	else if (options->json)
		err = json_print(cJSON_Duplicate(helper, true), false);
	else
		err = other_text(path, helper);
	cJSON_Delete(latency);
	cJSON_Delete(helper);
	return err ? err : fflush(stdout) == EOF ? -errno : 0;
}

static int show_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct show_options *options = settings;
	struct control *control;
	cJSON *helper = NULL;
	struct device device;
	uint32_t index;
	int err;

	(void)argc;
	if (options->watch && (options->json || options->map || options->latency)) {
		error_set(error, -EINVAL, "--watch is for people: leave out --json, --latency and --map");
		return EXIT_USAGE;
	}
	if (options->map && options->latency) {
		error_set(error, -EINVAL, "give --latency or --map, one at a time");
		return EXIT_USAGE;
	}
	if (door_names(argv[0], &index) && (options->map || options->watch)) {
		error_set(error, -EINVAL, "--map and --watch are for devices of r3map's own driver");
		return EXIT_USAGE;
	}
	if (door_names(argv[0], &index))
		return show_other(index, options, error);
	if (device_index(argv[0], &index, error))
		return EXIT_USAGE;
	err = control_open(&control, error);
	if (err)
		return err;
	err = device_get(control, index, &device, error);
	if (!err && (options->map || options->watch) && !(device.present & DEVICE_HAS(CHUNK)))
		err = error_set(error, -EOPNOTSUPP,
				"/dev/r3map%" PRIu32 " is not managed: nothing of it is kept here", index);
	if (!err && options->map)
		err = show_map(control, &device, options->json, error);
	else if (!err && options->watch)
		err = show_watch(control, &device, error);
	else if (!err)
		helper = helper_of(&device);
	if (!err && options->latency)
		err = show_latency(control, &device, helper, options->json, error);
	else if (!err && !options->map && !options->watch)
		err = options->json ? show_json(&device, helper) : show_text(&device, helper);
	cJSON_Delete(helper);
	control_close(control);
	return err;
}

const struct command command_show = {
	.name = "show",
	.arguments = "[OPTION]... DEVICE",
	.summary = "Show everything about one device, its state in words",
	.options = show_opts,
	.defaults = &show_defaults,
	.settings_size = sizeof(show_defaults),
	.args_min = 1,
	.args_max = 1,
	.run = show_run,
};
