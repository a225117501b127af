/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection of delta synchronisation, on a loop: TLS, the first message of each side, messages in and
 * out, and the limits of what a peer may do.
 *
 * Belongs to the loop's thread. The owner hears of the end once, by ended(), and then calls wire_free().
 */
#ifndef R3MAP_SYNC_WIRE_H
#define R3MAP_SYNC_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/loop.h"
#include "sync/message.h"
#include "tls/stream.h"

struct tls_credentials;

/* What the owner bounds; milliseconds. */
struct wire_limits {
	uint32_t handshake;	/* from connecting to the peer's HELLO */
	uint32_t idle;		/* nothing comes, not even ALIVE; or nothing is taken of what is to leave */
};

#define WIRE_LIMITS { .handshake = 10000, .idle = 60000 }

/* Bytes that wait to be sent, from which on no more is read of a peer that causes them. */
#define WIRE_OUTPUT_HIGH	(16u << 20)

struct wire;

struct wire_owner {
	/* The peer's HELLO, once, before any other message. As message(). */
	int (*hello)(struct wire_owner *owner, const struct sync_hello *hello, struct error *error);
	/*
	 * A message. Returns 0, or a negative errno with a sentence, which the peer is told, and the connection
	 * ends. Of DATA: wire_keep() may be called.
	 */
	int (*message)(struct wire_owner *owner, const struct sync_message *message,
		       struct error *error);
	/* It has ended: -ECONNRESET if the peer closed it, else a negative errno; there is a sentence. */
	void (*ended)(struct wire_owner *owner, const struct error *error);
};

/* What is to be sent, by whoever owns its bytes. */
struct wire_frame {
	struct wire_frame *next;
	char head[SYNC_HEADER + SYNC_DATA_HEAD];
	uint32_t head_length;
	const char *data;		/* behind the head */
	uint32_t data_length;
	size_t sent;
	/* It has left, or never will; NULL: it is freed. */
	void (*release)(struct wire_frame *frame);
};

struct wire {
	struct loop_source source;
	struct loop_timer tick;
	struct loop_task task;
	struct loop *loop;
	struct wire_owner *owner;
	struct stream stream;
	struct wire_limits limits;
	char address[64];		/* for the log */
	char peer[256];			/* who it is, by certificate or key; "" without TLS */
	bool secured, greeted, receiver, ending, dead;
	bool full;			/* the socket is */
	bool paused;			/* so much waits to be sent that nothing is read */
	uint64_t alive;			/* ns: when nothing was said for so long, ALIVE is */
	uint64_t since;			/* ns: connected */
	uint64_t heard, said, moved;	/* ns: bytes came; left; left, or none were there to leave */
	uint64_t received, sent;	/* bytes of messages, before encryption */

	char header[SYNC_HEADER];
	uint32_t header_got;
	struct sync_message in;
	char *payload;
	uint32_t payload_room, payload_length, payload_got;

	struct wire_frame *first, **last;
	size_t waiting;			/* bytes of these that have not left */
	struct error error;		/* why it ends */
};

/*
 * @fd: connected, non-blocking; @wire's from now on, also after a failure. @credentials: NULL: no TLS.
 * @hostname: a client's idea of the server, for TLS. @hello is sent at once. @receiver: it answers what the
 * peer asks, and must not be flooded. Returns 0, or a negative errno with a sentence.
 */
int wire_open(struct wire *wire, struct loop *loop, struct wire_owner *owner, int fd,
	      struct tls_credentials *credentials, const char *hostname, const char *address,
	      const struct wire_limits *limits, const struct sync_hello *hello, struct error *error);
/* At once, and tells nobody. Frames are released. */
void wire_free(struct wire *wire);

/* Copies @message, which is not DATA, and sends it. Without memory the connection ends. */
void wire_say(struct wire *wire, const struct sync_message *message);
/* Sends @frame, which is the caller's until it is released. */
void wire_send(struct wire *wire, struct wire_frame *frame);
/* An error of a stream, or of all, to the peer; the connection goes on. */
void wire_complain(struct wire *wire, uint32_t stream, const struct error *error);
/* Within message(): the payload, which may have another address, is the caller's, to be freed. */
char *wire_keep(struct wire *wire);
/* It ends once what waits has left: ended() is called with @error. */
void wire_end(struct wire *wire, const struct error *error);

#endif
