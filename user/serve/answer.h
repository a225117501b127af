/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns what became of a request into the pieces that are sent, in the form of headers that its
 * connection has agreed on.
 */
#ifndef R3MAP_SERVE_ANSWER_H
#define R3MAP_SERVE_ANSWER_H

#include "serve/request.h"

#define ANSWER_EXTENTS	32u	/* chunks of one READ's answer */

/* A READ's data in pieces: extents, the reads of those that hold data, the chunks' headers. */
struct pieces {
	struct backend_io reads[ANSWER_EXTENTS];
	struct iovec pieces[2 * ANSWER_EXTENTS];
	char headers[ANSWER_EXTENTS][NBD_REPLY_MAX + NBD_HOLE_SIZE];
	struct backend_extents extents;
	struct backend_extent extent[ANSWER_EXTENTS];	/* extents.extent */
};

/* No data: success if @error is 0 (enum nbd_error). @text: for a person, or NULL. */
void answer_status(struct request *request, uint32_t error, const char *text);
/* A READ's bytes, all at @data. */
void answer_data(struct request *request, const void *data);
/*
 * A READ's bytes by request->parts->extents, which cover all of it: data at @data, or where the
 * backend maps it if NULL, and holes.
 */
void answer_extents(struct request *request, char *data);
/*
 * BLOCK_STATUS: one chunk, of context @id, behind the *@used bytes that are in request->buffer already, which has room
 * for it; @flags: of an extent, for the client. @last: it is the answer then.
 */
#define ANSWER_STATUS(extents)	(NBD_REPLY_MAX + NBD_STATUS_EXT_SIZE + (extents) * NBD_EXTENT_EXT_SIZE)
void answer_block_status(struct request *request, uint32_t id, const struct backend_extents *extents,
			 uint32_t (*flags)(uint32_t extent), size_t *used, bool last);

#endif
