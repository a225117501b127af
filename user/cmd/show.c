// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map show: everything about one device, its state in words; how far a managed one is.
 */
#include <errno.h>
#include <inttypes.h>
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
#include "show/picture.h"

#define SHOW_TIMEOUT	10000	/* ms for a helper that is to tell about itself */

struct show_options {
	bool json;
	bool map;
	bool watch;
};

static const struct show_options show_defaults = { .json = false };

static const struct opt show_opts[] = {
	OPT_JSON(show_options),
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
		printf("the helper is gone; %" PRIu32 " request%s wait%s another %s;\n"
		       "               take over with: r3map mount --recover /dev/r3map%" PRIu32 " '%s'\n",
		       requests, requests == 1 ? "" : "s", requests == 1 ? "s" : "",
		       show_time(d->park_left, b), d->index, d->backend);
		break;
	case R3MAP_STATE_FAILED:
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

static void show_managed(const struct device *d)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[32];

	printf("  managed      chunks of %s, fsync is %s\n", size_format(d->chunk, a),
	       device_flush_name(d->flush));
	printf("  local        %s of %s, %s", size_format(d->local, a), size_format(d->size, b),
	       show_part(d->local, d->size, c));
	if (d->dirty)
		printf("; %s %s to be written back\n", size_format(d->dirty, a),
		       d->state == R3MAP_STATE_LIVE ? "are" : "wait for a helper");
	else
		printf("; nothing is to be written back\n");
}

static int show_text(const struct device *d)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT], e[SIZE_TEXT];

	printf("/dev/r3map%" PRIu32 "\n", d->index);
	printf("  backend      %s\n", d->backend);
	printf("  size         %s (%" PRIu64 " bytes)\n", size_format(d->size, a), d->size);
	show_state(d);
	if (d->present & DEVICE_HAS(CHUNK))
		show_managed(d);
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
	printf("  counters\n");
	for (unsigned int i = 0; i < __R3MAP_A_COUNTER_MAX; i++)
		if (device_counter_name(i) &&
		    (i < R3MAP_A_COUNTER_HITS || (d->present & DEVICE_HAS(CHUNK))))
			printf("    %-18s %" PRIu64 "\n", device_counter_name(i), d->counters[i]);
	return fflush(stdout) == EOF ? -errno : 0;
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
	char more[SIZE_TEXT + 64], a[SIZE_TEXT];
	struct progress progress;
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

/* A device that the module does not know, /dev/nbdN: what its helper tells, a fact a line. */
static int show_other(uint32_t index, const struct show_options *options, struct error *error)
{
	char answer[4096];
	cJSON *object, *fact;
	int err = door_ask(index, DOOR_SHOW, SHOW_TIMEOUT, answer, sizeof(answer), error);

	if (err)
		return err;
	if (options->json)
		return puts(answer) == EOF || fflush(stdout) == EOF ? -errno : 0;
	object = cJSON_Parse(answer);
	if (!object)
		return error_set(error, -EBADMSG,
				 "what the helper of /dev/nbd%" PRIu32 " tells makes no sense: is it of another version?",
				 index);
	printf("/dev/nbd%" PRIu32 "\n", index);
	cJSON_ArrayForEach(fact, object) {
		if (cJSON_IsString(fact) && strcmp(fact->string, "device"))
			printf("  %-12s %s\n", fact->string, fact->valuestring);
		else if (cJSON_IsNumber(fact))
			printf("  %-12s %.0f\n", fact->string, fact->valuedouble);
	}
	cJSON_Delete(object);
	return fflush(stdout) == EOF ? -errno : 0;
}

static int show_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct show_options *options = settings;
	struct control *control;
	struct device device;
	uint32_t index;
	int err;

	(void)argc;
	if (options->watch && (options->json || options->map)) {
		error_set(error, -EINVAL, "--watch is for people: leave out --json and --map");
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
		err = options->json ? json_print(device_json(&device), false) : show_text(&device);
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
