/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets that belong to a helper: its control socket and one for each queue.
 *
 * The table exists to learn of a helper's death: when one of its sockets is closed, netlink tells,
 * and the device is told.
 */
#ifndef R3MAP_SOCKET_H
#define R3MAP_SOCKET_H

#include <linux/list.h>
#include <linux/types.h>

struct r3map_device;
struct sock;

/* Embedded in a device or a queue, which outlives the binding. */
struct r3map_socket {
	struct hlist_node node;		/* the table's lock guards it */
	struct sock *sk;		/* a reference, or NULL; the owner's lock guards it */
	u32 portid;			/* of @sk */
	struct r3map_device *dev;
	u64 generation;			/* of @dev when it was bound */
};

int r3map_socket_init(void);
void r3map_socket_exit(void);

/* Context: dev->lock is held. @sk is the sender of the message being handled, so it is alive. */
void r3map_socket_bind(struct r3map_socket *socket, struct sock *sk, u32 portid,
		       struct r3map_device *dev, u64 generation);

/*
 * Takes @socket out of the table. The caller clears socket->sk under the lock that guards
 * it and drops the reference. Context: any process context.
 */
void r3map_socket_unbind(struct r3map_socket *socket);

#endif
