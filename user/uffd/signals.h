/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page faults the old way: memory that may not be touched, and a handler of SIGSEGV that has it
 * filled and then allows it.
 *
 * One handler for the process; a SIGSEGV that is none of ours goes to the one that was there
 * before. System calls cannot use memory that was not touched before: they get EFAULT, not a
 * signal. While a page comes, its thread takes no other signal: handlers may touch the memory, too.
 */
#ifndef R3MAP_UFFD_SIGNALS_H
#define R3MAP_UFFD_SIGNALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "uffd/message.h"

struct trap {
	/* Set before trap_open(), constant afterwards. */
	struct uffd_region regions[UFFD_REGIONS_MAX];	/* mapped with PROT_NONE */
	unsigned int count;
	uint32_t page;			/* bytes */
	int socket;			/* to the handler, for FETCH alone */
	bool watch;			/* tell what is written */
	int nothing;			/* of place_nothing(), the client's */

	/* The trap's. */
	_Atomic unsigned char *states;	/* of each page of the backend: enum in signals.c */
	uint64_t pages;
	pid_t pid;			/* whose memory it is: a child has none of it */
	_Atomic int marking;		/* a futex: PAGE_WRITTEN if, and only if, writable */
	_Atomic int turn;		/* a futex: guards socket and what is below */
	struct uffd_message message;
	char buf[UFFD_MESSAGE_MAX];
};

/* Up to 16 of a process. 0 or a negative errno with a sentence. */
int trap_open(struct trap *trap, uint64_t size, struct error *error);
/* Nobody touches the memory any more. */
void trap_close(struct trap *trap);

/*
 * The written pages of region @n from byte @from of the backend on, which count as not written from
 * then on, as far as they fit in @list, of UFFD_EXTENTS_MAX. Returns how many; *@from: where to go
 * on.
 */
unsigned int trap_take(struct trap *trap, unsigned int n, uint64_t *from, struct uffd_extent *list);

#endif
