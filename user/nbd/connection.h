/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of an NBD client, for client.c (requests and their slots), connection.c (a connection
 * begins and ends), reconnect.c (is lost and found), send.c, receive.c (bytes in) and chunk.c
 * (what they mean). Everybody else uses client.h.
 *
 * The states of a client:
 *	live	there is a connection
 *	lost	there is none, the dialer works on it, requests wait: !live, !refuse
 *	down	the same, but for too long, requests fail: !live, refuse == -ENOTCONN
 *	over	for good, requests fail: over, refuse says with what
 *
 * A request takes a slot of a fixed table; the cookie on the wire is the slot's index and its
 * generation, so that a reply that is made up, repeated or late is recognised. A slot is free
 * again just before its request is completed, and no pointer to the request is kept.
 */
#ifndef R3MAP_NBD_CONNECTION_H
#define R3MAP_NBD_CONNECTION_H

#include <sys/uio.h>

#include "client.h"
#include "cover.h"
#include "reply.h"
#include "../lib/loop.h"

#define NBD_DEPTH_MASK	(NBD_CLIENT_DEPTH - 1)
#define NBD_TX_IOVECS	512		/* pieces of one sendmsg() */
#define NBD_RX_BYTES	(136u << 10)	/* the buffer of small replies: 32 of 4 KiB */
#define NBD_DRIP	64u		/* bytes between two looks of the watch that count as life */
#define NBD_ERRORS_MAX	1024		/* chunks of one reply that tell an error */
#define NBD_READ_LARGE	(32u << 10)	/* bytes of a READ that is worth a read of its own */

struct nbd_slot {
	struct backend_io *io;	/* NULL: free */
	uint32_t generation;	/* grows each time the slot is freed */
	int error;		/* the first one that a chunk told, or 0 */
	uint16_t errors;	/* chunks that told one */
	bool sent;		/* all of it, payload included */
	bool chunks;		/* a chunk of its reply has come */
	bool status;		/* and one that answers BLOCK_STATUS */
	bool scattered;		/* READ: in more pieces than can be remembered */
};

/* What comes next from the server. */
enum nbd_rx_state {
	NBD_RX_HEADER,		/* a reply's header, with the fixed part of its payload */
	NBD_RX_DATA,		/* bytes of a READ */
	NBD_RX_EXTENTS,		/* extents of a BLOCK_STATUS */
};

struct nbd_rx {
	enum nbd_rx_state state;
	struct nbd_slot *slot;	/* whose reply is being received; not in state HEADER */
	char *to;		/* DATA: where the next byte goes */
	uint32_t left;		/* DATA, EXTENTS: bytes of the payload to come */
	bool done;		/* it is the last chunk of the reply */
	bool wide;		/* EXTENTS: of 64 bits */
	bool full;		/* EXTENTS: no further one is wanted */
	uint32_t used;		/* bytes in buf; too few to make sense of between reads */
	uint32_t need;		/* HEADER: bytes in buf that make sense at the earliest */
	char buf[NBD_RX_BYTES];
};

struct nbd_client {
	struct loop_source source;	/* the connection */
	struct loop_source watch;	/* a timerfd: see reconnect.c */
	struct loop_task again;		/* reads what is there, but not in the socket: TLS */
	struct loop *loop;
	struct stream stream;
	struct nbd_export export;	/* as it was when the client began */
	const char *name;
	uint32_t timeout_ms;
	uint32_t reconnect_ms;
	struct nbd_unflushed *unflushed;
	struct backend_listener *listener;	/* or NULL */
	_Atomic uint64_t *received;	/* or NULL */
	struct nbd_dialer *dialer;	/* NULL: there is no second connection */

	bool live;
	bool over;
	int refuse;			/* 0, or the errno that every request gets */
	uint64_t lost_at;		/* ns: the end of the last connection that was of use */
	bool lost_told;			/* the log and the listener know, and not yet that it is back */
	bool proven;			/* a request was answered over this connection */
	uint64_t heard;			/* bytes since the watch looked; NBD_DRIP or more for an answer */
	bool watching;			/* the watch is set, or is not to be */
	unsigned int quiet;		/* how often the watch has looked since something moved */

	/* Of this connection. */
	enum nbd_headers headers;
	uint32_t request_size;		/* bytes of a request's header */
	uint32_t status_context;	/* base:allocation's number */
	int send_error;			/* sending has failed; to be told when reading is over */
	bool reading;			/* in nbd_client_read(), which kicks at its end */
	bool scattered_told;

	struct nbd_slot slots[NBD_CLIENT_DEPTH];
	uint16_t free[NBD_CLIENT_DEPTH];
	unsigned int free_count;
	unsigned int reads_large;	/* in flight, NBD_READ_LARGE or more */
	struct backend_io *waiting;	/* for a slot, in order, by io->link */
	struct backend_io **waiting_tail;

	/* Requests to be sent: a ring, numbered by counters that only grow. */
	char tx[NBD_CLIENT_DEPTH * NBD_REQUEST_MAX];	/* headers, request_size apart */
	uint16_t tx_slot[NBD_CLIENT_DEPTH];
	uint32_t tx_first, tx_next;
	size_t tx_sent;			/* bytes of tx_first that are sent */
	bool tx_full;			/* the socket is; the loop waits for room */
	struct nbd_slot *early;		/* answered before its payload was sent, or NULL */
	int early_error;		/* the answer */
	struct iovec iovecs[NBD_TX_IOVECS];

	struct nbd_rx rx;

	/* Of the slots that are READs; not used with simple replies, which come whole. */
	struct nbd_cover covers[NBD_CLIENT_DEPTH];
};

static inline unsigned int nbd_client_in_flight(const struct nbd_client *client)
{
	return NBD_CLIENT_DEPTH - client->free_count;
}

static inline struct nbd_cover *nbd_slot_cover(struct nbd_client *client,
					       const struct nbd_slot *slot)
{
	return &client->covers[slot - client->slots];
}

/* client.c: frees the slot, then tells the owner, who may submit again. */
void nbd_slot_complete(struct nbd_client *client, struct nbd_slot *slot, int error);
/* client.c: puts the request of @slot into the ring, as one that the server knows nothing of. */
void nbd_slot_queue(struct nbd_client *client, struct nbd_slot *slot);
/* client.c: gives requests that wait a slot, as far as there are slots. */
void nbd_waiting_queue(struct nbd_client *client);
/* client.c: completes all requests with @code, those that wait included. */
void nbd_requests_fail(struct nbd_client *client, int code);

/*
 * connection.c: @stream, whose it then is, becomes the connection; nothing is sent yet. Returns 0 or
 * a negative errno: then @stream is closed.
 */
int nbd_connection_begin(struct nbd_client *client, struct stream stream,
			 const struct nbd_export *export);
/* connection.c: closes it. Requests stay in their slots; what was to be sent is forgotten. */
void nbd_connection_end(struct nbd_client *client);
/* connection.c: the client is over, with one line in the log. @code: what all requests get. */
void nbd_client_fail(struct nbd_client *client, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* reconnect.c: prepares for a lost connection. Returns 0 or a negative errno. */
int nbd_reconnect_init(struct nbd_client *client, const struct nbd_client_config *config);
void nbd_reconnect_fini(struct nbd_client *client);
/*
 * reconnect.c: the connection is of no use any more, though the server did nothing forbidden. Ends
 * it, with one line in the log, and begins to look for another one.
 */
void nbd_client_lost(struct nbd_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* reconnect.c: requests are in flight from now on. */
void nbd_watch_begin(struct nbd_client *client);
/* reconnect.c: the listener, if it does not know it yet. */
void nbd_client_tell(struct nbd_client *client, bool lost);
/* reconnect.c: after a connection was lost, the new one is of use. */
void nbd_client_back(struct nbd_client *client);

/* receive.c: reads and completes what is there, then sends what that has queued. */
void nbd_client_read(struct nbd_client *client);

/*
 * chunk.c: looks at one reply, whose header is @reply, and at what of its payload is in the @have
 * bytes at @payload. Returns how many of these it took; the state then says what comes next.
 * -EAGAIN: it can only be understood with rx.need bytes in the buffer. -ECONNABORTED: the
 * connection has ended.
 */
int nbd_reply_take(struct nbd_client *client, const struct nbd_reply *reply, const char *payload,
		   uint32_t have);
/* chunk.c: @length bytes of a READ's data have come to their place. False: the connection ended. */
bool nbd_data_received(struct nbd_client *client, uint32_t length);
/* chunk.c: one extent of a status, rx.wide or not. False: the connection has ended. */
bool nbd_extent_take(struct nbd_client *client, const char *from);

#endif
