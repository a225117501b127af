/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What leaves to a client: the rest of the handshake, then answers, in the order they came to be.
 */
#ifndef R3MAP_SERVE_OUTPUT_H
#define R3MAP_SERVE_OUTPUT_H

#include <stdbool.h>

struct peer;

/* Is there anything that has not left? */
bool output_pending(const struct peer *peer);
/* Sends what the socket takes. The peer may be dead afterwards. */
void output_send(struct peer *peer);
/* Frees the answers that wait; for a peer that dies. */
void output_drop(struct peer *peer);

#endif
