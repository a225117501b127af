// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map monitor: first what there is, then events as they come, a line each.
 *
 * It listens before it asks for what there is, so nothing falls between the two; when events were
 * lost it says so and lists again.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/error.h"
#include "lib/json.h"
#include "nl/control.h"
#include "nl/device.h"
#include "nl/events.h"

struct monitor_options {
	bool json;
	uint32_t count;		/* 0: no limit */
	const char *until;	/* name of an event, or NULL */
};

static const struct monitor_options monitor_defaults = { .count = 0 };

static const struct opt monitor_opts[] = {
	OPT_JSON(monitor_options),
	{ OPT_U32, "count", 'n', OPT(monitor_options, count), .value = "N", .min = 1,
	  .help = "end after N events" },
	{ OPT_STRING, "until", 'u', OPT(monitor_options, until), .value = "EVENT",
	  .help = "end after this event, such as READY or REMOVED" },
	{ OPT_END },
};

struct monitor {
	const struct monitor_options *options;
	bool one;		/* only events of @index */
	uint32_t index;
	uint32_t until;		/* enum r3map_event, or 0 */
	uint32_t seen;
	bool there;		/* the one device has been told of, and not its end */
	bool done;
	int err;		/* of printing */
};

/* @event: the name of what happened, or "PRESENT" for a line of the list. */
static void monitor_print(struct monitor *m, const struct device *d, const char *event)
{
	cJSON *json;

	if (m->options->json) {
		json = device_json(d);
		if (json && !(d->present & DEVICE_HAS(EVENT)) &&
		    !cJSON_AddStringToObject(json, "event", event)) {
			cJSON_Delete(json);
			json = NULL;
		}
		m->err = json_print(json, true);
		return;
	}
	printf("%" PRIu64 ".%06" PRIu64 " r3map%" PRIu32 " generation %" PRIu64 " %s %s",
	       d->time / 1000000000, d->time / 1000 % 1000000, d->index, d->generation, event,
	       device_state_name(d->state));
	for (uint32_t i = 0; i < d->troubles_count; i++) {
		const uint64_t since = d->troubles[i].since;

		printf("%s %s since %" PRIu64 ".%06" PRIu64 " (%s)", i ? "," : ":",
		       device_wrong_name(d->troubles[i].wrong), since / 1000000000,
		       since / 1000 % 1000000, strerror((int)d->troubles[i].error));
	}
	putchar('\n');
	if (fflush(stdout) == EOF)
		m->err = -errno;
}

static void monitor_event(const struct device *device, void *data)
{
	struct monitor *m = data;

	if (m->done || (m->one && device->index != m->index))
		return;
	monitor_print(m, device, device_event_name(device->event));
	m->there = device->event != R3MAP_EVENT_REMOVED;
	m->seen++;
	m->done = m->err || (m->options->count && m->seen >= m->options->count) ||
		  (m->until && device->event == m->until);
}

static int monitor_list(struct monitor *m, struct control *control, struct error *error)
{
	struct device *devices;
	unsigned int count;
	bool there = false;
	int err = device_list(control, &devices, &count, error);

	if (err)
		return err;
	for (unsigned int i = 0; i < count && !m->err; i++) {
		if (m->one && devices[i].index != m->index)
			continue;
		monitor_print(m, &devices[i], "PRESENT");
		there = true;
	}
	free(devices);
	/* Its end was among what was lost, and will not be told again. */
	if (m->one && m->there && !there && m->until == R3MAP_EVENT_REMOVED)
		m->done = true;
	m->there = there;
	return 0;
}

static int monitor_loop(struct monitor *m, struct control *control, struct events *events,
			struct error *error)
{
	struct pollfd fds[2] = {
		{ .fd = events_fd(events), .events = POLLIN },
		{ .fd = fileno(stdout) },	/* POLLERR: the reader of our pipe is gone */
	};
	int err = monitor_list(m, control, error);

	while (!err && !m->done && !m->err) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return error_set(error, -errno, "cannot wait: %s", strerror(errno));
		if (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL))
			break;
		err = events_read(events, monitor_event, m);
		if (err == -ENOBUFS && !m->done) {
			fprintf(stderr, "r3map: events were lost, this is what there is now\n");
			err = monitor_list(m, control, error);
		} else if (err == -ENOBUFS) {
			err = 0;
		} else if (err) {
			error_set(error, err, "cannot receive events: %s", strerror(-err));
		}
	}
	return err ? err : m->err;
}

static int monitor_run(const void *settings, int argc, char **argv, struct error *error)
{
	const struct monitor_options *options = settings;
	struct monitor m = { .options = options };
	struct control *control;
	struct events *events;
	int err;

	if (options->until) {
		m.until = device_event_find(options->until);
		if (!m.until) {
			error_set(error, -EINVAL, "there is no event '%s': give CREATED, READY, ATTACHED, PARKED, FAILED, CHANGED, DELETING, REMOVED, SYNCED, FINALIZED, RELEASED, RETIRED, TROUBLE or RECOVERED",
				  options->until);
			return EXIT_USAGE;
		}
	}
	if (argc) {
		m.one = true;
		if (device_index(argv[0], &m.index, error))
			return EXIT_USAGE;
	}
	err = control_open(&control, error);
	if (err)
		return err;
	err = events_open(control, &events, error);
	if (!err) {
		err = monitor_loop(&m, control, events, error);
		events_close(events);
	}
	control_close(control);
	return err;
}

const struct command command_monitor = {
	.name = "monitor",
	.arguments = "[OPTION]... [DEVICE]",
	.summary = "Print what there is, then each event as it comes",
	.options = monitor_opts,
	.defaults = &monitor_defaults,
	.settings_size = sizeof(monitor_defaults),
	.args_min = 0,
	.args_max = 1,
	.run = monitor_run,
};
