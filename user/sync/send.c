// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * r3map send. See send.h.
 *
 * A round looks at what there is, hashes what it has a stream for already, and ends when the receiver has
 * committed all of it. One thread with a loop does everything but reading and hashing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/fs.h>
#include <unistd.h>

#define LOG_PREFIX "send: "
#include "lib/error.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/progress.h"
#include "lib/signals.h"
#include "mount/track.h"
#include "sync/catalogue.h"
#include "sync/pool.h"
#include "sync/region.h"
#include "sync/scan.h"
#include "sync/send.h"
#include "sync/sending.h"

#define MS		1000000ull	/* ns */
#define SHOW_EACH	(500 * MS)
#define SCANS		4u		/* regions that are hashed at a time */
#define AGAIN_FIRST	(100 * MS)	/* until it is tried to connect anew, twice as long each time ... */
#define AGAIN_MOST	(2000 * MS)

/* One name of the catalogue. */
struct file {
	struct file *next;
	struct send *send;
	char *name, *path;
	struct sending_entry *entry;
	struct region *region;		/* while it has a stream */
	struct scan scan;
	struct pool_job taking;		/* what was written, before a scan of that */
	struct error untold;		/* why that could not be told */
	bool untracked;			/* it was said that nobody tells of writes to it */
	struct file *want_next, **want_link;	/* of those that are to be scanned; NULL: it is not */
	bool scanning;
	bool agreed;			/* @root and @size are what both ends have */
	bool told;			/* and that was printed */
	bool gone;			/* in no list any more: freed with its stream */
	unsigned char root[SYNC_ROOT];
	uint64_t size;
};

struct send {
	const struct send_options *options;
	char *const *paths;
	int path_count;
	struct loop *loop;
	struct pool *pool;
	struct loop_source signals;
	struct loop_timer next;		/* round, or try to connect */
	struct loop_timer show;
	struct tls_credentials *credentials;
	struct sending *sending;
	struct file *files;		/* by rising name */
	struct file *wanted, **wanted_last;	/* to be scanned, in the order in which they came */
	unsigned int scans;		/* going on */
	uint64_t round;			/* 0: none yet */
	bool in_round, said_round;
	bool stopping, finished;
	unsigned int failures;		/* in this round */
	uint64_t hashed;		/* chunks, in this round, to find out what has changed */
	uint64_t again;			/* ns */
	uint64_t signalled;
	uint64_t began;			/* ns: the round */
	uint64_t wire_before;		/* bytes, when it began */
	struct sending_counts before;
	struct progress progress;
	struct error why;		/* it ended */
	int status;
};

static void round_begin(struct send *send);

static void send_finish(struct send *send, const struct error *why)
{
	send->finished = true;
	if (why)
		send->why = *why;
}

/* --- scans --------------------------------------------------------------------------------- */

static void want_drop(struct file *file)
{
	if (!file->want_link)
		return;
	*file->want_link = file->want_next;
	if (file->want_next)
		file->want_next->want_link = file->want_link;
	else
		file->send->wanted_last = file->want_link;
	file->want_link = NULL;
}

/* Not one that is scanned still, of the region that it had. */
static struct file *want_first(const struct send *send)
{
	struct file *file = send->wanted;

	while (file && file->scanning)
		file = file->want_next;
	return file;
}

static void want_scan(struct file *file)
{
	if (file->want_link)
		return;
	file->want_next = NULL;
	file->want_link = file->send->wanted_last;
	*file->want_link = file;
	file->send->wanted_last = &file->want_next;
}

static void scans_go_on(struct send *send);

static void scan_changed(struct scan *scan, uint64_t chunk)
{
	if (scan->region->known)
		sending_changed(scan->region, chunk);
}

static void scan_done(struct scan *scan, int code)
{
	struct file *file = (struct file *)((char *)scan - offsetof(struct file, scan));
	struct region *region = scan->region;
	struct error error = { 0 };

	file->scanning = false;
	file->send->scans--;
	file->send->hashed += scan->hashed;
	if (region != file->region || code == -ECANCELED) {
		;		/* its stream has been closed meanwhile, or all of them are about to be */
	} else if (code) {
		error_set(&error, code, "cannot read %s: %s", file->path, strerror(-code));
		sending_lost(region, &error);
	} else {
		region->settled = true;
		if (!region->known)
			sending_known(region, false);
		sending_settled(region);
	}
	region_put(region);
	scans_go_on(file->send);
}

static void file_take(struct pool_job *job, void *scratch)
{
	struct file *file = (struct file *)((char *)job - offsetof(struct file, taking));
	const struct region *region = file->scan.region;

	(void)scratch;
	file->untold = (struct error) { 0 };
	track_take(region->track, region->fd, &file->untold);
}

static void file_taken(struct pool_job *job)
{
	struct file *file = (struct file *)((char *)job - offsetof(struct file, taking));
	struct region *region = file->scan.region;

	if (region != file->region || file->send->finished) {
		scan_done(&file->scan, -ECANCELED);
		return;
	}
	if (file->untold.code) {
		log_warn("%s: %s; all of it is hashed", file->path, file->untold.text);
		track_close(region->track);
		region->track = NULL;
	} else {
		file->scan.only = &region->track->dirty;
	}
	scan_start(&file->scan, file->send->pool);
}

static void scans_go_on(struct send *send)
{
	struct file *f;

	while (send->scans < SCANS && (f = want_first(send))) {
		want_drop(f);
		f->scanning = true;
		send->scans++;
		f->scan = (struct scan) {
			.region = region_get(f->region), .end = f->region->chunks,
			.fresh = !f->region->known, .changed = scan_changed, .done = scan_done,
		};
		if (f->region->track && !f->region->track->all) {
			f->taking.run = file_take;
			f->taking.done = file_taken;
			pool_submit(send->pool, &f->taking);
			continue;
		}
		if (f->region->track)
			f->region->track->all = false;
		scan_start(&f->scan, send->pool);
	}
}

static void file_free(struct file *file)
{
	want_drop(file);
	free(file->name);
	free(file->path);
	free(file);
}

/* --- regions, for the connection ------------------------------------------------------------ */

/* Who tells of writes to a device from now on. With --detect=auto it may be nobody. */
static int region_track(struct file *file, struct region *region, struct error *error)
{
	const int detect = file->send->options->detect;
	struct error why = { 0 };

	if (detect == SEND_HASH || (detect == SEND_AUTO && !region->device))
		return 0;
	if (!track_open(region->fd, &region->track, &why)) {
		file->untracked = false;
		return 0;
	}
	if (detect == SEND_EPOCH)
		return error_set(error, why.code, "%s: %s; --detect=auto hashes it", file->path, why.text);
	if (!file->untracked)
		log_warn("%s: %s; all of it is hashed each time", file->path, why.text);
	file->untracked = true;
	return 0;
}

static int region_open(struct sending *sending, struct sending_entry *entry,
		       struct region **region, struct error *error)
{
	struct file *file = entry->data;
	int fd, code;

	fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set(error, -errno, "cannot open %s: %s", file->path, strerror(errno));
	code = region_new(fd, file->name, &sending->hashing, UINT64_MAX, region, error);
	if (code) {
		close(fd);
		error_prefix(error, "%s: ", file->path);
		return code;
	}
	code = region_track(file, *region, error);
	if (code) {
		region_put(*region);
		return code;
	}
	file->region = *region;
	(*region)->data = file;
	(*region)->live = true;
	(*region)->version = file->send->round;
	return 0;
}

static void region_closed(struct sending *sending, struct sending_entry *entry,
			  struct region *region)
{
	struct file *file = entry->data;

	(void)sending;
	if (file->scanning)
		scan_stop(&file->scan);
	file->region = NULL;
	want_drop(file);
	region_put(region);
	if (file->gone)
		file_free(file);
}

static void region_learn(struct sending *sending, struct region *region, bool empty)
{
	struct file *file = region->data;

	(void)sending;
	if (empty) {
		if (region->track)
			region->track->all = false;	/* all data is read from now on */
		region->settled = true;
		sending_known(region, true);
		return;
	}
	want_scan(file);
	scans_go_on(file->send);
}

static void region_committed(struct sending *sending, struct sending_entry *entry,
			     const unsigned char root[SYNC_ROOT])
{
	struct file *file = entry->data;

	(void)sending;
	file->told = file->told && file->size == file->region->size &&
		     !memcmp(file->root, root, SYNC_ROOT);
	memcpy(file->root, root, SYNC_ROOT);
	file->size = file->region->size;
	file->agreed = true;
}

static void region_failed(struct sending *sending, struct sending_entry *entry,
			  const struct error *error)
{
	struct file *file = entry->data;

	(void)sending;
	log_error("%s", error->text);
	file->agreed = false;
	file->send->failures++;
}

/* --- rounds -------------------------------------------------------------------------------- */

static cJSON *round_json(const struct send *send, double seconds)
{
	const struct sending *sending = send->sending;
	cJSON *json = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(json, "files");
	char text[2 * SYNC_ROOT + 1];

	json_add_u64(json, "round", send->round);
	cJSON_AddStringToObject(json, "hash", sync_hash_words[sending->hashing.hash - 1]);
	json_add_u64(json, "chunk_size", sending->hashing.chunk);
	cJSON_AddNumberToObject(json, "seconds", seconds);
	json_add_u64(json, "data_bytes", sending->counts.data - send->before.data);
	json_add_u64(json, "zero_bytes", sending->counts.zero - send->before.zero);
	json_add_u64(json, "chunks", sending->counts.chunks - send->before.chunks);
	json_add_u64(json, "hashed", send->hashed);
	json_add_u64(json, "repaired", sending->counts.repaired - send->before.repaired);
	json_add_u64(json, "wire_bytes",
		     sending->wire.sent + sending->wire.received - send->wire_before);
	json_add_u64(json, "failed", send->failures);
	for (const struct file *f = send->files; f; f = f->next) {
		cJSON *file;

		if (!f->agreed)
			continue;
		file = cJSON_CreateObject();
		cJSON_AddItemToArray(files, file);
		cJSON_AddStringToObject(file, "name", f->name);
		json_add_u64(file, "size", f->size);
		cJSON_AddStringToObject(file, "root", hash_text(f->root, text));
	}
	return json;
}

static void round_tell(struct send *send)
{
	char text[2 * SYNC_ROOT + 1];

	if (send->options->json) {
		json_print(round_json(send, (double)(loop_now() - send->began) / 1e9), true);
		return;
	}
	for (struct file *f = send->files; f; f = f->next) {
		if (!f->agreed || f->told)
			continue;
		printf("%s  %s\n", hash_text(f->root, text), f->name);
		f->told = true;
	}
	fflush(stdout);
}

static void round_end(struct send *send)
{
	if (!send->in_round)
		return;
	send->in_round = send->said_round = false;
	progress_end(&send->progress);
	loop_timer_cancel(send->loop, &send->show);
	round_tell(send);
	if (send->failures)
		send->status = 1;
	if (!send->options->interval || send->stopping)
		sending_end(send->sending);
	else
		loop_timer_set(send->loop, &send->next,
			       send->began + send->options->interval * MS);
}

static void send_idle(struct sending *sending)
{
	struct send *send = sending->data;

	if (!send->in_round || send->said_round)
		return;
	send->said_round = true;
	sending_round(sending, send->round);
}

static void send_answered(struct sending *sending, enum sync_type type)
{
	static const struct error in_order;
	struct send *send = sending->data;

	if (type == SYNC_ROUND)
		round_end(send);
	else
		wire_end(&sending->wire, &in_order);
}

/* --- what there is ------------------------------------------------------------------------- */

static struct file *file_new(struct send *send, const struct catalogue_item *item)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->send = send;
	file->name = strdup(item->name);
	file->path = strdup(item->path);
	if (file->name && file->path)
		file->entry = sending_add(send->sending, item->name, file);
	if (file->entry)
		return file;
	free(file->name);
	free(file->path);
	free(file);
	return NULL;
}

/* It is being sent, and is looked at anew: it may be another file by now, or have another size. */
static void file_again(struct send *send, struct file *file)
{
	struct region *region = file->region;
	struct error error = { 0 };
	struct stat now, then;
	uint64_t size;

	if (!region)
		return;
	if (stat(file->path, &now) < 0 || fstat(region->fd, &then) < 0 || now.st_ino != then.st_ino ||
	    now.st_dev != then.st_dev) {
		sending_restart(send->sending, file->entry);
		return;
	}
	size = (uint64_t)then.st_size;
	if (region->device && ioctl(region->fd, BLKGETSIZE64, &size) < 0)
		size = region->size;
	region->settled = false;
	region->version = send->round;
	if (!region->track && region_track(file, region, &error)) {
		sending_lost(region, &error);
		return;
	}
	if (size != region->size) {
		if (region_set_size(region, size)) {
			sending_restart(send->sending, file->entry);
			return;
		}
		sending_resized(region);
	}
	want_scan(file);
}

/*
 * The list of files becomes that of @catalogue; both are sorted. Where something could not be looked at, what is not
 * in the catalogue is left as it is: it may be there.
 */
static int files_update(struct send *send, const struct catalogue *catalogue)
{
	struct file **link = &send->files;
	size_t i = 0;

	while (*link || i < catalogue->count) {
		const struct catalogue_item *item = i < catalogue->count ? &catalogue->items[i] : NULL;
		int order = !*link ? 1 : !item ? -1 : strcmp((*link)->name, item->name);
		struct file *file = *link;

		if (order < 0 && (file->scanning || catalogue->skipped)) {
			link = &file->next;
			continue;
		}
		if (order < 0) {
			*link = file->next;
			file->gone = true;
			sending_remove(send->sending, file->entry);
			if (!file->region)
				file_free(file);
			continue;
		}
		if (order > 0) {
			file = file_new(send, item);
			if (!file)
				return -ENOMEM;
			file->next = *link;
			*link = file;
		} else if (!order) {
			file_again(send, file);
		}
		sending_due(send->sending, file->entry, send->round);
		link = &file->next;
		i++;
	}
	return 0;
}

static void round_begin(struct send *send)
{
	struct catalogue catalogue;
	struct error error = { 0 };

	if (catalogue_make(&catalogue, send->paths, send->path_count, &error)) {
		send_finish(send, &error);
		return;
	}
	send->round++;
	send->in_round = true;
	send->failures = catalogue.skipped;
	send->hashed = 0;
	send->began = loop_now();
	send->before = send->sending->counts;
	send->wire_before = send->sending->wire.sent + send->sending->wire.received;
	if (!send->options->interval && !catalogue.count && !catalogue.skipped)
		error_set(&error, -ENOENT, "there is nothing to send: %s", send->path_count == 1 ?
			  send->paths[0] : "none of the paths is there");
	else if (files_update(send, &catalogue))
		error_set(&error, -ENOMEM, "out of memory");
	catalogue_free(&catalogue);
	if (error.code) {
		send_finish(send, &error);
		return;
	}
	scans_go_on(send);
	if (send->options->progress)
		loop_timer_set(send->loop, &send->show, loop_now() + SHOW_EACH);
	loop_task_queue(send->loop, &send->sending->pump);
}

static void show_progress(struct loop_timer *timer)
{
	struct send *send = (struct send *)((char *)timer - offsetof(struct send, show));
	uint64_t total, left;

	sending_progress(send->sending, &total, &left);
	if (total)
		progress_show(&send->progress, total - left, total, loop_now(), "");
	loop_timer_set(send->loop, timer, loop_now() + SHOW_EACH);
}

/* --- the connection ------------------------------------------------------------------------ */

static void send_again(struct send *send, const struct error *error)
{
	if (!send->options->interval || send->stopping) {
		send_finish(send, error);
		return;
	}
	if (!send->again)
		log_warn("%s; it is tried again", error->text);
	send->again = send->again ? send->again * 2 : AGAIN_FIRST;
	if (send->again > AGAIN_MOST)
		send->again = AGAIN_MOST;
	loop_timer_set(send->loop, &send->next, loop_now() + send->again);
}

static void files_free(struct send *send)
{
	while (send->files) {
		struct file *file = send->files;

		send->files = file->next;
		file_free(file);
	}
}

static void send_ended(struct sending *sending, const struct error *error)
{
	struct send *send = sending->data;

	if (send->scans) {		/* they have to end first: looked at again soon */
		for (struct file *f = send->files; f; f = f->next)
			if (f->scanning)
				scan_stop(&f->scan);
		loop_task_queue(send->loop, &sending->pump);
		return;
	}
	loop_timer_cancel(send->loop, &send->next);
	loop_timer_cancel(send->loop, &send->show);
	progress_end(&send->progress);
	send->in_round = send->said_round = false;
	if (sending->ready)
		send->again = 0;
	if (error->code)
		send_again(send, error);
	else
		send_finish(send, NULL);
	sending_free(sending);
	send->sending = NULL;
	files_free(send);
}

static const struct sending_ops send_ops = {
	.open = region_open,
	.close = region_closed,
	.learn = region_learn,
	.committed = region_committed,
	.failed = region_failed,
	.idle = send_idle,
	.answered = send_answered,
	.ended = send_ended,
};

static int send_connect(struct send *send, struct error *error)
{
	/* Looked at once, one hash of each chunk is less work than two; again and again, a fast one is. */
	static const uint8_t once[SYNC_HASHES] = { SYNC_BLAKE2, SYNC_XXH3, SYNC_SHA256, SYNC_CRC32C };
	static const uint8_t again[SYNC_HASHES] = { SYNC_XXH3, SYNC_BLAKE2, SYNC_SHA256, SYNC_CRC32C };
	const struct send_options *options = send->options;
	struct sending_setup setup = {
		.loop = send->loop, .pool = send->pool, .ops = &send_ops, .data = send,
		.chunk = options->chunk,
		.credentials = send->credentials, .address = options->to, .limits = options->limits,
	};
	char host[256];
	int fd, code;

	if (options->hash >= 0)
		setup.hashes[0] = (uint8_t)(options->hash + 1);
	else
		memcpy(setup.hashes, options->interval ? again : once, sizeof(setup.hashes));
	code = address_connect(options->to, SYNC_PORT, &fd, host, error);
	if (code)
		return code;
	setup.hostname = *host ? host : NULL;
	code = sending_new(&setup, fd, &send->sending, error);
	if (!code)
		round_begin(send);
	return code;
}

static void send_next(struct loop_timer *timer)
{
	struct send *send = (struct send *)((char *)timer - offsetof(struct send, next));
	struct error error = { 0 };

	if (send->sending)
		round_begin(send);
	else if (send_connect(send, &error))
		send_again(send, &error);
}

static void send_signal(struct loop_source *source, uint32_t events)
{
	struct send *send = (struct send *)((char *)source - offsetof(struct send, signals));
	struct signalfd_siginfo info;
	struct error error = { 0 };
	bool again;

	(void)events;
	if (!signals_take(source, &info, &send->signalled, &again))
		return;
	error_set(&error, -EINTR, "ended by a signal: what was sent is there, and the next time goes on from it");
	if (again)
		_exit(1);
	if (!send->options->interval)
		send_finish(send, &error);
	else if (!send->sending)
		send_finish(send, NULL);
	else if (!send->in_round && !send->stopping)
		sending_end(send->sending);
	send->stopping = true;
	loop_timer_cancel(send->loop, &send->next);
}

static int send_start(struct send *send, struct error *error)
{
	const struct send_options *options = send->options;
	int code;

	code = loop_new(&send->loop);
	if (code)
		return error_set(error, code, "cannot make an event loop: %s", strerror(-code));
	send->signals.ready = send_signal;
	send->next.fire = send_next;
	send->show.fire = show_progress;
	progress_init(&send->progress, stderr);
	code = signals_watch(send->loop, &send->signals, error);
	if (!code)
		code = security_client(&options->security, &send->credentials, error);
	if (!code)
		code = pool_new(send->loop, options->threads, &send->pool, error);
	if (!code)
		code = send_connect(send, error);
	return code;
}

/* It is finished, and the pool has nothing of it. */
static bool send_over(struct send *send)
{
	if (!send->finished)
		return false;
	for (struct file *f = send->files; f; f = f->next)
		if (f->scanning)
			scan_stop(&f->scan);
	return !send->scans && !(send->sending && send->sending->flying);
}

int send_run(const struct send_options *options, char *const *paths, int count,
	     struct error *error)
{
	struct send send = {
		.options = options, .paths = paths, .path_count = count, .signals.fd = -1,
	};
	int code;

	send.wanted_last = &send.wanted;
	code = send_start(&send, error);
	while (!code && !send_over(&send))
		code = loop_once(send.loop, UINT64_MAX);
	pool_free(send.pool);
	if (send.sending)
		sending_free(send.sending);
	files_free(&send);
	if (send.loop) {
		loop_timer_cancel(send.loop, &send.next);
		loop_timer_cancel(send.loop, &send.show);
		if (send.signals.fd >= 0) {
			loop_remove(send.loop, &send.signals);
			close(send.signals.fd);
		}
	}
	tls_credentials_free(send.credentials);
	loop_free(send.loop);
	if (!code && send.why.code)
		code = error_set(error, send.why.code, "%s", send.why.text);
	if (!code && send.status)
		error_set(error, -EIO, "not everything was sent");
	return code ? code : send.status;
}
