/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Letting requests gather in the kernel, where that costs nobody anything.
 *
 * A queue's thread that shares its CPU with the submitter is woken by the first request, preempts
 * the submitter, serves one request and sleeps again: two context switches for each request,
 * however many the submitter has to come. As SCHED_BATCH it does not preempt: the submitter runs
 * until it has to wait, and everything comes in one message. On a CPU of its own it makes no
 * difference.
 *
 * But a thread that does not preempt may wait for somebody who computes. So it is tried for a few
 * messages, kept while messages carry more than one request, and given up at once, for a growing
 * number of messages, when one of them came late or nothing was gained.
 *
 * One gather belongs to one thread.
 */
#ifndef R3MAP_GATHER_H
#define R3MAP_GATHER_H

#include <stdbool.h>
#include <stdint.h>

struct gather {
	bool able;		/* the thread may change its policy, and nobody has chosen one */
	bool gathering;		/* it is SCHED_BATCH */
	unsigned int messages;	/* since the last decision */
	unsigned int requests;	/* in them */
	unsigned int last;	/* requests of the last message */
	uint32_t delay;		/* how long after it was sent that one was received */
	unsigned int rest;	/* messages to leave it alone after a try in vain */
};

/* Context: the thread that will call gather_note(). */
void gather_init(struct gather *gather);

/*
 * A message of @requests requests was received that the kernel sent at @sent (of its descriptors).
 * May change the thread's scheduling policy.
 */
void gather_note(struct gather *gather, unsigned int requests, uint32_t sent);

#endif
