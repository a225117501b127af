/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control messages of a migration on the wire; both ends use them. Source:
 * Documentation/protocol/migrate.rst.
 *
 * The leecher asks, the seeder answers, one question at a time. Pure functions of bytes; numbers are
 * big-endian, as everything of NBD.
 */
#ifndef R3MAP_MIGRATE_MESSAGE_H
#define R3MAP_MIGRATE_MESSAGE_H

#include <linux/r3map.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIGRATE_VERSION		2u		/* behind NBD_OPT_MIGRATE */
#define MIGRATE_MAGIC		0x72336d67u	/* "r3mg" */
#define MIGRATE_HEADER		12u		/* bytes */
#define MIGRATE_PAYLOAD_MAX	65536u		/* bytes of what is behind a header, but for a BITMAP's */
#define MIGRATE_EXTENTS_MAX	(MIGRATE_PAYLOAD_MAX / 16)	/* of one message */
#define MIGRATE_WORDS_MAX	65536u				/* of one message, of a bitmap */
#define MIGRATE_BITMAP_HEAD	8u		/* bytes before its words */
#define MIGRATE_TEXT_MAX	400u		/* bytes of an error's sentence */

#define MIGRATE_URI_MAX		256u		/* bytes of where a region is found */

#define MIGRATE_MORE		(1u << 0)	/* flag of EXTENTS: another one, or a BITMAP, follows */
#define MIGRATE_REPLY		(1u << 15)	/* bit of a type */

enum migrate_type {
	MIGRATE_TRACK = 1,	/* begin to watch, or go on with a session */
	MIGRATE_TAKE = 2,	/* what was written since the last TAKE? */
	MIGRATE_FINALIZE = 3,	/* bring it to rest, and tell what was written */
	MIGRATE_COMMIT = 4,	/* the leecher's bios are let go */
	MIGRATE_ABORT = 5,	/* the leecher will not take it: writes go on at the seeder */
	MIGRATE_DONE = 6,	/* everything is at the leecher */
	MIGRATE_PROGRESS = 7,	/* how far it is; also a sign of life */

	MIGRATE_OK = MIGRATE_REPLY | 1,
	MIGRATE_ERROR = MIGRATE_REPLY | 2,
	MIGRATE_TRACKED = MIGRATE_REPLY | 3,
	MIGRATE_EXTENTS = MIGRATE_REPLY | 4,
	MIGRATE_FINALIZED = MIGRATE_REPLY | 5,	/* EXTENTS and BITMAPs follow */
	MIGRATE_BITMAP = MIGRATE_REPLY | 6,	/* as EXTENTS, and another one always follows */
};

struct migrate_track {
	uint64_t session;	/* 0: a new one */
	uint32_t received;	/* TAKEs whose answers have come as a whole */
};

struct migrate_tracked {
	uint64_t session;
	uint64_t size;		/* bytes */
	uint32_t grain;		/* bytes */
	bool final;		/* FINALIZE was answered in this session: it is the leecher's */
};

struct migrate_take {
	uint32_t received;	/* as in migrate_track */
	bool slow;		/* rounds do not become shorter: the writer is to be slowed down */
};

struct migrate_finalize {
	uint32_t received;	/* as in migrate_track; the answer is one of a TAKE, too */
	uint32_t deadline;	/* ms */
};

struct migrate_finalized {
	uint64_t suspend;	/* ns: stopping the application */
	uint64_t freeze;	/* ns: writing back and freezing */
	uint64_t drain;		/* ns: until no write was on its way */
	uint64_t held;		/* ns: since the last write was let in, when this was sent */
};

struct migrate_commit {
	char uri[MIGRATE_URI_MAX + 1];	/* where others can follow the region from now on; "": nowhere */
};

struct migrate_progress {
	uint64_t local;		/* bytes at the leecher */
	uint32_t round;
};

/* One message, either way. */
struct migrate_message {
	enum migrate_type type;
	bool more;		/* EXTENTS */
	union {
		struct migrate_track track;
		struct migrate_tracked tracked;
		struct migrate_finalize finalize;
		struct migrate_finalized finalized;
		struct migrate_commit commit;
		struct migrate_progress progress;
		struct migrate_take take;
		struct {
			int code;		/* a negative errno */
			char text[MIGRATE_TEXT_MAX + 1];
		} error;
		struct {
			const struct r3map_extent *list;	/* borrowed; decoded: the caller's */
			unsigned int count;
		} extents;
		struct {
			uint64_t offset;	/* bytes */
			unsigned int count;	/* of words, which come behind */
		} bitmap;
	};
};

/*
 * Writes @message to @buf, of MIGRATE_HEADER + MIGRATE_PAYLOAD_MAX bytes. Returns its bytes; those of a BITMAP
 * without its words.
 */
size_t migrate_encode(const struct migrate_message *message, char *buf);

/*
 * The header of a message: its type, and *@length, the bytes behind it, which are within bounds. False:
 * it is none.
 */
bool migrate_decode_header(const char *header, struct migrate_message *message, uint32_t *length);
/*
 * What is behind the header; of a BITMAP the first MIGRATE_BITMAP_HEAD bytes are looked at. Extents go to @room, of
 * MIGRATE_EXTENTS_MAX. False: it makes no sense; texts are cleaned, everything else is as the peer says.
 */
bool migrate_decode(const char *payload, uint32_t length, struct migrate_message *message,
		    struct r3map_extent *room);

/* For messages to people: "FINALIZE". */
const char *migrate_name(enum migrate_type type);

#endif
