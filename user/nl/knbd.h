/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's own NBD client, /dev/nbdN: its generic netlink family.
 */
#ifndef R3MAP_NL_KNBD_H
#define R3MAP_NL_KNBD_H

#include <stdint.h>

struct control;
struct error;

#define KNBD_ANY		UINT32_MAX

/* What a device shall be like. */
struct knbd_setup {
	uint32_t index;			/* or KNBD_ANY: one that is free */
	uint64_t size;			/* bytes, a multiple of block */
	uint32_t block;			/* bytes, of the logical blocks */
	uint16_t flags;			/* NBD_FLAG_*, as a server tells them */
	const int *sockets;		/* connected to a server that is past its handshake */
	unsigned int count;
};

/* Opens a control socket of the family; -ENOENT with a sentence that says how to load nbd.ko. */
int knbd_open(struct control **control, struct error *error);
/*
 * Makes /dev/nbd@index of @setup; from its return on it answers. The kernel has references of its
 * own to the sockets. 0 or a negative errno with a sentence.
 */
int knbd_connect(struct control *control, const struct knbd_setup *setup, uint32_t *index,
		struct error *error);
/* The process that has set up /dev/nbd@index; 0: it is free, or not there. */
uint32_t knbd_owner(uint32_t index);
/* Whoever uses it gets I/O errors from now on. Returns when the device is free again. */
int knbd_disconnect(struct control *control, uint32_t index, struct error *error);

#endif
