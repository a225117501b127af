// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One connection. See wire.h.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/text.h"
#include "sync/wire.h"
#include "tls/session.h"

#define MS		1000000ull	/* ns */
#define TICK		(1000 * MS)	/* at most */
#define TICK_LEAST	(10 * MS)
#define ALIVE_EACH	(5000 * MS)	/* at most */
#define ALIVE_PART	4		/* of what the peer waits: one that is late does no harm */
#define GATHER		64		/* pieces that are sent at a time */
#define READS		32		/* of one connection before others get their turn */
#define SMALL		4096u		/* bytes of a payload's first buffer */

static void wire_update(struct wire *wire);

/* Nothing is read or written any more; the owner is told when nobody is in the midst of it. */
static void wire_die(struct wire *wire, const struct error *why)
{
	if (wire->dead)
		return;
	wire->dead = true;
	if (!wire->ending)
		wire->error = *why;
	loop_remove(wire->loop, &wire->source);
	loop_timer_cancel(wire->loop, &wire->tick);
	loop_task_queue(wire->loop, &wire->task);
}

static void wire_fail(struct wire *wire, int code, const char *what)
{
	struct error error = { 0 };

	if (wire->stream.tls && wire->secured)
		tls_explain(wire->stream.tls, code, &error);
	else if (code == -ECONNRESET || code == -EPIPE)
		error_set(&error, -ECONNRESET, "the other end closed the connection");
	else
		error_set(&error, code, "cannot %s the other end: %s", what, strerror(-code));
	wire_die(wire, &error);
}

/* --- out ---------------------------------------------------------------------------------- */

static void frame_release(struct wire_frame *frame)
{
	if (frame->release)
		frame->release(frame);
	else
		free(frame);
}

static int frames_gather(struct wire *wire, struct iovec iov[GATHER])
{
	int count = 0;

	for (struct wire_frame *f = wire->first; f && count + 2 <= GATHER; f = f->next) {
		size_t skip = f->sent;

		if (skip < f->head_length)
			iov[count++] = (struct iovec) { f->head + skip, f->head_length - skip };
		skip = skip > f->head_length ? skip - f->head_length : 0;
		if (skip < f->data_length)
			iov[count++] = (struct iovec) { (char *)f->data + skip, f->data_length - skip };
	}
	return count;
}

static void frames_left(struct wire *wire, size_t bytes)
{
	wire->waiting -= bytes;
	wire->sent += bytes;
	wire->said = wire->moved = loop_now();
	while (bytes) {
		struct wire_frame *frame = wire->first;
		size_t left = frame->head_length + frame->data_length - frame->sent;

		if (bytes < left) {
			frame->sent += bytes;
			return;
		}
		bytes -= left;
		wire->first = frame->next;
		if (!wire->first)
			wire->last = &wire->first;
		frame_release(frame);
	}
}

static void wire_write(struct wire *wire)
{
	struct iovec iov[GATHER];
	ssize_t sent;

	while (wire->first && wire->secured && !wire->dead) {
		sent = stream_writev(&wire->stream, iov, frames_gather(wire, iov));
		if (sent < 0) {
			wire->full = true;
			if (sent != -EAGAIN && sent != -ENOBUFS && sent != -ENOMEM)
				wire_fail(wire, (int)sent, "send to");
			break;
		}
		wire->full = false;
		frames_left(wire, (size_t)sent);
	}
	if (!wire->first)
		wire->full = false;
	if (!wire->first && wire->ending && !wire->dead) {
		stream_bye(&wire->stream);
		wire_die(wire, &wire->error);
	}
}

void wire_send(struct wire *wire, struct wire_frame *frame)
{
	if (wire->dead || wire->ending) {
		frame_release(frame);
		return;
	}
	if (!wire->first)
		wire->moved = loop_now();
	frame->next = NULL;
	frame->sent = 0;
	*wire->last = frame;
	wire->last = &frame->next;
	wire->waiting += frame->head_length + frame->data_length;
	loop_task_queue(wire->loop, &wire->task);
}

void wire_say(struct wire *wire, const struct sync_message *message)
{
	size_t bytes = sync_encoded(message);
	struct wire_frame *frame = malloc(sizeof(*frame) + bytes);
	struct error error;

	if (!frame) {
		error_set(&error, -ENOMEM, "out of memory");
		wire_die(wire, &error);
		return;
	}
	*frame = (struct wire_frame) { .data = (char *)(frame + 1), .data_length = (uint32_t)bytes };
	sync_encode(message, (char *)(frame + 1));
	wire_send(wire, frame);
}

void wire_complain(struct wire *wire, uint32_t stream, const struct error *error)
{
	struct sync_message m = { .type = SYNC_ERROR, .stream = stream };

	m.error.code = error->code ? error->code : -EIO;
	snprintf(m.error.text, sizeof(m.error.text), "%.*s", (int)SYNC_TEXT_MAX, error->text);
	wire_say(wire, &m);
}

void wire_end(struct wire *wire, const struct error *error)
{
	if (wire->dead || wire->ending)
		return;
	wire->ending = true;
	wire->error = *error;
	loop_task_queue(wire->loop, &wire->task);
}

/* --- in ----------------------------------------------------------------------------------- */

/* What the peer sent breaks the rules: it is told, if it can still be, and that is the end. */
static void wire_breach(struct wire *wire, const struct error *error)
{
	if (wire->greeted || wire->in.type == SYNC_HELLO)
		wire_complain(wire, 0, error);
	wire_end(wire, error);
}

static void wire_nonsense(struct wire *wire)
{
	struct error error = { 0 };

	if (wire->greeted)
		error_set(&error, -EPROTO, "what the other end sent makes no sense (%s)",
			  sync_type_name(wire->in.type));
	else
		error_set(&error, -EPROTO, "what is at the other end does not speak r3map's synchronisation%s",
			  wire->stream.tls ? "" : ", or wants TLS");
	wire_breach(wire, &error);
}

static bool payload_prepare(struct wire *wire)
{
	uint32_t room = wire->payload_length > SMALL ? wire->payload_length : SMALL;
	struct error error;

	if (wire->payload && room <= wire->payload_room)
		return true;
	free(wire->payload);
	wire->payload = malloc(room);
	wire->payload_room = wire->payload ? room : 0;
	if (wire->payload)
		return true;
	error_set(&error, -ENOMEM, "out of memory");
	wire_die(wire, &error);
	return false;
}

char *wire_keep(struct wire *wire)
{
	char *payload = wire->payload, *fit;

	/* What it costs its sender is its length, and not that of the longest one before it. */
	if (wire->payload_length < wire->payload_room) {
		fit = realloc(payload, wire->payload_length);
		payload = fit ? fit : payload;
	}
	wire->payload = NULL;
	wire->payload_room = 0;
	return payload;
}

/* How long until the next look at the times, the shortest of which it must not miss by much. */
static uint64_t tick_each(const struct wire *wire)
{
	uint64_t each = wire->limits.idle * MS / ALIVE_PART;

	if (each > wire->alive / 2)
		each = wire->alive / 2;
	return each > TICK ? TICK : each < TICK_LEAST ? TICK_LEAST : each;
}

/* The peer waits @ms for a byte, 0: long: it gets one in time. */
static void wire_patience(struct wire *wire, uint16_t ms)
{
	if (ms && ms * MS / ALIVE_PART < wire->alive)
		wire->alive = ms * MS / ALIVE_PART;
	loop_timer_set(wire->loop, &wire->tick, loop_now() + tick_each(wire));
}

/* A whole message is there. */
static void wire_take(struct wire *wire)
{
	struct error error = { 0 };
	int code = 0;

	wire->header_got = 0;
	wire->received += SYNC_HEADER + wire->payload_length;
	if (!sync_decode(wire->payload, wire->payload_length, &wire->in)) {
		wire_nonsense(wire);
		return;
	}
	if (wire->greeted == (wire->in.type == SYNC_HELLO)) {
		wire_nonsense(wire);
		return;
	}
	if (wire->in.type == SYNC_HELLO) {
		wire->greeted = true;
		wire_patience(wire, wire->in.hello.patience);
		code = wire->owner->hello(wire->owner, &wire->in.hello, &error);
	} else if (wire->in.type == SYNC_ERROR && !wire->in.stream) {
		error_set(&error, wire->in.error.code, "the other end says: %s", wire->in.error.text);
		wire_end(wire, &error);
		return;
	} else if (wire->in.type != SYNC_ALIVE) {
		code = wire->owner->message(wire->owner, &wire->in, &error);
	}
	if (code)
		wire_breach(wire, &error);
}

/* Goes on with what has come of a message. False: there is no more to be read for now. */
static bool wire_parse(struct wire *wire, size_t got)
{
	uint32_t missing = SYNC_HEADER - wire->header_got;

	if (missing) {
		uint32_t part = got < missing ? (uint32_t)got : missing;

		wire->header_got += part;
		got -= part;
		if (part < missing)
			return true;
		if (!sync_decode_header(wire->header, &wire->in, &wire->payload_length) ||
		    (!wire->greeted && wire->in.type != SYNC_HELLO && wire->in.type != SYNC_ERROR)) {
			wire_nonsense(wire);
			return false;
		}
		wire->payload_got = 0;
		if (!payload_prepare(wire))
			return false;
	}
	wire->payload_got += (uint32_t)got;
	if (wire->payload_got == wire->payload_length)
		wire_take(wire);
	return !wire->dead && !wire->ending;
}

static void wire_read(struct wire *wire)
{
	struct iovec iov;
	ssize_t got;

	for (int i = 0; i < READS && !wire->dead && !wire->ending; i++) {
		if (wire->receiver && wire->waiting > WIRE_OUTPUT_HIGH) {
			wire->paused = true;
			return;
		}
		if (wire->header_got < SYNC_HEADER)
			iov = (struct iovec) { wire->header + wire->header_got,
					       SYNC_HEADER - wire->header_got };
		else
			iov = (struct iovec) { wire->payload + wire->payload_got,
					       wire->payload_length - wire->payload_got };
		got = stream_readv(&wire->stream, &iov, 1);
		if (got == -EAGAIN)
			return;
		if (got <= 0) {
			wire_fail(wire, got ? (int)got : -ECONNRESET, "hear from");
			return;
		}
		wire->heard = loop_now();
		if (!wire_parse(wire, (size_t)got))
			return;
	}
	/* The descriptor may know nothing of what is decrypted already. */
	if (!wire->dead && !wire->ending && stream_pending(&wire->stream))
		loop_task_queue(wire->loop, &wire->task);
}

/* --- life --------------------------------------------------------------------------------- */

static void wire_secure(struct wire *wire)
{
	struct error error = { 0 };
	int code = tls_handshake(wire->stream.tls, &error);

	if (code == -EAGAIN)
		return;
	if (code) {
		error_prefix(&error, "TLS: ");
		wire_die(wire, &error);
		return;
	}
	wire->secured = true;
	snprintf(wire->peer, sizeof(wire->peer), "%s", tls_peer(wire->stream.tls));
}

static void wire_update(struct wire *wire)
{
	uint32_t events = 0;

	if (wire->dead)
		return;
	if (!wire->secured) {
		events = tls_wants_write(wire->stream.tls) ? EPOLLOUT : EPOLLIN;
	} else {
		if (!wire->paused && !wire->ending)
			events |= EPOLLIN;
		if (wire->full)
			events |= EPOLLOUT;
	}
	loop_add(wire->loop, &wire->source, events);
}

static void wire_ready(struct loop_source *source, uint32_t events)
{
	struct wire *wire = (struct wire *)((char *)source - offsetof(struct wire, source));

	if (!wire->secured)
		wire_secure(wire);
	if (wire->secured && !wire->dead && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		wire_write(wire);
	if (wire->secured && !wire->dead && !wire->paused && events & ~(uint32_t)EPOLLOUT)
		wire_read(wire);
	if (wire->dead)
		return;
	loop_task_queue(wire->loop, &wire->task);
}

/* The end of a round: what was said in it leaves in one piece. */
static void wire_task(struct loop_task *task)
{
	struct wire *wire = (struct wire *)((char *)task - offsetof(struct wire, task));

	if (!wire->dead && !wire->secured)
		wire_secure(wire);	/* somebody has to begin */
	if (!wire->dead && !wire->full)
		wire_write(wire);
	if (wire->paused && wire->waiting <= WIRE_OUTPUT_HIGH / 2)
		wire->paused = false;
	if (!wire->dead && wire->secured && !wire->paused && !wire->ending &&
	    stream_pending(&wire->stream)) {
		wire_read(wire);
		loop_task_queue(wire->loop, &wire->task);
	}
	if (!wire->dead) {
		wire_update(wire);
		return;
	}
	loop_task_cancel(wire->loop, task);	/* it may have died just now, and is told of once */
	wire->owner->ended(wire->owner, &wire->error);
}

static void wire_tick(struct loop_timer *timer)
{
	struct wire *wire = (struct wire *)((char *)timer - offsetof(struct wire, tick));
	const uint64_t now = loop_now();
	struct error error = { 0 };

	if (wire->ending) {
		if (now - wire->moved > wire->limits.handshake * MS)
			wire_die(wire, &wire->error);
		else
			loop_timer_set(wire->loop, timer, now + tick_each(wire));
		return;
	}
	if (!wire->greeted && now - wire->since > wire->limits.handshake * MS)
		error_set(&error, -ETIMEDOUT, "the other end does not say who it is: is it r3map%s?",
			  wire->stream.tls ? ", with TLS" : "");
	else if (!wire->paused && now - wire->heard > wire->limits.idle * MS)
		error_set(&error, -ETIMEDOUT, "nothing comes from the other end any more");
	else if (wire->first && now - wire->moved > wire->limits.idle * MS)
		error_set(&error, -ETIMEDOUT, "the other end takes nothing any more");
	if (error.code) {
		wire_die(wire, &error);
		return;
	}
	if (wire->greeted && !wire->first && now - wire->said >= wire->alive)
		wire_say(wire, &(struct sync_message) { .type = SYNC_ALIVE });
	loop_timer_set(wire->loop, timer, now + tick_each(wire));
}

int wire_open(struct wire *wire, struct loop *loop, struct wire_owner *owner, int fd,
	      struct tls_credentials *credentials, const char *hostname, const char *address,
	      const struct wire_limits *limits, const struct sync_hello *hello, struct error *error)
{
	struct sync_message m = { .type = SYNC_HELLO };
	int code = 0;

	*wire = (struct wire) {
		.loop = loop, .owner = owner, .stream.fd = fd, .limits = *limits,
		.source = { .fd = fd, .ready = wire_ready }, .tick.fire = wire_tick,
		.task.run = wire_task, .receiver = hello->role == SYNC_RECEIVER,
		.secured = !credentials, .alive = ALIVE_EACH,
	};
	wire->last = &wire->first;
	wire->since = wire->heard = wire->said = wire->moved = loop_now();
	snprintf(wire->address, sizeof(wire->address), "%s", address);
	if (credentials)
		code = tls_session_new(credentials, fd, hostname, &wire->stream.tls, error);
	if (!code) {
		code = loop_add(loop, &wire->source, EPOLLIN);
		if (!code)
			code = loop_timer_set(loop, &wire->tick, loop_now() + tick_each(wire));
		if (code)
			error_set(error, code, "cannot wait for a connection: %s", strerror(-code));
	}
	if (code) {
		wire_free(wire);
		return code;
	}
	m.hello = *hello;
	m.hello.patience = limits->idle <= UINT16_MAX ? (uint16_t)limits->idle : 0;
	wire_say(wire, &m);
	return 0;
}

void wire_free(struct wire *wire)
{
	wire->dead = true;
	loop_remove(wire->loop, &wire->source);
	loop_timer_cancel(wire->loop, &wire->tick);
	loop_task_cancel(wire->loop, &wire->task);
	while (wire->first) {
		struct wire_frame *frame = wire->first;

		wire->first = frame->next;
		frame_release(frame);
	}
	wire->last = &wire->first;
	free(wire->payload);
	wire->payload = NULL;
	tls_session_free(wire->stream.tls);
	if (wire->stream.fd >= 0)
		close(wire->stream.fd);
	wire->stream = (struct stream) { .fd = -1 };
}
