/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What comes from a client: read, taken apart, and given to negotiate.c or request.c.
 */
#ifndef R3MAP_SERVE_INPUT_H
#define R3MAP_SERVE_INPUT_H

#include <stdbool.h>

struct peer;

/* Is it to be read from now? */
bool input_may_read(const struct peer *peer);
/* Is so much under way that no further request may be taken? */
bool input_must_pause(const struct peer *peer);
/* Reads and takes what is there, as far as others are not kept waiting. The peer may die. */
void input_read(struct peer *peer);
/* Goes on after a pause or a handover, first with what was read before. The peer may die. */
void input_resume(struct peer *peer);

#endif
