/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Payload that the helper lends: bytes of a READ that it has in its own memory anyway, and gives
 * the address of (R3MAP_A_QUEUE_ADDRESSES) instead of copying them to the area first.
 */
#ifndef R3MAP_LENT_H
#define R3MAP_LENT_H

#include <linux/types.h>

struct bio;

/**
 * r3map_lent_load - copy from @address of the present task's memory to the payload of @bio
 * Context: a system call of the helper; does not sleep and takes no page fault: whatever waits for
 * those, generic netlink does not wait for it.
 * Return: false if not all of it is there, or may be read; what is in @bio then means nothing.
 */
bool r3map_lent_load(u64 address, struct bio *bio);

#endif
