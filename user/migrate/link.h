/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A control link between leecher and seeder: messages over a connection, blocking, with a deadline for
 * each. Belongs to one thread. The peer is not trusted.
 */
#ifndef R3MAP_MIGRATE_LINK_H
#define R3MAP_MIGRATE_LINK_H

#include <linux/r3map.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "migrate/message.h"
#include "tls/stream.h"

struct dirty;
struct error;
struct nbd_uri;
struct tls_credentials;

struct link {
	struct stream stream;		/* the link's */
	bool lost;			/* it is good for nothing any more */
	_Atomic uint64_t sent, received;	/* bytes of messages; any thread may read them */
	char buf[MIGRATE_HEADER + MIGRATE_PAYLOAD_MAX];
	struct r3map_extent extents[MIGRATE_EXTENTS_MAX];	/* of the last message */
};

/* All of these: 0 or a negative errno with a sentence. @deadline: ns, CLOCK_MONOTONIC. */

/*
 * Connects to the seeder of @uri, which offers the export that it names. @link: the caller's, to be
 * ended by link_close() after success.
 */
int link_open(struct link *link, const struct nbd_uri *uri, struct tls_credentials *credentials,
	      uint64_t deadline, struct error *error);
/* Closes the connection. */
void link_close(struct link *link);

int link_send(struct link *link, const struct migrate_message *message, uint64_t deadline,
	      struct error *error);
/* What is in *@message lives until the next call. The words of a BITMAP are still to come. */
int link_receive(struct link *link, struct migrate_message *message, uint64_t deadline,
		 struct error *error);

/* What is dirty, as many EXTENTS and BITMAPs as it takes. */
int link_send_dirty(struct link *link, const struct dirty *dirty, uint64_t deadline,
		    struct error *error);
/* The same into @dirty, of the grain that TRACKED has told, in which nothing is dirty. */
int link_receive_dirty(struct link *link, struct dirty *dirty, uint64_t deadline,
		       struct error *error);

/*
 * Asks, and receives an answer of @type into *@message: what it has asked with, before. What the seeder
 * refuses comes back as its errno and sentence, and the link can be used on, unless it is lost.
 */
int link_ask(struct link *link, struct migrate_message *message, enum migrate_type type,
	     uint64_t deadline, struct error *error);
/* May link_open(), which ended with @code, work at another time? */
bool link_may_open(int code);

#endif
