/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In which order a managed mount is pulled: ranges, one after the other, and then all of the region from
 * its start. A range may come from a list that was recorded or thought out before, from a program that
 * writes while the mount runs, or from a reader whose misses follow each other. When all of the region was
 * there, and some of it has been dropped, just that comes again.
 *
 * A list has a range a line, "OFFSET LENGTH", in bytes or with units; what is behind '#' is a comment.
 */
#ifndef R3MAP_MOUNT_ORDER_H
#define R3MAP_MOUNT_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct loop;
struct order;
struct r3map_extent;

struct range {
	uint64_t from, to;		/* bytes */
	bool data;			/* to be read without a question what lies there */
};

/* A list of them, ascending, none touching another; made by ranges_new() and freed by free(). */
struct ranges {
	size_t count;
	struct range range[];
};

/*
 * Of @count @extents, ascending and apart. Small ones in a row become one range: to read one takes no longer
 * than to ask about it, and what lies between them is not claimed. NULL: out of memory.
 */
struct ranges *ranges_new(const struct r3map_extent *extents, size_t count);

/*
 * @spec: "sequential", "reverse", "-" for standard input, or the name of a file. @more is called, in
 * the loop's thread, when ranges have come in. 0 or a negative errno with a sentence.
 */
int order_open(const char *spec, uint64_t size, struct loop *loop, void (*more)(void *data),
	       void *data, struct order **order, struct error *error);
void order_close(struct order *order);

/* The next range, within the region. False: there is none now; the last one is the whole region. */
bool order_next(struct order *order, struct range *range);
/*
 * @range, which was taken and not begun, comes before the rest of its list again.
 */
void order_return(struct order *order, const struct range *range);
/* All of the region, or of order_only()'s ranges, comes again, once everything else has. */
void order_again(struct order *order);
/* From now on these ranges come instead of the region; nothing else is left. Takes over @only. */
void order_only(struct order *order, struct ranges *only);
/* All of the region comes again, whatever order_only() has said. */
void order_all(struct order *order);
/* A reader goes on from @offset: that comes first now. */
void order_follow(struct order *order, uint64_t offset);

#endif
