// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handlers of the commands that end a device's use on this host, or begin it.
 */
#include <linux/r3map.h>

#include "device.h"
#include "finalize.h"
#include "netlink.h"

#define DEFAULT_DEADLINE	10000
#define DEFAULT_HOLD_TIME	60000

int r3map_netlink_device_finalize(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *deadline = info->attrs[R3MAP_A_DEVICE_DEADLINE];
	struct nlattr *hold_time = info->attrs[R3MAP_A_DEVICE_HOLD_TIME];
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = r3map_finalize_begin(dev, deadline ? nla_get_u32(deadline) : DEFAULT_DEADLINE,
				   hold_time ? nla_get_u32(hold_time) : DEFAULT_HOLD_TIME,
				   info->extack);
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_device_release(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = r3map_finalize_release(dev, info->extack);
	r3map_netlink_unlock_put(dev);
	return err;
}

int r3map_netlink_device_retire(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	int err;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = r3map_finalize_retire(dev, info->extack);
	r3map_netlink_unlock_put(dev);
	return err;
}
