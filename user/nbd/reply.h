/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replies on the wire, to and from native numbers: headers (simple, structured, extended), and the
 * fixed parts of chunks' payloads. Both ends use it.
 *
 * Pure functions of bytes: no state, no system call. Source: proto.md, "Simple reply message",
 * "Structured reply chunk message", "Extended reply chunk message", "Structured reply types".
 */
#ifndef R3MAP_NBD_REPLY_H
#define R3MAP_NBD_REPLY_H

#include "request.h"

#define NBD_REPLY_MAX	32	/* bytes of the largest reply header */
#define NBD_ERROR_TEXT	256u	/* bytes of an error's text that are kept, its NUL included */

struct nbd_reply {
	bool simple;		/* a simple one: only error and cookie mean anything */
	uint32_t error;		/* enum nbd_error; simple only */
	uint16_t flags;		/* NBD_REPLY_FLAG_* */
	uint16_t type;		/* enum nbd_reply_type, or something unknown */
	uint64_t cookie;	/* as it was on the wire */
	uint64_t offset;	/* of the request; extended only */
	uint64_t length;	/* bytes of payload that follow; not checked */
};

/*
 * Reads the header in front of the @have bytes at @from. Returns its length, 0 if more bytes are
 * needed, or -EPROTO if no header of @headers begins so.
 */
int nbd_reply_decode(enum nbd_headers headers, const void *from, size_t have,
		     struct nbd_reply *reply);

/* Writes a simple reply's header, sizeof(struct nbd_simple_reply) bytes. */
void nbd_simple_reply_encode(uint64_t cookie, uint32_t error, void *to);
/* Writes a chunk's header for @headers, which is not SIMPLE. Returns its bytes. */
size_t nbd_chunk_encode(enum nbd_headers headers, const struct nbd_reply *reply, void *to);

/* OFFSET_HOLE's payload, and the fixed parts in front of OFFSET_DATA's and the statuses'. */
#define NBD_HOLE_SIZE		12u
#define NBD_DATA_OFFSET_SIZE	8u
#define NBD_STATUS_SIZE		4u	/* u32 context */
#define NBD_STATUS_EXT_SIZE	8u	/* u32 context, u32 count */
#define NBD_EXTENT_SIZE		8u
#define NBD_EXTENT_EXT_SIZE	16u

void nbd_hole_encode(uint64_t offset, uint32_t length, void *to);
void nbd_hole_decode(const void *from, uint64_t *offset, uint32_t *length);

/* One extent of a status; @extended: of BLOCK_STATUS_EXT. */
void nbd_extent_encode(bool extended, uint64_t length, uint64_t flags, void *to);
void nbd_extent_decode(bool extended, const void *from, uint64_t *length, uint64_t *flags);

/*
 * An error chunk's payload of @length bytes. Sets @error and @text (cut, unprintable bytes
 * replaced, may be NULL), and @offset for ERROR_OFFSET. False if the payload is malformed; a
 * longer one than this knows is not.
 */
bool nbd_error_decode(uint16_t type, const void *from, size_t length, uint32_t *error,
		      char text[NBD_ERROR_TEXT], uint64_t *offset);

/* enum nbd_error to a negative errno or 0, as the protocol reads unknown ones; and the reverse. */
int nbd_errno(uint32_t error);
uint32_t nbd_error_of(int code);

#endif
