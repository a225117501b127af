/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NBD protocol on the wire: constants and structs, named as in the protocol's own document
 * (doc/proto.md of the nbd project). No code; both ends use it.
 *
 * All numbers are big-endian on the wire; the structs are packed and hold them so.
 */
#ifndef R3MAP_NBD_PROTOCOL_H
#define R3MAP_NBD_PROTOCOL_H

#include <stdint.h>

#define NBD_PORT		"10809"
#define NBD_MAX_STRING		4096u		/* bytes of an export name or description */
#define NBD_DEFAULT_PAYLOAD	(32u << 20)	/* bytes a server must take if it told no limit */
#define NBD_MAX_BLOCK_MIN	65536u		/* the largest minimum block a server may ask for */

#define NBDMAGIC		0x4e42444d41474943ull	/* "NBDMAGIC" */
#define NBD_IHAVEOPT		0x49484156454f5054ull	/* "IHAVEOPT" */
#define NBD_OLDSTYLE_MAGIC	0x00420281861253ull
#define NBD_REP_MAGIC		0x0003e889045565a9ull
#define NBD_REQUEST_MAGIC	0x25609513u
#define NBD_EXTENDED_REQUEST_MAGIC 0x21e41c71u
#define NBD_SIMPLE_REPLY_MAGIC	0x67446698u
#define NBD_STRUCTURED_REPLY_MAGIC 0x668e33efu
#define NBD_EXTENDED_REPLY_MAGIC 0x6e8a278cu

/* Handshake flags: the server's, and the client's with the same numbers. */
#define NBD_FLAG_FIXED_NEWSTYLE	(1u << 0)
#define NBD_FLAG_NO_ZEROES	(1u << 1)
#define NBD_EXPORT_NAME_ZEROES	124u		/* bytes after EXPORT_NAME's answer without it */

/* Transmission flags. */
#define NBD_FLAG_HAS_FLAGS	(1u << 0)
#define NBD_FLAG_READ_ONLY	(1u << 1)
#define NBD_FLAG_SEND_FLUSH	(1u << 2)
#define NBD_FLAG_SEND_FUA	(1u << 3)
#define NBD_FLAG_ROTATIONAL	(1u << 4)
#define NBD_FLAG_SEND_TRIM	(1u << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBD_FLAG_SEND_DF	(1u << 7)
#define NBD_FLAG_CAN_MULTI_CONN	(1u << 8)
#define NBD_FLAG_SEND_RESIZE	(1u << 9)
#define NBD_FLAG_SEND_CACHE	(1u << 10)
#define NBD_FLAG_SEND_FAST_ZERO	(1u << 11)
#define NBD_FLAG_BLOCK_STAT_PAYLOAD (1u << 12)

enum nbd_option {
	NBD_OPT_EXPORT_NAME	= 1,
	NBD_OPT_ABORT		= 2,
	NBD_OPT_LIST		= 3,
	NBD_OPT_STARTTLS	= 5,
	NBD_OPT_INFO		= 6,
	NBD_OPT_GO		= 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
	NBD_OPT_EXTENDED_HEADERS = 11,
	/* None of NBD's: the connection becomes the control link of a migration, see migrate/. */
	NBD_OPT_MIGRATE		= 0x72336d01,
};

#define NBD_REP_ERROR		(1u << 31)
enum nbd_option_reply {
	NBD_REP_ACK		= 1,
	NBD_REP_SERVER		= 2,
	NBD_REP_INFO		= 3,
	NBD_REP_META_CONTEXT	= 4,
};
#define NBD_REP_ERR_UNSUP	(NBD_REP_ERROR | 1)
#define NBD_REP_ERR_POLICY	(NBD_REP_ERROR | 2)
#define NBD_REP_ERR_INVALID	(NBD_REP_ERROR | 3)
#define NBD_REP_ERR_PLATFORM	(NBD_REP_ERROR | 4)
#define NBD_REP_ERR_TLS_REQD	(NBD_REP_ERROR | 5)
#define NBD_REP_ERR_UNKNOWN	(NBD_REP_ERROR | 6)
#define NBD_REP_ERR_SHUTDOWN	(NBD_REP_ERROR | 7)
#define NBD_REP_ERR_BLOCK_SIZE_REQD (NBD_REP_ERROR | 8)
#define NBD_REP_ERR_TOO_BIG	(NBD_REP_ERROR | 9)
#define NBD_REP_ERR_EXT_HEADER_REQD (NBD_REP_ERROR | 10)

enum nbd_info {
	NBD_INFO_EXPORT		= 0,
	NBD_INFO_NAME		= 1,
	NBD_INFO_DESCRIPTION	= 2,
	NBD_INFO_BLOCK_SIZE	= 3,
};

enum nbd_command {
	NBD_CMD_READ		= 0,
	NBD_CMD_WRITE		= 1,
	NBD_CMD_DISC		= 2,
	NBD_CMD_FLUSH		= 3,
	NBD_CMD_TRIM		= 4,
	NBD_CMD_CACHE		= 5,
	NBD_CMD_WRITE_ZEROES	= 6,
	NBD_CMD_BLOCK_STATUS	= 7,
};

#define NBD_CMD_FLAG_FUA	(1u << 0)
#define NBD_CMD_FLAG_NO_HOLE	(1u << 1)
#define NBD_CMD_FLAG_DF		(1u << 2)	/* READ: the reply in one piece */
#define NBD_CMD_FLAG_REQ_ONE	(1u << 3)	/* BLOCK_STATUS: one extent */
#define NBD_CMD_FLAG_FAST_ZERO	(1u << 4)
#define NBD_CMD_FLAG_PAYLOAD_LEN (1u << 5)	/* length is that of a payload */

/* Chunks of structured and extended replies. */
#define NBD_REPLY_FLAG_DONE	(1u << 0)	/* the last one */
#define NBD_REPLY_TYPE_ERROR_BIT (1u << 15)
enum nbd_reply_type {
	NBD_REPLY_TYPE_NONE		= 0,
	NBD_REPLY_TYPE_OFFSET_DATA	= 1,	/* u64 offset, data */
	NBD_REPLY_TYPE_OFFSET_HOLE	= 2,	/* u64 offset, u32 length */
	NBD_REPLY_TYPE_BLOCK_STATUS	= 5,	/* u32 context, { u32 length, u32 flags }... */
	NBD_REPLY_TYPE_BLOCK_STATUS_EXT	= 6,	/* u32 context, u32 count, { u64, u64 }... */
	NBD_REPLY_TYPE_ERROR		= (1u << 15) | 1,	/* u32 error, u16 length, text */
	NBD_REPLY_TYPE_ERROR_OFFSET	= (1u << 15) | 2,	/* the same, then u64 offset */
};

#define NBD_META_BASE_ALLOCATION "base:allocation"
#define NBD_STATE_HOLE		(1u << 0)	/* base:allocation: no space is allocated */
#define NBD_STATE_ZERO		(1u << 1)	/* base:allocation: reads as zeroes */

/* Error numbers of replies. */
enum nbd_error {
	NBD_SUCCESS	= 0,
	NBD_EPERM	= 1,
	NBD_EIO		= 5,
	NBD_ENOMEM	= 12,
	NBD_EINVAL	= 22,
	NBD_ENOSPC	= 28,
	NBD_EOVERFLOW	= 75,
	NBD_ENOTSUP	= 95,
	NBD_ESHUTDOWN	= 108,
};

struct nbd_greeting {
	uint64_t magic;		/* NBDMAGIC */
	uint64_t version;	/* NBD_IHAVEOPT, or NBD_OLDSTYLE_MAGIC */
	uint16_t flags;		/* handshake flags; newstyle only */
} __attribute__((packed));

struct nbd_option_header {	/* data follows */
	uint64_t magic;		/* NBD_IHAVEOPT */
	uint32_t option;
	uint32_t length;
} __attribute__((packed));

struct nbd_option_reply_header {	/* data follows */
	uint64_t magic;		/* NBD_REP_MAGIC */
	uint32_t option;
	uint32_t type;
	uint32_t length;
} __attribute__((packed));

struct nbd_info_export {
	uint16_t type;		/* NBD_INFO_EXPORT */
	uint64_t size;
	uint16_t flags;		/* transmission flags */
} __attribute__((packed));

struct nbd_info_block_size {
	uint16_t type;		/* NBD_INFO_BLOCK_SIZE */
	uint32_t minimum;
	uint32_t preferred;
	uint32_t maximum;	/* of a payload, 0xffffffff: no limit */
} __attribute__((packed));

struct nbd_export_name_reply {	/* NBD_EXPORT_NAME_ZEROES bytes follow, unless NO_ZEROES */
	uint64_t size;
	uint16_t flags;
} __attribute__((packed));

struct nbd_request {		/* the payload of a WRITE follows */
	uint32_t magic;		/* NBD_REQUEST_MAGIC */
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint64_t offset;
	uint32_t length;
} __attribute__((packed));

struct nbd_extended_request {	/* the payload of a WRITE follows */
	uint32_t magic;		/* NBD_EXTENDED_REQUEST_MAGIC */
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint64_t offset;
	uint64_t length;
} __attribute__((packed));

struct nbd_simple_reply {	/* the payload of a READ without error follows */
	uint32_t magic;		/* NBD_SIMPLE_REPLY_MAGIC */
	uint32_t error;
	uint64_t cookie;
} __attribute__((packed));

struct nbd_structured_reply {	/* length bytes follow */
	uint32_t magic;		/* NBD_STRUCTURED_REPLY_MAGIC */
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint32_t length;
} __attribute__((packed));

struct nbd_extended_reply {	/* length bytes follow */
	uint32_t magic;		/* NBD_EXTENDED_REPLY_MAGIC */
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint64_t offset;	/* of the request */
	uint64_t length;
} __attribute__((packed));

#endif
