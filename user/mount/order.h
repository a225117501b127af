/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In which order a managed mount is pulled: ranges, one after the other, and then all of the region from
 * its start. A range may come from a list that was recorded or thought out before, from a program that
 * writes while the mount runs, or from a reader whose misses follow each other.
 *
 * A list has a range a line, "OFFSET LENGTH", in bytes or with units; what is behind '#' is a comment.
 */
#ifndef R3MAP_MOUNT_ORDER_H
#define R3MAP_MOUNT_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct loop;
struct order;

struct range {
	uint64_t from, to;		/* bytes */
};

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
/* All of the region comes again, once everything else has. */
void order_again(struct order *order);
/* A reader goes on from @offset: that comes first now. */
void order_follow(struct order *order, uint64_t offset);

#endif
