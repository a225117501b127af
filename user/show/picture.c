// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The chunk map as a picture. See picture.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/size.h"
#include "nl/chunks.h"
#include "show/picture.h"

#define ROWS	8u
#define COLUMNS	64u

int picture_init(struct picture *picture, uint64_t size, unsigned int cells)
{
	*picture = (struct picture){ .size = size, .cells = cells };
	picture->local = calloc(cells, sizeof(*picture->local));
	picture->dirty = calloc(cells, sizeof(*picture->dirty));
	return picture->local && picture->dirty ? 0 : -ENOMEM;
}

void picture_free(struct picture *picture)
{
	free(picture->local);
	free(picture->dirty);
}

uint64_t picture_scale(const struct picture *picture)
{
	return (picture->size + picture->cells - 1) / picture->cells;
}

void picture_add(struct picture *picture, uint64_t offset, uint64_t length, uint32_t flags)
{
	const uint64_t scale = picture_scale(picture), end = offset + length;

	while (offset < end) {
		uint64_t cell = offset / scale, stop = (cell + 1) * scale;

		if (stop > end)
			stop = end;
		if (flags & R3MAP_EXTENT_LOCAL)
			picture->local[cell] += stop - offset;
		if (flags & R3MAP_EXTENT_DIRTY)
			picture->dirty[cell] = true;
		offset = stop;
	}
}

char picture_cell(const struct picture *picture, unsigned int cell)
{
	uint64_t scale = picture_scale(picture), from = cell * scale, bytes;

	if (from >= picture->size)
		return ' ';
	bytes = picture->size - from < scale ? picture->size - from : scale;
	if (picture->dirty[cell])
		return '*';
	if (!picture->local[cell])
		return '.';
	return picture->local[cell] == bytes ? '#' : '-';
}

static void picture_text(const struct picture *picture)
{
	char text[SIZE_TEXT * 2];

	for (unsigned int row = 0; row < picture->cells / COLUMNS; row++) {
		printf("  [");
		for (unsigned int column = 0; column < COLUMNS; column++)
			putchar(picture_cell(picture, row * COLUMNS + column));
		printf("]\n");
	}
	printf("  # local   - in part   . not yet   * something is to be written back\n"
	       "  a character is %s bytes\n", size_tell(picture_scale(picture), text));
}

static void picture_json(const struct r3map_extent *extent, bool first)
{
	printf("%s\n  { \"offset\": %llu, \"length\": %llu, \"local\": %s, \"busy\": %s, \"dirty\": %s }",
	       first ? "" : ",", (unsigned long long)extent->offset,
	       (unsigned long long)extent->length,
	       extent->flags & R3MAP_EXTENT_LOCAL ? "true" : "false",
	       extent->flags & R3MAP_EXTENT_BUSY ? "true" : "false",
	       extent->flags & R3MAP_EXTENT_DIRTY ? "true" : "false");
}

int picture_print(const struct chunks *chunks, uint64_t size, bool json, struct error *error)
{
	uint64_t columns = (size + chunks->chunk - 1) / chunks->chunk;
	struct chunk_extents *extents = malloc(sizeof(*extents));
	struct r3map_extent last = { 0 };
	struct picture picture;
	bool first = true;
	int err;

	/* Not more characters than chunks, in whole rows. */
	columns = (columns + COLUMNS - 1) / COLUMNS * COLUMNS;
	err = picture_init(&picture, size, columns < ROWS * COLUMNS ? (unsigned int)columns :
								    ROWS * COLUMNS);
	if (!extents)
		err = -ENOMEM;
	if (err)
		error_set(error, err, "out of memory");
	if (json && !err)
		printf("[");
	for (uint64_t at = 0; !err && at < size; at = extents->next) {
		err = chunks_get(chunks, at, extents, error);
		for (unsigned int i = 0; !err && i < extents->count; i++) {
			const struct r3map_extent *extent = &extents->extent[i];

			picture_add(&picture, extent->offset, extent->length, extent->flags);
			/* Two answers may meet within a row of chunks that are alike. */
			if (last.length && last.flags == extent->flags) {
				last.length += extent->length;
				continue;
			}
			if (json && last.length) {
				picture_json(&last, first);
				first = false;
			}
			last = *extent;
		}
		if (!err && extents->next <= at)
			err = error_set(error, -EBADMSG, "the module's answer makes no sense");
	}
	if (json && !err) {
		picture_json(&last, first);
		printf("\n]\n");
	} else if (!err) {
		picture_text(&picture);
	}
	picture_free(&picture);
	free(extents);
	return err;
}
