// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pieces of a READ that have come: see cover.h.
 */
#include <errno.h>
#include <string.h>

#include "cover.h"

static void piece_remove(struct nbd_cover *cover, uint32_t i)
{
	cover->used--;
	memmove(&cover->pieces[i], &cover->pieces[i + 1],
		(cover->used - i) * sizeof(cover->pieces[0]));
}

int nbd_cover_join(struct nbd_cover *cover, uint32_t from, uint32_t to)
{
	uint32_t i = cover->used;
	bool joins_left, joins_right;

	while (i && cover->pieces[i - 1].from >= from)	/* from the end: usually at once */
		i--;
	/* Piece i - 1 begins before @from, piece i at @from or behind it. */
	if ((i && cover->pieces[i - 1].to > from) ||
	    (i < cover->used && cover->pieces[i].from < to))
		return -EEXIST;
	joins_left = i && cover->pieces[i - 1].to == from;
	joins_right = i < cover->used && cover->pieces[i].from == to;
	if (joins_left && joins_right) {
		cover->pieces[i - 1].to = cover->pieces[i].to;
		piece_remove(cover, i);
	} else if (joins_left) {
		cover->pieces[i - 1].to = to;
	} else if (joins_right) {
		cover->pieces[i].from = from;
	} else if (cover->used == NBD_COVER_PIECES) {
		return -ENOSPC;
	} else {
		memmove(&cover->pieces[i + 1], &cover->pieces[i],
			(cover->used - i) * sizeof(cover->pieces[0]));
		cover->pieces[i].from = from;
		cover->pieces[i].to = to;
		cover->used++;
	}
	return 0;
}
