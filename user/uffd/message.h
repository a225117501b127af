/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client and a handler of userfaultfd say to each other. Source:
 * Documentation/protocol/uffd.rst.
 *
 * Over a unix socket of packets (SOCK_SEQPACKET): a packet is a message, whole or refused. Pure
 * functions of bytes; numbers are big-endian, as everywhere here. Descriptors: socket.h.
 */
#ifndef R3MAP_UFFD_MESSAGE_H
#define R3MAP_UFFD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define UFFD_VERSION		1u
#define UFFD_MAGIC		0x72337566u	/* "r3uf" */
#define UFFD_MESSAGE_MAX	65536u		/* bytes */
#define UFFD_REGIONS_MAX	64u
#define UFFD_EXTENTS_MAX	2048u		/* of one message */
#define UFFD_TEXT_MAX		400u		/* bytes of a sentence */
#define UFFD_ADDRESS_MAX	(1ull << 56)	/* no process has more */

/* flags of HELLO: what the client is to do */
#define UFFD_SHARED		(1u << 0)	/* a memfd, which the handler gets as well */
#define UFFD_HUGE		(1u << 1)	/* huge pages */
#define UFFD_POISONS		(1u << 2)	/* agree on POISON */
#define UFFD_DIRTY		(1u << 3)	/* what is written is watched; with SHARED only */
#define UFFD_FLAGS		(UFFD_SHARED | UFFD_HUGE | UFFD_POISONS | UFFD_DIRTY)

enum uffd_type {
	/* the handler's */
	UFFD_HELLO = 1,		/* what there is; it speaks first */
	UFFD_READY = 2,		/* REGISTER was taken */
	UFFD_ERROR = 3,		/* it was not, or something is over; the socket closes */
	UFFD_FAILED = 4,	/* these bytes cannot be had */
	UFFD_FETCHED = 5,	/* answer to FETCH */
	UFFD_SYNCED = 6,	/* answer to the last WRITTEN */
	UFFD_PONG = 7,

	/* the client's */
	UFFD_REGISTER = 16,	/* its memory, with the descriptors */
	UFFD_FETCH = 17,	/* without userfaultfd: bring the chunk with this byte */
	UFFD_WRITTEN = 18,	/* these bytes were written: push them */
	UFFD_PING = 19,
};

enum uffd_mode {
	UFFD_MODE_FAULTS = 1,	/* descriptors: the userfaultfd; with SHARED the memfd */
	UFFD_MODE_SIGNALS = 2,	/* SIGSEGV and mprotect(2); the memfd, a socket of FETCH */
};

struct uffd_hello {
	uint64_t size;		/* bytes of the backend */
	uint32_t page;		/* bytes */
	uint32_t chunk;		/* bytes that come at once for a fault */
	uint32_t flags;		/* UFFD_SHARED ... */
};

/* Memory of the client that shows a part of the backend. In whole pages. */
struct uffd_region {
	uint64_t address;
	uint64_t length;	/* bytes */
	uint64_t offset;	/* in the backend, and in the memfd */
};

struct uffd_extent {
	uint64_t offset;
	uint64_t length;	/* bytes, > 0 */
};

struct uffd_message {
	enum uffd_type type;
	union {
		struct uffd_hello hello;
		struct {
			enum uffd_mode mode;
			unsigned int count;
			struct uffd_region list[UFFD_REGIONS_MAX];
		} regions;			/* REGISTER */
		struct {
			uint64_t offset;
			uint64_t length;	/* bytes */
			int code;		/* 0 or a negative errno; not 0 in FAILED */
		} range;			/* FAILED, FETCHED; FETCH has the offset alone */
		struct {
			bool more;		/* another one follows */
			unsigned int count;
			struct uffd_extent list[UFFD_EXTENTS_MAX];
		} written;
		struct {
			int code;		/* 0, of SYNCED only, or a negative errno */
			char text[UFFD_TEXT_MAX + 1];
		} outcome;			/* ERROR, SYNCED */
	};
};

/* Writes @message to @buf, of UFFD_MESSAGE_MAX bytes. Returns how many are used. */
size_t uffd_encode(const struct uffd_message *message, char *buf);
/*
 * False: this is no message. Texts are cleaned; numbers are as the peer says, but for what has no
 * meaning at all: an extent that is empty or wraps, a count that is not that of the bytes.
 */
bool uffd_decode(const char *buf, size_t length, struct uffd_message *message);

/*
 * Do the regions of a REGISTER fit what was told in @hello? Whole pages, within the backend (its
 * last page counts as whole), no two with the same bytes. 0 or -EINVAL with a sentence.
 */
int uffd_regions_check(const struct uffd_message *message, const struct uffd_hello *hello,
		       struct error *error);
/* How many descriptors come with it. */
unsigned int uffd_descriptors(const struct uffd_message *message, const struct uffd_hello *hello);

/* @bytes up to the next whole page. */
uint64_t uffd_round(uint64_t bytes, uint32_t page);

#endif
