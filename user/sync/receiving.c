// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The receiving end of one connection. See receiving.h; what a stream does is in receiving_stream.c.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/error.h"
#include "sync/receiving_stream.h"

static struct receiving *of_owner(struct wire_owner *owner)
{
	return (struct receiving *)((char *)owner - offsetof(struct receiving, owner));
}

/* The first of theirs that we can, 0: none. */
static unsigned int hash_agreed(const uint8_t ours[SYNC_HASHES], const uint8_t theirs[SYNC_HASHES])
{
	for (unsigned int i = 0; i < SYNC_HASHES && theirs[i]; i++)
		if (memchr(ours, theirs[i], SYNC_HASHES))
			return theirs[i];
	return 0;
}

static int receiving_hello(struct wire_owner *owner, const struct sync_hello *hello,
			   struct error *error)
{
	struct receiving *receiving = of_owner(owner);
	uint32_t chunk = receiving->offer.chunk ? receiving->offer.chunk : hello->chunk;
	unsigned int hash;

	if (hello->version_min > SYNC_VERSION)
		return error_set(error, -EPROTONOSUPPORT, "the sender speaks a newer protocol only: use a newer r3map here");
	if (hello->role != SYNC_SENDER)
		return error_set(error, -EPROTO, "both ends want to receive: one has to be r3map send, or a hub");
	if (receiving->ops->allowed && !receiving->ops->allowed(receiving, error))
		return error->code;
	hash = hash_agreed(receiving->offer.hashes, hello->hashes);
	if (!hash)
		return error_set(error, -EPROTONOSUPPORT, "none of the sender's hashes is known, or allowed, here");
	if (chunk < SYNC_CHUNK_MIN || chunk > SYNC_CHUNK_MAX || chunk & (chunk - 1))
		return error_set(error, -EPROTO, "the sender wants chunks of %u bytes, which makes no sense",
				 chunk);
	if (receiving->used)
		return 0;
	receiving->used = &receiving->hashing;
	return hashing_init(&receiving->hashing, (enum sync_hash)hash, chunk, error);
}

static int stream_open(struct receiving *receiving, const struct sync_message *m,
		       struct error *error)
{
	if (m->stream <= receiving->numbered)
		return error_set(error, -EPROTO, "the sender broke the protocol: stream %u was there before",
				 m->stream);
	if (receiving->open >= SYNC_STREAMS_MAX || receiving->all >= 2 * SYNC_STREAMS_MAX)
		return error_set(error, -EPROTO, "the sender opened more than %u streams", SYNC_STREAMS_MAX);
	receiving->numbered = m->stream;
	return receiving_stream_open(receiving, m, error);
}

static int receiving_message(struct wire_owner *owner, const struct sync_message *m,
			     struct error *error)
{
	struct receiving *receiving = of_owner(owner);
	static const struct error in_order;

	switch (m->type) {
	case SYNC_OPEN:
		return stream_open(receiving, m, error);
	case SYNC_REMOVE:
		receiving_remove(receiving, m->open.name);
		return 0;
	case SYNC_ROUND:
		wire_say(&receiving->wire, m);
		receiving->ops->told(receiving, m->type);
		return 0;
	case SYNC_END:
		wire_say(&receiving->wire, m);
		receiving->ops->told(receiving, m->type);
		wire_end(&receiving->wire, &in_order);
		return 0;
	case SYNC_WANT:
	case SYNC_DATA:
	case SYNC_ZERO:
	case SYNC_RESIZE:
	case SYNC_COMMIT:
	case SYNC_CLOSE:
		break;
	default:
		return error_set(error, -EPROTO, "the sender broke the protocol: %s is for a receiver",
				 sync_type_name(m->type));
	}
	for (struct receiving_stream *s = receiving->streams; s; s = s->next)
		if (s->number == m->stream && !s->closed)
			return receiving_stream_message(s, m, error);
	if (m->stream > receiving->numbered)
		return error_set(error, -EPROTO, "the sender broke the protocol: there is no stream %u",
				 m->stream);
	/* One that could not be opened, and the sender does not know yet, or one that waits for that. */
	if (m->type == SYNC_CLOSE)
		receiving_stream_forget(receiving, m->stream);
	return 0;
}

static void receiving_over(struct loop_task *task)
{
	struct receiving *receiving = (struct receiving *)((char *)task - offsetof(struct receiving, end));

	if (!receiving->streams)
		receiving->ops->ended(receiving, &receiving->why);
}

static void receiving_ended(struct wire_owner *owner, const struct error *error)
{
	struct receiving *receiving = of_owner(owner);
	struct receiving_stream *stream, *next;

	receiving->over = true;
	receiving->why = *error;
	for (stream = receiving->streams; stream; stream = next) {
		next = stream->next;
		receiving_stream_end(stream);
	}
	loop_task_queue(receiving->loop, &receiving->end);
}

int receiving_new(const struct receiving_setup *setup, int fd, struct receiving **made,
		  struct error *error)
{
	static const uint8_t all[SYNC_HASHES] = { SYNC_XXH3, SYNC_SHA256, SYNC_CRC32C, SYNC_BLAKE2 };
	struct receiving *receiving = calloc(1, sizeof(*receiving));
	int code;

	if (!receiving)
		return error_set(error, -ENOMEM, "out of memory");
	*receiving = (struct receiving) {
		.owner = { receiving_hello, receiving_message, receiving_ended },
		.loop = setup->loop, .pool = setup->pool, .folder = setup->folder,
		.ops = setup->ops, .data = setup->data, .used = setup->hashing,
		.durable = setup->durable, .budget = setup->budget, .end.run = receiving_over,
		.offer = {
			.version_min = SYNC_VERSION, .version_max = SYNC_VERSION,
			.role = SYNC_RECEIVER, .streams = SYNC_STREAMS_MAX,
		},
	};
	memcpy(receiving->offer.hashes, all, SYNC_HASHES);
	if (setup->hashing) {
		memset(receiving->offer.hashes, 0, SYNC_HASHES);
		receiving->offer.hashes[0] = (uint8_t)setup->hashing->hash;
		receiving->offer.chunk = setup->hashing->chunk;
	}
	code = wire_open(&receiving->wire, setup->loop, &receiving->owner, fd, setup->credentials,
			 setup->hostname, setup->address, &setup->limits, &receiving->offer, error);
	if (code) {
		free(receiving);
		return code;
	}
	*made = receiving;
	return 0;
}

void receiving_free(struct receiving *receiving)
{
	receiving->over = true;
	while (receiving->streams) {
		receiving->streams->busy = false;	/* the pool is no more */
		receiving_stream_end(receiving->streams);
	}
	wire_free(&receiving->wire);
	loop_task_cancel(receiving->loop, &receiving->end);
	free(receiving);
}
