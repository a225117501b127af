// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending DEVICE_EVENT messages.
 */
#include <linux/ktime.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "device.h"
#include "event.h"
#include "netlink.h"

/* What is told of an event besides the facts. */
typedef int event_more(struct sk_buff *skb, struct r3map_device *dev, const void *data);

struct event_sync {
	u64 number;
	u32 error;
};

static int event_put_sync(struct sk_buff *skb, struct r3map_device *dev, const void *data)
{
	const struct event_sync *sync = data;

	return nla_put_u64_64bit(skb, R3MAP_A_DEVICE_SYNC, sync->number, R3MAP_A_DEVICE_PAD) ?:
	       nla_put_u32(skb, R3MAP_A_DEVICE_ERRNO, sync->error);
}

static int event_put_finalized(struct sk_buff *skb, struct r3map_device *dev, const void *data)
{
	const u32 *error = data;

	return nla_put_u32(skb, R3MAP_A_DEVICE_ERRNO, *error) ?:
	       r3map_netlink_put_finalized(skb, dev);
}

static int event_fill(struct sk_buff *skb, struct r3map_device *dev, enum r3map_event event,
		      event_more *more, const void *data)
{
	void *head = genlmsg_put(skb, 0, 0, &r3map_family, 0, R3MAP_CMD_DEVICE_EVENT);

	if (!head ||
	    nla_put_u32(skb, R3MAP_A_DEVICE_EVENT, event) ||
	    nla_put_u64_64bit(skb, R3MAP_A_DEVICE_TIME, ktime_get_ns(), R3MAP_A_DEVICE_PAD) ||
	    r3map_netlink_put_facts(skb, dev))
		return -EMSGSIZE;
	if (more && more(skb, dev, data))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

/*
 * To all network namespaces that belong to the initial user namespace: root of a container with a
 * user namespace of its own may join the group there, and this is none of its business. Without
 * @skb, for want of memory, listeners are told that they have missed something.
 */
static void event_multicast(struct sk_buff *skb)
{
	struct sk_buff *copy;
	struct net *net;

	rcu_read_lock();
	for_each_net_rcu(net) {
		if (net->user_ns != &init_user_ns)
			continue;
		copy = skb ? skb_clone(skb, GFP_ATOMIC) : NULL;
		if (copy)
			genlmsg_multicast_netns(&r3map_family, net, copy, 0, 0, GFP_ATOMIC);
		else
			genl_set_err(&r3map_family, net, 0, 0, -ENOBUFS);
	}
	rcu_read_unlock();
	nlmsg_free(skb);
}

static void event_send(struct r3map_device *dev, enum r3map_event event, event_more *more,
		       const void *data)
{
	struct sk_buff *skb;

	lockdep_assert_held(&dev->lock);
	skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_NOIO);
	if (skb && WARN_ON_ONCE(event_fill(skb, dev, event, more, data))) {
		nlmsg_free(skb);
		return;
	}
	event_multicast(skb);
}

void r3map_event_send(struct r3map_device *dev, enum r3map_event event)
{
	event_send(dev, event, NULL, NULL);
}

void r3map_event_send_synced(struct r3map_device *dev, u64 sync, u32 error)
{
	const struct event_sync facts = { sync, error };

	event_send(dev, R3MAP_EVENT_SYNCED, event_put_sync, &facts);
}

void r3map_event_send_finalized(struct r3map_device *dev, u32 error)
{
	event_send(dev, R3MAP_EVENT_FINALIZED, event_put_finalized, &error);
}
