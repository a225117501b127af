/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices of this host that are finalized as one: all or none. By asking their helpers, all at the same
 * time. One thread at a time. See "Groups" in Documentation/design/migration.rst.
 */
#ifndef R3MAP_MIGRATE_GROUP_H
#define R3MAP_MIGRATE_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "mount/door.h"

#define GROUP_MOST	64
#define GROUP_NAME_MOST	32	/* bytes */

struct member {
	uint32_t index;
	char disk[16];
	bool left_out;			/* of what is asked next */
	enum door_word word;		/* asked for now */
	uint32_t timeout;		/* ms */
	bool late;			/* it has not answered in that time */
	int code;			/* what came of it */
	bool done;			/* it is finalized, or taken back */
	struct error error;
	char *answer;			/* if @code is 0; the group's */
	int stays;			/* a connection: with it, what is prepared is given up; -1: none */
	pthread_t thread;
};

/* To be zeroed before, and ended by group_free(). */
struct group {
	struct member list[GROUP_MOST];
	int count;
};

/* What returns int returns 0 or a negative errno with a sentence. */

/* Is this a name that a group may have? */
int group_check(const char *name, struct error *error);
/* One more; -EINVAL: it is there already; -E2BIG: there can be no more. */
int group_add(struct group *group, uint32_t index, struct error *error);
/*
 * All leechers of this host that are of group @name and not finalized yet. -ENOENT: there are none. Refused as well if
 * there is a device that may be one, and whose helper does not tell.
 */
int group_gather(struct group *group, const char *name, struct error *error);
/*
 * All are ready within @deadline ms, and are then finalized, which is waited for for @timeout ms; or none is. Of
 * those that are done @answer has the words of their helpers.
 */
int group_finalize(struct group *group, uint32_t deadline, uint32_t timeout, struct error *error);
/* Of seeders, each by itself: their regions are used here again. What fails first is told. */
int group_take_back(struct group *group, uint32_t timeout, struct error *error);
void group_free(struct group *group);

#endif
