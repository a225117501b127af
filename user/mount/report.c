// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the module is told is wrong. See report.h.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define LOG_PREFIX "mount: "
#include "lib/error.h"
#include "lib/log.h"
#include "mount/report.h"
#include "nl/control.h"
#include "nl/device.h"

#define RETRY	1000000000ULL	/* ns */

static void report_add(struct device *in, uint32_t wrong, const struct trouble *trouble)
{
	const uint64_t since = atomic_load(&trouble->since);

	if (since)
		in->troubles[in->troubles_count++] = (struct r3map_trouble) {
			.wrong = wrong,
			.error = (uint32_t)-atomic_load(&trouble->code),
			.since = since,
		};
}

static void report_send(struct report *report)
{
	struct device in = {
		.present = DEVICE_HAS(INDEX) | DEVICE_HAS(GENERATION) | DEVICE_HAS(TROUBLES),
		.index = report->device->index,
		.generation = report->device->generation,
	};
	struct error error = { 0 };
	int err;

	report_add(&in, R3MAP_WRONG_SERVER, report->server);
	report_add(&in, R3MAP_WRONG_PULL, report->pull);
	report_add(&in, R3MAP_WRONG_PUSH, report->push);
	err = device_request(report->control, R3MAP_CMD_DEVICE_TELL, &in, NULL, &error);
	/* A device that is gone, or somebody else's now, needs to be told nothing. */
	if (!err || err == -ENODEV || err == -ENOENT || err == -ESTALE)
		return;
	if (err != -ENOMEM && err != -ENOBUFS)
		log_warn("cannot tell what is wrong: %s", error.text);
	else if (loop_timer_set(report->post.loop, &report->retry, loop_now() + RETRY))
		log_warn("out of memory for a timer: r3map monitor hears of what is wrong later");
}

static void report_news(struct post_job *job)
{
	struct report *report = (struct report *)((char *)job - offsetof(struct report, job));

	/* First: what changes from now on sends it again. */
	atomic_store(&report->sent, false);
	report_send(report);
}

static void report_again(struct loop_timer *timer)
{
	report_send((struct report *)((char *)timer - offsetof(struct report, retry)));
}

static void report_changed(struct trouble_listener *listener)
{
	struct report *report = (struct report *)listener;	/* its first member */

	if (!atomic_exchange(&report->sent, true))
		post_send(&report->post, &report->job);
}

int report_open(struct report *report, struct control *control, const struct device *device,
		struct trouble *server, struct trouble *pull, struct trouble *push,
		struct error *error)
{
	int err;

	report->listener.changed = report_changed;
	report->job.run = report_news;
	report->retry.fire = report_again;
	report->control = control;
	report->device = device;
	report->server = server;
	report->pull = pull;
	report->push = push;
	err = post_open(&report->post);
	if (err)
		return error_set(error, err, "cannot make an eventfd: %s", strerror(-err));
	server->listener = &report->listener;
	pull->listener = &report->listener;
	push->listener = &report->listener;
	return 0;
}

int report_begin(struct report *report, struct loop *loop, struct error *error)
{
	int err = post_attach(&report->post, loop);

	return err ? error_set(error, err, "cannot wait for what goes wrong: %s", strerror(-err)) : 0;
}

void report_end(struct report *report)
{
	if (!report->post.loop)
		return;
	loop_timer_cancel(report->post.loop, &report->retry);
	post_detach(&report->post);
}

void report_close(struct report *report)
{
	post_close(&report->post);
}
