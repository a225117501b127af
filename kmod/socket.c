// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of the helpers' sockets, and the notifier that learns of their end.
 *
 * A port number may be taken by a new socket between the end of the old one and its
 * notification, so the number alone proves nothing: the entry's own socket must be dead.
 */
#include <linux/hashtable.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <net/sock.h>

#include "device.h"
#include "socket.h"

static DEFINE_HASHTABLE(socket_table, 6);
static DEFINE_SPINLOCK(socket_lock);	/* guards socket_table; a leaf */

static struct r3map_device *socket_find_dead(const struct netlink_notify *notify, u64 *generation)
{
	struct r3map_device *dev = NULL;
	struct r3map_socket *socket;

	spin_lock(&socket_lock);
	hash_for_each_possible(socket_table, socket, node, notify->portid) {
		if (socket->portid != notify->portid || sock_net(socket->sk) != notify->net ||
		    !sock_flag(socket->sk, SOCK_DEAD))
			continue;
		hash_del(&socket->node);
		*generation = socket->generation;
		/* A device with a helper is in the registry, which has a reference. */
		dev = r3map_device_get(socket->dev);
		break;
	}
	spin_unlock(&socket_lock);
	return dev;
}

static int socket_notify(struct notifier_block *block, unsigned long event, void *data)
{
	const struct netlink_notify *notify = data;
	struct r3map_device *dev;
	u64 generation;

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	while ((dev = socket_find_dead(notify, &generation))) {
		r3map_device_helper_gone(dev, generation);
		r3map_device_put(dev);
	}
	return NOTIFY_DONE;
}

static struct notifier_block socket_notifier = {
	.notifier_call = socket_notify,
};

int r3map_socket_init(void)
{
	return netlink_register_notifier(&socket_notifier);
}

void r3map_socket_exit(void)
{
	netlink_unregister_notifier(&socket_notifier);
}

void r3map_socket_bind(struct r3map_socket *socket, struct sock *sk, u32 portid,
		       struct r3map_device *dev, u64 generation)
{
	sock_hold(sk);
	WRITE_ONCE(socket->sk, sk);	/* read without a lock by complete.c */
	socket->portid = portid;
	socket->dev = dev;
	socket->generation = generation;
	spin_lock(&socket_lock);
	hash_add(socket_table, &socket->node, socket->portid);
	spin_unlock(&socket_lock);
}

void r3map_socket_unbind(struct r3map_socket *socket)
{
	spin_lock(&socket_lock);
	if (hash_hashed(&socket->node))
		hash_del(&socket->node);
	spin_unlock(&socket_lock);
}
