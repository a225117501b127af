/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a handler of userfaultfd does better than one fault of one page after the other: each thing
 * can be switched, so that its gain can be seen.
 */
#ifndef R3MAP_UFFD_IMPROVE_H
#define R3MAP_UFFD_IMPROVE_H

#include <stdint.h>

struct error;

#define IMPROVE_EVENTS		(1u << 0)	/* several events with one read */
#define IMPROVE_IN_FLIGHT	(1u << 1)	/* several requests to the backend at a time */
#define IMPROVE_AROUND		(1u << 2)	/* a fault brings its neighbours */
#define IMPROVE_POPULATE	(1u << 3)	/* all comes in the background */
#define IMPROVE_MINOR		(1u << 4)	/* shared memory, and CONTINUE */
#define IMPROVE_POISON		(1u << 5)	/* SIGBUS for what cannot be read */
#define IMPROVE_DIRTY		(1u << 6)	/* PAGEMAP_SCAN, and pushing */
#define IMPROVE_HUGE		(1u << 7)	/* huge pages */

struct improvement {
	uint32_t bit;
	const char *name;
	const char *help;		/* a phrase for --help */
	uint64_t needs;			/* UFFD_FEATURE_* of the kernel */
};

/* All of them, ended by a NULL name. */
extern const struct improvement improvements[];

/*
 * @list: names separated by commas, "none", or "all", which is what the kernel has of all but huge:
 * those need reserved pages, and are not shared. *@improve gets their bits. 0; -EINVAL: an unknown
 * name, or two that exclude each other; or another errno: the kernel lacks one that was named. With
 * a sentence.
 */
int improve_parse(const char *list, uint32_t *improve, struct error *error);

#endif
