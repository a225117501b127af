/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server's half of the handshake: options in, replies out, never waiting.
 */
#ifndef R3MAP_SERVE_NEGOTIATE_H
#define R3MAP_SERVE_NEGOTIATE_H

#include <stddef.h>

struct peer;

/* Greets. 0 or -ENOMEM. */
int negotiate_begin(struct peer *peer);
/*
 * Takes what the client sent. Returns how many of the bytes were used; fewer than @length only if
 * the peer's phase has changed, or it is closing or dead.
 */
size_t negotiate_take(struct peer *peer, const char *data, size_t length);
/* TLS is up: what was agreed on before is forgotten, options go on. */
void negotiate_secured(struct peer *peer);
void negotiate_free(struct peer *peer);

#endif
