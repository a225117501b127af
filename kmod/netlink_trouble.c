// SPDX-License-Identifier: GPL-2.0-only
/*
 * DEVICE_TELL: the helper tells what is wrong between it and the backend. The module does nothing
 * about that but to pass it on: to who listens, and to who asks later.
 */
#include <linux/err.h>
#include <linux/r3map.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "device.h"
#include "event.h"
#include "netlink.h"

/* Copies what @attr has, which may be NULL: nothing. The number of troubles, or -EINVAL. */
static int troubles_parse(const struct nlattr *attr, struct r3map_trouble *troubles,
			  struct netlink_ext_ack *extack)
{
	u32 last = R3MAP_WRONG_UNSPEC;
	int nr, i;

	if (!attr)
		return 0;
	nr = nla_len(attr) / sizeof(*troubles);
	/* Its policy says that there are no more than there is room for. */
	if (nla_len(attr) % sizeof(*troubles)) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "TROUBLES is not an array of troubles");
		return -EINVAL;
	}
	memcpy(troubles, nla_data(attr), nla_len(attr));
	for (i = 0; i < nr; i++) {
		if (troubles[i].wrong <= last || troubles[i].wrong > R3MAP_WRONG_MAX ||
		    !troubles[i].error || troubles[i].error > MAX_ERRNO) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "TROUBLES is not ascending, or an element makes no sense");
			return -EINVAL;
		}
		last = troubles[i].wrong;
	}
	return nr;
}

/* Is @trouble told of already, with this error? */
static bool trouble_is_known(const struct r3map_device *dev, const struct r3map_trouble *trouble)
{
	u32 i;

	lockdep_assert_held(&dev->lock);
	for (i = 0; i < dev->nr_troubles; i++)
		if (dev->troubles[i].wrong == trouble->wrong)
			return dev->troubles[i].error == trouble->error;
	return false;
}

static void troubles_set(struct r3map_device *dev, const struct r3map_trouble *troubles, u32 nr)
{
	bool more = false, less = nr < dev->nr_troubles;
	u32 i;

	lockdep_assert_held(&dev->lock);
	for (i = 0; i < nr; i++)
		more |= !trouble_is_known(dev, &troubles[i]);
	dev->nr_troubles = nr;
	memcpy(dev->troubles, troubles, nr * sizeof(*troubles));
	if (more)
		r3map_event_send(dev, R3MAP_EVENT_TROUBLE);
	else if (less)
		r3map_event_send(dev, R3MAP_EVENT_RECOVERED);
}

int r3map_netlink_device_tell(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_device *dev = r3map_netlink_find_lock(skb, info);
	struct r3map_trouble troubles[R3MAP_WRONG_MAX];
	int nr;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (!dev->control.sk || dev->helper != task_tgid(current)) {
		GENL_SET_ERR_MSG(info, "only the helper of the device may do this");
		nr = -EPERM;
	} else {
		nr = troubles_parse(info->attrs[R3MAP_A_DEVICE_TROUBLES], troubles, info->extack);
	}
	if (nr >= 0)
		troubles_set(dev, troubles, nr);
	r3map_netlink_unlock_put(dev);
	return min(nr, 0);
}
