/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chunk map of a managed device as a picture: a row of characters, each for an equal part of the
 * region, and as JSON.
 */
#ifndef R3MAP_SHOW_PICTURE_H
#define R3MAP_SHOW_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

struct chunks;
struct error;

/*
 * What a part of the region looks like: '#' all of it is local, '-' some of it, '.' nothing; '*'
 * something of it is to be written back.
 */
struct picture {
	uint64_t size;			/* bytes of the region */
	unsigned int cells;
	uint64_t *local;		/* bytes of each cell */
	bool *dirty;
};

/* 0 or -ENOMEM; undone by picture_free(). */
int picture_init(struct picture *picture, uint64_t size, unsigned int cells);
void picture_free(struct picture *picture);
/* These bytes are in the state @flags, R3MAP_EXTENT_*. */
void picture_add(struct picture *picture, uint64_t offset, uint64_t length, uint32_t flags);
/* The character of cell @cell. */
char picture_cell(const struct picture *picture, unsigned int cell);
/* Bytes of a cell; the last ones may be shorter. */
uint64_t picture_scale(const struct picture *picture);

/* Prints the map of @chunks, a region of @size bytes. 0 or a negative errno with a sentence. */
int picture_print(const struct chunks *chunks, uint64_t size, bool json, struct error *error);

#endif
