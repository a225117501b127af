/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces of a queue's messages, built by hand: for queue.c and answer.c only.
 */
#ifndef R3MAP_NL_MESSAGE_H
#define R3MAP_NL_MESSAGE_H

#include <stdint.h>

struct queue_config;

/* An attribute at @at, which has room for it. Returns where the next one goes. */
uint8_t *queue_attr_put(uint8_t *at, uint16_t type, const void *value, uint16_t length);
/* Both headers and what names the queue. @flags: beside NLM_F_REQUEST. */
uint8_t *queue_head_put(uint8_t *at, const struct queue_config *config, uint8_t cmd,
			uint16_t flags);

#endif
