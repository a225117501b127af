// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handlers of the QUEUE_* commands. QUEUE_COMPLETE is the hot path of the helper.
 */
#include <linux/r3map.h>
#include <linux/sched.h>

#include "area.h"
#include "device.h"
#include "netlink.h"
#include "queue.h"

/* The queue that a message means, with a reference to its device, or an ERR_PTR. */
static struct r3map_queue *queue_find(struct genl_info *info)
{
	struct r3map_device *dev;
	u32 id;

	if (!info->attrs[R3MAP_A_QUEUE_INDEX] || !info->attrs[R3MAP_A_QUEUE_QUEUE]) {
		GENL_SET_ERR_MSG(info, "INDEX or QUEUE is missing");
		return ERR_PTR(-EINVAL);
	}
	dev = r3map_device_find(nla_get_u32(info->attrs[R3MAP_A_QUEUE_INDEX]));
	if (!dev) {
		GENL_SET_ERR_MSG(info, "there is no device with this index");
		return ERR_PTR(-ENODEV);
	}
	id = nla_get_u32(info->attrs[R3MAP_A_QUEUE_QUEUE]);
	if (id >= dev->params.queues) {
		GENL_SET_ERR_MSG(info, "the device has no such queue");
		r3map_device_put(dev);
		return ERR_PTR(-EINVAL);
	}
	return &dev->queues[id];
}

/* The area that BIND names, pinned; NULL for the inline transport. */
static struct r3map_area *bind_area(const struct r3map_queue *queue, struct genl_info *info)
{
	struct nlattr *addr = info->attrs[R3MAP_A_QUEUE_AREA_ADDR];
	struct nlattr *size = info->attrs[R3MAP_A_QUEUE_AREA_SIZE];

	if (queue->inlined || queue->dev->managed) {
		if (!addr && !size)
			return NULL;
		GENL_SET_ERR_MSG(info, "inline transport and managed devices have no area");
		return ERR_PTR(-EINVAL);
	}
	if (!addr || !size) {
		GENL_SET_ERR_MSG(info, "AREA_ADDR or AREA_SIZE is missing");
		return ERR_PTR(-EINVAL);
	}
	if (!PAGE_ALIGNED(nla_get_u64(addr)) || !PAGE_ALIGNED(nla_get_u64(size))) {
		GENL_SET_ERR_MSG(info, "the area is not page-aligned");
		return ERR_PTR(-EINVAL);
	}
	if (nla_get_u64(size) < queue->dev->params.max_io) {
		GENL_SET_ERR_MSG(info, "the area is smaller than MAX_IO");
		return ERR_PTR(-EINVAL);
	}
	return r3map_area_pin(nla_get_u64(addr), nla_get_u64(size), info->extack);
}

static int bind_check(struct r3map_device *dev, u64 generation, struct genl_info *info)
{
	lockdep_assert_held(&dev->lock);
	if (dev->generation != generation) {
		GENL_SET_ERR_MSG(info, "the device has another generation now");
		return -ESTALE;
	}
	if (!dev->control.sk || dev->helper != task_tgid(current)) {
		GENL_SET_ERR_MSG(info, "only the helper that made or took the device may bind");
		return -EPERM;
	}
	if (dev->state == R3MAP_STATE_LIVE) {
		GENL_SET_ERR_MSG(info, "the device is live already");
		return -EBUSY;
	}
	return 0;
}

int r3map_netlink_queue_bind(struct sk_buff *skb, struct genl_info *info)
{
	struct r3map_queue *queue;
	struct r3map_device *dev;
	struct r3map_area *area;
	u64 generation;
	int err;

	err = r3map_netlink_may(skb, info->extack);
	if (err)
		return err;
	if (!info->attrs[R3MAP_A_QUEUE_GENERATION]) {
		GENL_SET_ERR_MSG(info, "GENERATION is missing");
		return -EINVAL;
	}
	generation = nla_get_u64(info->attrs[R3MAP_A_QUEUE_GENERATION]);
	queue = queue_find(info);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	dev = queue->dev;

	/* Before the costly part, and again after it: pinning may take as long as it likes. */
	mutex_lock(&dev->lock);
	err = bind_check(dev, generation, info);
	mutex_unlock(&dev->lock);
	if (err)
		goto put;
	area = bind_area(queue, info);
	if (IS_ERR(area)) {
		err = PTR_ERR(area);
		goto put;
	}
	mutex_lock(&dev->lock);
	err = bind_check(dev, generation, info) ?:
	      r3map_queue_bind(queue, r3map_netlink_sender(skb), info->snd_portid, area,
			       info->extack);
	mutex_unlock(&dev->lock);
	if (err)
		r3map_area_put(area);
put:
	r3map_device_put(dev);
	return err;
}

int r3map_netlink_queue_complete(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *gen = info->attrs[R3MAP_A_QUEUE_GENERATION];
	struct nlattr *seq = info->attrs[R3MAP_A_QUEUE_SEQ];
	struct nlattr *comps = info->attrs[R3MAP_A_QUEUE_COMPLETIONS];
	struct nlattr *addresses = info->attrs[R3MAP_A_QUEUE_ADDRESSES];
	struct r3map_answer answer = { .sk = r3map_netlink_sender(skb), .nlh = info->nlhdr };
	struct r3map_queue *queue;
	u64 generation;
	u32 number;
	int err;

	/* Who owns the queue's socket was allowed to at QUEUE_BIND: it is the permission. */
	queue = queue_find(info);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	if (comps) {
		answer.comps = nla_data(comps);
		answer.nr = nla_len(comps) / sizeof(struct r3map_completion);
		if (!answer.nr || nla_len(comps) % sizeof(struct r3map_completion)) {
			GENL_SET_ERR_MSG(info, "COMPLETIONS is not an array of completions");
			err = -EINVAL;
			goto put;
		}
	}
	if (!comps && !seq) {
		GENL_SET_ERR_MSG(info, "neither SEQ nor COMPLETIONS is given");
		err = -EINVAL;
		goto put;
	}
	if (addresses) {
		answer.addresses = nla_data(addresses);
		if (nla_len(addresses) != answer.nr * sizeof(u64)) {
			GENL_SET_ERR_MSG(info, "ADDRESSES is not one for each of COMPLETIONS");
			err = -EINVAL;
			goto put;
		}
	}
	if (seq) {
		number = nla_get_u32(seq);
		answer.seq = &number;
	}
	if (gen) {
		generation = nla_get_u64(gen);
		answer.generation = &generation;
	}
	err = r3map_queue_complete(queue, &answer, info->extack);
put:
	r3map_device_put(queue->dev);
	return err;
}
