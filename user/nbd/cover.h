/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which bytes of a READ have come, when they come in chunks, in any order.
 *
 * A short sorted list of pieces, neighbours merged: whoever sends in order, as servers do, needs
 * one. There is room for NBD_COVER_PIECES, so that what a server can make us remember is bounded;
 * a server that leaves more gaps than that open at once is told apart from one that breaks the
 * protocol. Pure functions.
 */
#ifndef R3MAP_NBD_COVER_H
#define R3MAP_NBD_COVER_H

#include <stdbool.h>
#include <stdint.h>

#define NBD_COVER_PIECES	16

struct nbd_cover {		/* .used = 0: nothing has come */
	uint32_t used;
	struct {
		uint32_t from, to;	/* bytes, from < to; sorted, with gaps between them */
	} pieces[NBD_COVER_PIECES];
};

/* nbd_cover_add() where some bytes have come before. */
int nbd_cover_join(struct nbd_cover *cover, uint32_t from, uint32_t to);

/*
 * Adds the bytes from @from, inclusive, to @to, exclusive; @from < @to. Returns 0, -EEXIST if some
 * of them have come already, or -ENOSPC if they need one piece more than there is room for.
 */
static inline int nbd_cover_add(struct nbd_cover *cover, uint32_t from, uint32_t to)
{
	if (cover->used)
		return nbd_cover_join(cover, from, to);
	cover->used = 1;
	cover->pieces[0].from = from;
	cover->pieces[0].to = to;
	return 0;
}

/* Whether all of the first @length bytes have come. */
static inline bool nbd_cover_whole(const struct nbd_cover *cover, uint32_t length)
{
	return cover->used == 1 && cover->pieces[0].from == 0 && cover->pieces[0].to == length;
}

#endif
