/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One client's connection, from accept to its end.
 *
 * A peer belongs to one thread's thread; nothing of it is locked. It may be handed to another
 * thread once, between handshake and transmission (see struct export's home).
 *
 * Its end has two steps, because requests may be at the backend: "closing" takes no more input,
 * answers what is under way and then dies; "dead" uses the socket no more and waits for the
 * backend. The task at the end of a round is what frees it, so a callback may go on
 * using its peer after either.
 */
#ifndef R3MAP_SERVE_PEER_H
#define R3MAP_SERVE_PEER_H

#include "lib/loop.h"
#include "nbd/request.h"
#include "serve/gather.h"
#include "tls/stream.h"

struct export;
struct negotiation;
struct request;
struct server_thread;

enum peer_phase {
	PEER_OPTIONS,		/* the handshake: negotiate.c */
	PEER_TLS,		/* STARTTLS was acknowledged, or is about to be: TLS shakes hands */
	PEER_REQUESTS,		/* transmission: request.c */
	PEER_LEAVING,		/* the answer to MIGRATE leaves; then the connection is somebody else's */
};

/* What is to be sent of the handshake. */
struct peer_out {
	char *buf;
	size_t room, used, sent;
};

struct peer {
	struct loop_source source;
	struct loop_timer timer;	/* the nearest of the deadlines below */
	struct loop_task task;		/* sends, resumes, hands over, frees */
	struct stream stream;
	struct server_thread *thread;
	struct peer *next;		/* of the thread's peers, or in its inbox */
	struct peer **link;		/* what points here, among the thread's peers */
	char address[64];		/* for the log */

	enum peer_phase phase;
	bool closing;
	bool dead;
	bool handover;			/* the task gives it to its export's home */
	bool tx_full;			/* the socket is; the loop waits for room */
	bool paused;			/* too much is under way; input stays where it is */

	struct negotiation *negotiation;	/* of PEER_OPTIONS and PEER_TLS */
	struct peer_out out;
	enum nbd_headers headers;
	uint32_t contexts;		/* that were agreed on: a bit for each number of export_context_name() */
	struct export *export;		/* counted there, or NULL */
	struct backend_channel *channel;	/* the thread's */

	/* Input. */
	char header[NBD_REQUEST_MAX];	/* the front of a request's */
	uint32_t header_used;
	struct request *incoming;	/* a WRITE whose payload is being received, or NULL */
	uint32_t incoming_done;		/* bytes of it */
	bool large_writes;		/* the last request was one: see input.c */
	struct gather gather;
	uint64_t skip;			/* bytes of a refused payload still to come */
	char *stash;			/* what was read before the pause, or NULL */
	size_t stash_used, stash_taken;

	/* Under way: taken, and not yet answered with the answer sent. */
	uint32_t requests;
	uint64_t memory;		/* bytes of their payloads */

	/* Output: requests that are complete, in order. */
	struct request *tx_first, **tx_tail;
	unsigned int tx_piece;		/* of tx_first's pieces */
	size_t tx_sent;			/* bytes of it */

	/* CLOCK_MONOTONIC, nanoseconds; 0: none. */
	uint64_t rx_deadline;		/* for the rest of what has begun to come */
	uint64_t tx_deadline;		/* for the socket to take more */
	uint64_t idle_deadline;
};

#define PEER_CONTEXT_ALLOCATION	1u	/* base:allocation's id; the others' follow */
#define PEER_ALLOCATION		1u	/* and its bit */

/*
 * Takes over @fd, non-blocking, which is closed on failure. @address: for the log, cut if need be.
 * The caller has counted the connection; peer's end uncounts it. Any thread; the peer then is to
 * be given to its thread by thread_give(). Returns NULL: out of memory.
 */
struct peer *peer_new(int fd, const char *address);
/*
 * Before thread_give(): the client knows all about @export already, as the kernel's does whose
 * device this process has set up itself. There is no handshake, and headers are simple.
 */
void peer_introduce(struct peer *peer, struct export *export);
/* In the thread's thread: begins, or goes on after a handover. */
void peer_start(struct peer *peer, struct server_thread *thread);

/*
 * No more input: what is under way is answered, then the connection ends. Idempotent.
 */
void peer_close(struct peer *peer);
/* Ends the connection now, with a line in the log unless @format is NULL. Idempotent. */
void peer_die(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A point in time (CLOCK_MONOTONIC, nanoseconds): @ms from now, and as much more as @bytes take at
 * the least rate that a client has to keep up.
 */
#define PEER_NS_PER_BYTE	15259u	/* 64 KiB a second */
uint64_t peer_deadline(uint32_t ms, uint64_t bytes);
/* One of the deadlines has changed. */
void peer_deadlines_watch(struct peer *peer);
/* The number of requests under way may have become or ceased to be zero. */
void peer_idle_update(struct peer *peer);

/* request.c: @request is complete, its pieces are the answer. */
void peer_answer(struct peer *peer, struct request *request);
/* What is in @peer->out is to be sent; also after a change of phase. */
void peer_wake(struct peer *peer);
/* The handshake is over: @peer->export and headers are set. */
void peer_begin_requests(struct peer *peer);

#endif
