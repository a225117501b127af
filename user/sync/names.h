/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What has a name, found by it, however many there are. For one thread.
 */
#ifndef R3MAP_SYNC_NAMES_H
#define R3MAP_SYNC_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Embedded by its user, who keeps @name, and the rest alone, while it is in a table. */
struct name {
	const char *name;
	struct name *next;		/* the table's */
	uint64_t hash;
};

/* One that is all zeroes is an empty one. */
struct names {
	struct name **slot;
	size_t slots, count;
	uint64_t seed;			/* nobody can choose names that share a slot */
};

/* There is none of this name in there. 0 or -ENOMEM. */
int names_add(struct names *names, struct name *name);
/* It is in there. */
void names_remove(struct names *names, struct name *name);
/* What is called @name, or NULL. */
struct name *names_find(const struct names *names, const char *name);
/* Forgets all of them. */
void names_free(struct names *names);

#endif
