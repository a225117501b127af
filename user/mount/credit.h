/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When to acknowledge a request message that cannot be answered at once.
 *
 * The bare number of a message lets the next one come: needed when there are more requests, a
 * message for nothing when the submitter waits for this one. Which of the two it is, the module
 * cannot tell and the helper can only try: acknowledge early, and see whether a message comes
 * before the completion is sent. After some in vain the acknowledgement is put off, a bounded
 * time, in the hope that the completion carries it; now and then the early way is tried again, so
 * that a second submitter is noticed.
 *
 * One credit belongs to one thread. No function here waits or fails.
 */
#ifndef R3MAP_MOUNT_CREDIT_H
#define R3MAP_MOUNT_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

struct credit {
	bool early;		/* the bare number was sent, and no completion since */
	unsigned int vain;	/* early ones in a row that brought nothing */
	unsigned int put_off;	/* messages since the last try */
	uint64_t deadline;	/* ns, CLOCK_MONOTONIC: put off until then; 0: it is not */
};

/* A message of @requests requests has come. */
void credit_message(struct credit *credit, unsigned int requests);
/*
 * Nothing but the bare number of a message could be sent now. True: send it. False: wait first,
 * but not beyond credit->deadline; then ask again.
 */
bool credit_due(struct credit *credit);
/* A message has been sent; @completions of it were. */
void credit_sent(struct credit *credit, unsigned int completions);

#endif
