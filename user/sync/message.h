/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages of delta synchronisation on the wire; both ends use them. Source:
 * Documentation/protocol/sync.rst.
 *
 * Pure functions of bytes; numbers are big-endian. Every length and count is held against a limit here,
 * so what is decoded has no number that is out of its range by itself; whether it fits the region that
 * it is about is for whoever knows that.
 */
#ifndef R3MAP_SYNC_MESSAGE_H
#define R3MAP_SYNC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYNC_MAGIC		0x72336d617073796eull	/* "r3mapsyn" */
#define SYNC_VERSION		1u
#define SYNC_HEADER		12u		/* bytes */
#define SYNC_CHUNK_MIN		4096u		/* bytes */
#define SYNC_CHUNK_MAX		(1u << 20)
#define SYNC_GROUP		16u		/* chunks that are first compared as one */
#define SYNC_HASH_MAX		16u		/* bytes of a hash that chunks are compared by */
#define SYNC_ROOT		32u		/* of the strong hash of a whole region */
#define SYNC_HASHES		4u		/* kinds that a HELLO may offer */
#define SYNC_NAME_MAX		4095u		/* bytes of a region's name */
#define SYNC_TEXT_MAX		400u		/* of an error's sentence */
#define SYNC_STREAMS_MAX	256u		/* open at a time */
#define SYNC_CONTROL_MAX	65536u		/* bytes of a payload that is not DATA's */
#define SYNC_DATA_HEAD		8u		/* bytes before the data of DATA */
#define SYNC_RANGES_MAX		1024u		/* of one WANT */
#define SYNC_COST_LEAST		256u		/* bytes of credit: what a short one takes in memory */
#define SYNC_SIZE_MAX		((uint64_t)INT64_MAX)

enum sync_type {
	SYNC_HELLO = 1,		/* both, first */
	SYNC_OPEN = 2,		/* sender: a region, and the stream that it is from now on */
	SYNC_OPENED = 3,	/* receiver: it is there; hashes follow, unless it is empty */
	SYNC_HASH_LIST = 4,	/* receiver */
	SYNC_WANT = 5,		/* sender: hashes of these groups */
	SYNC_DATA = 6,		/* sender: a chunk */
	SYNC_ZERO = 7,		/* sender: chunks that have only zeroes */
	SYNC_CREDIT = 8,	/* receiver: so many bytes more may come */
	SYNC_RESIZE = 9,	/* sender */
	SYNC_COMMIT = 10,	/* sender: it is to be this now */
	SYNC_COMMITTED = 11,	/* receiver: it is */
	SYNC_DIFFERS = 12,	/* receiver: it is not */
	SYNC_CLOSE = 13,	/* sender: the stream's number is free */
	SYNC_REMOVE = 14,	/* sender: this region is gone */
	SYNC_ROUND = 15,	/* sender: all of them were committed; the receiver answers with the same */
	SYNC_END = 16,		/* sender, the receiver answers with the same: goodbye */
	SYNC_ALIVE = 17,	/* both: nothing to say */
	SYNC_ERROR = 18,	/* both: a stream, or all of it, has failed */
};

enum sync_role {
	SYNC_SENDER = 1,
	SYNC_RECEIVER = 2,
};

enum sync_kind {
	SYNC_FILE = 1,
	SYNC_DEVICE = 2,
};

/* What is in a HASH_LIST, or wanted. */
enum sync_list {
	SYNC_GROUPS = 1,	/* a hash for each group of chunks: of their hashes */
	SYNC_CHUNKS = 2,	/* a hash for each chunk, of the kind that was agreed on */
	SYNC_STRONG = 3,	/* a strong hash for each chunk */
};

#define SYNC_OPENED_EMPTY	(1u << 0)	/* all of it are zeroes: no hashes follow */

struct sync_hello {
	uint16_t version_min, version_max;
	uint16_t role;			/* enum sync_role */
	uint16_t patience;		/* ms without a byte after which this end gives up; 0: more than that has room for */
	uint32_t features;		/* none yet; those that both ends have are used */
	uint8_t hashes[SYNC_HASHES];	/* enum sync_hash, the best first, 0: none */
	uint32_t chunk;			/* bytes; a receiver: 0 */
	uint32_t streams;		/* a receiver: as many may be open */
};

struct sync_range {
	uint64_t first, count;		/* groups */
};

/* One message, either way. Pointers are borrowed: into the payload, or from whoever sends it. */
struct sync_message {
	enum sync_type type;
	uint32_t stream;		/* 0: of none */
	union {
		struct sync_hello hello;
		struct {
			uint16_t kind;		/* enum sync_kind */
			uint32_t mode;		/* permission bits */
			uint64_t size;		/* bytes */
			char name[SYNC_NAME_MAX + 1];
		} open;				/* of REMOVE: the name */
		struct {
			uint32_t flags;		/* SYNC_OPENED_* */
			uint32_t credit;	/* bytes */
		} opened;
		struct {
			uint32_t list;		/* enum sync_list */
			uint64_t first;		/* group, or chunk */
			const unsigned char *hash;
			uint32_t bytes;		/* of them all */
		} hashes;
		struct {
			uint32_t list;		/* SYNC_CHUNKS or SYNC_STRONG */
			uint32_t count;
			struct sync_range range[SYNC_RANGES_MAX];
		} want;
		struct {
			uint64_t offset;
			const char *bytes;
			uint32_t length;
		} data;
		struct {
			uint64_t offset, length;
		} zero;
		uint32_t credit;		/* bytes */
		uint64_t round;
		struct {
			uint64_t size;		/* of RESIZE and COMMIT */
			unsigned char root[SYNC_ROOT];
		} commit;			/* of COMMITTED and DIFFERS: the root */
		struct {
			int code;		/* a negative errno */
			char text[SYNC_TEXT_MAX + 1];
		} error;
	};
};

/* Bytes of @message's header and payload. */
size_t sync_encoded(const struct sync_message *message);
/* Writes that many to @buf. DATA: all but the data itself. */
void sync_encode(const struct sync_message *message, char *buf);

/*
 * The header of a message: type and stream, and *@length, the bytes behind it, which are within bounds.
 * False: it is none.
 */
bool sync_decode_header(const char *header, struct sync_message *message, uint32_t *length);
/* What is behind the header. False: it makes no sense. Texts and names are as the peer says, but clean. */
bool sync_decode(const char *payload, uint32_t length, struct sync_message *message);

/*
 * Is this a name for a region: a path that does not begin at the root, goes up nowhere, and has no empty
 * or overlong part?
 */
bool sync_name_valid(const char *name);

/* What a message that waits in a stream's queue costs of its credit: bytes. @bytes: it has, header included. */
static inline uint32_t sync_cost_of(uint32_t bytes)
{
	return bytes > SYNC_COST_LEAST ? bytes : SYNC_COST_LEAST;
}

uint32_t sync_cost(const struct sync_message *message);

/* For messages to people: "COMMIT". */
const char *sync_type_name(enum sync_type type);

#endif
