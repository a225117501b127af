// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map hub. See hub.h.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_PREFIX "hub: "
#include "lib/descriptors.h"
#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/notify.h"
#include "lib/signals.h"
#include "sync/hub.h"
#include "sync/pool.h"
#include "sync/receiving.h"
#include "sync/region.h"
#include "sync/scan.h"
#include "sync/sending.h"
#include "sync/tell.h"

#define SCANS	4u		/* regions that are hashed at a time, at the start */

struct hub {
	const struct hub_options *options;
	struct loop *loop;
	struct pool *pool;
	struct loop_source signals;
	struct listeners listen, offer;
	struct tls_credentials *credentials;
	struct folder folder;
	struct hashing hashing;
	struct upload *uploads;
	struct download *downloads;
	unsigned int upload_count, download_count;
	struct start *starts;		/* that wait */
	struct start *scanned;		/* that are with the pool */
	unsigned int scans;		/* of these */
	bool starting;			/* starts_go_on() is at it */
	uint64_t signalled;
	bool finished;
};

/* A connection of a sender. */
struct upload {
	struct upload *next;
	struct hub *hub;
	struct receiving *receiving;
};

/* A connection of a receiver. */
struct download {
	struct download *next;
	struct hub *hub;
	struct sending *sending;
	bool news;			/* something was committed since it was told that it has all */
	uint64_t round;
};

/* A file that was there when the hub began: to be hashed. */
struct start {
	struct start *next;
	struct hub *hub;
	struct region *region;
	bool marked;			/* it is torn */
	struct scan scan;
};

/* Is there still something to be hashed of what was there at the start? */
static bool hub_starts(const struct hub *hub)
{
	return hub->starts || hub->scans;
}

/* --- receivers ----------------------------------------------------------------------------- */

static int download_open(struct sending *sending, struct sending_entry *entry,
			 struct region **region, struct error *error)
{
	(void)sending;
	(void)error;
	*region = region_get(entry->data);
	return 0;
}

static void download_close(struct sending *sending, struct sending_entry *entry,
			   struct region *region)
{
	(void)sending;
	(void)entry;
	region_put(region);
}

/* It is being hashed, and all streams hear of the end of that. */
static void download_learn(struct sending *sending, struct region *region, bool empty)
{
	(void)sending;
	(void)region;
	(void)empty;
}

static void download_committed(struct sending *sending, struct sending_entry *entry,
			       const unsigned char root[SYNC_ROOT])
{
	(void)entry;
	(void)root;
	((struct download *)sending->data)->news = true;
}

static void download_failed(struct sending *sending, struct sending_entry *entry,
			    const struct error *error)
{
	(void)entry;
	log_warn("%s: %s", sending->wire.address, error->text);
}

static void download_idle(struct sending *sending)
{
	struct download *download = sending->data;

	/* Nothing is all of it while the hub does not know what it has. */
	if (!download->news || sending->round || hub_starts(download->hub))
		return;
	download->news = false;
	sending_round(sending, ++download->round);
}

static void download_answered(struct sending *sending, enum sync_type type)
{
	(void)sending;
	(void)type;
}

static void download_ended(struct sending *sending, const struct error *error)
{
	struct download *download = sending->data, **link;
	struct hub *hub = download->hub;

	for (link = &hub->downloads; *link != download; link = &(*link)->next)
		;
	*link = download->next;
	hub->download_count--;
	log_info("%s does not receive any more: %s", sending->wire.address, error->text);
	sending_free(sending);
	free(download);
}

static const struct sending_ops download_ops = {
	.open = download_open,
	.close = download_close,
	.learn = download_learn,
	.committed = download_committed,
	.failed = download_failed,
	.idle = download_idle,
	.answered = download_answered,
	.ended = download_ended,
};

/* @region is to be at this receiver. False: out of memory. */
static bool download_due(struct download *download, struct region *region)
{
	struct sending_entry *entry = sending_find(download->sending, region->name);

	if (!entry)
		entry = sending_add(download->sending, region->name, region);
	if (entry)
		sending_due(download->sending, entry, region->version);
	return entry;
}

static void download_take(struct listeners *listeners, int fd, const char *name)
{
	struct hub *hub = (struct hub *)((char *)listeners - offsetof(struct hub, offer));
	struct sending_setup setup = {
		.loop = hub->loop, .pool = hub->pool, .ops = &download_ops,
		.hashes = { (uint8_t)hub->hashing.hash }, .chunk = hub->hashing.chunk,
		.credentials = hub->credentials, .address = name, .limits = hub->options->limits,
	};
	struct download *download;
	struct error error = { 0 };

	if (hub->download_count >= hub->options->connections) {
		log_warn("%s is turned away: there are %u receivers already (--max-connections)",
			 name, hub->download_count);
		close(fd);
		return;
	}
	download = calloc(1, sizeof(*download));
	if (!download) {
		close(fd);
		return;
	}
	download->hub = hub;
	download->news = true;		/* if there is nothing, that is all */
	setup.data = download;
	if (sending_new(&setup, fd, &download->sending, &error)) {
		log_warn("%s: %s", name, error.text);
		free(download);
		return;
	}
	download->next = hub->downloads;
	hub->downloads = download;
	hub->download_count++;
	for (struct holding *h = hub->folder.holdings; h; h = h->next)
		if (h->region->version && !download_due(download, h->region))
			log_warn("%s: out of memory for '%s'", name, h->region->name);
}

/* --- senders ------------------------------------------------------------------------------- */

static bool upload_allowed(struct receiving *receiving, struct error *error)
{
	const struct opt_list *senders = &((struct upload *)receiving->data)->hub->options->senders;

	for (unsigned int i = 0; i < senders->count; i++)
		if (!strcmp(senders->items[i], receiving->wire.peer))
			return true;
	if (senders->count)
		error_set(error, -EACCES, "the hub takes nothing from '%s': it is none of its --sender",
			  receiving->wire.peer);
	return !senders->count;
}

static void upload_committed(struct receiving *receiving, struct holding *holding,
			     const unsigned char root[SYNC_ROOT])
{
	struct hub *hub = ((struct upload *)receiving->data)->hub;

	tell_committed(holding->region, root, receiving->wire.peer, hub->options->json);
	for (struct download *d = hub->downloads; d; d = d->next)
		if (!download_due(d, holding->region))
			log_warn("%s: out of memory for '%s'", d->sending->wire.address,
				 holding->region->name);
	sending_settled(holding->region);
}

static void upload_removed(struct receiving *receiving, const char *name, struct region *was,
			   const struct error *error)
{
	struct hub *hub = ((struct upload *)receiving->data)->hub;

	tell_removed(receiving->wire.address, name, error);
	for (struct download *d = hub->downloads; d && was; d = d->next) {
		struct sending_entry *entry = sending_find(d->sending, name);

		if (!entry)
			continue;
		sending_remove(d->sending, entry);
		d->news = true;
	}
}

static void upload_told(struct receiving *receiving, enum sync_type type)
{
	(void)receiving;
	(void)type;
}

static void upload_ended(struct receiving *receiving, const struct error *error)
{
	struct upload *upload = receiving->data, **link;
	struct hub *hub = upload->hub;

	for (link = &hub->uploads; *link != upload; link = &(*link)->next)
		;
	*link = upload->next;
	hub->upload_count--;
	if (error->code)
		log_warn("%s: %s", receiving->wire.address, error->text);
	receiving_free(receiving);
	free(upload);
}

static const struct receiving_ops upload_ops = {
	.allowed = upload_allowed,
	.committed = upload_committed,
	.removed = upload_removed,
	.told = upload_told,
	.ended = upload_ended,
};

static void upload_take(struct listeners *listeners, int fd, const char *name)
{
	struct hub *hub = (struct hub *)((char *)listeners - offsetof(struct hub, listen));
	struct receiving_setup setup = {
		.loop = hub->loop, .pool = hub->pool, .folder = &hub->folder, .ops = &upload_ops,
		.hashing = &hub->hashing, .durable = hub->options->durable,
		.budget = hub->options->window, .credentials = hub->credentials, .address = name,
		.limits = hub->options->limits,
	};
	struct upload *upload;
	struct error error = { 0 };

	if (hub->upload_count >= hub->options->connections) {
		log_warn("%s is turned away: there are %u senders already (--max-connections)",
			 name, hub->upload_count);
		close(fd);
		return;
	}
	upload = calloc(1, sizeof(*upload));
	if (!upload) {
		close(fd);
		return;
	}
	upload->hub = hub;
	setup.data = upload;
	if (receiving_new(&setup, fd, &upload->receiving, &error)) {
		log_warn("%s: %s", name, error.text);
		free(upload);
		return;
	}
	upload->next = hub->uploads;
	hub->uploads = upload;
	hub->upload_count++;
}

/* --- what is there at the start ------------------------------------------------------------- */

static void starts_go_on(struct hub *hub);

static void start_changed(struct scan *scan, uint64_t chunk)
{
	(void)scan;
	(void)chunk;
}

static void start_done(struct scan *scan, int code)
{
	struct start *start = (struct start *)((char *)scan - offsetof(struct start, scan));
	struct region *region = start->region;
	struct hub *hub = start->hub;
	struct start **link = &hub->scanned;

	while (*link != start)
		link = &(*link)->next;
	*link = start->next;
	hub->scans--;
	if (code) {
		log_warn("cannot read '%s', which is not offered: %s", region->name, strerror(-code));
	} else if (start->marked) {
		log_warn("'%s' is not offered until a sender has brought all of it: the last hub was ended in the midst of that",
			 region->name);
		sending_known(region, false);
	} else if (region->users > 1) {	/* not removed meanwhile */
		region->version = 1;
		region->settled = true;
		sending_known(region, false);
		for (struct download *d = hub->downloads; d; d = d->next)
			download_due(d, region);
	}
	folder_give(&hub->folder, folder_find(&hub->folder, region->name));
	region_put(region);
	free(start);
	starts_go_on(hub);
}

static void starts_go_on(struct hub *hub)
{
	if (hub->starting)
		return;		/* below: an empty file is done at once */
	hub->starting = true;
	while (hub->starts && hub->scans < SCANS) {
		struct start *start = hub->starts;

		hub->starts = start->next;
		start->next = hub->scanned;
		hub->scanned = start;
		hub->scans++;
		scan_start(&start->scan, hub->pool);
	}
	hub->starting = false;
	for (struct download *d = hub->downloads; d && !hub_starts(hub); d = d->next)
		loop_task_queue(hub->loop, &d->sending->pump);
}

/* Until it is hashed nobody may write to it: who wants to is told that it is busy. */
static int start_add(void *data, struct holding *holding)
{
	struct start *start = calloc(1, sizeof(*start));
	struct hub *hub = data;

	if (!start)
		return -ENOMEM;
	start->hub = hub;
	start->region = region_get(holding->region);
	start->marked = holding->marked;
	start->scan = (struct scan) {
		.region = holding->region, .end = holding->region->chunks, .fresh = true,
		.changed = start_changed, .done = start_done,
	};
	holding->written = true;
	start->next = hub->starts;
	hub->starts = start;
	return 0;
}

/* --- life ---------------------------------------------------------------------------------- */

static void hub_signal(struct loop_source *source, uint32_t events)
{
	struct hub *hub = (struct hub *)((char *)source - offsetof(struct hub, signals));
	struct signalfd_siginfo info;
	bool again;

	(void)events;
	if (!signals_take(source, &info, &hub->signalled, &again))
		return;
	if (again)
		_exit(1);
	hub->finished = true;
}

static int listeners_open(struct hub *hub, struct listeners *listeners, const struct opt_list *list,
			  const char *what, struct error *error)
{
	int code = 0;

	listeners->loop = hub->loop;
	if (!list->count)
		code = address_listen(listeners, "localhost", error);
	for (unsigned int i = 0; i < list->count && !code; i++)
		code = address_listen(listeners, list->items[i], error);
	return code ? code : address_start(listeners, what, error);
}

static int hub_start(struct hub *hub, const char *folder, struct error *error)
{
	static const struct opt_list no_devices;
	const struct hub_options *options = hub->options;
	int code;

	descriptors_raise();	/* each region is an open file */
	code = loop_new(&hub->loop);
	if (code)
		return error_set(error, code, "cannot make an event loop: %s", strerror(-code));
	hub->signals.ready = hub_signal;
	hub->listen.take = upload_take;
	hub->listen.port = SYNC_PORT;
	hub->offer.take = download_take;
	hub->offer.port = HUB_PORT;
	code = signals_watch(hub->loop, &hub->signals, error);
	if (!code)
		code = security_server(&options->security, &hub->credentials, error);
	if (!code)
		code = hashing_init(&hub->hashing, (enum sync_hash)(options->hash + 1),
				    options->chunk, error);
	if (!code)
		code = folder_open(&hub->folder, folder, &no_devices, error);
	hub->folder.all = true;
	hub->folder.durable = options->durable;
	hub->folder.keep = options->keep;
	hub->folder.memory_max = options->memory;
	if (!code)
		code = pool_new(hub->loop, options->threads, &hub->pool, error);
	if (!code)
		code = folder_each(&hub->folder, &hub->hashing, start_add, hub, error);
	if (!code)
		code = listeners_open(hub, &hub->listen, &options->listen,
				      "listens for senders on", error);
	if (!code)
		code = listeners_open(hub, &hub->offer, &options->offer,
				      "listens for receivers on", error);
	if (code)
		return code;
	starts_go_on(hub);
	notify_systemd("READY=1");
	return 0;
}

static void starts_free(struct start *starts)
{
	while (starts) {
		struct start *start = starts;

		starts = start->next;
		region_put(start->region);
		free(start);
	}
}

static void connections_free(struct hub *hub)
{
	while (hub->uploads) {
		struct upload *upload = hub->uploads;

		hub->uploads = upload->next;
		receiving_free(upload->receiving);
		free(upload);
	}
	while (hub->downloads) {
		struct download *download = hub->downloads;

		hub->downloads = download->next;
		sending_free(download->sending);
		free(download);
	}
	starts_free(hub->starts);
	starts_free(hub->scanned);
}

int hub_run(const struct hub_options *options, const char *folder, struct error *error)
{
	struct hub hub = { .options = options, .signals.fd = -1, .folder.fd = -1 };
	int code = hub_start(&hub, folder, error);

	while (!code && !hub.finished)
		code = loop_once(hub.loop, UINT64_MAX);
	if (hub.loop) {
		listen_stop(&hub.listen);
		listen_stop(&hub.offer);
	}
	pool_free(hub.pool);
	connections_free(&hub);
	if (hub.folder.fd >= 0)
		folder_close(&hub.folder);
	if (hub.signals.fd >= 0) {
		loop_remove(hub.loop, &hub.signals);
		close(hub.signals.fd);
	}
	tls_credentials_free(hub.credentials);
	loop_free(hub.loop);
	return code;
}
